"""The client: one method for each endpoint, and requests that start a run are sent once."""

import io
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudAuthError,
    DbtCloudError,
    DbtCloudJobNameError,
    DbtCloudPayloadError,
    DbtCloudRequestError,
)
from dbt_trigger_dagster.dbt_cloud.models import Run, RunStatus
from dbt_trigger_dagster.dbt_cloud.parameters import JobFilter, RunFilter, TriggerRequest
from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob, Script
from dbt_trigger_dagster_tests.clocks import FakeClock
from dbt_trigger_dagster_tests.dbt_cloud.test_parameters import (
    JOB_FILTER_QUERY,
    RUN_FILTER_QUERY,
    TRIGGER_BODY,
)
from dbt_trigger_dagster_tests.payloads import (
    ACCESS_URL,
    ACCOUNT_ID,
    ACCOUNT_URL,
    JOB_ID,
    RUN_ID,
    RUN_URL,
    TOKEN,
    envelope,
    job_payload,
    refusal,
    run_payload,
    step_payload,
)
from dbt_trigger_dagster_tests.servers import (
    Received,
    Reply,
    Reset,
    Silence,
    free_port,
    reply,
    serving,
)

JOBS_URL = f"{ACCOUNT_URL}jobs/"
RUNS_URL = f"{ACCOUNT_URL}runs/"
GOOD_RUN = json.dumps(envelope(run_payload(1))).encode()

Start = Callable[[DbtCloudClient], Run]

STARTS: dict[str, tuple[str, Start]] = {
    "trigger": (
        f"jobs/{JOB_ID}/run/",
        lambda client: client.trigger_run(JOB_ID, TriggerRequest(cause="Nightly")),
    ),
    "rerun": (f"jobs/{JOB_ID}/rerun/", lambda client: client.rerun_job(JOB_ID)),
    "retry": (f"runs/{RUN_ID - 1}/retry/", lambda client: client.retry_run(RUN_ID - 1)),
}

UNCERTAIN: dict[str, Reply | Reset | Silence] = {
    "reset": Reset(),
    "closed": Reply(closes=True),
    "no answer in time": Silence(),
    "no http": Reply(b"rubbish\r\n\r\n", closes=True),
    "half a body": reply(200, GOOD_RUN[:50], missing=50),
    "half a json": reply(200, GOOD_RUN[:50]),
    "an empty body": reply(200),
    "html": reply(200, b"<html></html>"),
    "data that is null": reply(200, b'{"data": null}'),
    "data without an id": reply(200, b'{"data": {"status": 1}}'),
    "moved": reply(308, headers={"Location": "/elsewhere/"}),
} | {str(status): reply(status, b"busy") for status in (408, 425, 429, 500, 502, 503, 504)}

REFUSED = {str(status): reply(status, b"{}") for status in (400, 401, 403, 404, 405, 409, 422)}


def _client(access_url: str, **settings: Any) -> DbtCloudClient:
    defaults = {"account_id": ACCOUNT_ID, "token": TOKEN, "clock": FakeClock()}
    return DbtCloudClient(access_url=access_url, **(defaults | settings))


def _timeout(answer: Reply | Reset | Silence) -> float:
    """Short only where nothing else ends the request: a busy machine is late with its answers."""
    return 1 if isinstance(answer, Silence) else 60


def _query(request: requests.PreparedRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url or "").query, keep_blank_values=True))


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("fault", {**UNCERTAIN, **REFUSED})
def test_a_request_that_starts_a_run_is_sent_once_whatever_happens(start, fault) -> None:
    """A second POST may be a second run, on the first connection as well as on a used one."""
    path, post = STARTS[start]
    answer = {**UNCERTAIN, **REFUSED}[fault]

    def respond(request: Received) -> Reply | Reset | Silence:
        return reply(200, GOOD_RUN) if request.method == "GET" else answer

    with (
        serving(respond) as server,
        _client(server.url, request_timeout=_timeout(answer)) as client,
    ):
        client.get_run(RUN_ID)
        with pytest.raises(DbtCloudError):
            post(client)
    posts = [request.target for request in server.received if request.method == "POST"]
    assert posts == [f"/api/v2/accounts/{ACCOUNT_ID}/{path}"]


