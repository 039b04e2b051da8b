"""Runs that Dagster has triggered and that the tables do not hold as they ended.

Beside the sweep over what has finished, they are asked for by their ids: so no run depends on one
nullable field of dbt Cloud's, and a row that was made of an older answer is mended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import dagster as dg

from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.trigger_step import TRIGGERED_TAG
from dbt_trigger_dagster.dbt_cloud.api import PAGE_SIZE
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.models import Run, parse_timestamp
from dbt_trigger_dagster.dbt_cloud.parameters import RunFilter
from dbt_trigger_dagster.monitor.cursor import CLOCK_OVERLAP, MonitorCursor
from dbt_trigger_dagster.monitor.finished_runs import Findings

PAUSE = timedelta(minutes=5)
"""How old a trigger is before its run is asked for, and how long after the last time."""

OLDEST = timedelta(days=7)
"""How old a trigger is when its run is left alone."""


@dataclass(frozen=True)
class OpenRuns:
    """Asks the tables for such runs, and dbt Cloud for what has become of them.

    Attributes:
        client: The account's client.
        tables: What is held.
        instance: Dagster's.
        include_related: What dbt Cloud is to tell beside the runs.
        settle: How long after its end a run is due.
    """

    client: DbtCloudClient
    tables: DbtCloudTableIOManager
    instance: dg.DagsterInstance
    include_related: Sequence[str]
    settle: timedelta

    def add_to(self, found: Findings, now: datetime) -> Findings:
        """What a tick has found, and the open runs that are over; one request at most.

        Raises:
            DbtCloudError: dbt Cloud cannot be asked.
            StorageError: The tables cannot be read.
        """
        cursor = found.cursor
        if not cursor.asked_after and not self._is_due(cursor, now):
            return found
        run_ids = self.tables.open_runs(
            self.client.account_id,
            since=now - OLDEST,
            until=now - PAUSE,
            after=cursor.asked_after,
            limit=PAGE_SIZE,
        )
        over = [run for run in self._ask(run_ids) if self._is_over(run, now)] if run_ids else []
        is_last = len(run_ids) < PAGE_SIZE
        reached = replace(
            cursor,
            asked_after=0 if is_last else run_ids[-1],
            asked_at=now if is_last else cursor.asked_at,
            none_open_at=now if not run_ids and not cursor.asked_after else cursor.none_open_at,
        )
        return replace(found, late=(*found.late, *over), cursor=reached)

    def _is_due(self, cursor: MonitorCursor, now: datetime) -> bool:
        """Not where none was open and nothing was triggered since: a look may wake a warehouse."""
        if timedelta(0) <= now - cursor.asked_at < PAUSE:
            return False
        since = cursor.none_open_at - PAUSE - CLOCK_OVERLAP
        triggered = dg.RunsFilter(tags={TRIGGERED_TAG: "true"}, updated_after=since)
        return bool(self.instance.get_run_records(triggered, limit=1))

    def _ask(self, run_ids: Sequence[int]) -> Sequence[Run]:
        return list(
            self.client.list_runs(RunFilter(pk__in=run_ids), include_related=self.include_related)
        )

    def _is_over(self, run: Run, now: datetime) -> bool:
        """Whether it ended long enough ago, as far as dbt Cloud says when."""
        ended_at = run.finished_at or parse_timestamp(run.payload.get("updated_at"))
        return run.is_over and (ended_at is None or ended_at <= now - self.settle)
