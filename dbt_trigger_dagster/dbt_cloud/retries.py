"""When a request is worth repeating, how often, and after how long a pause.

Not urllib3's ``Retry``: its loop ends before the body is read, so it cannot repeat a truncated
answer, and it knows no deadline and no rate-limit cool-down.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from dbt_trigger_dagster.dbt_cloud.clock import Cancellation, Clock, Deadline, SystemClock
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudError,
    DbtCloudPayloadError,
    DbtCloudRateLimitError,
    DbtCloudRequestError,
    DbtCloudResponseError,
)

MAX_BACKOFF = 30.0
"""Longest pause in seconds that backoff alone makes."""

RATE_LIMIT_COOL_DOWN = 300.0
"""Seconds to stay away after a 429 that names no time (dbt Cloud's documented cool-down)."""

MAX_RETRY_AFTER = 3600.0
"""Longest pause in seconds that an answer can ask for."""

_TIMES_OUT_OR_TOO_EARLY = frozenset({408, 425})
_SERVER_ERRORS = 500
_UNAVAILABLE = 503


def is_transient(error: DbtCloudError) -> bool:
    """Whether the same request may well succeed later, if repeating it does no harm."""
    if isinstance(error, DbtCloudResponseError):
        return (
            isinstance(error, DbtCloudRateLimitError)
            or error.status_code in _TIMES_OUT_OR_TOO_EARLY
            or error.status_code >= _SERVER_ERRORS
        )
    return isinstance(error, DbtCloudRequestError)


def was_never_sent(error: DbtCloudError) -> bool:
    """Whether a request with effects may be sent again at once: it never left."""
    return isinstance(error, DbtCloudRequestError) and not error.may_have_been_sent


def was_turned_away(error: DbtCloudError) -> bool:
    """Whether dbt Cloud has no time for a request now; it hardly ever acts on it nevertheless."""
    return isinstance(error, DbtCloudRateLimitError) or (
        isinstance(error, DbtCloudResponseError) and error.status_code == _UNAVAILABLE
    )


def is_outcome_unknown(error: DbtCloudError) -> bool:
    """Whether a request with effects may have had them although no good answer came."""
    if isinstance(error, DbtCloudResponseError):
        return is_transient(error) and not was_turned_away(error)
    if isinstance(error, DbtCloudRequestError):
        return error.may_have_been_sent
    return isinstance(error, DbtCloudPayloadError)


def backoff(retry: int, delay: float) -> float:
    """The longest pause in seconds before a retry (0 is the first), doubling up to a cap."""
    return min(MAX_BACKOFF, delay * 2.0 ** min(retry, 32))


@dataclass(frozen=True)
class RetryPolicy:
    """Repeats a call on errors that a repetition may cure.

    Args:
        max_retries: How many times at most, after the first.
        delay: Longest pause in seconds before the first retry; doubles with each.
        clock: What to sleep on.
        cancellation: What ends the pauses.
        jitter: A number from 0 to 1 that backoff is multiplied with ("full jitter").
        log: Where each retry is told.
    """

    max_retries: int = 5
    delay: float = 0.5
    clock: Clock = field(default_factory=SystemClock)
    cancellation: Cancellation = field(default_factory=Cancellation)
    jitter: Callable[[], float] = random.random
    log: logging.Logger = field(default_factory=lambda: logging.getLogger(__name__))

    def retries(
        self,
        *,
        retryable: Callable[[DbtCloudError], bool] = is_transient,
        deadline: Deadline | None = None,
    ) -> "Retries":
        """The retries of one call, which has not been made yet."""
        return Retries(self, retryable, deadline)

    def pause_after(self, error: DbtCloudError, retry: int) -> float:
        """Seconds to wait after an error: what the answer asks for, or jittered backoff."""
        if isinstance(error, DbtCloudResponseError) and error.retry_after is not None:
            return min(MAX_RETRY_AFTER, error.retry_after)
        if isinstance(error, DbtCloudRateLimitError):
            return RATE_LIMIT_COOL_DOWN
        return self.jitter() * backoff(retry, self.delay)


@dataclass
class Retries:
    """Counts the retries of one call.

    Attributes:
        policy: Says how many, and after how long.
        retryable: After which errors.
        deadline: When to give up.
        made: How many there have been.
    """

    policy: RetryPolicy
    retryable: Callable[[DbtCloudError], bool]
    deadline: Deadline | None
    made: int = 0

    def pause_after(self, error: DbtCloudError) -> bool:
        """Wait until it is time to try again; whether it is worth it at all."""
        policy = self.policy
        if self.made >= policy.max_retries or not self.retryable(error):
            return False
        pause = policy.pause_after(error, self.made)
        if self.deadline is not None and self.deadline.remaining() <= pause:
            return False
        policy.log.warning("%s Trying again in %.1f s.", error, pause)
        policy.clock.sleep(pause, policy.cancellation)
        self.made += 1
        return True
