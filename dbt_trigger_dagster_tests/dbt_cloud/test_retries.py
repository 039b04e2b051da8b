"""When requests are repeated, and how long the pauses are."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudAuthError,
    DbtCloudError,
    DbtCloudJobNameError,
    DbtCloudNotFoundError,
    DbtCloudPayloadError,
    DbtCloudRateLimitError,
    DbtCloudRequestError,
    DbtCloudResponseError,
)
from dbt_trigger_dagster.dbt_cloud.retries import (
    MAX_BACKOFF,
    RATE_LIMIT_COOL_DOWN,
    RetryPolicy,
    backoff,
    is_outcome_unknown,
    is_transient,
    was_never_sent,
    was_turned_away,
)
from dbt_trigger_dagster_tests.clocks import FakeClock

LOST = DbtCloudRequestError("Lost.", may_have_been_sent=True)
NEVER_SENT = DbtCloudRequestError("Never sent.", may_have_been_sent=False)
LIMITED = DbtCloudRateLimitError("Slow down.", status_code=429)


def _refused(status_code: int, retry_after: float | None = None) -> DbtCloudResponseError:
    return DbtCloudResponseError("No.", status_code=status_code, retry_after=retry_after)


class Attempts:
    """Raises the given errors one after the other, then succeeds, and counts the calls."""

    def __init__(self, *errors: DbtCloudError) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        """Fail as often as told."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def _called(policy: RetryPolicy, attempt: Callable[[], str], **rules: Any) -> str:
    """What a call gives in the end."""
    retries = policy.retries(**rules)
    while True:
        try:
            return attempt()
        except DbtCloudError as error:
            if not retries.pause_after(error):
                raise


@pytest.mark.parametrize(
    ("error", "transient", "never_sent"),
    [
        (NEVER_SENT, True, True),
        (LOST, True, False),
        (LIMITED, True, False),
        (_refused(503), True, False),
        (_refused(408), True, False),
        (_refused(425), True, False),
        (_refused(500), True, False),
        (_refused(502), True, False),
        (_refused(504), True, False),
        (_refused(599), True, False),
        (_refused(301), False, False),
        (_refused(400), False, False),
        (_refused(405), False, False),
        (_refused(409), False, False),
        (_refused(499), False, False),
        (DbtCloudAuthError("No.", status_code=401), False, False),
        (DbtCloudAuthError("No.", status_code=403), False, False),
        (DbtCloudNotFoundError("No.", status_code=404), False, False),
        (DbtCloudPayloadError("What?"), False, False),
        (DbtCloudJobNameError("Who?"), False, False),
    ],
    ids=str,
)
def test_what_may_be_repeated_is_decided_by_the_error(error, transient, never_sent) -> None:
    """A repeated GET costs a request; a repeated trigger costs a run."""
    assert is_transient(error) is transient
    assert was_never_sent(error) is never_sent


def test_what_was_turned_away_is_no_lost_answer() -> None:
    """One search is enough before it is sent again; the others wait for a run to appear."""
    turned_away = [LIMITED, _refused(503)]
    lost = [LOST, DbtCloudPayloadError("What?"), *map(_refused, (408, 425, 500, 502, 504))]
    known = [NEVER_SENT, _refused(400), DbtCloudNotFoundError("No.", status_code=404)]
    assert [was_turned_away(each) for each in (*turned_away, *lost, *known)] == (
        [True] * 2 + [False] * 10
    )
    assert [is_outcome_unknown(each) for each in (*turned_away, *lost, *known)] == (
        [False] * 2 + [True] * 7 + [False] * 3
    )


def test_backoff_doubles_up_to_the_cap() -> None:
    """The pauses grow until they would only be long."""
    assert [backoff(retry, 0.5) for retry in range(7)] == [0.5, 1, 2, 4, 8, 16, MAX_BACKOFF]
    assert backoff(10_000, 0.5) == MAX_BACKOFF


@given(
    retry=st.integers(0, 100_000),
    delay=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
)
def test_a_jittered_pause_lies_between_zero_and_the_backoff(retry, delay, jitter) -> None:
    """Full jitter: clients that failed together do not come back together."""
    policy = RetryPolicy(delay=delay, jitter=lambda: jitter)
    pause = policy.pause_after(LOST, retry)
    assert pause == jitter * backoff(retry, delay)
    assert 0 <= pause <= MAX_BACKOFF


