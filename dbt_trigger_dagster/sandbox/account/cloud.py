"""The account that the sandbox serves: its jobs, its runs and what can be done to them."""

import importlib.metadata
import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.sandbox.account.archive import Archive
from dbt_trigger_dagster.sandbox.account.errors import invalid, not_found
from dbt_trigger_dagster.sandbox.account.jobs import SandboxJob, with_ids
from dbt_trigger_dagster.sandbox.account.ledgers import Ledger, RunBook
from dbt_trigger_dagster.sandbox.account.retries import retry_obstacle
from dbt_trigger_dagster.sandbox.account.runs import BRANCH, Run, Step, Trigger
from dbt_trigger_dagster.sandbox.account.scheduler import Scheduler
from dbt_trigger_dagster.sandbox.account.scripts import Script
from dbt_trigger_dagster.sandbox.account.timestamps import Clock, utc_now
from dbt_trigger_dagster.sandbox.account.trigger_requests import TriggerRequest

ACCOUNT_ID = 101


def installed_dbt_version() -> str | None:
    """Return the version of dbt Core that is installed, without importing it."""
    try:
        return importlib.metadata.version("dbt-core")
    except importlib.metadata.PackageNotFoundError:
        return None


class Cloud:
    """One dbt Cloud account.

    Attributes:
        account_id: The account's id.
        jobs: The account's jobs, by id.
        created_at: When the sandbox started.
        clock: The account's clock.
        dbt_version: The version that runs report where none is asked for.
    """

    def __init__(
        self,
        jobs: Iterable[SandboxJob],
        scheduler: Scheduler,
        clock: Clock = utc_now,
        archive: Archive | None = None,
    ) -> None:
        self.account_id = ACCOUNT_ID
        self.jobs: dict[int, SandboxJob] = {job.id: job for job in with_ids(jobs)}
        self.clock = clock
        self.created_at = clock()
        self.dbt_version = installed_dbt_version() or "latest"
        self._scheduler = scheduler
        self._book = RunBook()
        self._ids: Iterator[int] = _new_ids()
        self._archive = archive
        for run in archive.runs(self.jobs, self._ids, self._end, clock) if archive else ():
            self._book.add(run)
            self._book.end(run)

    def job(self, job_id: int) -> SandboxJob:
        """Return a job.

        Raises:
            ApiError: There is none of this id.
        """
        if job_id not in self.jobs:
            raise not_found()
        return self.jobs[job_id]

    def run(self, run_id: int) -> Run:
        """Return a run.

        Raises:
            ApiError: There is none of this id.
        """
        run = self.find_run(run_id)
        if run is None:
            raise not_found()
        return run

    def find_run(self, run_id: int) -> Run | None:
        """Return a run, or ``None`` if there is none of this id."""
        return self._book.find(run_id)

    def step(self, step_id: int) -> tuple[Run, Step]:
        """Return a step and its run.

        Raises:
            ApiError: There is none of this id.
        """
        for run in self._book.ledger().by_id():
            for step in run.steps:
                if step.id == step_id:
                    return run, step
        raise not_found()

    def ledger(self, job_id: int | None = None) -> Ledger:
        """Return the runs of one job, or all, in the orders that lists ask for."""
        return self._book.ledger(job_id)

    def latest_run(self, job: SandboxJob) -> Run | None:
        """Return a job's latest run."""
        return next(reversed(self.ledger(job.id).by_id()), None)

    def blocker_of(self, run: Run) -> Run | None:
        """Return the run that a queued run waits for."""
        return self._scheduler.blocker_of(run)

    def retry_obstacle(self, run: Run) -> str | None:
        """Return the reason why a run cannot be retried, or ``None`` if it can."""
        return retry_obstacle(run, self.latest_run(run.job))

    def trigger(self, job: SandboxJob, request: TriggerRequest, category: str = "api") -> Run:
        """Start a run of a job.

        Raises:
            ApiError: It asks for what cannot be run here.
        """
        if job.script is None:  # a script stands for whatever is asked for
            self._refuse_what_dbt_cannot_run(request)
        run = self.new_run(job, request, category)
        self._scheduler.submit(run)
        return run

    def retry(self, run: Run) -> Run:
        """Start a run that goes on where a failed one stopped.

        Raises:
            ApiError: The run cannot be retried.
        """
        if obstacle := self.retry_obstacle(run):
            raise invalid(obstacle)
        request = replace(run.trigger.request, cause=f"Retry of run #{run.id}")
        retried = self.new_run(run.job, request, "rerun", retry_of=run)
        self._scheduler.submit(retried)
        return retried

    def rerun(self, job: SandboxJob) -> Run:
        """Retry a job's latest run if it failed; otherwise start a plain one."""
        latest = self.latest_run(job)
        if latest and latest.status == RunStatus.ERROR and not self.retry_obstacle(latest):
            return self.retry(latest)
        return self.trigger(job, TriggerRequest(cause="Rerun from API"), "rerun")

    def cancel(self, run: Run) -> None:
        """Cancel a run; one that is over stays as it is."""
        self._scheduler.cancel(run)

    def _refuse_what_dbt_cannot_run(self, request: TriggerRequest) -> None:
        if request.dbt_version_override not in {None, self.dbt_version}:
            raise invalid({"dbt_version_override": f"The sandbox has dbt {self.dbt_version} only"})
        if request.git_branch not in {None, BRANCH}:
            raise invalid({"git_branch": f"The sandbox has the branch {BRANCH!r} only"})
        if request.git_sha is not None:
            raise invalid({"git_sha": "The sandbox has the project's present state only"})

    async def close(self) -> None:
        """Stop all runs."""
        await self._scheduler.close()

    def new_run(
        self,
        job: SandboxJob,
        request: TriggerRequest,
        category: str,
        *,
        retry_of: Run | None = None,
        script: Script | None = None,
    ) -> Run:
        """Take in a run that nobody has started yet."""
        run_id = next(self._ids)
        trigger = Trigger(next(self._ids), request, category, self.clock())
        run = Run(run_id, job, trigger, self._ids, self._end, self.clock, retry_of, script)
        self._book.add(run)
        return run

    def _end(self, run: Run) -> None:
        self._book.end(run)
        if self._archive is not None:
            self._archive.keep(run)


def _new_ids() -> Iterator[int]:
    # Microseconds since 1970: beyond what 32 bits hold, exact as a double, and never given twice,
    # because nobody triggers a million runs a second before the sandbox is started again.
    return itertools.count(time.time_ns() // 1000)
