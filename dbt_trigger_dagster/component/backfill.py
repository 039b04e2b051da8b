"""Lands what a job has run in the past: in batches, the oldest first.

Runs that the tables hold are left out, so whoever was interrupted goes on where they were.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import dagster as dg

from dbt_trigger_dagster.assets.graph import build_dbt_cloud_job_assets
from dbt_trigger_dagster.assets.job import JobReference
from dbt_trigger_dagster.component.code_location import CodeLocation, home_of_dagster
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parameters import RunFilter
from dbt_trigger_dagster.storage.tables import RUN

_JOB_ID = "DBT_CLOUD_JOB_ID"
_A_DAY = timedelta(days=1)
_POLICY = {"wait_for_result": True, "retry_failed_run": "never", "raise_on_failed_run": False}
"""Whatever the assets start from: runs of the past are over, and how they ended is no news."""

_QUIET = {"console": {"config": {"log_level": "WARNING"}}}


@dataclass(frozen=True)
class Progress:
    """How far a backfill is.

    Attributes:
        landed: Runs that have been landed.
        total: Runs that were to be landed.
        until: When the newest of them ended; None where there was none yet.
        failure: What went wrong with the last batch; empty where nothing did.
    """

    landed: int
    total: int
    until: datetime | None = None
    failure: str = ""


@dataclass(frozen=True)
class Backfill:
    """The past runs of a job.

    Args:
        location: The account, its jobs, and where tables and artifacts are.
        job_id: The job; None where its key names it.
        key: The job's key in a file of jobs, which the keys of its assets begin with; else empty.
    """

    location: CodeLocation
    job_id: int | None
    key: str = ""

    def land(self, days: int, batch_size: int) -> Iterator[Progress]:
        """Land the runs that ended in the past days and are not in the tables.

        Args:
            days: How many days.
            batch_size: How many runs a Dagster run lands.

        Returns:
            First how many there are, then how far it is after each batch. One that fails does not
            keep the next ones.

        Raises:
            ValueError: No job is named, or none of the file's.
            DbtCloudError: dbt Cloud does not give the runs.
            StorageError: The tables cannot be read.
        """
        with self.location.workspace.build_account().build_client() as client:
            job_id, assets = self._job(client)
            runs = self._missing(client, job_id, days)
        yield Progress(0, len(runs))
        landed = 0
        for start in range(0, len(runs), batch_size):
            batch = runs[start : start + batch_size]
            failure = self._materialize(assets, [run.run_id for run in batch])
            landed += 0 if failure else len(batch)
            yield Progress(landed, len(runs), batch[-1].finished_at, failure)

    def _job(self, client: DbtCloudClient) -> tuple[int, Sequence[dg.AssetsDefinition]]:
        """The job's id and its assets."""
        job_id = self.job_id
        if job_id is None and not (self.key and self.location.jobs):
            job_id = _job_id_of_the_environment()
        job = self.location.job_of(client, job_id, self.key)
        if job is not None:
            return job.resolve(client), job.assets
        if job_id is None:
            raise ValueError(f"No job is named: give --job-id, or set {_JOB_ID}.")
        prefix = self.key.split("/") if self.key else None
        return job_id, build_dbt_cloud_job_assets(job_id=job_id, key_prefix=prefix)

    def _missing(self, client: DbtCloudClient, job_id: int, days: int) -> list[Run]:
        now = datetime.now(timezone.utc)
        # A day more at the end: our clock may be behind dbt Cloud's.
        finished = RunFilter(
            job_definition_id=job_id, finished_at__range=(now - days * _A_DAY, now + _A_DAY)
        )
        found = [run for run in client.list_runs(finished, order_by="finished_at") if run.is_over]
        held = self.location.storage.build_tables().rows_of_runs(
            RUN, [run.run_id for run in found], account_id=client.account_id
        )
        return [run for run in found if run.run_id not in held]

    def _materialize(self, assets: Sequence[dg.AssetsDefinition], run_ids: Sequence[int]) -> str:
        """Land some runs by a Dagster run; what went wrong, or nothing."""
        landing = assets[-1]
        config = {"run_ids": list(run_ids), **_POLICY}
        with _instance() as instance:
            result = dg.materialize(
                assets,
                selection=dg.AssetSelection.assets(*landing.keys),
                run_config={"ops": {landing.op.name: {"config": config}}, "loggers": _QUIET},
                resources={
                    "dbt_cloud": self.location.workspace.build_account(),
                    "dbt_cloud_tables": self.location.storage.build_tables(),
                    "dbt_cloud_artifacts": self.location.storage.build_artifacts(),
                },
                instance=instance,
                raise_on_error=False,
            )
        if result.success:
            return ""
        failures = [event.step_failure_data.error for event in result.get_step_failure_events()]
        return "; ".join(error.message.strip() for error in failures if error) or "It failed."


def _job_id_of_the_environment() -> int | None:
    job_id = JobReference(dg.EnvVar.int(_JOB_ID)).known().job_id
    return None if job_id is None else int(job_id)


def _instance() -> dg.DagsterInstance:
    """Dagster's own, where it has a home; else one that is gone afterwards."""
    if home_of_dagster() is None:
        return dg.DagsterInstance.ephemeral()
    return dg.DagsterInstance.get()