@pytest.mark.parametrize("start", STARTS)
def test_a_request_that_starts_a_run_is_sent_again_when_it_was_never_sent(start, clock) -> None:
    """No connection, no run."""
    _, post = STARTS[start]
    client = _client(f"http://127.0.0.1:{free_port()}", clock=clock, request_max_retries=2)
    with client, pytest.raises(DbtCloudRequestError) as caught:
        post(client)
    assert not caught.value.may_have_been_sent
    assert len(clock.pauses) == 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get_run(RUN_ID),
        lambda client: client.get_run(RUN_ID, include_related=["trigger"]),
        lambda client: client.cancel_run(RUN_ID),
    ],
    ids=["poll", "details", "cancel"],
)
def test_an_answer_about_another_run_is_refused(client, api, ask) -> None:
    """Somebody's proxy has mixed it up."""
    for method in ("GET", "POST"):
        for path in ("", "cancel/"):
            api.add(method, RUN_URL + path, json=envelope(run_payload(10, id=RUN_ID + 1)))
    api.assert_all_requests_are_fired = False
    with pytest.raises(DbtCloudPayloadError, match=f"about run {RUN_ID + 1}"):
        ask(client)


@pytest.mark.parametrize("answer", [{"id": RUN_ID}, {"id": RUN_ID + 2, "retrying_run_id": 7}])
def test_an_answer_about_another_retry_is_refused(client, api, answer) -> None:
    """It is a new run, and names the one that it continues, where it names one."""
    api.post(RUN_URL + "retry/", json=envelope(run_payload(1, **answer)))
    with pytest.raises(DbtCloudPayloadError, match="which retries"):
        client.retry_run(RUN_ID)


@pytest.mark.parametrize("fault", ["reset", "closed", "no answer in time", "500", "504", "408"])
def test_a_cancellation_is_sent_again(fault) -> None:
    """To cancel twice does no harm; not to cancel does."""
    answers = iter([UNCERTAIN[fault], reply(200, GOOD_RUN)])
    with (
        serving(lambda _: next(answers)) as server,
        _client(server.url, request_timeout=_timeout(UNCERTAIN[fault])) as client,
    ):
        assert client.cancel_run(RUN_ID).run_id == RUN_ID
    assert [request.target for request in server.received] == [
        f"/api/v2/accounts/{ACCOUNT_ID}/runs/{RUN_ID}/cancel/"
    ] * 2


def test_an_idle_connection_that_ended_costs_a_trigger_nothing() -> None:
    """The dead connection is noticed before the POST is written, and one run starts."""

    def respond(request: Received) -> Reply:
        return reply(200, GOOD_RUN, closes=request.method == "GET")

    with serving(respond) as server, _client(server.url) as client:
        client.get_run(RUN_ID)
        assert server.closed.acquire(timeout=60)
        client.trigger_run(JOB_ID, TriggerRequest(cause="Nightly"))
    assert [request.method for request in server.received] == ["GET", "POST"]


@pytest.mark.parametrize("kind", ["reset", "status", "truncate"])
def test_a_trigger_whose_answer_is_lost_has_started_one_run(kind) -> None:
    """The run is there to be found; the client has not started another."""
    with Sandbox(jobs=[SandboxJob(name="nightly", script=Script())]) as sandbox:
        sandbox.inject(Fault(kind=kind, method="POST", when="after", status=502))
        job_id = sandbox.jobs[0].id
        with _client(
            sandbox.access_url, account_id=sandbox.account_id, token=sandbox.token
        ) as client:
            with pytest.raises(DbtCloudError):
                client.trigger_run(job_id, TriggerRequest(cause="Nightly"))
            runs = list(client.list_runs(RunFilter(job_definition_id=job_id)))
    assert len(runs) == 1


