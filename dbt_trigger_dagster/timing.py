"""Clocks and deadlines, so that whatever waits can be tested without waiting, and ended."""

import threading
import time
from dataclasses import dataclass, field
from typing import Protocol

from dbt_trigger_dagster.errors import DbtCloudStoppedError


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


@dataclass(frozen=True)
class Deadline:
    """A moment on a clock after which nobody waits any more."""

    at: float
    clock: Clock
    _is_here: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """The moment that lies so many seconds ahead."""
        return cls(at=clock.monotonic() + seconds, clock=clock)

    def remaining(self) -> float:
        """Seconds left; never below zero."""
        return 0.0 if self._is_here.is_set() else max(0.0, self.at - self.clock.monotonic())

    def bring_on(self) -> None:
        """Let the moment be now; for another thread to call."""
        self._is_here.set()

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.remaining() == 0.0
