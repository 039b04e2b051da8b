"""Clocks and deadlines, so that whatever waits can be tested without waiting, and ended."""

import math
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudStoppedError


class Clock(Protocol):
    """A monotonic clock that can be slept on; both in seconds."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Block for so many seconds.

        Raises:
            DbtCloudStoppedError: The clock is stopped.
        """

    def stop(self) -> None:
        """End all sleeps, now and later; for another thread to call."""

    def restart(self) -> None:
        """Let sleeps take their time again."""

    @property
    def is_stopped(self) -> bool:
        """Whether nobody may sleep."""


class SystemClock:
    """The clock of the operating system."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block for so many seconds.

        Raises:
            DbtCloudStoppedError: The clock is stopped.
        """
        if self._stopped.wait(seconds):
            raise DbtCloudStoppedError("Nobody waits any more.")

    def stop(self) -> None:
        """End all sleeps, now and later; for another thread to call."""
        self._stopped.set()

    def restart(self) -> None:
        """Let sleeps take their time again."""
        self._stopped.clear()

    @property
    def is_stopped(self) -> bool:
        """Whether nobody may sleep."""
        return self._stopped.is_set()


@dataclass(frozen=True)
class Deadline:
    """A moment on a clock after which nobody waits any more.

    Attributes:
        at: The moment.
        clock: The clock.
        ends_with_clock: Whether it is here, too, while the clock is stopped.
    """

    at: float
    clock: Clock
    ends_with_clock: bool = False

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """The moment that lies so many seconds ahead."""
        return cls(at=clock.monotonic() + seconds, clock=clock)

    @classmethod
    def when_stopped(cls, clock: Clock, *, after: float = math.inf) -> "Deadline":
        """The moment at which the clock is stopped, or the one so many seconds ahead."""
        return cls(at=clock.monotonic() + after, clock=clock, ends_with_clock=True)

    def remaining(self) -> float:
        """Seconds left; never below zero."""
        if self.ends_with_clock and self.clock.is_stopped:
            return 0.0
        return max(0.0, self.at - self.clock.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.remaining() == 0.0
