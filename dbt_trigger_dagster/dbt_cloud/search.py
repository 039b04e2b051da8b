"""Searching a job's runs for one that was started although no good answer came."""

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dbt_trigger_dagster.dbt_cloud.api import PAGE_SIZE
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parameters import RunFilter

SETTLE_PAUSES = (0.0, 1.0, 2.0, 3.0, 4.0)
"""Seconds before each search for a run that may have been started: 10 s in all."""


@dataclass(frozen=True)
class Search:
    """Searches a job's runs for those that are wanted.

    Attributes:
        client: The account's client.
        among: Which runs may be it.
        is_it: Whether a run is.
        not_before: Beyond the first page, runs that are older are not looked at.
        order_by: Which runs come first, as `DbtCloudClient.list_runs` takes it.
        at_most: How many runs are looked at; all where it is None.
    """

    client: DbtCloudClient
    among: RunFilter
    is_it: Callable[[Run], bool]
    not_before: datetime | None = None
    order_by: str = "-id"
    at_most: int | None = None

    def settled(self, mine: Run | None = None, *, has_seen_the_rest: bool = True) -> list[Run]:
        """The runs, oldest first, given time to appear.

        Args:
            mine: One that is known to be there; without it, the first that appears is enough.
            has_seen_the_rest: Whether what is not among the newest runs was looked at before mine
                was started.
        """
        # What appears late is on the first page.
        newest = dataclasses.replace(self, at_most=PAGE_SIZE)
        again = newest if has_seen_the_rest else self
        search = self if mine is None else again
        found: list[Run] = []
        for pause in SETTLE_PAUSES:
            if pause:
                self.client.sleep(pause)
            found = search.now()
            if any(mine is None or run.run_id == mine.run_id for run in found):
                break
            search = again
        return found

    def now(self) -> list[Run]:
        """The runs that are there, oldest first."""
        runs = self.client.list_runs(
            self.among, order_by=self.order_by, include_related=("trigger",)
        )
        found = []
        for seen, run in enumerate(itertools.islice(runs, self.at_most), start=1):
            if self.is_it(run):
                found.append(run)
            if seen >= PAGE_SIZE and self._is_too_old(run):
                break
        return sorted(found, key=lambda run: run.run_id)

    def _is_too_old(self, run: Run) -> bool:
        return (
            self.not_before is not None
            and run.created_at is not None
            and run.created_at < self.not_before
        )
