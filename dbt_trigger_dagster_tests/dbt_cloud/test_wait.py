"""Waiting for a run: pauses, the deadline, outages, and answers that end the wait."""

import itertools
import json
import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Clock, Deadline, SystemClock
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudAuthError,
    DbtCloudNotFoundError,
    DbtCloudResponseError,
    DbtCloudWaitTimeoutError,
)
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.wait import (
    DETAILS,
    NOT_FOUND_GRACE,
    SILENCE,
    STRANGERS_GRACE,
    poll_pause,
    wait_for_run,
)
from dbt_trigger_dagster_tests.clocks import FakeClock
from dbt_trigger_dagster_tests.payloads import (
    ACCESS_URL,
    ACCOUNT_ID,
    RUN_ID,
    RUN_URL,
    TOKEN,
    envelope,
    refusal,
    run_payload,
    step_payload,
)
from dbt_trigger_dagster_tests.servers import (
    Drip,
    Received,
    Reply,
    Reset,
    Server,
    Silence,
    reply,
    serving,
)

LOG = logging.getLogger("the step's own")
QUEUED = Run.from_payload(run_payload(1))

OUTAGES: dict[str, dict[str, Any]] = {
    "reset": {"body": requests.ConnectionError("reset")},
    "timeout": {"body": requests.ReadTimeout("slow")},
    "500": {"status": 500},
    "502": {"status": 502, "body": "<html>"},
    "503": {"status": 503},
    "408": {"status": 408},
    "429": {"status": 429, "headers": {"Retry-After": "1"}},
    "html": {"body": "<html>Please stand by</html>"},
    "no run": {"json": envelope({"not": "a run"})},
    "null": {"json": envelope(None)},
}


def _wait(
    client: DbtCloudClient,
    *,
    run: Run = QUEUED,
    seconds: float | None = 3600,
    poll_interval: float = 10,
) -> Run:
    deadline = None if seconds is None else Deadline.after(seconds, client.clock)
    return wait_for_run(client, run, deadline=deadline, poll_interval=poll_interval, log=LOG)


def _answers(api: responses.RequestsMock, *statuses: int) -> None:
    """Polls show these statuses, one after the other, and the last one from then on."""
    for status in statuses:
        api.get(RUN_URL, json=envelope(run_payload(status)))


def _finishes_at(
    clock: FakeClock, moment: float
) -> Callable[[requests.PreparedRequest], tuple[int, dict[str, str], str]]:
    def answer(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        status = 10 if clock.now >= moment else 3
        return 200, {}, json.dumps(envelope(run_payload(status)))

    return answer


def _messages(caplog) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == LOG.name
    ]


@pytest.fixture(autouse=True)
def log_everything(caplog) -> None:
    """Status changes are told as information."""
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize(
    ("waited", "poll_interval", "pause"),
    [
        (0, 10, 1),
        (9, 10, 1),
        (20, 10, 2),
        (55, 10, 5.5),
        (100, 10, 10),
        (3600, 10, 10),
        (3600, 60, 60),
        (0, 0.25, 0.25),
        (100, 0.25, 0.25),
    ],
)
def test_the_pause_is_a_tenth_of_the_time_waited(waited, poll_interval, pause) -> None:
    """Short runs are noticed at once and long ones cost few requests."""
    assert poll_pause(waited, poll_interval) == pytest.approx(pause)


@given(st.floats(0, 1e9), st.floats(0.001, 1e6))
def test_a_pause_is_positive_and_never_longer_than_the_interval(waited, poll_interval) -> None:
    """Whatever the settings."""
    assert 0 < poll_pause(waited, poll_interval) <= poll_interval


def test_a_run_is_polled_until_it_is_over(client, api, clock) -> None:
    """The first poll comes at once, the next after a second."""
    _answers(api, 1, 3, 3, 10)
    run = _wait(client)
    assert (run.status, run.is_success) == (10, True)
    assert clock.pauses == [1, 1, 1]


@pytest.mark.parametrize("status", [10, 20, 30])
def test_a_run_that_is_over_already_is_not_waited_for(client, api, clock, status) -> None:
    """One request fetches its details."""
    _answers(api, status)
    run = _wait(client, run=Run.from_payload(run_payload(status)))
    assert run.status == status
    assert len(api.calls) == 1
    assert clock.pauses == []


