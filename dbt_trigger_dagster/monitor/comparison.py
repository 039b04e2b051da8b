"""What is over in dbt Cloud against what is held and being landed, and what to do about it."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol

import dagster as dg

from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.job import JobGraph
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.monitor.cursor import (
    INSTANT,
    MOST_REMEMBERED,
    MonitorCursor,
    changed_since,
)
from dbt_trigger_dagster.monitor.finished_runs import Findings
from dbt_trigger_dagster.monitor.given_up import give_up, named
from dbt_trigger_dagster.monitor.landings import (
    STALE_AFTER,
    Due,
    PastAttempts,
    RequestedRun,
    RequestedRuns,
    batches,
)
from dbt_trigger_dagster.monitor.ownership import Ownership, Records, dagster_run_id_of
from dbt_trigger_dagster.storage.columns import Table
from dbt_trigger_dagster.storage.tables import RUN, TRIGGER

LANDINGS_LOOKBACK = timedelta(days=1)
"""How far back failed landings are looked for by a monitor that starts anew."""

_IN_FLIGHT = {1, 2, 3}


class Policy(Protocol):
    """What the monitor was told."""

    @property
    def include_external_runs(self) -> bool:
        """Whether runs that nobody triggered from Dagster are landed too."""

    @property
    def lookback(self) -> timedelta:
        """How long after its end a run is seen once more."""

    @property
    def batch_size(self) -> int:
        """How many runs of a job one Dagster run lands at most."""

    @property
    def raise_on_failed_run(self) -> bool | None:
        """Whether a dbt run that ended badly fails its landing."""


@dataclass(frozen=True)
class Comparison:
    """One tick's.

    Attributes:
        policy: What the monitor was told.
        graphs: Whose runs count.
        last: The cursor that the tick began with.
        found: What dbt Cloud says.
        requested_runs: What Dagster's instance says.
        tables: What is held.
        account_id: Whose runs they are.
        now: By our clock.
        log: The tick's.
    """

    policy: Policy
    graphs: Sequence[JobGraph]
    last: MonitorCursor
    found: Findings
    requested_runs: RequestedRuns
    tables: DbtCloudTableIOManager
    account_id: int
    now: datetime
    log: logging.Logger

    def result(self) -> tuple[list[dg.RunRequest], MonitorCursor, str]:
        """The tick's requests, what to go on from, and both in a sentence."""
        in_flight, _ = self._under_way
        new = self._new()
        due = [*self._again(), *self._anew(new)]
        requests = [
            self.requested_runs.request(batch) for batch in batches(due, self.policy.batch_size)
        ]
        awaited = {each.run_id for each in due} | in_flight
        cursor = replace(
            self.found.cursor,
            landings_seen=self._landings_seen(),
            settled=self._settled(awaited),
            given_up=self._given_up(),
            looked_at=self.now,
        )
        return requests, cursor, self._sentence(len(due), len(requests), cursor)

    @cached_property
    def _under_way(self) -> tuple[set[int], list[RequestedRun]]:
        """The runs that are being landed, and landings that must have died."""
        return self.requested_runs.in_flight(self.now)

    @cached_property
    def _failed(self) -> list[RequestedRun]:
        """What has not been looked at yet; for late runs, whatever may have tried to land them."""
        since = changed_since(self.last.landings_seen, self.last.looked_at)
        if self.found.late:
            since = min(since, self.now - LANDINGS_LOOKBACK)
        return self.requested_runs.failed_since(since)

    @cached_property
    def _past(self) -> PastAttempts:
        stale = self._under_way[1]
        return PastAttempts([*stale, *self._failed], {graph.op_name for graph in self.graphs})

    @cached_property
    def _runs(self) -> dict[int, Run]:
        """What is over and may need something."""
        settled = set(self.last.settled) - {run.run_id for run in self.found.late}
        return {run_id: run for run_id, run in self.found.runs.items() if run_id not in settled}

    @cached_property
    def _landed(self) -> dict[int, str]:
        """Of all runs that matter, those that are held as they ended, with the asset."""
        retried = _retried(self._runs.values())
        wanted = {*self._runs, *retried, *self._past.attempts}
        if wanted or self.found.late:
            wanted |= set(self.last.given_up)
        held = self._look_up(RUN, wanted)
        status: Mapping[int, object] = self._look_up(RUN, held, column="status")
        return {run_id: key for run_id, key in held.items() if status[run_id] not in _IN_FLIGHT}

    def _look_up(
        self, table: Table, run_ids: Collection[int], *, column: str = "asset_key"
    ) -> dict[int, str]:
        return self.tables.rows_of_runs(table, run_ids, column=column, account_id=self.account_id)

    @cached_property
    def _waiting(self) -> list[RequestedRun]:
        """For each run whose next try is not due yet, the last one."""
        return [
            landing
            for landing in self._unsettled.values()
            if not landing.was_last and landing.again_at() > self.now
        ]

    @cached_property
    def _unsettled(self) -> dict[int, RequestedRun]:
        """Runs whose landing failed before everything was written, with the last one."""
        half_landed = self._half_landed()
        return {
            run_id: landing
            for run_id, landing in self._past.attempts.items()
            if run_id not in self._under_way[0]
            and (run_id not in self._landed or run_id in half_landed)
        }

    def _half_landed(self) -> set[int]:
        """Runs whose rows were written by a landing that broke off then: artifacts may be missing.

        Where a later landing has come to its end, the rows are that one's.
        """
        by_id = self._past.by_id
        tries = self._past.attempts.keys() & self._landed
        writers = self._look_up(RUN, tries, column="dagster_run_id")
        wrote = [by_id[each] for each in set(writers.values()) if each in by_id]
        broke_off = {each.dagster_run_id for each in wrote if self.requested_runs.broke_off(each)}
        return {run_id for run_id, writer in writers.items() if writer in broke_off}

    def _again(self) -> Iterator[Due]:
        """Runs whose next try is due."""
        graphs = {graph.op_name: graph for graph in self.graphs}
        for run_id, landing in self._unsettled.items():
            if not landing.was_last and landing.again_at() <= self.now:
                yield Due(
                    run_id,
                    graphs[landing.op_name],
                    landing.attempt + 1,
                    landing.raise_on_failed_run,
                    failed_with=landing.dagster_run_id,
                )

    def _landings_seen(self) -> datetime:
        """How far failed landings are dealt with: not as far as one whose next try is to come."""
        seen = max([self.last.landings_seen, *(each.updated_at for each in self._failed)])
        failed = {each.dagster_run_id for each in self._failed}
        to_come = [
            each.updated_at - INSTANT
            for each in self._unsettled.values()
            if not each.was_last and each.dagster_run_id in failed
        ]
        return min([seen, *to_come])

    def _given_up(self) -> tuple[int, ...]:
        """The runs that are left to people; the new ones are told."""
        known = [run_id for run_id in self.last.given_up if run_id not in self._landed]
        new: dict[str, dict[int, RequestedRun]] = {}
        for run_id, landing in self._unsettled.items():
            if landing.was_last and run_id not in known:
                known.append(run_id)
                if not landing.is_given_up:
                    new.setdefault(landing.op_name, {})[run_id] = landing
        graphs = {graph.op_name: graph for graph in self.graphs}
        for op_name, landings in new.items():
            give_up(self.requested_runs, landings, graphs[op_name], self.log)
        return tuple(known[-MOST_REMEMBERED:])

    def _new(self) -> list[Run]:
        """Runs that nobody has tried to land yet, and that are not held."""
        skipped = self._under_way[0] | self._landed.keys() | self._past.attempts.keys()
        return [run for run_id, run in self._runs.items() if run_id not in skipped]

    def _anew(self, new: Sequence[Run]) -> Iterator[Due]:
        if not new:
            return
        records = self._records(new)
        ownership = Ownership(
            self.graphs, records, self.found.runs, self.policy.include_external_runs
        )
        retried = self._retried_by_steps(new, records)
        for run in new:
            graph = ownership.graph_of(run)
            if graph is not None and run.run_id not in retried:
                # What a person has ended is no failure: it is landed, and nobody is alarmed.
                ended = run.is_cancelled and records.dagster_run_ids.get(
                    dagster_run_id_of(run) or ""
                )
                raises = False if ended else self.policy.raise_on_failed_run
                yield Due(run.run_id, graph, raise_on_failed_run=raises, job_id=run.job_id)

    def _retried_by_steps(self, new: Sequence[Run], records: Records) -> set[int]:
        """Failed runs that a step continues: it lands them itself, and may heal what failed.

        Only those that are seen again, in case the step is killed and never comes to that.
        """
        late = {run.run_id for run in self.found.late}
        seen_again = {
            run.run_id
            for run in new
            if run.has_failed
            and run.finished_at is not None
            and self.now - run.finished_at < STALE_AFTER
            and (
                run.run_id in records.triggered or (self.policy.lookback and run.run_id not in late)
            )
        }
        return seen_again & self.requested_runs.retried() if seen_again else seen_again

    def _records(self, new: Sequence[Run]) -> Records:
        ids = {run.run_id for run in new} | _retried(new)
        triggered = self._look_up(TRIGGER, ids)
        marked = set(filter(None, map(dagster_run_id_of, self.found.runs.values())))
        return Records(triggered, self._landed, self.requested_runs.known(marked))

    def _settled(self, awaited: Collection[int]) -> tuple[int, ...]:
        """What the next tick lists again and need not look up."""
        edge = self.found.cursor.fresh.at
        settled = [
            run.run_id
            for run in self.found.fresh
            if run.is_over
            and run.run_id not in awaited
            and run.run_id not in self._unsettled
            and (run.finished_at is None or run.finished_at >= edge)
        ]
        return tuple(settled[-MOST_REMEMBERED:])

    def _sentence(self, due: int, requests: int, cursor: MonitorCursor) -> str:
        parts = [f"{_count(len(self.found.runs), 'finished dbt Cloud run')} seen"]
        parts.append(
            f"{due} to land in {_count(requests, 'Dagster run')}" if requests else "none to land"
        )
        if self._under_way[0]:
            parts.append(f"{len(self._under_way[0])} being landed")
        if self._waiting:
            parts.append(f"{len(self._waiting)} to be tried again later")
        if not self.found.is_complete:
            parts.append("the rest comes with the next ticks")
        return " ".join(filter(None, ["; ".join(parts) + ".", named(cursor.given_up)]))


def _retried(runs: Iterable[Run]) -> set[int]:
    """The runs that some runs retry."""
    return {run.retrying_run_id for run in runs if run.retrying_run_id is not None}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