def test_the_lifecycle_of_a_run_works_against_the_sandbox() -> None:
    """Everything that the client can ask for, over real HTTP."""
    jobs = [
        SandboxJob(name="slow", script=Script(seconds=60)),
        SandboxJob(name="quick", script=Script(artifacts={"a b/é#1%.json": "{}"})),
    ]
    with (
        Sandbox(jobs=jobs) as sandbox,
        _client(sandbox.access_url, account_id=sandbox.account_id, token=sandbox.token) as client,
    ):
        assert client.get_account()["id"] == sandbox.account_id
        slow = client.find_job("slow")
        assert client.get_job(slow.job_id) == slow
        run = client.trigger_run(slow.job_id, TriggerRequest(cause="é", steps_override=["dbt run"]))
        client.cancel_run(run.run_id)
        detailed = client.get_run(run.run_id, include_related=["trigger", "job", "run_steps"])
        assert detailed.payload["trigger"]["steps_override"] == ["dbt run"]
        in_flight = RunFilter(job_definition_id=slow.job_id, status__in=[1, 2, 3])
        assert list(client.list_runs(in_flight)) == []
        assert [job.name for job in client.list_jobs()] == ["slow", "quick"]
    connections = {request.connection for request in sandbox.requests}
    assert len(connections) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"account_id": 0}, "account_id 0"),
        ({"account_id": -1}, "account_id -1"),
        ({"request_timeout": 0}, "request_timeout 0"),
        ({"request_timeout": -1.5}, "request_timeout -1.5"),
        ({"request_max_retries": -1}, "must be 0 or more"),
        ({"request_retry_delay": -0.1}, "must be 0 or more"),
        ({"access_url": "http://ab123.us1.dbt.com"}, "unencrypted"),
        ({"token": ""}, "token is empty"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_at_once(settings, message) -> None:
    """By name, before a request is made."""
    good = {"account_id": ACCOUNT_ID, "token": TOKEN, "access_url": ACCESS_URL}
    with pytest.raises(ValueError, match=message):
        DbtCloudClient(**(good | settings))


def test_the_settings_of_requests_are_obeyed(api) -> None:
    """Timeout, number of repetitions, length of pauses, log and clock."""
    clock = FakeClock()
    log = logging.getLogger("mine")
    client = _client(
        ACCESS_URL,
        clock=clock,
        request_timeout=12.5,
        request_max_retries=2,
        request_retry_delay=4,
        log=log,
    )
    api.get(RUN_URL, status=500)
    with client, pytest.raises(DbtCloudError):
        client.get_run(RUN_ID)
    assert len(api.calls) == 3
    assert {call.request.req_kwargs["timeout"] for call in api.calls} == {12.5}
    assert len(clock.pauses) == 2
    assert clock.pauses[0] <= 4
    assert clock.pauses[1] <= 8
    assert client.retry_policy.log is log


def test_the_access_url_is_told_in_its_normal_form() -> None:
    """It stands in messages and metadata."""
    with _client("ab123.us1.dbt.com/") as client:
        assert client.access_url == "https://ab123.us1.dbt.com"


def test_neither_repr_nor_attributes_of_the_client_show_the_token(client) -> None:
    """Somebody will log it."""
    shown = f"{client!r} {client} {vars(client)} {vars(client._transport)} {client._transport!r}"
    assert TOKEN not in shown


def test_with_options_asks_once_on_the_same_connections(client, api) -> None:
    """And leaves the client itself as it was."""
    single = client.with_options(max_retries=0)
    assert single._transport is client._transport
    api.get(RUN_URL, status=500)
    with pytest.raises(DbtCloudError):
        single.get_run(RUN_ID)
    assert len(api.calls) == 1
    assert client.retry_policy.max_retries == 5


def test_with_options_sets_a_deadline_and_keeps_what_it_is_not_given(client, api, clock) -> None:
    """A pause that would reach the deadline is not made."""
    hurried = client.with_options(deadline=Deadline.after(60, clock)).with_options(max_retries=3)
    api.get(RUN_URL, status=503, headers={"Retry-After": "61"})
    with pytest.raises(DbtCloudError):
        hurried.get_run(RUN_ID)
    assert clock.pauses == []
    assert hurried.retry_policy.max_retries == 3


def test_the_account_is_a_cheap_check_of_token_and_host(client, api) -> None:
    """Its payload as it is."""
    api.get(ACCOUNT_URL, json=envelope({"id": ACCOUNT_ID, "name": "Ours"}))
    assert client.get_account() == {"id": ACCOUNT_ID, "name": "Ours"}


def test_a_wrong_token_is_told_with_the_host_as_another_cause(client, api) -> None:
    """The same answer comes from the wrong region."""
    api.get(ACCOUNT_URL, status=401, json=refusal(401, "Invalid token."))
    with pytest.raises(DbtCloudAuthError, match=r"401: Invalid token\. .* access_url"):
        client.get_account()


def test_the_trigger_carries_the_whole_request(client, api) -> None:
    """Path, slash, body; and the answer is the run."""
    api.post(f"{JOBS_URL}{JOB_ID}/run/", body=GOOD_RUN)
    run = client.trigger_run(JOB_ID, TriggerRequest(**TRIGGER_BODY))
    assert (run.run_id, run.status) == (RUN_ID, RunStatus.QUEUED)
    assert json.loads(api.calls[0].request.body) == TRIGGER_BODY


@pytest.mark.parametrize("start", ["rerun", "retry"])
def test_retry_and_rerun_have_no_body(client, api, start) -> None:
    """The API defines none."""
    path, post = STARTS[start]
    api.post(ACCOUNT_URL + path, body=GOOD_RUN)
    post(client)
    assert api.calls[0].request.body is None


def test_a_run_is_asked_for_with_what_belongs_to_it(client, api) -> None:
    """Separated by commas, and not at all when nothing is wanted."""
    api.get(RUN_URL, body=GOOD_RUN)
    client.get_run(RUN_ID)
    client.get_run(RUN_ID, include_related=["trigger", "run_steps"])
    assert [_query(call.request) for call in api.calls] == [
        {},
        {"include_related": "trigger,run_steps"},
    ]


def test_every_field_of_a_run_filter_arrives_in_the_query(client, api) -> None:
    """In the form that the API wants, next to order, page and what is included."""
    api.get(RUNS_URL, json=envelope([], total=0))
    run_filter = RunFilter(**{name: value for name, (value, _) in RUN_FILTER_QUERY.items()})
    list(client.list_runs(run_filter, order_by="-id", include_related=["trigger"], page_size=10))
    assert _query(api.calls[0].request) == {
        **{name: text for name, (_, text) in RUN_FILTER_QUERY.items()},
        "order_by": "-id",
        "include_related": "trigger",
        "limit": "10",
        "offset": "0",
    }


def test_every_field_of_a_job_filter_arrives_in_the_query(client, api) -> None:
    """Blanks and percent signs in a name included."""
    api.get(JOBS_URL, json=envelope([], total=0))
    list(
        client.list_jobs(
            JobFilter(**{name: value for name, (value, _) in JOB_FILTER_QUERY.items()})
        )
    )
    assert _query(api.calls[0].request) == {
        **{name: text for name, (_, text) in JOB_FILTER_QUERY.items()},
        "order_by": "id",
        "limit": "100",
        "offset": "0",
    }


def test_runs_are_listed_over_pages(client, api) -> None:
    """As runs, in the order of the API."""
    api.get(RUNS_URL, json=envelope([run_payload(id=1), run_payload(id=2)], total=3))
    api.get(RUNS_URL, json=envelope([run_payload(40, id=3, brand_new=1)], total=3))
    assert [run.run_id for run in client.list_runs()] == [1, 2, 3]


def test_a_list_of_runs_may_begin_at_an_offset(client, api) -> None:
    """The pages after it follow on."""
    api.get(RUNS_URL, json=envelope([run_payload(id=6), run_payload(id=7)], total=8))
    api.get(RUNS_URL, json=envelope([run_payload(id=8)], total=8))
    listed = client.list_runs(page_size=2, offset=5)
    assert [run.run_id for run in listed] == [6, 7, 8]
    assert [_query(call.request)["offset"] for call in api.calls] == ["5", "7"]


@pytest.mark.parametrize(
    "odd", [{"no": "id"}, None, "text", [], {"id": None}, {"id": "x"}, {"id": True}, {"id": 1e400}]
)
def test_an_unreadable_run_in_a_list_costs_only_itself(client, api, odd, caplog) -> None:
    """However odd; what is wrong is told once."""
    body = json.dumps(envelope([odd, run_payload(), odd], total=3))
    api.get(RUNS_URL, body=body)
    assert [run.run_id for run in client.list_runs()] == [RUN_ID]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "GET runs/ was answered with data that cannot be read" in caplog.text
    assert "2 of the list are left out." in caplog.text


@pytest.mark.parametrize("said", [None, 0, ACCOUNT_ID])
def test_a_run_is_the_accounts_whatever_the_answer_says(client, api, said) -> None:
    """The client knows whom it asked; files and rows would land under 0."""
    payload = run_payload(account_id=said)
    api.get(RUN_URL, json=envelope(payload))
    run = client.get_run(RUN_ID)
    assert (run.account_id, run.payload["account_id"]) == (ACCOUNT_ID, ACCOUNT_ID)
    assert run.payload == payload | {"account_id": ACCOUNT_ID}


def test_a_job_is_found_by_its_exact_name(client, api) -> None:
    """The API only finds parts of names, in any case."""
    jobs = [job_payload(1, "nightly"), job_payload(2, "Nightly"), job_payload(3, "Nightly 2")]
    api.get(JOBS_URL, json=envelope(jobs, total=3))
    assert client.find_job("Nightly").job_id == 2
    assert _query(api.calls[0].request)["name__icontains"] == "Nightly"


def test_an_ambiguous_job_name_is_an_error_that_lists_the_ids(client, api) -> None:
    """Whichever were taken, it could be the wrong one."""
    jobs = [job_payload(1, "Nightly"), job_payload(2, "Nightly")]
    api.get(JOBS_URL, json=envelope(jobs, total=2))
    with pytest.raises(DbtCloudJobNameError, match=r"2 jobs are named 'Nightly'.*1, 2\."):
        client.find_job("Nightly")


def test_a_missing_job_name_is_an_error_that_lists_the_nearest(client, api) -> None:
    """At most five, the best first, with their ids."""
    jobs = [job_payload(number, f"Weekly {number}") for number in range(1, 8)]
    api.get(JOBS_URL, json=envelope([], total=0))
    api.get(JOBS_URL, json=envelope([*jobs, job_payload(9, "Nightly")], total=8))
    with pytest.raises(DbtCloudJobNameError, match="No job is named 'Nigthly'") as caught:
        client.find_job("Nigthly")
    assert "The nearest names: 'Nightly' (9), " in str(caught.value)
    assert str(caught.value).count("Weekly") == 4


def test_a_missing_job_name_in_an_empty_account_says_so(client, api) -> None:
    """Then the token's permissions are the thing to look at."""
    api.get(JOBS_URL, json=envelope([], total=0))
    with pytest.raises(DbtCloudJobNameError, match="sees no jobs"):
        client.find_job("Nightly")


def test_a_step_is_read(client, api) -> None:
    """With its logs."""
    api.get(f"{ACCOUNT_URL}steps/5/", json=envelope(step_payload(4, "dbt build", 20)))
    step = client.get_step(5)
    assert (step.index, step.has_failed, step.logs) == (4, True, "log of dbt build")


@pytest.mark.parametrize(("data", "paths"), [(["b", "a/c"], ["b", "a/c"]), ([], []), (None, [])])
def test_artifacts_are_listed_as_paths(client, api, data, paths) -> None:
    """A run without any is no error."""
    api.get(f"{RUN_URL}artifacts/", json=envelope(data))
    assert client.list_artifacts(RUN_ID) == paths


@pytest.mark.parametrize(
    ("path", "on_the_wire"),
    [
        ("manifest.json", "manifest.json"),
        ("compiled/shop/models/a.sql", "compiled/shop/models/a.sql"),
        ("a b/c#d.json", "a%20b/c%23d.json"),
        ("100%/what?.sql", "100%25/what%3F.sql"),
        ("50%20/x", "50%2520/x"),
        ("größe/日本.json", "gr%C3%B6%C3%9Fe/%E6%97%A5%E6%9C%AC.json"),
        ("a+b&c=d;e", "a%2Bb%26c%3Dd%3Be"),
    ],
)
def test_the_name_of_an_artifact_is_quoted_on_the_wire(path, on_the_wire) -> None:
    """A hash would end the path and a percent sign would mean something else."""
    with serving(lambda _: reply(200, b"{}")) as server, _client(server.url) as client:
        client.download_artifact(RUN_ID, path, io.BytesIO())
    (request,) = server.received
    prefix = f"/api/v2/accounts/{ACCOUNT_ID}/runs/{RUN_ID}/artifacts/"
    assert request.target == prefix + on_the_wire


def test_the_artifact_of_a_step_is_asked_for_by_its_number() -> None:
    """Without a number there is no parameter: dbt Cloud takes the last step."""
    with serving(lambda _: reply(200, b"{}")) as server, _client(server.url) as client:
        client.download_artifact(RUN_ID, "manifest.json", io.BytesIO())
        client.download_artifact(RUN_ID, "manifest.json", io.BytesIO(), step=4)
    queries = [urlsplit(request.target).query for request in server.received]
    assert queries == ["", "step=4"]


def test_downloads_one_after_the_other_share_a_connection() -> None:
    """Each body is read to its end, so that the connection can be used again."""
    with serving(lambda _: reply(200, b"{}")) as server, _client(server.url) as client:
        for _ in range(5):
            client.download_artifact(RUN_ID, "manifest.json", io.BytesIO())
    assert server.connections == 1


def test_a_closed_client_leaves_no_connection_open() -> None:
    """Leaving the ``with`` block closes the pool."""
    with serving(lambda _: reply(200, GOOD_RUN)) as server:
        with _client(server.url) as client:
            client.get_run(RUN_ID)
        assert list(client._transport._adapter.poolmanager.pools.keys()) == []  # type: ignore[attr-defined]


def test_a_lost_trigger_says_that_it_may_have_been_sent(client, api) -> None:
    """Whoever catches it has to look for the run before trying again."""
    api.post(f"{JOBS_URL}{JOB_ID}/run/", body=requests.ReadTimeout("slow"))
    with pytest.raises(DbtCloudRequestError) as caught:
        client.trigger_run(JOB_ID, TriggerRequest(cause="Nightly"))
    assert caught.value.may_have_been_sent