def test_a_run_that_is_over_comes_with_its_details(client, api) -> None:
    """Steps and logs are asked for once, at the end, not with every poll."""
    _answers(api, 3, 20)
    steps = [step_payload(4, "dbt build", 20)]
    api.get(RUN_URL, json=envelope(run_payload(20, run_steps=steps)))
    run = _wait(client)
    assert [step.name for step in run.steps] == ["Invoke dbt with `dbt build`"]
    urls = [call.request.url or "" for call in api.calls]
    assert ["include_related" in url for url in urls] == [False, False, True]
    assert urls[-1].endswith("include_related=" + "%2C".join(DETAILS))


@pytest.mark.parametrize("outage", sorted(set(OUTAGES) - {"429"}))
def test_details_that_are_not_to_be_had_do_not_cost_the_result(client, api, caplog, outage) -> None:
    """The run is over and its row can be kept; the log says what is missing."""
    _answers(api, 10)
    for _ in range(6):
        api.get(RUN_URL, **OUTAGES[outage])
    api.assert_all_requests_are_fired = False
    run = _wait(client)
    assert run.is_success
    assert any("steps" in text for level, text in _messages(caplog) if level == "WARNING")


def test_a_wait_notices_the_end_within_a_tenth_of_it(client, api, clock) -> None:
    """With as many polls as the pauses make: about thirty for ten minutes."""
    began = clock.now
    api.add_callback("GET", RUN_URL, callback=_finishes_at(clock, began + 601.5))
    _wait(client)
    assert clock.now - began - 601.5 <= 10
    assert max(clock.pauses) == 10
    assert len(api.calls) < 100


def test_waiting_for_ever_goes_on_for_days(client, api, clock) -> None:
    """No deadline is no deadline."""
    began = clock.now
    api.add_callback("GET", RUN_URL, callback=_finishes_at(clock, began + 200_000))
    assert _wait(client, seconds=None, poll_interval=600).is_success
    assert clock.now - began >= 200_000


def test_the_wait_ends_at_the_deadline_and_not_later(client, api, clock) -> None:
    """After a last look at that moment; the error carries the run as last seen."""
    began = clock.now
    api.add_callback("GET", RUN_URL, callback=_finishes_at(clock, float("inf")))
    with pytest.raises(DbtCloudWaitTimeoutError, match="after 24 s: Running") as caught:
        _wait(client, seconds=25)
    assert clock.now - began == 24
    assert caught.value.run.status == 3
    assert caught.value.run.run_id == RUN_ID


def test_a_run_that_ends_at_the_last_moment_is_seen_or_told_as_not_over(client, api, clock) -> None:
    """The last pause leaves a twentieth of the time, a second at most, for one more look."""
    api.add_callback("GET", RUN_URL, callback=_finishes_at(clock, float("inf")))
    with pytest.raises(DbtCloudWaitTimeoutError):
        _wait(client, seconds=5.5)
    assert clock.pauses == pytest.approx([1, 1, 1, 1, 1, 0.225])


