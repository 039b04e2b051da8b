"""Faults on purpose, over real HTTP: what the client sees, and what happened nevertheless."""

from collections.abc import Iterator

import pytest
import requests

from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob, Script
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.sandbox.test_client import Api


@pytest.fixture
def api() -> Iterator[Api]:
    """A sandbox with one job that ends at once."""
    with Sandbox(jobs=[SandboxJob(name="job", script=Script())]) as sandbox, Api(sandbox) as api:
        yield api


def trigger(api: Api, **options: float) -> requests.Response:
    """Trigger the job, whatever the answer."""
    path = f"{api.root}/jobs/{api.sandbox.jobs[0].id}/run/"
    return api.session.post(path, json={"cause": "x"}, **{"timeout": 10, **options})


def run_count(api: Api) -> int:
    """Return how many runs were started."""
    return len(api.data("/runs/"))


def test_a_status_fault_answers_in_place_of_the_api(api: Api) -> None:
    """Status, body and headers are those of the fault, and only so many requests are hit."""
    api.sandbox.inject(Fault(status=429, headers={"Retry-After": "7"}, body={"detail": "slow"}))
    response = api.get("/")
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert response.json() == {"detail": "slow"}
    assert api.get("/").status_code == 200


def test_a_fault_may_answer_with_anything(api: Api) -> None:
    """A gateway's page is sent as it is, and so is nothing at all."""
    api.sandbox.inject(Fault(status=502, body="<html>Bad gateway</html>", count=1))
    api.sandbox.inject(Fault(status=503))
    assert api.get("/").text == "<html>Bad gateway</html>"
    assert api.get("/").content == b""


@pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
def test_a_status_hides_whether_the_trigger_had_an_effect(api: Api, when, runs: int) -> None:
    """Before: no run was started. After: it was, and only the answer is lost."""
    api.sandbox.inject(Fault(method="POST", path="*/run/", when=when, status=504))
    assert trigger(api).status_code == 504
    assert run_count(api) == runs


@pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
def test_a_reset_closes_the_connection_without_an_answer(api: Api, when, runs: int) -> None:
    """The client sees a broken connection either way."""
    api.sandbox.inject(Fault(kind="reset", method="POST", when=when))
    with pytest.raises(requests.ConnectionError):
        trigger(api)
    assert run_count(api) == runs


@pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
def test_a_hang_outlasts_a_client_that_gives_up(api: Api, when, runs: int) -> None:
    """A request that hangs before its effect never has one once the client has gone."""
    api.sandbox.inject(Fault(kind="hang", method="POST", when=when, seconds=0.4))
    with pytest.raises(requests.ReadTimeout):
        trigger(api, timeout=0.2)
    api.sandbox.inject(Fault(kind="hang", path="*/projects/", seconds=0.4))
    assert api.get("/projects/").status_code == 200
    assert run_count(api) == runs


def test_a_sandbox_stops_although_requests_hang() -> None:
    """Stopping ends the wait of every fault."""
    with Sandbox(jobs=[SandboxJob(name="job", script=Script())]) as sandbox, Api(sandbox) as api:
        sandbox.inject(Fault(kind="hang", seconds=3600))
        with pytest.raises(requests.ReadTimeout):
            api.session.get(f"{api.root}/", timeout=0.1)
        until(lambda: len(sandbox.requests) == 1, "it is asked")


def test_a_truncated_body_is_shorter_than_its_headers_say(api: Api) -> None:
    """The client notices, because the length was announced."""
    api.sandbox.inject(Fault(kind="truncate"))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.get("/")


def test_a_fault_can_wait_for_later_requests(api: Api) -> None:
    """The first ones pass, then so many are hit as were asked for."""
    api.sandbox.inject(Fault(skip=1, count=2, path="*/projects/"))
    statuses = [api.get("/projects/").status_code for _ in range(4)]
    assert statuses == [200, 500, 500, 200]
    assert api.get("/").status_code == 200


def test_faults_can_be_lifted(api: Api) -> None:
    """One without a count hits every request until then."""
    api.sandbox.inject(Fault(count=None))
    assert [api.get("/").status_code for _ in range(3)] == [500] * 3
    api.sandbox.clear_faults()
    assert api.get("/").status_code == 200


def test_faults_are_injected_and_lifted_over_http_too(api: Api) -> None:
    """With the account's token, on paths that faults never hit."""
    control = f"{api.sandbox.access_url}/sandbox/faults"
    fault = {"status": 503, "count": None}
    assert requests.post(control, json=fault, timeout=10).status_code == 401
    assert api.session.post(control, json=fault, timeout=10).status_code == 201
    assert api.get("/").status_code == 503
    assert api.session.delete(control, timeout=10).status_code == 204
    assert api.get("/").status_code == 200


@pytest.mark.parametrize(
    "fault", [{"kind": "flood"}, {"when": "never"}, {"nth": 1}, {"status": 7}, {"count": "x"}, []]
)
def test_a_fault_that_makes_no_sense_is_refused(api: Api, fault) -> None:
    """A misspelt fault is never a fault that does nothing."""
    response = api.session.post(f"{api.sandbox.access_url}/sandbox/faults", json=fault, timeout=10)
    assert response.status_code == 400


def test_requests_are_recorded_with_their_connection_and_without_the_token(api: Api) -> None:
    """Whoever reads the record can count requests and connections, and learns no secret."""
    api.get("/runs/", limit=1)
    api.get("/jobs/")
    first, second = api.sandbox.requests
    assert (first.method, first.path.endswith("/runs/"), first.query) == ("GET", True, "limit=1")
    assert first.connection == second.connection
    requests.get(f"{api.root}/", timeout=10)
    assert api.sandbox.requests[-1].connection != first.connection
    recorded = api.session.get(f"{api.sandbox.access_url}/sandbox/requests", timeout=10)
    assert len(recorded.json()) == 3
    assert api.sandbox.token not in recorded.text
