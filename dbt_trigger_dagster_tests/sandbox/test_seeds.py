"""Runs that are put into the sandbox: old ones, ones in flight, and clocks that differ."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from dbt_trigger_dagster.sandbox import Sandbox, SandboxError, SandboxJob, Script, SeededRun
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.sandbox.test_client import Api

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
JOBS = [
    SandboxJob(name="hourly", script=Script(seconds=3600, artifacts={"manifest.json": "{}"})),
    SandboxJob(name="quick", script=Script()),
]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A job whose runs take an hour, and one whose runs take no time."""
    with Sandbox(jobs=JOBS) as sandbox:
        yield sandbox


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Api]:
    """A client of the sandbox."""
    with Api(sandbox) as api:
        yield api


def ended(api: Api, start: datetime, stop: datetime, **more: Any) -> list[int]:
    """The runs that ended within a range, by their end."""
    between = json.dumps([start.isoformat(), stop.isoformat()])
    runs = api.data("/runs/", finished_at__range=between, order_by="finished_at", **more)
    return [run["id"] for run in runs]


def test_an_old_run_is_as_if_it_had_been_triggered_then(sandbox: Sandbox, api: Api) -> None:
    """Its times, its cause, its outcome, its steps and its artifacts."""
    script = Script(outcome="error", seconds=90, artifacts={"run_results.json": "{}"})
    seed = SeededRun(sandbox.jobs[0].id, NOON, script, "tests [dagster 1]", "scheduled")
    (run_id,) = sandbox.seed([seed])
    run = api.run(run_id, "run_steps,trigger")
    assert (run["status"], run["status_message"]) == (20, "dbt command failed")
    assert run["created_at"] == run["started_at"] == "2026-01-01 11:58:30.000000+00:00"
    assert run["finished_at"] == "2026-01-01 12:00:00.000000+00:00"
    assert (run["duration"], run["run_duration"]) == ("00:01:30", "00:01:30")
    assert run["trigger"]["cause"] == "tests [dagster 1]"
    assert run["trigger"]["cause_category"] == "scheduled"
    assert [step["status"] for step in run["run_steps"]] == [10, 10, 10, 20]
    assert run["run_steps"][-1]["finished_at"] == "2026-01-01 11:59:57.000000+00:00"
    assert api.data(f"/runs/{run_id}/artifacts/") == ["run_results.json"]


def test_a_seeded_run_follows_its_job_unless_told_otherwise(sandbox: Sandbox, api: Api) -> None:
    """The job's script says how long it took and what it left."""
    (run_id,) = sandbox.seed([SeededRun(sandbox.jobs[0].id, NOON)])
    assert api.run(run_id)["run_duration"] == "01:00:00"
    assert api.data(f"/runs/{run_id}/artifacts/") == ["manifest.json"]


def test_runs_may_share_the_moment_of_their_end(sandbox: Sandbox, api: Api) -> None:
    """They are listed by their ids, on pages that neither repeat nor miss one."""
    quick = sandbox.jobs[1].id
    ids = sandbox.seed(SeededRun(quick, NOON) for _ in range(7))
    found = [ended(api, NOON, NOON, limit=3, offset=offset) for offset in (0, 3, 6)]
    assert found == [ids[:3], ids[3:6], ids[6:]]


def test_any_number_of_runs_of_a_job_may_be_in_flight(sandbox: Sandbox, api: Api) -> None:
    """They do not queue, take no thread, and end when they are told to."""
    hourly = sandbox.jobs[0].id
    ids = sandbox.seed(SeededRun(hourly) for _ in range(300))
    assert [run["status"] for run in api.data("/runs/")] == [3] * 100
    sandbox.finish(ids[10:12], finished_at=NOON)
    sandbox.finish(ids[12:13], outcome="error", finished_at=NOON)
    assert ended(api, NOON, NOON) == ids[10:13]
    assert [api.run(run_id)["status"] for run_id in ids[9:14]] == [3, 10, 10, 20, 3]


def test_a_run_that_was_triggered_can_be_ended_too(sandbox: Sandbox, api: Api) -> None:
    """Before its script would, with its artifacts; the next one of its job begins."""
    first, second = api.trigger()["id"], api.trigger()["id"]
    sandbox.finish([first])
    run = api.run(first)
    assert (run["status"], run["run_steps"][-1]["status"]) == (10, 10)
    assert api.data(f"/runs/{first}/artifacts/") == ["manifest.json"]
    until(lambda: api.run(second)["status"] == 3, "it runs")
    sandbox.finish([second, second], outcome="cancelled")
    assert api.run(second)["status"] == 30


def test_a_seeded_run_in_flight_can_be_cancelled_and_found_by_its_marker(
    sandbox: Sandbox, api: Api
) -> None:
    """It is a run as any other."""
    (run_id,) = sandbox.seed([SeededRun(sandbox.jobs[0].id, cause="[dagster 1]")])
    listed = api.data("/runs/", order_by="-id", include_related="trigger")
    assert listed[0]["trigger"]["cause"] == "[dagster 1]"
    api.post(f"/runs/{run_id}/cancel/")
    until(lambda: api.run(run_id)["status"] == 30, "it is cancelled")


def test_only_scripted_runs_in_flight_can_be_ended(sandbox: Sandbox, api: Api) -> None:
    """One that is over, one that waits and one that does not exist cannot."""
    (over,) = sandbox.seed([SeededRun(sandbox.jobs[0].id, NOON)])
    api.trigger()
    waiting = api.trigger()["id"]
    for run_id in (over, waiting):
        with pytest.raises(SandboxError, match=f"Run {run_id} is not a scripted run in flight"):
            sandbox.finish([run_id])
    with pytest.raises(SandboxError, match="There is no run 5"):
        sandbox.finish([5])
    with pytest.raises(SandboxError, match="There is no job 5"):
        sandbox.seed([SeededRun(5)])


def test_runs_can_be_put_only_into_a_sandbox_that_is_started() -> None:
    """Before and after, there is nobody to take them."""
    sandbox = Sandbox(jobs=JOBS)
    with pytest.raises(SandboxError, match="not started"):
        sandbox.seed([])
    with sandbox:
        assert sandbox.seed([]) == []
    with pytest.raises(SandboxError, match="not started"):
        sandbox.finish([])


@pytest.mark.parametrize("days", [-3, 3])
def test_the_accounts_clock_may_differ_from_ours(days: int) -> None:
    """All that the API writes is by that clock, the header ``Date`` too, and so are ranges."""
    offset = timedelta(days=days)
    with Sandbox(jobs=JOBS, clock_offset=offset) as sandbox, Api(sandbox) as api:
        run_id = api.trigger(1)["id"]
        run = api.finished_run(run_id)
        now = datetime.now(timezone.utc) + offset
        texts = [run[name] for name in ("created_at", "started_at", "finished_at", "updated_at")]
        texts += [step["finished_at"] for step in run["run_steps"]]
        assert all(abs(datetime.fromisoformat(text) - now) < timedelta(minutes=5) for text in texts)
        assert run["finished_at_humanized"] in {"0 minutes ago", "1 second ago"}
        assert ended(api, now - timedelta(hours=1), now + timedelta(hours=1)) == [run_id]
        date = parsedate_to_datetime(api.get("/runs/").headers["Date"])
        assert abs(date - now) < timedelta(minutes=5)
