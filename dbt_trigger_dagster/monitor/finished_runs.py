"""Which dbt Cloud runs have finished since the last look.

Two sweeps follow each other over the runs in the order in which they finished. The *fresh* one
sees a run soon after its end; the *late* one sees it again when it is older, in case dbt Cloud
told of it only afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Protocol

from dbt_trigger_dagster.dbt_cloud.api import PAGE_SIZE
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parameters import RunFilter
from dbt_trigger_dagster.monitor.cursor import (
    BEGINNING,
    MOST_REMEMBERED,
    MonitorCursor,
    Position,
)

_END = datetime(2100, 1, 1, tzinfo=timezone.utc)


class ListPage(Protocol):
    """Asks for one page of finished runs, those that finished first at its beginning."""

    @property
    def size(self) -> int:
        """How many runs a full page has."""

    def __call__(self, since: datetime, until: datetime, *, offset: int) -> Sequence[Run]:
        """The first runs that finished from ``since`` to ``until``, both included.

        Raises:
            DbtCloudError: They cannot be had.
        """


@dataclass(frozen=True)
class Sweep:
    """What one sweep of one tick came to.

    Attributes:
        runs: What it found, oldest end first, each once.
        position: Where the next one goes on.
        pages: How many pages it asked for.
        is_complete: Whether it saw all that there is to see now.
        error: What ended it early, where dbt Cloud did.
    """

    runs: tuple[Run, ...]
    position: Position
    pages: int
    is_complete: bool
    error: DbtCloudError | None = None


def sweep(position: Position, until: datetime, list_page: ListPage, *, pages: int) -> Sweep:
    """List what has finished from a position on, as far as a budget of pages goes.

    Every page is a query of its own that begins where the last one ended, so runs that come and
    go between two requests shift nothing.

    Args:
        position: Where the last sweep ended.
        until: The latest end that counts.
        list_page: Asks for a page.
        pages: How many may be asked for.
    """
    found: dict[int, Run] = {}
    for asked in range(pages):
        if until < position.at:
            return Sweep(tuple(found.values()), position, asked, is_complete=True)
        try:
            page = list_page(position.at, until, offset=position.offset)
        except DbtCloudError as error:
            return Sweep(tuple(found.values()), position, asked + 1, is_complete=False, error=error)
        found.update((run.run_id, run) for run in page)
        position = position.after(page, size=list_page.size)
        if len(page) < list_page.size:
            return Sweep(tuple(found.values()), position, asked + 1, is_complete=True)
    return Sweep(tuple(found.values()), position, pages, is_complete=False)


@dataclass(frozen=True)
class FinishedRuns:
    """Asks dbt Cloud for finished runs of the whole account.

    Of all jobs, because the config of a Dagster run may name another job than the assets do.

    Attributes:
        client: The account's client.
        include_related: What dbt Cloud is to tell beside the runs.
        size: How many runs a full page has.
    """

    client: DbtCloudClient
    include_related: Sequence[str]
    size: int = PAGE_SIZE

    def __call__(self, since: datetime, until: datetime, *, offset: int) -> list[Run]:
        """One page; see `ListPage`."""
        runs = self.client.list_runs(
            RunFilter(finished_at__range=(_utc(since), _utc(until))),
            order_by="finished_at",
            include_related=self.include_related,
            page_size=self.size,
            offset=offset,
        )
        return list(islice(runs, self.size))

    def newest(self) -> datetime | None:
        """When the newest finished run finished; None where there is none."""
        newest_first = self.client.list_runs(
            RunFilter(finished_at__range=(BEGINNING, _END)),
            order_by="-finished_at",
            page_size=1,
        )
        run = next(newest_first, None)
        return None if run is None else run.finished_at


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc)


@dataclass(frozen=True)
class Findings:
    """What a tick learned from dbt Cloud.

    Attributes:
        fresh: Runs that have just finished.
        late: Runs of the late sweep.
        cursor: What the next tick goes on from.
        is_complete: Whether there is nothing more to see now.
        error: What kept the tick from seeing everything, where dbt Cloud did.
    """

    fresh: tuple[Run, ...]
    late: tuple[Run, ...]
    cursor: MonitorCursor
    is_complete: bool
    error: DbtCloudError | None

    @property
    def runs(self) -> dict[int, Run]:
        """All runs that are over, by id."""
        return {run.run_id: run for run in [*self.late, *self.fresh] if run.is_over}


def look(
    cursor: MonitorCursor,
    list_page: ListPage,
    *,
    now: datetime,
    settle: timedelta,
    lookback: timedelta,
    pages: int,
) -> Findings:
    """One tick: the fresh sweep, and with what it leaves of the budget, the late one.

    Args:
        cursor: From the last tick.
        list_page: Asks for a page.
        now: By our clock.
        settle: How long after its end a run is due.
        lookback: How long after its end it is seen again; 0: never.
        pages: How many pages may be asked for.
    """
    fresh = sweep(cursor.fresh, now - settle, list_page, pages=pages)
    cursor = replace(cursor, fresh=fresh.position)
    if not fresh.is_complete or not cursor.late_sweep_is_due(now, lookback):
        return Findings(fresh.runs, (), cursor, fresh.is_complete, fresh.error)
    late = sweep(cursor.late, now - lookback, list_page, pages=pages - fresh.pages)
    unseen = tuple(run for run in late.runs if run.run_id not in cursor.swept)
    cursor = replace(
        cursor,
        late=late.position,
        swept=_listed_again(late),
        swept_at=now if late.is_complete else cursor.swept_at,
    )
    return Findings(fresh.runs, unseen, cursor, fresh.is_complete and late.is_complete, late.error)


def _listed_again(late: Sweep) -> tuple[int, ...]:
    """What the next sweep lists once more, because more may have finished at the same moment."""
    edge = late.position.at
    at_edge = [run.run_id for run in late.runs if run.finished_at and run.finished_at >= edge]
    return tuple(at_edge[-MOST_REMEMBERED:])
