"""Runs that are put into the account as they are, instead of being triggered one by one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dbt_trigger_dagster.sandbox.account.cloud import Cloud
from dbt_trigger_dagster.sandbox.account.errors import SandboxError
from dbt_trigger_dagster.sandbox.account.runs import Run
from dbt_trigger_dagster.sandbox.account.scheduler import Scheduler
from dbt_trigger_dagster.sandbox.account.scripts import Script
from dbt_trigger_dagster.sandbox.account.trigger_requests import TriggerRequest
from dbt_trigger_dagster.sandbox.runners.scripted_runner import Ending, ScriptedRunner


@dataclass(frozen=True)
class SeededRun:
    """A run that an account has without anybody having triggered it over the API.

    It waits for no other run of its job, so that a job may have any number in flight.

    Attributes:
        job_id: The job's id.
        finished_at: When it ended, by the account's clock; it began as many seconds earlier as
            its script takes. ``None``: it is in flight, and ends when its script does or by
            `Sandbox.finish`.
        script: What it does; ``None`` takes the next script of its job.
        cause: Why it was triggered; the marker of a trigger stands here.
        cause_category: ``api``, or ``scheduled`` for dbt Cloud's own scheduler.
    """

    job_id: int
    finished_at: datetime | None = None
    script: Script | None = None
    cause: str = "Seeded"
    cause_category: str = "api"


class Seeder:
    """Puts runs into the account and ends them; lives on the server's event loop."""

    def __init__(self, cloud: Cloud, scheduler: Scheduler, runner: ScriptedRunner) -> None:
        self._cloud = cloud
        self._scheduler = scheduler
        self._runner = runner

    async def seed(self, seeds: Iterable[SeededRun]) -> list[int]:
        """Put runs into the account, and return their ids.

        Raises:
            SandboxError: A job is unknown.
        """
        return [self._seed(seed).id for seed in seeds]

    async def finish(self, run_ids: Iterable[int], ending: Ending) -> None:
        """End scripted runs that are in flight, and wait until they are over.

        Raises:
            SandboxError: A run is unknown, not in flight, or runs dbt.
        """
        runs = [self._run(run_id) for run_id in dict.fromkeys(run_ids)]
        for run in runs:
            self._runner.finish(run, ending)
        await self._scheduler.ended(runs)

    def _seed(self, seed: SeededRun) -> Run:
        job = self._cloud.jobs.get(seed.job_id)
        if job is None:
            raise SandboxError(f"There is no job {seed.job_id}.")
        request = TriggerRequest(cause=seed.cause)
        run = self._cloud.new_run(job, request, seed.cause_category, script=seed.script)
        if seed.finished_at is None:
            self._scheduler.launch(run)
        else:
            self._runner.replay(run, seed.finished_at)
        return run

    def _run(self, run_id: int) -> Run:
        run = self._cloud.find_run(run_id)
        if run is None:
            raise SandboxError(f"There is no run {run_id}.")
        return run
