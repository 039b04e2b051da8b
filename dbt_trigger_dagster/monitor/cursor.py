"""What a monitor remembers from one tick to the next, and how it advances.

Only to moments that dbt Cloud itself has written: a clock of ours that is wrong can delay a run,
and never lose it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass

from dbt_trigger_dagster.dbt_cloud.models import Run

FIRST_OVERLAP = timedelta(minutes=1)
"""How far before the newest finished run a monitor begins: lists may lag a little."""

CLOCK_OVERLAP = timedelta(minutes=10)
"""How far the clocks of the machines that run Dagster may lie apart."""

LATE_SWEEPS = 12
"""How many late sweeps there are at most in a lookback."""

MOST_REMEMBERED = 200
"""Most runs that a cursor names for one reason."""

INSTANT = timedelta(microseconds=1)
"""The least time that a moment differs by: what Dagster finds has changed after one, not at it."""

BEGINNING = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""Before any run of dbt Cloud's."""


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc)


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment with its time zone, kept in UTC, for people read the cursor too."""


_AS_WRITTEN = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_AS_WRITTEN)
class Position:
    """How far a sweep has come.

    Attributes:
        at: All runs that finished before this moment have been listed.
        offset: How many of those that finished at this very moment have been, where they fill
            pages of their own.
    """

    at: Moment
    offset: Annotated[int, Field(strict=True, ge=0)] = 0

    def after(self, page: Sequence[Run], *, size: int) -> "Position":
        """Where a page leads to. What finished last is listed again: more may finish just then."""
        last = max((run.finished_at for run in page if run.finished_at), default=self.at)
        if last > self.at:
            return Position(last)
        return replace(self, offset=self.offset + size) if len(page) >= size else self


@dataclass(frozen=True, config=_AS_WRITTEN)
class MonitorCursor:
    """What a monitor remembers from one tick to the next.

    Attributes:
        fresh: Of the sweep over runs that have just finished.
        late: Of the sweep that sees them again.
        swept_at: When a late sweep last came to its end, by our clock.
        landings_seen: The last change of a failed landing that has been looked at, by the clock of
            Dagster's instance.
        terminations_seen: The same of a Dagster run that a person has terminated, and that has been
            dealt with.
        settled: Runs that the next fresh sweep lists again, and that need nothing: where nothing
            happens, the tables are not asked.
        swept: The same of the late sweep: runs that it has seen.
        given_up: Runs that nobody could land, and that are left to people.
        asked_after: The last open run that has been asked for in a pass over them; 0 where the
            next tick begins anew.
        asked_at: When the last pass came to its end, by our clock.
        none_open_at: When there was none, by our clock.
        looked_at: When the last tick looked, by our clock.
    """

    fresh: Position
    late: Position
    swept_at: Moment
    landings_seen: Moment
    terminations_seen: Moment
    settled: tuple[int, ...] = ()
    swept: tuple[int, ...] = ()
    given_up: tuple[int, ...] = ()
    asked_after: int = 0
    asked_at: Moment = BEGINNING
    none_open_at: Moment = BEGINNING
    looked_at: Moment = BEGINNING
    version: Literal[1] = 1

    def as_text(self) -> str:
        """The cursor as Dagster keeps it."""
        return _TEXT.dump_json(self).decode()

    @classmethod
    def from_text(cls, text: str) -> "MonitorCursor":
        """Read `as_text` back.

        Raises:
            ValueError: The monitor did not write it, or another version did.
        """
        try:
            return _TEXT.validate_json(text)
        except (ValidationError, OverflowError) as error:
            raise ValueError(f"The cursor cannot be read: {_why(error)}.") from error

    def late_sweep_is_due(self, now: datetime, lookback: timedelta) -> bool:
        """Whether the late sweep should go on; also where our clock has been set back."""
        return bool(lookback) and not timedelta(0) <= now - self.swept_at < lookback / LATE_SWEEPS


_TEXT = TypeAdapter(MonitorCursor)


def _why(error: ValidationError | OverflowError) -> str:
    if isinstance(error, OverflowError):
        return str(error)
    first = error.errors()[0]
    return ": ".join([*map(str, first["loc"]), first["msg"]])


def changed_since(seen: datetime, looked_at: datetime) -> datetime:
    """After which moment changes of Dagster's runs are looked for.

    For a while also shortly before the last one that was seen, because the clock that wrote
    another may have been slow. Not for ever: each look may cost a look at the tables. Nor does the
    while go by in which nobody looks: what comes then may be told as from before it.

    Args:
        seen: The last change that was looked at.
        looked_at: When the last tick looked, by our clock.
    """
    return seen - CLOCK_OVERLAP if looked_at - seen <= 2 * CLOCK_OVERLAP else seen


def first_position(newest: datetime | None) -> Position:
    """Where a monitor begins that was given no start: at what has finished last.

    By dbt Cloud's own words: whatever is in flight now ends after its newest finished run, and
    where our clock stands plays no part.
    """
    return Position(BEGINNING if newest is None else newest - FIRST_OVERLAP)


def first_cursor(position: Position, now: datetime, landings_since: datetime) -> MonitorCursor:
    """The cursor of a monitor that has none."""
    return MonitorCursor(
        fresh=position,
        late=position,
        swept_at=now,
        landings_seen=landings_since,
        terminations_seen=now,
    )
