"""The job that deletes old artifacts, and its schedule; both do nothing until they are wanted."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from itertools import groupby
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from dbt_trigger_dagster.artifacts.retention import Deletion, Plan, Policy, StoredRun, delete, plan
from dbt_trigger_dagster.assets.config_class import configured_by, with_defaults
from dbt_trigger_dagster.assets.failures import as_failure
from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.metadata import table
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.dbt_cloud.errors import SettingError
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore
from dbt_trigger_dagster.storage.store import Store

_ERRORS_TOLD = 5


class DbtCloudRetentionConfig(dg.Config):
    """Which artifacts stay, and whether the others are deleted."""

    older_than_days: int = Field(
        default=90,
        ge=1,
        le=36_500,
        description="Only artifacts that were stored more days ago are deleted",
    )
    keep_last_runs: int = Field(
        default=10, ge=1, description="How many of each job's newest runs keep theirs all the same"
    )
    dry_run: bool = Field(
        default=True, description="true: tell what would be deleted, and delete nothing"
    )


def build_dbt_cloud_retention(
    *,
    name: str = "dbt_cloud_retention",
    older_than_days: int = 90,
    keep_last_runs: int = 10,
    dry_run: bool = True,
    cron_schedule: str | Sequence[str] = "0 5 * * *",
    execution_timezone: str | None = None,
    default_status: dg.DefaultScheduleStatus = dg.DefaultScheduleStatus.STOPPED,
) -> dg.ScheduleDefinition:
    """A job that deletes old artifacts, and the schedule that brings it.

    It needs the resources ``dbt_cloud_tables`` and ``dbt_cloud_artifacts``, and looks after all
    that they hold, of whichever job and account. Rows stay, and say when (``deleted_at``).

    Args:
        name: The job's name; its op is called ``<name>_delete``, the schedule ``<name>_schedule``.
        older_than_days: Only artifacts that were stored more days ago are deleted.
        keep_last_runs: How many of each job's newest runs keep theirs all the same.
        dry_run: Whether nothing is deleted, and what would be is told.
        cron_schedule: When the schedule runs it: five fields, as ``0 5 * * *``, or a list of such.
        execution_timezone: The time zone of ``cron_schedule``, as ``Europe/Prague``; UTC without.
        default_status: ``RUNNING`` starts the schedule with the deployment.

    Raises:
        SettingError: A setting cannot be used.
        dg.DagsterInvalidDefinitionError: The cron schedule or the time zone is none.
    """
    try:
        defaults = DbtCloudRetentionConfig(
            older_than_days=older_than_days, keep_last_runs=keep_last_runs, dry_run=dry_run
        )
    except ValidationError as error:
        raise _refused(error) from error
    return dg.ScheduleDefinition(
        name=f"{name}_schedule",
        job=_job(name, defaults),
        cron_schedule=cron_schedule,
        execution_timezone=execution_timezone,
        description=f"Runs {name}, once it is switched on",
        default_status=default_status,
    )


def _refused(error: ValidationError) -> SettingError:
    problem = error.errors()[0]
    too_small = problem["type"] == "greater_than_equal"
    told = "give 1 or more" if too_small else problem["msg"]
    return SettingError(str(problem["loc"][0]), f"is {problem['input']}: {told}.")


def _job(name: str, defaults: DbtCloudRetentionConfig) -> dg.JobDefinition:
    @dg.op(
        name=f"{name}_delete",  # Dagster takes a job's own name for a graph's
        description="Deletes old artifacts; their rows stay, and say when.",
        out=dg.Out(dg.Nothing),
    )
    @configured_by(with_defaults(DbtCloudRetentionConfig, defaults))
    def retention(
        context: dg.OpExecutionContext,
        config: DbtCloudRetentionConfig,
        dbt_cloud_tables: dg.ResourceParam[DbtCloudTableIOManager],
        dbt_cloud_artifacts: DbtCloudArtifactStore,
    ) -> None:
        try:
            store, files = dbt_cloud_tables.store(), dbt_cloud_artifacts.files()
            planned, deletions = _delete_old(store, files, config)
        except StorageError as error:
            raise as_failure(error) from error
        _tell(context, config, planned, deletions)

    @dg.job(
        name=name,
        description="Deletes old artifacts; a dry run, unless its config says dry_run: false",
        executor_def=dg.in_process_executor,  # one step, which waits for a disk or a network
    )
    def job() -> None:
        retention()

    return job


def _delete_old(
    store: Store, files: FileStore, config: DbtCloudRetentionConfig
) -> tuple[Plan, list[Deletion]]:
    """What is to be deleted, and what became of it; in a dry run, what would."""
    now = datetime.now(timezone.utc)
    policy = Policy(timedelta(days=config.older_than_days), config.keep_last_runs)
    planned = plan(store, files, policy, now)
    if config.dry_run:
        return planned, [Deletion(run) for run in planned.expired]
    return planned, list(delete(store, files, planned.expired, now))


def _tell(
    context: dg.OpExecutionContext,
    config: DbtCloudRetentionConfig,
    planned: Plan,
    deletions: Sequence[Deletion],
) -> None:
    """Say what is gone, and fail where something is not.

    Raises:
        dg.Failure: Artifacts could not be deleted.
    """
    gone = [each.run for each in deletions if each.error is None]
    rows = [
        _sum(list(of_a_job), job=f"job {job_id} of account {account_id}")
        for (account_id, job_id), of_a_job in groupby(gone, key=lambda run: run.job)
    ]
    total = _sum(gone)
    done = "would be deleted (dry run)" if config.dry_run else "are deleted"
    for row in [*rows, {"job": "all jobs", **total}]:
        context.log.info("Of %s: artifacts of %s runs %s.", row["job"], row["runs"], done)
    summary: dict[str, Any] = {**total, "dry_run": config.dry_run, "runs_kept": len(planned.kept)}
    if rows:
        texts = [{name: str(value) for name, value in row.items()} for row in rows]
        summary["jobs"] = table(texts, len(texts))
    errors = [str(each.error) for each in deletions if each.error is not None]
    if errors:
        told = " ".join(errors[:_ERRORS_TOLD])
        raise dg.Failure(
            f"The artifacts of {len(errors)} runs cannot be deleted: {told}", metadata=summary
        )
    context.add_output_metadata(summary)


def _sum(runs: Sequence[StoredRun], **more: str) -> dict[str, Any]:
    """How much some runs have stored."""
    return {
        **more,
        "runs": len(runs),
        "files": sum(run.files for run in runs),
        "size_bytes": sum(run.size_bytes for run in runs),
    }
