"""What went wrong, as Dagster's ``Failure``: a description, metadata, and whether to retry.

Functions here return a failure and never raise one, so that ``raise … from error`` keeps the cause.
"""

import re
from collections.abc import Sequence

import dagster as dg

from dbt_trigger_dagster.errors import (
    DbtCloudError,
    DbtCloudRunCancelledError,
    DbtCloudRunError,
    DbtCloudRunFailedError,
    DbtCloudRunTimeoutError,
    DbtCloudWaitTimeoutError,
    StorageError,
)
from dbt_trigger_dagster.models import Run, RunStep
from dbt_trigger_dagster.retries import is_outcome_unknown, is_transient

_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_LOG_LINES = 20
_LOG_LINE_LENGTH = 500


def run_metadata(run: Run) -> dict[str, dg.MetadataValue]:
    """A run's page, id, status and message, as they are shown in Dagster's UI."""
    metadata: dict[str, dg.MetadataValue] = {
        "dbt_cloud_run_id": dg.MetadataValue.int(run.run_id),
        "dbt_cloud_status": dg.MetadataValue.text(run.status_name),
    }
    if run.href.startswith(("https://", "http://")):
        metadata["dbt_cloud_run_url"] = dg.MetadataValue.url(run.href)
    if run.status_message:
        metadata["dbt_cloud_status_message"] = dg.MetadataValue.text(run.status_message)
    return metadata


def run_error(run: Run) -> DbtCloudRunError | None:
    """What is wrong with a run that is over; None where nothing is."""
    if run.is_success:
        return None
    message = f"dbt Cloud run {run.run_id} ended: {run.status_name}"
    if run.timed_out:
        return DbtCloudRunTimeoutError(_explain(message, run), run=run)
    if run.is_cancelled:
        return DbtCloudRunCancelledError(_explain(message, run), run=run)
    return DbtCloudRunFailedError(_explain(message, run), run=run)


def _explain(message: str, run: Run) -> str:
    """The message with what dbt Cloud said, where it failed, and where to read on."""
    lines = [f"{message}. {run.status_message}".rstrip(), run.href]
    for step in run.steps:
        if step.has_failed:
            lines += [f"Failed step {step.index}: {step.name}", *_last_lines(step)]
    return "\n".join(line for line in lines if line)


def _last_lines(step: RunStep) -> list[str]:
    logs = _COLORS.sub("", step.logs)
    lines = [line.rstrip() for line in logs.splitlines() if line.strip()]
    return [f"    {line[:_LOG_LINE_LENGTH]}" for line in lines[-_LOG_LINES:]]


def as_failure(
    error: DbtCloudError | StorageError | ValueError, *, run: Run | None = None
) -> dg.Failure:
    """An error as a failure of a step.

    A repetition is allowed where it may help and starts no second dbt run.

    Args:
        error: What went wrong.
        run: The run that it is about, where the error carries none.
    """
    run = error.run if isinstance(error, DbtCloudRunError) else run
    description = str(error)
    if run is not None and not run.is_over:
        description += f"\nThe dbt run goes on: {run.href or run.run_id}"
    return dg.Failure(
        description=description,
        metadata=run_metadata(run) if run is not None else {},
        allow_retries=_may_help(error),
    )


def _may_help(error: Exception) -> bool:
    if isinstance(error, DbtCloudWaitTimeoutError):
        return not error.run.is_over
    return isinstance(error, StorageError) or (
        isinstance(error, DbtCloudError) and is_transient(error)
    )


def as_trigger_failure(error: DbtCloudError) -> dg.Failure:
    """A trigger's error as a failure; where the job may have started, it says how to go on."""
    if not is_outcome_unknown(error):
        return as_failure(error)
    return dg.Failure(
        description=f"{error}\nThe job may have been started nevertheless. Re-execute this Dagster "
        "run from its failure: it looks for the dbt Cloud run before it triggers the job again.",
        allow_retries=True,
    )


def as_joint_failure(
    runs: Sequence[Run],
    run_errors: Sequence[DbtCloudError],
    artifact_errors: Sequence[DbtCloudError | StorageError],
) -> dg.Failure:
    """All that went wrong in a step that did what it could, as one failure.

    Only lost artifacts are worth a repetition: a run that has failed stays failed.
    """
    problems = [*map(str, run_errors), *map(str, artifact_errors)]
    return dg.Failure(
        description="\n".join(problems),
        metadata=run_metadata(runs[0]) if len(runs) == 1 else {},
        allow_retries=not run_errors and any(_may_help(error) for error in artifact_errors),
    )
