"""Clocks, cancellations and deadlines: what waits can be ended, and tested without waiting."""

import math
import queue
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError
from dbt_trigger_dagster.dbt_cloud.interrupts import LOOK_UP


class Cancellation:
    """Tells work that it is no longer wanted, and ends its pauses. It is never taken back."""

    def __init__(self) -> None:
        self._cancelled = False
        # Not an Event: a signal handler cancels, and may interrupt the very thread that holds the
        # lock of an Event. A SimpleQueue can be used in a handler.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()

    def cancel(self) -> None:
        """End all pauses, now and later; for another thread or a signal handler to call."""
        self._cancelled = True
        self._wakes.put(None)

    @property
    def is_cancelled(self) -> bool:
        """Whether the work is no longer wanted."""
        return self._cancelled

    def wait(self, seconds: float) -> bool:
        """Block for so many seconds, or until it is cancelled; whether it is."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._cancelled:
            with suppress(queue.Empty):
                self._wakes.get(timeout=min(left, LOOK_UP))
                self._wakes.put(None)  # for the next who waits
        return self._cancelled


class Clock(Protocol):
    """A monotonic clock that can be slept on; both in seconds."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def time(self) -> float:
        """Seconds since 1970, as this machine has them; may jump."""

    def sleep(self, seconds: float, cancellation: Cancellation) -> None:
        """Block for so many seconds.

        Raises:
            DbtCloudCancelledError: It is cancelled.
        """


class SystemClock:
    """The clock of the operating system."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970, as this machine has them; may jump."""
        return time.time()

    def sleep(self, seconds: float, cancellation: Cancellation) -> None:
        """Block for so many seconds.

        Raises:
            DbtCloudCancelledError: It is cancelled.
        """
        if cancellation.wait(seconds):
            raise DbtCloudCancelledError("The pause was cancelled.")


@dataclass(frozen=True)
class Deadline:
    """A moment on a clock after which nobody waits any more.

    Attributes:
        at: The moment.
        clock: The clock.
        cancellation: What ends the time early, if anything does.
    """

    at: float
    clock: Clock
    cancellation: Cancellation | None = None

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """The moment that lies so many seconds ahead."""
        return cls(at=clock.monotonic() + seconds, clock=clock)

    @classmethod
    def until_cancelled(
        cls, cancellation: Cancellation, clock: Clock, *, after: float = math.inf
    ) -> "Deadline":
        """The moment of the cancellation, or the one so many seconds ahead, whichever is first."""
        return cls(at=clock.monotonic() + after, clock=clock, cancellation=cancellation)

    def at_most(self, seconds: float) -> "Deadline":
        """The same, or the moment so many seconds ahead, whichever is first."""
        return replace(self, at=min(self.at, self.clock.monotonic() + seconds))

    def remaining(self) -> float:
        """Seconds left; never below zero."""
        if self.cancellation is not None and self.cancellation.is_cancelled:
            return 0.0
        return max(0.0, self.at - self.clock.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.remaining() == 0.0
