"""What went wrong, as Dagster's ``Failure``: a description, metadata, and whether to retry.

Functions here return a failure and never raise one, so that ``raise … from error`` keeps the cause.
"""

import re
from collections.abc import Sequence

import dagster as dg

from dbt_trigger_dagster.assets.metadata import run_metadata
from dbt_trigger_dagster.assets.outcome import Outcome, Record, cause_lines
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

COMMAND_FAILED = "dbt command failed"
"""What dbt Cloud says of every run that failed, in its status and at the end of the log."""

_DBT_SUMMARY = re.compile(r"Completed with \d+ error")
_TIME = re.compile(r"\d\d:\d\d:\d\d(\.\d+)?( +|$)")
_LOG_LINES = 20
_LINE_LENGTH = 500
_NODES_TOLD = 5
_LINES_OF_A_NODE = 8
_LINES_OF_ONE_OF_MANY = 2
_ARTIFACTS_TOLD = 50
_LONGEST_ERROR = 1000
_HEALS_NEVER = re.compile(
    r"(Compilation|Parsing|Binder|Parser|Catalog) Error|syntax error|does not exist|not found|"
    r"no such (column|table)|invalid identifier|Unrecognized name",
    re.IGNORECASE,
)


def run_error(outcome: Outcome, outlook: str = "") -> DbtCloudRunError | None:
    """What is wrong with a run that is over; None where nothing is.

    Args:
        outcome: What became of the run.
        outlook: What a repetition of the step would do.
    """
    run = outcome.run
    if run.is_success:
        return None
    message = _explain(outcome, outlook)
    if run.timed_out:
        return DbtCloudRunTimeoutError(message, run=run)
    if run.is_cancelled:
        return DbtCloudRunCancelledError(message, run=run)
    return DbtCloudRunFailedError(message, run=run)


def retry_outlook(
    outcome: Outcome, not_retried: DbtCloudError | None = None, *, lasting: str = ""
) -> str:
    """What dbt Cloud's retry can do for a run that failed; empty for any other run.

    Args:
        outcome: What became of the run.
        not_retried: Why it was not retried although that was tried.
        lasting: Why a retry is of no use, where only what may heal by itself is retried.
    """
    run = outcome.run
    if not run.has_failed:
        return ""
    if not_retried is not None:
        return f"It could not be retried from its point of failure: {not_retried}"
    if lasting:
        return (
            f"It is not retried from its point of failure: {lasting} (retry_failed_run: transient)."
            " Mend the cause, then re-execute the whole Dagster run."
        )
    if not _may_heal(outcome):
        return (
            "This does not heal by itself: mend the code or the data, then re-execute the Dagster "
            "run."
        )
    if not (obstacle := obstacle_of(run)):
        return (
            "Re-execute this Dagster run from its failure (in the UI: the arrow beside "
            "Re-execute), and dbt Cloud retries the dbt run from its point of failure."
        )
    return (
        f"dbt Cloud cannot retry it from its point of failure: {obstacle}. "
        "Re-execute the whole Dagster run to run the job anew."
    )


def obstacle_of(run: Run) -> str:
    """Why dbt Cloud cannot retry a run, in words and by its own code; empty where it can."""
    if run.retry_obstacle is None:
        return ""
    reason = RETRY_OBSTACLES.get(run.retry_obstacle, "dbt Cloud says no more")
    return f"{reason} ({run.retry_obstacle})"


def _may_heal(outcome: Outcome) -> bool:
    """Whether a repetition can be of use, as far as is known of what failed."""
    failed = outcome.failing
    return not failed or any(
        row["error_kind"] == "external"
        or (
            row["error_kind"] != "user"
            and row["status"] != "fail"
            and not _HEALS_NEVER.search(row["message"] or "")
        )
        for row in failed
    )


def _explain(outcome: Outcome, outlook: str) -> str:
    """What failed and why, then in which command of which run, where to read on and what to do."""
    run, failed = outcome.run, outcome.failing
    told = [line for row in failed[:_NODES_TOLD] for line in _node_lines(outcome, row)]
    if len(failed) > _NODES_TOLD:
        told.append(f"and {len(failed) - _NODES_TOLD} more nodes")
    for step in (step for step in run.steps if step.has_failed):
        told += [] if failed else _last_lines(step)
        told.append(f"Failed step {step.index}: {step.name}")
    return "\n".join(line for line in [*told, _ended(run), run.href, outlook] if line)


def _ended(run: Run) -> str:
    message = "" if run.status_message == COMMAND_FAILED else run.status_message
    return f"dbt Cloud run {run.run_id} ended: {run.status_name}. {message}".rstrip()


def _node_lines(outcome: Outcome, row: Record) -> list[str]:
    """A node that failed, with what was said of it."""
    said = [line[:_LINE_LENGTH] for line in cause_lines(row)] or [row["status"] or "failed"]
    name = f"{row['resource_type'] or 'node'} {row['name'] or row['unique_id']}"
    first = f"{name} ({outcome.since(row['unique_id'])}): {said[0].strip()}"
    return [first, *(f"    {line}" for line in said[1:_LINES_OF_A_NODE])]


def _last_lines(step: RunStep) -> list[str]:
    """The last lines of a step's log, after the one with which dbt sums up what failed, if any."""
    found = [_TIME.sub("", line, count=1) for line in step.logs.splitlines()]
    found = [line for line in found if line.strip() and line != COMMAND_FAILED]
    sums_up = [at for at, line in enumerate(found) if _DBT_SUMMARY.search(line)]
    last = found[sums_up[-1] + 1 :][:_LOG_LINES] if sums_up else found[-_LOG_LINES:]
    return [line[:_LINE_LENGTH] for line in last]


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
        description="\n".join([*problems, *_first_of(artifact_errors)]),
        metadata=of_several if several else run_metadata(runs[0]),
        allow_retries=all(mend) if run_errors else any(mend),
    )


def _first_of(artifact_errors: Sequence[Exception]) -> list[str]:
    """What is wrong with artifacts; of thousands, with as many as a page can show."""
    told = [str(error)[:_LONGEST_ERROR] for error in artifact_errors[:_ARTIFACTS_TOLD]]
    more = len(artifact_errors) - len(told)
    return [*told, f"And {more} more artifacts could not be had."] if more else told


def _beginning(error: Exception) -> str:
    """What happened and where to read on, without nodes and logs."""
    if isinstance(error, DbtCloudRunError) and not isinstance(error, DbtCloudWaitTimeoutError):
        return f"{_ended(error.run)}\n{error.run.href}"
    return "\n".join(str(error).splitlines()[:_LINES_OF_ONE_OF_MANY])
