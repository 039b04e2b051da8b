"""Waiting for a run: pauses, the deadline, outages, and answers that end the wait."""

import itertools
import json
import logging
from collections.abc import Callable
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
from dbt_trigger_dagster.dbt_cloud.wait import DETAILS, NOT_FOUND_GRACE, poll_pause, wait_for_run
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
    assert clock.pauses == sorted(clock.pauses)
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
    api.add_callback("GET", RUN_URL, callback=_finishes_at(clock, float("inf")))
    limits = []
    clock.on_sleep = lambda now: limits.append(deadline_at - now)
    deadline_at = clock.now + 40
    with pytest.raises(DbtCloudWaitTimeoutError):
        _wait(client, seconds=40)
    timeouts = [call.request.req_kwargs["timeout"] for call in api.calls]
    assert timeouts[0] == 30
    assert timeouts[1:] == pytest.approx([min(30, limit) for limit in limits])
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
    assert clock.pauses == [pause]


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


@pytest.mark.parametrize(
    ("status", "error_type"),
    [(400, DbtCloudResponseError), (401, DbtCloudAuthError), (403, DbtCloudAuthError)],
)
def test_an_answer_that_no_repetition_changes_ends_the_wait(
    client, api, clock, status, error_type
) -> None:
    """A token that was revoked does not come back."""
    _answers(api, 3)
    api.get(RUN_URL, status=status, json=refusal(status, "No."))
    with pytest.raises(error_type):
        _wait(client)
    assert clock.pauses == [1]


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


def test_every_status_is_told_once(client, api, caplog) -> None:
    """Somebody follows the log; a line for each poll would hide the rest."""
    _answers(api, 1, 1, 2, 3, 3, 3, 20)
    _wait(client)
    assert [text for _, text in _messages(caplog)] == [
        f"dbt Cloud run {RUN_ID}: {name}" for name in ("Queued", "Starting", "Running", "Error")
    ]


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
def test_five_minutes_of_a_dead_api_are_waited_through_in_silence(clock, caplog, way) -> None:
    """However it is dead; one line when it begins, one when it ends, and none between."""
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
    assert len(texts) == 5
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
    assert len(_messages(caplog)) == 2


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
