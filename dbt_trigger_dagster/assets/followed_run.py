"""What became of a run that a step has waited for, as a value."""

from dataclasses import dataclass

from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError, DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run


@dataclass(frozen=True)
class FollowedRun:
    """What became of a run that was waited for.

    Attributes:
        run: The run as last seen; None where dbt Cloud does not give it.
        error: Why it was not followed to an end of its own: it was not over in time, or dbt Cloud
            refuses. A run that is left to itself (``on_timeout: leave``) has none.
        continued_by: The run that continues it from its point of failure.
        was_retried: Whether this step has asked for that run.
        not_retried: Why it is not continued although that was tried.
        transient: Why a retry may help, where only what may heal by itself is retried.
        lasting: Why a retry is of no use, likewise.
        retry_decision: Whether it was retried where it failed, and why, or why not; empty where
            this step has not waited for it.
        saw_end: Whether it ended while it was waited for.
    """

    run: Run | None
    error: DbtCloudError | None = None
    continued_by: Run | None = None
    was_retried: bool = False
    not_retried: DbtCloudError | None = None
    transient: str = ""
    lasting: str = ""
    retry_decision: str = ""
    saw_end: bool = False

    @property
    def is_left(self) -> bool:
        """Whether it goes on, and nobody waits for it."""
        return self.run is not None and not self.run.is_over and self.error is None


def check_not_cancelled(step: Step, error: DbtCloudError) -> None:
    """An error that an interrupt has brought about is none of dbt Cloud's."""
    if step.client.cancellation.is_cancelled:
        raise DbtCloudCancelledError("The step was interrupted.") from error
