"""Time in tests: a clock that they move, one on which no pause is long, a wait for others."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dbt_trigger_dagster.dbt_cloud.clock import Cancellation
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError

HANGS_AFTER = 300.0
"""Seconds that only something that hangs takes."""

_MOMENT = 0.02
_LONGEST_PAUSE = 0.25
_PAUSE_OF_WAIT = 0.05


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll until a condition holds, and return what it gave; fail the test where it hangs.

    The pauses grow with the wait: to look costs time that those who are waited for need.
    """
    start = time.monotonic()
    while not (found := condition()):
        waited = time.monotonic() - start
        assert waited < HANGS_AFTER, f"never happened: {what}"
        time.sleep(min(max(_MOMENT, waited * _PAUSE_OF_WAIT), _LONGEST_PAUSE))
    return found


@dataclass
class FakeClock:
    """Implements `clock.Clock`; sleeping moves the time and takes none.

    Attributes:
        now: What `monotonic` says.
        pauses: The seconds of every sleep so far.
        on_sleep: Called with the time after each sleep, for what is to happen meanwhile.
        suspended: Seconds that only the wall clock has counted.
    """

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)
    on_sleep: Callable[[float], None] = lambda _: None
    suspended: float = 0.0

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return self.now

    def time(self) -> float:
        """Seconds since some other fixed moment."""
        return self.now + self.suspended

    def sleep(self, seconds: float, cancellation: Cancellation) -> None:
        """Let so many seconds pass."""
        assert seconds >= 0, "time.sleep refuses a negative pause"
        if cancellation.is_cancelled:
            raise DbtCloudCancelledError("The pause was cancelled.")
        self.pauses.append(seconds)
        self.now += seconds
        self.on_sleep(self.now)


@dataclass
class HurriedClock:
    """Implements `clock.Clock`: the system's, on which a pause is over in a moment and counts."""

    _skipped: float = 0.0

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic() + self._skipped

    def time(self) -> float:
        """Seconds since 1970, and those of the pauses."""
        return time.time() + self._skipped

    def sleep(self, seconds: float, cancellation: Cancellation) -> None:
        """Block for a moment."""
        moment = min(seconds, _MOMENT)
        if cancellation.wait(moment):
            raise DbtCloudCancelledError("The pause was cancelled.")
        self._skipped += seconds - moment
