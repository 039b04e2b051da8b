"""Which dbt Cloud runs have finished since the last look: a cursor, and how it advances.

Two sweeps follow each other over the runs in the order in which they finished. The *fresh* one
sees a run soon after its end; the *late* one sees it again when it is older, in case dbt Cloud
told of it only afterwards. Both go forward only to moments that dbt Cloud itself has written, so
that a clock of ours that is wrong can delay a run and never lose it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any, Protocol

from dbt_trigger_dagster.api import PAGE_SIZE
from dbt_trigger_dagster.client import DbtCloudClient
from dbt_trigger_dagster.errors import DbtCloudError
from dbt_trigger_dagster.models import Run
from dbt_trigger_dagster.parameters import RunFilter
from dbt_trigger_dagster.timing import Deadline

FIRST_OVERLAP = timedelta(minutes=1)
"""How far before the newest finished run a monitor begins: lists may lag a little."""

LATE_SWEEPS = 12
"""How many late sweeps there are at most in a lookback."""

BEGINNING = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""Before any run of dbt Cloud's."""

_END = datetime(2100, 1, 1, tzinfo=timezone.utc)
_VERSION = 1


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
class Position:
    """How far a sweep has come.

    Attributes:
        at: All runs that finished before this moment have been listed.
        offset: How many of those that finished at this very moment have been, where they fill
            pages of their own.
    """

    at: datetime
    offset: int = 0

    def after(self, page: Sequence[Run], *, size: int) -> "Position":
        """Where a page leads to. What finished last is listed again: more may finish just then."""
        last = max((run.finished_at for run in page if run.finished_at), default=self.at)
        if last > self.at:
            return Position(last)
        return replace(self, offset=self.offset + size) if len(page) >= size else self


@dataclass(frozen=True)
class MonitorCursor:
    """What a monitor remembers from one tick to the next.

    Attributes:
        fresh: Of the sweep over runs that have just finished.
        late: Of the sweep that sees them again.
        swept_at: When a late sweep last came to its end, by our clock.
        landings_seen: The last change of a failed landing that has been looked at, by the clock of
            Dagster's instance.
    """

    fresh: Position
    late: Position
    swept_at: datetime
    landings_seen: datetime

    def as_text(self) -> str:
        """The cursor as Dagster keeps it."""
        return json.dumps(
            {
                "version": _VERSION,
                "fresh": _encode(self.fresh),
                "late": _encode(self.late),
                "swept_at": _as_text(self.swept_at),
                "landings_seen": _as_text(self.landings_seen),
            }
        )

    @classmethod
    def from_text(cls, text: str) -> "MonitorCursor":
        """Read `as_text` back.

        Raises:
            ValueError: It is none of ours, or one of another version.
        """
        try:
            values = _of_this_version(json.loads(text))
            return cls(
                fresh=_decode(values["fresh"]),
                late=_decode(values["late"]),
                swept_at=_as_moment(values["swept_at"]),
                landings_seen=_as_moment(values["landings_seen"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"The cursor cannot be read: {error}.") from error

    def late_sweep_is_due(self, now: datetime, lookback: timedelta) -> bool:
        """Whether the late sweep should go on; also where our clock has been set back."""
        return bool(lookback) and not timedelta(0) <= now - self.swept_at < lookback / LATE_SWEEPS


def _of_this_version(values: Any) -> Any:
    if values["version"] != _VERSION:
        raise ValueError(f"its version is {values['version']!r}")
    return values


def _encode(position: Position) -> dict[str, Any]:
    return {"at": _as_text(position.at), "offset": position.offset}


def _decode(values: Any) -> Position:
    offset = values["offset"]
    if type(offset) is not int or offset < 0:
        raise ValueError(f"offset {offset!r}")
    return Position(_as_moment(values["at"]), offset)


def _as_text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def _as_moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(timezone.utc)


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
        deadline: When to give up.
        size: How many runs a full page has.
    """

    client: DbtCloudClient
    include_related: Sequence[str]
    deadline: Deadline
    size: int = PAGE_SIZE

    def __call__(self, since: datetime, until: datetime, *, offset: int) -> list[Run]:
        """One page; see `ListPage`."""
        runs = self.client.list_runs(
            RunFilter(finished_at__range=(_utc(since), _utc(until))),
            order_by="finished_at",
            include_related=self.include_related,
            page_size=self.size,
            offset=offset,
            deadline=self.deadline,
        )
        return list(islice(runs, self.size))

    def newest(self) -> datetime | None:
        """When the newest finished run finished; None where there is none."""
        newest_first = self.client.list_runs(
            RunFilter(finished_at__range=(BEGINNING, _END)),
            order_by="-finished_at",
            page_size=1,
            deadline=self.deadline,
        )
        run = next(newest_first, None)
        return None if run is None else run.finished_at


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc)


def first_position(newest: datetime | None) -> Position:
    """Where a monitor begins that was given no start: at what has finished last.

    By dbt Cloud's own words: whatever is in flight now ends after its newest finished run, and
    where our clock stands plays no part.
    """
    return Position(BEGINNING if newest is None else newest - FIRST_OVERLAP)


def first_cursor(position: Position, now: datetime, landings_since: datetime) -> MonitorCursor:
    """The cursor of a monitor that has none."""
    return MonitorCursor(fresh=position, late=position, swept_at=now, landings_seen=landings_since)


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
        """All runs that are over, by number."""
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
    cursor = replace(
        cursor, late=late.position, swept_at=now if late.is_complete else cursor.swept_at
    )
    return Findings(
        fresh.runs, late.runs, cursor, fresh.is_complete and late.is_complete, late.error
    )
