"""A clock that tests move: nobody sleeps, and every pause is written down."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dbt_trigger_dagster.dbt_cloud.clock import Cancellation
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError


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
