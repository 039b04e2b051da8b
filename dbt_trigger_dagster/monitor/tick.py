"""What a monitor does in a tick.

A reconciliation loop. Each tick compares what has finished in dbt Cloud with what the tables hold
and what is being landed, and requests Dagster runs for the difference. So a tick that comes twice,
late, or breaks off half-way does no harm.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import dagster as dg

from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.job import JobGraph
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.retries import is_transient
from dbt_trigger_dagster.monitor.comparison import LANDINGS_LOOKBACK, Comparison
from dbt_trigger_dagster.monitor.cursor import (
    BEGINNING,
    MonitorCursor,
    Position,
    first_cursor,
    first_position,
)
from dbt_trigger_dagster.monitor.finished_runs import Findings, FinishedRuns, look
from dbt_trigger_dagster.monitor.landings import RequestedRuns
from dbt_trigger_dagster.monitor.open_runs import OpenRuns
from dbt_trigger_dagster.monitor.orphans import Terminations, cancel_orphans
from dbt_trigger_dagster.storage.errors import StorageError

PAGES_PER_TICK = 10
"""Most pages of runs that a tick asks for; the rest comes with the next ticks."""

TICK_SECONDS = 30.0
"""Seconds that a tick gives dbt Cloud; Dagster gives the whole tick 60."""


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Monitor:
    """What `build_dbt_cloud_monitor` was told, and what its ticks do.

    Attributes:
        name: The sensor's name.
        graphs: Whose runs it lands.
        now: Our clock.
        pages: Most pages of runs that a tick asks for.
    """

    name: str
    graphs: tuple[JobGraph, ...]
    include_external_runs: bool
    settle: timedelta
    lookback: timedelta
    batch_size: int
    raise_on_failed_run: bool | None
    start: datetime | None = None
    now: Callable[[], datetime] = _utc_now
    pages: int = PAGES_PER_TICK

    def tick(
        self,
        client: DbtCloudClient,
        tables: DbtCloudTableIOManager,
        instance: dg.DagsterInstance,
        *,
        cursor: str | None,
        log: logging.Logger,
    ) -> dg.SensorResult:
        """One evaluation of the sensor.

        Raises:
            ValueError: A setting cannot be used.
            DbtCloudError: dbt Cloud refuses, and will refuse the next tick too.
        """
        try:
            requests, reached, sentence = self._compared(client, tables, instance, cursor, log)
        except DbtCloudError as error:
            if not is_transient(error):
                raise
            return _skipped(
                f"dbt Cloud cannot be asked; the next tick tries again. {error}", cursor
            )
        except StorageError as error:
            return _skipped(
                f"The tables cannot be read; the next tick tries again. {error}", cursor
            )
        if not requests:
            return _skipped(sentence, reached.as_text())
        log.info(sentence)
        return dg.SensorResult(run_requests=requests, cursor=reached.as_text())

    def _compared(
        self,
        client: DbtCloudClient,
        tables: DbtCloudTableIOManager,
        instance: dg.DagsterInstance,
        cursor: str | None,
        log: logging.Logger,
    ) -> tuple[list[dg.RunRequest], MonitorCursor, str]:
        """What is to be requested, what the next tick goes on from, and both in a sentence.

        Raises:
            ValueError: A setting cannot be used.
            DbtCloudError: dbt Cloud cannot be asked.
            StorageError: The tables cannot be read.
        """
        now = self.now()
        deadline = Deadline.after(TICK_SECONDS, client.clock)
        hasty = client.with_options(deadline=deadline)
        graphs = [graph.known() for graph in self.graphs]
        related = self._related(graphs)
        last, found = self._look(FinishedRuns(hasty, related), cursor, now, log)
        if found.error is not None and not found.runs:
            raise found.error
        if found.error is not None:
            log.warning("%s What was seen before is landed.", found.error)
        else:
            found = OpenRuns(hasty, tables, instance, related, self.settle).add_to(found, now)
        comparison = Comparison(
            policy=self,
            graphs=graphs,
            last=last,
            found=found,
            requested_runs=RequestedRuns(instance, self.name),
            tables=tables,
            account_id=client.account_id,
            now=now,
            log=log,
        )
        requests, reached, sentence = comparison.result()
        terminations = Terminations(instance, graphs, last.looked_at)
        seen = cancel_orphans(client, terminations, last.terminations_seen, deadline, log)
        return requests, replace(reached, terminations_seen=seen), sentence

    def _look(
        self, finished: FinishedRuns, cursor: str | None, now: datetime, log: logging.Logger
    ) -> tuple[MonitorCursor, Findings]:
        """The cursor that the tick begins with, and what dbt Cloud says."""
        last = self._last_cursor(cursor, finished, now, log)
        found = look(
            last,
            finished,
            now=now,
            settle=self.settle,
            lookback=self.lookback,
            pages=self.pages,
        )
        return last, found

    @staticmethod
    def _related(graphs: Sequence[JobGraph]) -> list[str]:
        by_name = any(graph.job.job_name is not None for graph in graphs)
        return ["trigger", "job"] if by_name else ["trigger"]

    def _last_cursor(
        self, text: str | None, finished: FinishedRuns, now: datetime, log: logging.Logger
    ) -> MonitorCursor:
        """The cursor of the last tick, or that of a first one."""
        if text:
            try:
                return MonitorCursor.from_text(text)
            except ValueError as error:
                log.warning("%s The monitor starts anew, as on its first tick.", error)
        position = Position(self.start) if self.start else first_position(finished.newest())
        if position.at > BEGINNING:
            log.info("First tick: runs that finished before %s are left alone.", position.at)
        return first_cursor(position, now, now - LANDINGS_LOOKBACK)


def _skipped(reason: str, cursor: str | None) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=cursor)
