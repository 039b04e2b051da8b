"""Whether a failed run can be retried, and why not."""

import shlex

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.sandbox.account.runs import Run

_RETRYABLE_COMMANDS = frozenset(
    {
        "build",
        "clone",
        "compile",
        "docs",
        "retry",
        "run",
        "run-operation",
        "seed",
        "snapshot",
        "test",
    }
)


def retry_obstacle(run: Run, latest: Run | None) -> str | None:
    """Return the API's reason why a run cannot be retried, or ``None`` if it can.

    Args:
        run: The run that is to be retried.
        latest: The latest run of its job.
    """
    if run.status != RunStatus.ERROR:
        return "RETRY_NOT_FAILED_RUN"
    if run is not latest:
        return "RETRY_NOT_LATEST_RUN"
    if run.failed_command is None or not run.failed_command.has_run_results:
        return "RETRY_NO_RUN_RESULTS"
    if not _is_retryable(run.failed_command.command):
        return "RETRY_UNSUPPORTED_CMD"
    return None


def _is_retryable(command: str) -> bool:
    words = (word for word in shlex.split(command)[1:] if not word.startswith("-"))
    return next(words, None) in _RETRYABLE_COMMANDS
