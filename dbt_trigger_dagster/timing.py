"""Clocks and deadlines, so that whatever waits can be tested without waiting."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock that can be slept on; both in seconds."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Block for so many seconds."""


class SystemClock:
    """The clock of the operating system."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block for so many seconds."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Deadline:
    """A moment on a clock after which nobody waits any more."""

    at: float
    clock: Clock

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """The moment that lies so many seconds ahead."""
        return cls(at=clock.monotonic() + seconds, clock=clock)

    def remaining(self) -> float:
        """Seconds left; never below zero."""
        return max(0.0, self.at - self.clock.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.remaining() == 0.0
