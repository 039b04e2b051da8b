"""What a monitor does in a tick.

A reconciliation loop. Each tick compares what has finished in dbt Cloud with what the tables hold
and what is being landed, and requests Dagster runs for the difference. So a tick that comes twice,
late, or breaks off half-way does no harm.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import dagster as dg

from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.retries import is_transient
from dbt_trigger_dagster.monitor.cursor import (
    BEGINNING,
    CLOCK_OVERLAP,
    MonitorCursor,
    Position,
    first_cursor,
    first_position,
)
from dbt_trigger_dagster.monitor.finished_runs import Findings, FinishedRuns, look
from dbt_trigger_dagster.monitor.landings import (
    MAX_ATTEMPTS,
    Due,
    LandingRuns,
    PastLandings,
    batches,
    graph_of,
)
from dbt_trigger_dagster.monitor.orphans import Terminations, cancel_orphans
from dbt_trigger_dagster.monitor.ownership import JobGraph, Ownership, Records, dagster_run_id_of
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.tables import RUN, TRIGGER

PAGES_PER_TICK = 10
"""Most pages of runs that a tick asks for; the rest comes with the next ticks."""

TICK_SECONDS = 30.0
"""Seconds that a tick gives dbt Cloud; Dagster gives the whole tick 60."""

LANDINGS_LOOKBACK = timedelta(days=1)
"""How far back failed landings are looked for by a monitor that starts anew."""


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Monitor:
    """What `build_dbt_cloud_monitor` was told, and what its ticks do.

    Attributes:
        name: The sensor's name.
        assets: The definitions that land runs.
        now: Our clock.
        pages: Most pages of runs that a tick asks for.
    """

    name: str
    assets: tuple[dg.AssetsDefinition, ...]
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
        now = self.now()
        deadline = Deadline.after(TICK_SECONDS, client.clock)
        graphs = [graph_of(each) for each in self.assets]
        landing_runs = LandingRuns(instance, self.name)
        terminations = Terminations(instance, graphs)
        try:
            last, found = self._look(client, graphs, cursor, now, deadline=deadline, log=log)
            if found.error is not None and not found.runs:
                raise found.error
            if found.error is not None:
                log.warning("%s What was seen before is landed.", found.error)
            comparison = _Comparison(self, graphs, last, found, landing_runs, tables, now, log)
            requests, reached, sentence = comparison.result()
            seen = cancel_orphans(client, terminations, last.terminations_seen, deadline, log)
            reached = replace(reached, terminations_seen=seen)
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

    def _look(
        self,
        client: DbtCloudClient,
        graphs: Sequence[JobGraph],
        cursor: str | None,
        now: datetime,
        *,
        deadline: Deadline,
        log: logging.Logger,
    ) -> tuple[MonitorCursor, Findings]:
        """The cursor that the tick begins with, and what dbt Cloud says."""
        finished = FinishedRuns(client.with_options(deadline=deadline), self._related(graphs))
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
        by_name = any(graph.job_name is not None for graph in graphs)
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


@dataclass(frozen=True)
class _Comparison:
    """What has finished against what is held, and what is to be done about it."""

    monitor: Monitor
    graphs: Sequence[JobGraph]
    last: MonitorCursor
    found: Findings
    landing_runs: LandingRuns
    tables: DbtCloudTableIOManager
    now: datetime
    log: logging.Logger

    def result(self) -> tuple[list[dg.RunRequest], MonitorCursor, str]:
        """The tick's requests, what to go on from, and both in a sentence."""
        in_flight, stale = self.landing_runs.in_flight(self.now)
        failed = self.landing_runs.failed_since(self._failed_since)
        past = PastLandings([*stale, *failed], {graph.op_name for graph in self.graphs})
        runs = self.found.runs
        retried = _retried(runs.values())
        landed = self.tables.rows_of_runs(RUN, {*runs, *retried, *past.attempts})
        open_runs = {
            run_id: run
            for run_id, run in runs.items()
            if run_id not in in_flight and run_id not in landed
        }
        due = [
            *self._again(past, in_flight | (landed.keys() - self._half_landed(past, landed))),
            *self._anew(open_runs, past, landed),
        ]
        requests = [
            self.landing_runs.request(batch, raise_on_failed_run=self.monitor.raise_on_failed_run)
            for batch in batches(due, self.monitor.batch_size)
        ]
        cursor = replace(
            self.found.cursor,
            landings_seen=max([self.last.landings_seen, *(each.updated_at for each in failed)]),
        )
        return requests, cursor, self._sentence(len(due), len(requests), len(in_flight))

    @property
    def _failed_since(self) -> datetime:
        """What has not been looked at yet; for late runs, whatever may have tried to land them."""
        since = self.last.landings_seen - CLOCK_OVERLAP
        return min(since, self.now - LANDINGS_LOOKBACK) if self.found.late else since

    def _half_landed(self, past: PastLandings, landed: Collection[int]) -> set[int]:
        """Runs whose rows were written by a landing that broke off then: artifacts may be missing.

        Where a later landing has come to its end, the rows are that one's.
        """
        tries = past.attempts.keys() & landed
        writers = self.tables.rows_of_runs(RUN, tries, column="dagster_run_id")
        wrote = [past.by_id[each] for each in set(writers.values()) if each in past.by_id]
        broke_off = {each.dagster_run_id for each in wrote if self.landing_runs.broke_off(each)}
        return {run_id for run_id, writer in writers.items() if writer in broke_off}

    def _again(self, past: PastLandings, settled: Collection[int]) -> Iterator[Due]:
        """Runs whose landing failed before everything was written."""
        graphs = {graph.op_name: graph for graph in self.graphs}
        given_up = []
        for run_id, landing in past.attempts.items():
            if run_id in settled:
                continue
            if landing.attempt < MAX_ATTEMPTS:
                yield Due(run_id, graphs[landing.op_name], landing.attempt + 1)
            elif landing.updated_at > self.last.landings_seen:
                given_up.append(run_id)
        if given_up:
            self.log.error(
                "%d Dagster runs have tried to land these dbt Cloud runs, and none did: %s. See "
                "why, then land them by hand: materialize run_result with them in run_ids.",
                MAX_ATTEMPTS,
                ", ".join(map(str, given_up)),
            )

    def _anew(
        self, runs: Mapping[int, Run], past: PastLandings, landed: Mapping[int, str]
    ) -> Iterator[Due]:
        """Runs that nobody has tried to land yet."""
        new = [run for run_id, run in runs.items() if run_id not in past.attempts]
        if not new:
            return
        ownership = Ownership(
            self.graphs,
            self._records(new, landed),
            self.found.runs,
            self.monitor.include_external_runs,
        )
        for run in new:
            graph = ownership.graph_of(run)
            if graph is not None:
                yield Due(run.run_id, graph, job_id=run.job_id)

    def _records(self, new: Sequence[Run], landed: Mapping[int, str]) -> Records:
        ids = {run.run_id for run in new} | _retried(new)
        triggered = self.tables.rows_of_runs(TRIGGER, ids)
        marked = set(filter(None, map(dagster_run_id_of, self.found.runs.values())))
        return Records(triggered, landed, self.landing_runs.known(marked))

    def _sentence(self, due: int, requests: int, in_flight: int) -> str:
        seen = len(self.found.runs)
        parts = [f"{_count(seen, 'finished dbt Cloud run')} seen"]
        parts.append(
            f"{due} to land in {_count(requests, 'Dagster run')}" if requests else "none to land"
        )
        if in_flight:
            parts.append(f"{in_flight} being landed")
        if not self.found.is_complete:
            parts.append("the rest comes with the next ticks")
        return "; ".join(parts) + "."


def _retried(runs: Iterable[Run]) -> set[int]:
    """The runs that some runs retry."""
    return {run.retrying_run_id for run in runs if run.retrying_run_id is not None}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
