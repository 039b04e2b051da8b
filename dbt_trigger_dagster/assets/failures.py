"""What went wrong, as Dagster's ``Failure``: a description, metadata, and whether to retry.

Functions here return a failure and never raise one, so that ``raise … from error`` keeps the cause.
"""

import re
from collections.abc import Sequence

import dagster as dg

from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudError,
    DbtCloudNotFoundError,
    DbtCloudRunCancelledError,
    DbtCloudRunError,
    DbtCloudRunFailedError,
    DbtCloudRunTimeoutError,
    DbtCloudWaitTimeoutError,
)
from dbt_trigger_dagster.dbt_cloud.models import Run, RunStep
from dbt_trigger_dagster.dbt_cloud.retries import is_outcome_unknown, is_transient
from dbt_trigger_dagster.storage.errors import StorageError

RETRY_OBSTACLES = {
    "RETRY_UNSUPPORTED_CMD": "the command that failed cannot be retried",
    "RETRY_UNSUPPORTED_VERSION": "its version of dbt cannot retry",
    "RETRY_NOT_LATEST_RUN": "the job has run again since",
    "RETRY_NOT_FAILED_RUN": "it did not end in error",
    "RETRY_NO_RUN_RESULTS": "dbt left no run results to begin with",
}
"""Why dbt Cloud cannot retry a run, by its own words for it."""

_DBT_SUMMARY = re.compile(r"Completed with \d+ error")
_LOG_LINES = 20
_LOG_LINE_LENGTH = 500
_LINES_OF_ONE_OF_MANY = 2


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


def run_error(run: Run, outlook: str = "") -> DbtCloudRunError | None:
    """What is wrong with a run that is over; None where nothing is.

    Args:
        run: The run.
        outlook: What a repetition of the step would do.
    """
    if run.is_success:
        return None
    message = _explain(run, outlook)
    if run.timed_out:
        return DbtCloudRunTimeoutError(message, run=run)
    if run.is_cancelled:
        return DbtCloudRunCancelledError(message, run=run)
    return DbtCloudRunFailedError(message, run=run)


def retry_outlook(run: Run, not_retried: DbtCloudError | None = None) -> str:
    """What dbt Cloud's retry can do for a run that failed; empty for any other run.

    Args:
        run: The run.
        not_retried: Why it was not retried although that was tried.
    """
    if not run.has_failed:
        return ""
    if not_retried is not None:
        return f"It could not be retried from its point of failure: {not_retried}"
    if run.retry_obstacle is None:
        return (
            "Re-execute this Dagster run from its failure (in the UI: the arrow beside "
            "Re-execute), and dbt Cloud retries the dbt run from its point of failure."
        )
    reason = RETRY_OBSTACLES.get(run.retry_obstacle, "dbt Cloud says no more")
    return (
        f"dbt Cloud cannot retry it from its point of failure: {reason} ({run.retry_obstacle}). "
        "Re-execute the whole Dagster run to run the job anew."
    )


def _explain(run: Run, outlook: str) -> str:
    """How a run ended, with what dbt Cloud said, where it failed, and where to read on."""
    ended = f"dbt Cloud run {run.run_id} ended: {run.status_name}. {run.status_message}".rstrip()
    lines = [ended, run.href, outlook]
    for step in run.steps:
        if step.has_failed:
            lines += [f"Failed step {step.index}: {step.name}", *_last_lines(step)]
    return "\n".join(line for line in lines if line)


def _last_lines(step: RunStep) -> list[str]:
    """The last lines of a step's log, from where dbt sums up what failed, if it does."""
    lines = [line for line in step.logs.splitlines() if line.strip()]
    sums_up = [at for at, line in enumerate(lines) if _DBT_SUMMARY.search(line)]
    last = lines[sums_up[-1] :][:_LOG_LINES] if sums_up else lines[-_LOG_LINES:]
    return [f"    {line[:_LOG_LINE_LENGTH]}" for line in last]


def as_failure(
    error: DbtCloudError | StorageError | ValueError,
    *,
    run: Run | None = None,
    retry_failed_run: bool = False,
) -> dg.Failure:
    """An error as a failure of a step.

    A repetition is allowed where it may help and starts no dbt run that nobody wants.

    Args:
        error: What went wrong.
        run: The run that it is about, where the error carries none.
        retry_failed_run: Whether a repetition has dbt Cloud retry a run that failed.
    """
    run = error.run if isinstance(error, DbtCloudRunError) else run
    description, metadata = str(error), {} if run is None else run_metadata(run)
    if run is not None and not run.is_over:
        what = "The dbt run goes on"
        if isinstance(error, DbtCloudNotFoundError):
            what = "What became of the dbt run is not known"
            del metadata["dbt_cloud_status"]  # it is what was seen last, perhaps long ago
        description += f"\n{what}: {run.href or run.run_id}"
    return dg.Failure(
        description=description,
        metadata=metadata,
        allow_retries=_may_help(error, retry_failed_run=retry_failed_run),
    )


def _may_help(error: Exception, *, retry_failed_run: bool) -> bool:
    """Whether a repetition of the step may mend what went wrong."""
    if isinstance(error, DbtCloudWaitTimeoutError):
        return not error.run.is_over
    if isinstance(error, DbtCloudRunFailedError):
        return retry_failed_run and error.run.retry_obstacle is None
    return isinstance(error, StorageError) or (
        isinstance(error, DbtCloudError) and is_transient(error)
    )


def as_trigger_failure(error: DbtCloudError) -> dg.Failure:
    """A trigger's error as a failure; where the job may have started, it says how to go on."""
    if not is_outcome_unknown(error):
        return as_failure(error)
    return dg.Failure(
        description=f"{error}\nThe job may have been started nevertheless. Re-execute this Dagster "
        "run: it looks for the dbt Cloud run before it triggers the job again.",
        allow_retries=True,
    )


def as_joint_failure(
    runs: Sequence[Run],
    run_errors: Sequence[DbtCloudError],
    artifact_errors: Sequence[DbtCloudError | StorageError],
    *,
    retry_failed_run: bool = False,
) -> dg.Failure:
    """All that went wrong in a step that did what it could, as one failure.

    A repetition must be able to mend the runs; lost artifacts alone are worth one too.

    Args:
        runs: All runs of the step.
        run_errors: What is wrong with runs.
        artifact_errors: What is wrong with artifacts.
        retry_failed_run: As for `as_failure`.
    """
    mend = [
        _may_help(error, retry_failed_run=retry_failed_run)
        for error in (run_errors or artifact_errors)
    ]
    several = len(runs) != 1
    problems = [_beginning(error) if several else str(error) for error in run_errors]
    bad = [error.run.run_id for error in run_errors if isinstance(error, DbtCloudRunError)]
    if several and bad:
        ids = ", ".join(map(str, bad))
        problems.insert(0, f"{len(bad)} of {len(runs)} dbt Cloud runs did not end well: {ids}.")
    of_several = {"dbt_cloud_failed_run_ids": dg.MetadataValue.json(bad)}
    return dg.Failure(
        description="\n".join([*problems, *map(str, artifact_errors)]),
        metadata=of_several if several else run_metadata(runs[0]),
        allow_retries=all(mend) if run_errors else any(mend),
    )


def _beginning(error: Exception) -> str:
    """What happened and where to read on, without steps and logs."""
    return "\n".join(str(error).splitlines()[:_LINES_OF_ONE_OF_MANY])