def test_no_request_may_take_longer_than_what_remains(client, api, clock) -> None:
    """A hanging request ends with the deadline, however long the request timeout is."""
    limits: list[float] = []
    deadline_at = clock.now + 40

    def respond(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        limits.append(deadline_at - clock.now)
        return 200, {}, json.dumps(envelope(run_payload(3)))

    api.add_callback("GET", RUN_URL, callback=respond)
    with pytest.raises(DbtCloudWaitTimeoutError):
        _wait(client, seconds=40)
    timeouts = [call.request.req_kwargs["timeout"] for call in api.calls]
    assert timeouts[0] == 30
    assert timeouts == pytest.approx([min(30, limit) for limit in limits])
    assert min(timeouts) == pytest.approx(1)


def test_a_hanging_request_uses_up_the_time(client, api, clock) -> None:
    """Each hang counts against the deadline."""

    def hang(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        clock.now += request.req_kwargs["timeout"]  # type: ignore[attr-defined]
        raise requests.ReadTimeout("slow")

    began = clock.now
    api.add_callback("GET", RUN_URL, callback=hang)
    with pytest.raises(DbtCloudWaitTimeoutError) as caught:
        _wait(client, seconds=100)
    assert 99 <= clock.now - began <= 100
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_does_not_end_the_wait(client, api, caplog, outage) -> None:
    """It is told once when it begins and once when it ends, however often it is met."""
    _answers(api, 3)
    for _ in range(4):
        api.get(RUN_URL, **OUTAGES[outage])
    _answers(api, 3, 10)
    assert _wait(client).is_success
    told = _messages(caplog)
    assert [level for level, _ in told if level == "WARNING"] == ["WARNING"]
    (warning,) = [text for level, text in told if level == "WARNING"]
    assert warning.endswith("Waiting goes on.")
    assert [text for _, text in told].count("dbt Cloud answers again.") == 1


def test_a_second_outage_is_told_again(client, api, caplog) -> None:
    """It is another one."""
    for status in (500, 200, 502, 200):
        body = envelope(run_payload(3)) if status == 200 else {}
        api.get(RUN_URL, status=status, json=body)
    _answers(api, 10)
    _wait(client)
    texts = [text for _, text in _messages(caplog)]
    assert sum("Waiting goes on." in text for text in texts) == 2
    assert texts.count("dbt Cloud answers again.") == 2


def test_polls_go_on_at_their_own_pace_in_an_outage(client, api, clock) -> None:
    """Not five requests at each poll: the wait repeats by itself."""
    for _ in range(3):
        api.get(RUN_URL, status=500)
    _answers(api, 10)
    _wait(client)
    assert clock.pauses == [1, 1, 1]
    assert len(api.calls) == 5


@pytest.mark.parametrize(
    ("headers", "pause"), [({"Retry-After": "77"}, 77), ({}, 300)], ids=["told", "cool-down"]
)
def test_a_rate_limit_keeps_the_wait_away(client, api, clock, headers, pause) -> None:
    """As long as it asks; then polls go on."""
    api.get(RUN_URL, status=429, headers=headers)
    _answers(api, 10)
    _wait(client)
    assert sum(clock.pauses) == pause


def test_an_unavailable_service_is_given_the_time_it_asks_for(client, api, clock) -> None:
    """Retry-After is not only for rate limits."""
    api.get(RUN_URL, status=503, headers={"Retry-After": "20"})
    _answers(api, 10)
    _wait(client)
    assert clock.pauses == [20]


def test_a_rate_limit_does_not_keep_the_wait_beyond_its_deadline(client, api, clock) -> None:
    """The pause ends at the deadline."""
    began = clock.now
    api.get(RUN_URL, status=429)
    with pytest.raises(DbtCloudWaitTimeoutError):
        _wait(client, seconds=60)
    assert clock.now - began == 59


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_that_comes_again_ends_the_wait(client, api, clock, status) -> None:
    """A token that was revoked does not come back."""
    _answers(api, 3)
    api.get(RUN_URL, status=status, json=refusal(status, "No."))
    with pytest.raises(DbtCloudAuthError):
        _wait(client)
    assert clock.pauses == [1, 1]


REFUSALS: dict[str, dict[str, Any]] = {
    "401": {"status": 401, "json": refusal(401, "Invalid token.")},
    "403": {"status": 403, "json": refusal(403, "Forbidden: Access denied")},
    "404": {"status": 404, "json": refusal(404, "The requested resource was not found.")},
    "404 of a gateway": {"status": 404, "body": "<html>404 Not Found</html>"},
    "403 of a firewall": {"status": 403, "body": "<html>Request blocked</html>"},
    "404 without a word": {"status": 404},
}


@pytest.mark.parametrize("moment", [0, 60], ids=["at first", "after a minute"])
@pytest.mark.parametrize("answer", [*REFUSALS, *range(300, 500, 11)])
def test_one_odd_answer_does_not_end_the_wait(client, api, clock, answer, moment) -> None:
    """Whatever it says: something between dbt Cloud and us may have said it."""

    def run_for_a_while(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        clock.now += moment
        return 200, {}, json.dumps(envelope(run_payload(3)))

    odd = REFUSALS[answer] if isinstance(answer, str) else {"status": answer, "body": "<html>"}
    api.add_callback("GET", RUN_URL, callback=run_for_a_while)
    api.get(RUN_URL, **odd)
    _answers(api, 10)
    assert _wait(client, seconds=7200).is_success


@pytest.mark.parametrize("answer", ["404 of a gateway", "403 of a firewall", "404 without a word"])
def test_what_is_not_dbt_clouds_own_refusal_is_an_outage_until_the_deadline(
    client, api, clock, answer
) -> None:
    """However often it comes."""
    _answers(api, 3)
    api.get(RUN_URL, **REFUSALS[answer])
    with pytest.raises(DbtCloudWaitTimeoutError):
        _wait(client, seconds=600)
    assert sum(clock.pauses) > 590


@pytest.mark.parametrize("seconds", [None, math.inf])
@pytest.mark.parametrize("answer", ["404 of a gateway", "403 of a firewall", "404 without a word"])
def test_a_wait_without_an_end_takes_a_strangers_refusal_for_one_after_an_hour(
    client, api, clock, answer, seconds
) -> None:
    """Else a firewall that stays would hold the worker for ever."""
    began = clock.now
    _answers(api, 3)
    api.get(RUN_URL, **REFUSALS[answer])
    with pytest.raises(DbtCloudResponseError):
        _wait(client, seconds=seconds)
    assert STRANGERS_GRACE <= clock.now - began < STRANGERS_GRACE + 20


def test_a_strangers_refusal_that_passes_within_the_hour_does_not_end_a_wait(
    client, api, clock
) -> None:
    """Each time it comes, it has an hour of its own; so has one of another kind."""

    def answer(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        half_hours = int((clock.now - began) // 1800)
        status = (403, 404, 502, 404, 200)[half_hours % 5]
        if status != 200:
            return status, {}, "<html>"
        return 200, {}, json.dumps(envelope(run_payload(10 if half_hours > 20 else 3)))

    began = clock.now
    api.add_callback("GET", RUN_URL, callback=answer)
    assert _wait(client, seconds=None).is_success
    assert clock.now - began > 20 * 1800


def test_two_refusals_that_differ_are_none_that_comes_again(client, api) -> None:
    """Nor are two with a good answer between them."""
    _answers(api, 3)
    for answer in ("401", "403"):
        api.get(RUN_URL, **REFUSALS[answer])
    _answers(api, 3)
    api.get(RUN_URL, **REFUSALS["403"])
    _answers(api, 10)
    assert _wait(client).is_success


def test_a_run_that_is_not_found_at_first_is_waited_for(client, api) -> None:
    """Right after the trigger, not every part of dbt Cloud knows it yet."""
    for _ in range(3):
        api.get(RUN_URL, status=404, json=refusal(404, "Not found."))
    _answers(api, 10)
    assert _wait(client).is_success


def test_a_run_that_stays_unknown_ends_the_wait(client, api, clock) -> None:
    """After a while it is not "not yet" any more."""
    began = clock.now
    api.get(RUN_URL, status=404, json=refusal(404, "Not found."))
    with pytest.raises(DbtCloudNotFoundError):
        _wait(client)
    assert NOT_FOUND_GRACE <= clock.now - began < NOT_FOUND_GRACE + 4


# An older copy


def test_an_older_answer_with_details_is_asked_for_again(client, api, clock) -> None:
    """One look says 10, the next one 3: the run is over, and its details come when they do."""
    _answers(api, 10)
    api.get(RUN_URL, json=envelope(run_payload(3)))
    api.get(RUN_URL, json=envelope(run_payload(10, run_steps=[step_payload(4, "dbt build", 10)])))
    run = _wait(client)
    assert run.is_success
    assert len(run.steps) == 1
    assert clock.pauses == [1]


def test_an_older_answer_that_stays_never_takes_the_end_back(client, api) -> None:
    """Of it, only what belongs to the run counts."""
    job = {"id": 3001, "name": "nightly"}
    api.get(RUN_URL, json=envelope(run_payload(10, job=None)))
    api.get(RUN_URL, json=envelope(run_payload(3, job=job)))
    run = _wait(client)
    assert run.is_success
    assert run.payload["status"] == 10
    assert run.payload["job"] == job


def test_an_answer_about_another_run_is_none(client, api) -> None:
    """Neither to a poll nor to the request for details."""
    another = run_payload(20, id=RUN_ID + 1)
    _answers(api, 3)
    api.get(RUN_URL, json=envelope(another))
    _answers(api, 10)
    api.get(RUN_URL, json=envelope(another))
    run = _wait(client)
    assert (run.run_id, run.status) == (RUN_ID, 10)


@pytest.mark.parametrize(
    ("headers", "pause"), [({"Retry-After": "77"}, 77), ({}, 300), ({"Retry-After": "9999"}, 300)]
)
def test_a_rate_limit_does_not_cost_the_details(client, api, clock, headers, pause) -> None:
    """It is waited for once, as long as it asks within reason: the run is over."""
    _answers(api, 10)
    api.get(RUN_URL, status=429, headers=headers)
    api.get(RUN_URL, json=envelope(run_payload(10, run_steps=[step_payload(4, "dbt build", 10)])))
    assert len(_wait(client).steps) == 1
    assert sum(clock.pauses) == pause


def test_what_the_trigger_has_answered_stays_known(client, api) -> None:
    """Where dbt Cloud gives no details: the cause and the job."""
    known = {"trigger": {"cause": "Nightly"}, "job": {"id": 3001, "name": "nightly"}}
    api.get(RUN_URL, json=envelope(run_payload(10, trigger=None, job=None)))
    api.get(RUN_URL, status=429)
    run = _wait(client, run=Run.from_payload(run_payload(1, **known)))
    assert {name: run.payload[name] for name in known} == known
    assert run.is_success


def test_every_status_is_told_once(client, api, caplog) -> None:
    """Somebody follows the log; a line for each poll would hide the rest."""
    _answers(api, 1, 1, 2, 3, 3, 3, 20)
    _wait(client)
    assert [text for _, text in _messages(caplog)] == [
        f"dbt Cloud run {RUN_ID}: {name}" for name in ("Queued", "Starting", "Running", "Error")
    ]


class Heard(logging.Handler):
    """Notes the moment of each line."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.lines: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        self.lines.append((self.clock.now, record.getMessage()))


@pytest.fixture
def heard(clock: FakeClock) -> Iterator[list[tuple[float, str]]]:
    """What the wait says, and when."""
    handler = Heard(clock)
    LOG.addHandler(handler)
    yield handler.lines
    LOG.removeHandler(handler)


@pytest.mark.parametrize("poll_interval", [10, 100])
def test_a_long_wait_is_never_silent_for_more_than_half_a_minute(
    client, api, clock, heard, poll_interval
) -> None:
    """Nor does it speak more often, unless something changes."""
    api.add_callback("GET", RUN_URL, callback=_finishes_at(clock, clock.now + 3600))
    _wait(client, seconds=7200, poll_interval=poll_interval)
    gaps = [later - sooner for (sooner, _), (later, _) in itertools.pairwise(heard)]
    assert max(gaps) <= SILENCE + 1
    assert min(gaps[1:-1]) >= SILENCE


@pytest.mark.parametrize("retry_after", [{}, {"Retry-After": "600"}], ids=["cool-down", "told"])
def test_a_rate_limit_is_not_waited_for_in_silence(client, api, heard, retry_after) -> None:
    """However long dbt Cloud asks us to stay away."""
    _answers(api, 3)
    api.get(RUN_URL, status=429, headers=retry_after)
    _answers(api, 10)
    _wait(client)
    gaps = [later - sooner for (sooner, _), (later, _) in itertools.pairwise(heard)]
    assert max(gaps) <= SILENCE
    assert sum("gives no answer" in text for _, text in heard) >= 9


def test_how_far_a_run_is_comes_with_the_poll_before_it_is_told(client, api, heard, clock) -> None:
    """Its steps are asked for with no request of their own, and no more often than needed."""
    began = clock.now

    def respond(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        steps = [step_payload(4, "dbt build", 3)] if "run_steps" in (request.url or "") else []
        status = 10 if clock.now - began >= 100 else 3
        return 200, {}, json.dumps(envelope(run_payload(status, run_steps=steps)))

    api.add_callback("GET", RUN_URL, callback=respond)
    wait_for_run(
        client,
        QUEUED,
        deadline=None,
        poll_interval=10,
        log=LOG,
        progress=lambda run: f"{len(run.steps)} steps",
    )
    told = [text.rpartition(", ")[2] for _, text in heard if "Running after" in text]
    assert told == ["1 steps"] * 3
    polls = ["run_steps" in (call.request.url or "") for call in api.calls]
    assert polls.count(True) == len(told) + 1


def test_an_unknown_status_is_waited_through(client, api, caplog) -> None:
    """Until dbt Cloud says that the run is complete."""
    api.get(RUN_URL, json=envelope(run_payload(7, is_complete=False)))
    api.get(RUN_URL, json=envelope(run_payload(45, is_complete=True, is_success=True)))
    run = _wait(client)
    assert run.is_success
    assert [text.rpartition(": ")[2] for _, text in _messages(caplog)] == [
        "Queued",
        "status 7",
        "status 45",
    ]


def test_the_wait_leaves_the_client_its_retries() -> None:
    """Only polls are asked once."""
    clock = FakeClock()
    with (
        DbtCloudClient(
            account_id=ACCOUNT_ID, token=TOKEN, access_url=ACCESS_URL, clock=clock
        ) as client,
        responses.RequestsMock() as api,
    ):
        _answers(api, 10)
        api.get(RUN_URL, status=500)
        _answers(api, 10)
        assert _wait(client).is_success
        assert client.retry_policy.max_retries == 5
    assert len(clock.pauses) == 1


# Over real connections


RUNNING = reply(200, json.dumps(envelope(run_payload(3))).encode())
SUCCEEDED = reply(200, json.dumps(envelope(run_payload(10))).encode())
TRUNCATED = reply(200, json.dumps(envelope(run_payload(3))).encode()[:40], missing=100)

DEAD: dict[str, list[Any]] = {
    "resets": [Reset()],
    "closes": [Reply(closes=True)],
    "truncates": [TRUNCATED],
    "500s": [reply(500), reply(502, b"<html>"), reply(503), reply(504)],
    "pages": [reply(200, b"<html>Please stand by</html>")],
    "limits": [reply(429)],
    "limits for seconds": [reply(429, headers={"Retry-After": "20"})],
    "limits till a date": [reply(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})],
    "limits for years": [reply(503, headers={"Retry-After": "99999999999"})],
    "limits backwards": [reply(429, headers={"Retry-After": "-60"})],
    "limits absurdly": [reply(429, headers={"Retry-After": "soon"})],
    "all of it": [Reset(), reply(429), TRUNCATED, reply(502), reply(200, b"{}"), reply(408)],
}


@pytest.mark.parametrize("way", DEAD)
def test_five_minutes_of_a_dead_api_are_waited_through(clock, caplog, way) -> None:
    """However it is dead; it is told when it begins, when it ends, and twice a minute between."""
    began = clock.now
    answers = itertools.cycle(DEAD[way])

    def respond(_: Received) -> Reply | Reset:
        passed = clock.now - began
        if passed < 20:
            return RUNNING
        return next(answers) if passed < 320 else SUCCEEDED

    with serving(respond) as server, _client_of(server, clock) as client:
        assert _wait(client, seconds=7200).is_success
    told = [text for level, text in _messages(caplog) if level == "WARNING"]
    texts = [text for _, text in _messages(caplog)]
    assert len(told) == 1
    assert told[0].endswith("Waiting goes on.")
    assert texts.count("dbt Cloud answers again.") == 1
    assert texts[-1] == f"dbt Cloud run {RUN_ID}: Success"
    between = texts[texts.index(told[0]) + 1 : texts.index("dbt Cloud answers again.")]
    assert all(text.startswith("dbt Cloud gives no answer after") for text in between)
    assert len(between) <= (clock.now - began) / SILENCE
    assert clock.now - began <= 320 + max(3600 if way == "limits for years" else 300, 20)


@pytest.mark.parametrize("way", DEAD)
def test_a_dead_api_does_not_outlast_the_deadline(clock, caplog, way) -> None:
    """It is told as what it is: the run was not over, and why nobody knows more."""
    began = clock.now
    answers = itertools.cycle(DEAD[way])
    with (
        serving(lambda _: next(answers)) as server,
        _client_of(server, clock) as client,
        pytest.raises(DbtCloudWaitTimeoutError) as caught,
    ):
        _wait(client, seconds=600)
    assert 599 <= clock.now - began <= 600
    assert caught.value.__cause__ is not None
    assert [level for level, _ in _messages(caplog)].count("WARNING") == 1


@pytest.mark.parametrize(
    "hangs",
    [
        Silence(),
        Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"),
        Drip(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 90, pause=0.02, head_too=True),
        Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b" " * 9999, pause=0.02),
    ],
    ids=["no head", "no body", "a dripping head", "a dripping body"],
)
def test_the_deadline_holds_inside_a_request_that_hangs(hangs) -> None:
    """With a request timeout that is much longer than what is left."""
    clock = SystemClock()
    began = clock.monotonic()
    with (
        serving(lambda _: hangs) as server,
        _client_of(server, clock) as client,
        pytest.raises(DbtCloudWaitTimeoutError),
    ):
        _wait(client, seconds=0.4)
    assert 0.3 < clock.monotonic() - began < 2


def _client_of(server: Server, clock: Clock) -> DbtCloudClient:
    return DbtCloudClient(
        account_id=ACCOUNT_ID,
        token=TOKEN,
        access_url=server.url,
        clock=clock,
        request_timeout=60,
    )