def test_the_default_jitter_spreads_over_the_whole_range() -> None:
    """Two hundred pauses of up to a second are neither all alike nor all long."""
    pauses = [RetryPolicy(delay=1).pause_after(LOST, 0) for _ in range(200)]
    assert min(pauses) < 0.2
    assert max(pauses) > 0.8


@pytest.mark.parametrize("error", [_refused(503, 7), _refused(500, 0), _refused(429, 1000)])
def test_retry_after_decides_the_pause(error) -> None:
    """Longer than the cap or zero: dbt Cloud knows best."""
    assert RetryPolicy().pause_after(error, 0) == error.retry_after


def test_a_rate_limit_without_retry_after_waits_for_the_documented_cool_down() -> None:
    """Anything sooner would be refused as well, and counted."""
    assert RetryPolicy().pause_after(LIMITED, 0) == RATE_LIMIT_COOL_DOWN == 300


def test_a_rate_limit_with_retry_after_waits_as_told() -> None:
    """The cool-down is only for answers that name no time."""
    limited = DbtCloudRateLimitError("Slow down.", status_code=429, retry_after=2)
    assert RetryPolicy().pause_after(limited, 0) == 2


def test_a_call_is_repeated_until_it_succeeds(clock) -> None:
    """One pause for each repetition, each within its backoff."""
    attempts = Attempts(LOST, _refused(502), NEVER_SENT)
    policy = RetryPolicy(clock=clock, delay=0.5, jitter=lambda: 1.0)
    assert _called(policy, attempts) == "answer"
    assert attempts.calls == 4
    assert clock.pauses == [0.5, 1, 2]


def test_the_last_error_is_raised_when_the_retries_are_used_up(clock) -> None:
    """Two retries are three calls; no pause follows the last."""
    last = _refused(504)
    attempts = Attempts(LOST, LOST, last, LOST)
    with pytest.raises(DbtCloudResponseError) as caught:
        _called(RetryPolicy(max_retries=2, clock=clock), attempts)
    assert caught.value is last
    assert attempts.calls == 3
    assert len(clock.pauses) == 2


def test_no_retries_means_one_call(clock) -> None:
    """Zero is a number like any other."""
    attempts = Attempts(LOST)
    with pytest.raises(DbtCloudRequestError):
        _called(RetryPolicy(max_retries=0, clock=clock), attempts)
    assert (attempts.calls, clock.pauses) == (1, [])


def test_an_error_that_no_repetition_cures_is_raised_at_once(clock) -> None:
    """A 4xx is an answer."""
    attempts = Attempts(_refused(400))
    with pytest.raises(DbtCloudResponseError):
        _called(RetryPolicy(clock=clock), attempts)
    assert (attempts.calls, clock.pauses) == (1, [])


def test_the_caller_decides_what_is_retryable(clock) -> None:
    """A trigger is not repeated after an error that a GET is repeated after."""
    attempts = Attempts(LOST)
    with pytest.raises(DbtCloudRequestError):
        _called(RetryPolicy(clock=clock), attempts, retryable=was_never_sent)
    assert attempts.calls == 1


@pytest.mark.parametrize("seconds", [299.0, 300.0])
def test_a_pause_that_would_reach_the_deadline_is_not_begun(clock, seconds) -> None:
    """The caller gets the error while there is time to say it, not five minutes later."""
    attempts = Attempts(LIMITED)
    with pytest.raises(DbtCloudRateLimitError):
        _called(RetryPolicy(clock=clock), attempts, deadline=Deadline.after(seconds, clock))
    assert (attempts.calls, clock.pauses) == (1, [])


def test_a_pause_that_ends_before_the_deadline_is_made(clock) -> None:
    """One second to spare is enough to ask again."""
    deadline = Deadline.after(RATE_LIMIT_COOL_DOWN + 1, clock)
    assert _called(RetryPolicy(clock=clock), Attempts(LIMITED), deadline=deadline) == "answer"
    assert clock.pauses == [RATE_LIMIT_COOL_DOWN]


def test_every_repetition_is_told_with_its_reason_and_its_pause(caplog) -> None:
    """Someone watches the log and wonders why nothing happens."""
    log = logging.getLogger("the caller's own")
    policy = RetryPolicy(clock=FakeClock(), jitter=lambda: 1.0, delay=4, log=log)
    _called(policy, Attempts(LOST))
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("the caller's own", "Lost. Trying again in 4.0 s.")
    ]
