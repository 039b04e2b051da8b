"""Moments and durations in the several ways that dbt Cloud writes them."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

_UNITS = (
    ("year", 365 * 86400),
    ("month", 30 * 86400),
    ("week", 7 * 86400),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)


Clock = Callable[[], datetime]
"""What tells the present moment in UTC."""


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(timezone.utc)


def clock_that_is_off(offset: timedelta) -> Clock:
    """Return a clock that differs from this machine's; a positive offset is ahead."""
    return lambda: utc_now() + offset


def stopped_clock(moment: datetime) -> Clock:
    """Return a clock that always tells the same moment."""
    return lambda: moment


def as_run_timestamp(moment: datetime | None) -> str | None:
    """Write a moment as runs, steps and triggers do: ``2024-07-03 13:59:00.653171+00:00``."""
    return moment.isoformat(sep=" ", timespec="microseconds") if moment else None


def as_job_timestamp(moment: datetime) -> str:
    """Write a moment as the jobs endpoint does: ``2024-07-03T13:59:00.653171+00:00``."""
    return moment.isoformat(timespec="microseconds")


def as_nested_job_timestamp(moment: datetime) -> str:
    """Write a moment as a job nested in a run does: ``2024-07-03T13:59:00.653171Z``."""
    return as_job_timestamp(moment).replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """Parse a moment from a query; without an offset it is UTC.

    Raises:
        ValueError: The text is no timestamp.
    """
    # Python 3.10 does not read the "Z" that later versions do.
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def as_duration(duration: timedelta) -> str:
    """Write a duration as ``HH:MM:SS``; the hours may exceed 24."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def humanized(duration: timedelta) -> str:
    """Write a duration in its largest unit and the one next to it: ``1 minute, 50 seconds``."""
    rest = int(duration.total_seconds())
    for position, (unit, size) in enumerate(_UNITS):
        count, remainder = divmod(rest, size)
        if count:
            parts = [_counted(count, unit)]
            if position + 1 < len(_UNITS):
                next_unit, next_size = _UNITS[position + 1]
                parts += [_counted(remainder // next_size, next_unit)] * (remainder >= next_size)
            return ", ".join(parts)
    return "0 minutes"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
