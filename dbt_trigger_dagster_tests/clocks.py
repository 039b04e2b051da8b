"""A clock that tests move: nobody sleeps, and every pause is written down."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudStoppedError


@dataclass
class FakeClock:
    """Implements `timing.Clock`; sleeping moves the time and takes none.

    Attributes:
        now: What `monotonic` says.
        pauses: The seconds of every sleep so far.
        on_sleep: Called with the time after each sleep, for what is to happen meanwhile.
        is_stopped: Whether nobody may sleep.
    """

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)
    on_sleep: Callable[[float], None] = lambda _: None
    is_stopped: bool = False

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        assert seconds >= 0, "time.sleep refuses a negative pause"
        if self.is_stopped:
            raise DbtCloudStoppedError("Nobody waits any more.")
        self.pauses.append(seconds)
        self.now += seconds
        self.on_sleep(self.now)

    def stop(self) -> None:
        """End all sleeps."""
        self.is_stopped = True

    def restart(self) -> None:
        """Let sleeps take their time again."""
        self.is_stopped = False
