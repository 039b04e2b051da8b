"""The seam between the scheduler and whatever executes a run."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.sandbox.account.runs import Run

CLOSING = timedelta(seconds=3)
"""How long dbt Cloud takes at least between a run's last step and its end."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: The run's terminal status.
        message: The run's ``status_message``.
        finished_at: When, if not now.
    """

    status: RunStatus
    message: str | None = None
    finished_at: datetime | None = None

    def __str__(self) -> str:
        label = self.status.name.capitalize()
        return f"{label} ({self.message})" if self.message else label


class Runner(Protocol):
    """Executes runs."""

    async def execute(self, run: Run) -> Outcome:
        """Begin the run, execute its steps and record them on it.

        Cancelling the task must stop everything that the run started.
        """
