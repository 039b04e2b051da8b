"""What the assets make of answers that contradict each other, come late, or are about others."""

import logging
from pathlib import Path
from typing import Any

import pytest
import requests

from dbt_trigger_dagster.assets.resources import DbtCloudResource
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Clock, SystemClock
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.sandbox import Fault, Script, ScriptStep
from dbt_trigger_dagster.sandbox.account.scripts import ScriptOutcome
from dbt_trigger_dagster_tests.clocks import FakeClock
from dbt_trigger_dagster_tests.graphs import (
    ARTIFACTS,
    BROKEN,
    GOOD,
    LANDED,
    SLOW,
    Project,
    a_project,
    failure_of,
    sent,
    until,
)
from dbt_trigger_dagster_tests.payloads import envelope, refusal

ON_TIMEOUT = {"max_wait_time": 0.2, "on_timeout": "cancel", "store_artifacts": False}
"""Artifacts of a run that has just ended would be waited for."""


def account(
    project: Project,
    *,
    clock: Clock | None = None,
    client: type[DbtCloudClient] = DbtCloudClient,
) -> DbtCloudResource:
    """The project's account, asked by a client of this kind on this clock."""

    class Account(DbtCloudResource):
        def build_client(self, log: logging.Logger | None = None) -> DbtCloudClient:
            return client(
                account_id=self.account_id,
                token=self.token,
                access_url=self.access_url,
                request_retry_delay=0,
                log=log,
                clock=clock or SystemClock(),
            )

    usual = project.account()
    return Account(account_id=usual.account_id, token=usual.token, access_url=usual.access_url)


def answered(project: Project, run_id: int, **changes: Any) -> dict[str, Any]:
    """What dbt Cloud says of a run, changed."""
    answer = requests.get(
        f"{project.sandbox.access_url}/api/v2/accounts/{project.sandbox.account_id}/runs/{run_id}/",
        headers={"Authorization": f"Token {project.sandbox.token}"},
        timeout=30,
    )
    payload: dict[str, Any] = answer.json()["data"]
    return envelope({**payload, **changes})


def triggered(project: Project) -> int:
    """A run that was triggered and is not landed."""
    assert project.materialize(selection=["trigger_response"]).success
    run_id: int = project.run_ids("dbt_cloud_trigger")[-1]
    return run_id


OLDER = {"status": 3, "status_humanized": "Running", "is_complete": False, "finished_at": None}
"""A run that is over, as an older copy still has it."""


def an_older_copy(project: Project, run_id: int, **times: Any) -> Fault:
    """Answers from an older copy."""
    older = answered(project, run_id, **OLDER)
    return Fault(path=f"*/runs/{run_id}/", status=200, body=older, **times)


def test_an_older_answer_with_details_does_not_take_an_end_back(tmp_path: Path) -> None:
    """One look says 10, the next one, with details, 3: the row says Success, with its steps."""
    with a_project(tmp_path, GOOD) as project:
        run_id = triggered(project)
        project.sandbox.inject(an_older_copy(project, run_id, skip=1, count=2))
        clock = FakeClock()
        result = project.materialize(
            selection=LANDED, resources={"dbt_cloud": account(project, clock=clock)}
        )
        assert result.success
        (row,) = project.rows("dbt_cloud_run")
        assert (row["id"], row["status"], row["status_humanized"]) == (run_id, 10, "Success")
        assert len(project.rows("dbt_cloud_run_step")) > 2
        assert len(project.files()) == len(ARTIFACTS)


def test_an_older_answer_that_stays_keeps_the_end_too(tmp_path: Path) -> None:
    """Whatever the look with details goes on saying."""
    with a_project(tmp_path, GOOD) as project:
        run_id = triggered(project)
        project.sandbox.inject(an_older_copy(project, run_id, skip=1, count=None))
        fast = {"dbt_cloud": account(project, clock=FakeClock())}
        assert project.materialize(selection=LANDED, resources=fast).success
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [10]


@pytest.mark.parametrize("skip", [0, 1], ids=["a poll", "the details"])
def test_an_answer_about_another_run_is_not_taken_for_ours(tmp_path: Path, skip: int) -> None:
    """A proxy that mixes up its answers costs one request."""
    with a_project(tmp_path, BROKEN, GOOD) as project:
        other, run_id = triggered(project), triggered(project)
        wrong = Fault(
            path=f"*/runs/{run_id}/", status=200, body=answered(project, other), skip=skip
        )
        project.sandbox.inject(wrong)
        fast = {"dbt_cloud": account(project, clock=FakeClock())}
        assert project.materialize(selection=LANDED, resources=fast).success
        assert [(row["id"], row["status"]) for row in project.rows("dbt_cloud_run")] == [
            (run_id, 10)
        ]


def test_a_rate_limit_on_the_details_does_not_cost_the_row_what_belongs_to_it(
    tmp_path: Path,
) -> None:
    """One 429: it is waited for once, and cause, trigger, job and steps are there."""
    with a_project(tmp_path, GOOD) as project:
        run_id = triggered(project)
        project.sandbox.inject(Fault(path=f"*/runs/{run_id}/", status=429, skip=1))
        clock = FakeClock()
        fast = {"dbt_cloud": account(project, clock=clock)}
        assert project.materialize(selection=LANDED, resources=fast).success
        (row,) = project.rows("dbt_cloud_run")
        assert row["cause"].startswith("Triggered from Dagster")
        assert '"nightly"' in row["job"]
        assert len(project.rows("dbt_cloud_run_step")) > 2
        assert sum(clock.pauses) >= 300


def test_where_the_details_are_refused_for_good_the_triggers_answer_is_kept(
    tmp_path: Path,
) -> None:
    """The cause and the job are known from it."""
    with a_project(tmp_path, GOOD) as project:
        run_id = triggered(project)
        limit = Fault(path=f"*/runs/{run_id}/", status=429, skip=1, count=None)
        project.sandbox.inject(limit)
        fast = {"dbt_cloud": account(project, clock=FakeClock())}
        assert project.materialize(selection=LANDED, resources=fast).success
        (row,) = project.rows("dbt_cloud_run")
        assert row["status"] == 10
        assert row["cause"].startswith("Triggered from Dagster")
        assert '"nightly"' in row["job"]


def whose_run_ends_meanwhile(project: Project, outcome: ScriptOutcome) -> type[DbtCloudClient]:
    """A client whose wish to cancel comes too late."""

    class Late(DbtCloudClient):
        def cancel_run(self, run_id: int) -> Run:
            until(lambda: project.dbt_runs()[0]["status"] == 3, "it has begun")
            project.sandbox.finish([run_id], outcome=outcome)
            return super().cancel_run(run_id)

    return Late


ODD = {
    "400": Fault(path="*/cancel/", status=400, body=refusal(400, "The run is over.")),
    "204": Fault(path="*/cancel/", status=204),
    "200 and no run": Fault(path="*/cancel/", status=200, body=envelope(None)),
    "200 and the run": None,
}


@pytest.mark.parametrize("answer", ODD)
@pytest.mark.parametrize("outcome", ["success", "error"])
def test_a_run_that_ends_before_it_is_cancelled_is_landed_as_it_ended(
    tmp_path: Path, outcome: ScriptOutcome, answer: str
) -> None:
    """on_timeout "cancel": whatever dbt Cloud answers, a look tells, and nothing goes on."""
    with a_project(tmp_path, SLOW) as project:
        if fault := ODD[answer]:
            project.sandbox.inject(fault)
        late = whose_run_ends_meanwhile(project, outcome)
        result = project.materialize(
            run=ON_TIMEOUT, resources={"dbt_cloud": account(project, client=late)}
        )
        status, name = {"success": (10, "Success"), "error": (20, "Error")}[outcome]
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [status]
        assert result.success is (outcome == "success")
        told = project.logs(result)
        assert any(f"had ended before it was cancelled: {name}" in line for line in told)
        assert [line for line in told if "run goes on" in line] == []
        if not result.success:
            description = str(failure_of(result, "dbt_cloud_run").description)
            assert f"ended: {name}" in description
            assert "was not over" not in description


@pytest.mark.parametrize("status", [400, 204])
def test_a_run_that_was_cancelled_despite_an_odd_answer_is_landed_as_cancelled(
    tmp_path: Path, status: int
) -> None:
    """The step fails, with the time and the run's address."""
    with a_project(tmp_path, SLOW) as project:
        project.sandbox.inject(Fault(path="*/cancel/", status=status, when="after"))
        result = project.materialize(run=ON_TIMEOUT)
        (dbt_run,) = project.dbt_runs()
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [30]
        description = str(failure_of(result, "dbt_cloud_run").description)
        assert "was cancelled after 0 s" in description
        assert dbt_run["href"] in description
        assert len(sent(project.sandbox, "POST", "/cancel/")) == 1


def test_one_odd_answer_to_a_poll_does_not_end_the_wait(tmp_path: Path) -> None:
    """A firewall's page, a gateway's 404, one 401 of dbt Cloud's own."""
    with a_project(tmp_path, GOOD) as project:
        run_id = triggered(project)
        for odd in (
            {"status": 403, "body": "<html>Blocked</html>"},
            {"status": 404, "body": "<html>Not found</html>"},
            {"status": 401, "body": refusal(401, "Invalid token.")},
            {"status": 451},
        ):
            project.sandbox.inject(Fault(path=f"*/runs/{run_id}/", **odd))
        fast = {"dbt_cloud": account(project, clock=FakeClock())}
        assert project.materialize(selection=LANDED, resources=fast).success
        assert project.run_ids() == [run_id]


BUILDING = "\n".join(
    f"07:00:00  {number} of 40 OK created sql view model main.m{number} [OK in 0.1s]"
    for number in range(1, 13)
)


def test_a_long_wait_says_which_step_runs_and_how_far(tmp_path: Path) -> None:
    """Twice a minute, from the polls: no request more than a wait that says nothing."""
    clock = FakeClock()
    begun = clock.now
    steps = (ScriptStep("Clone"), ScriptStep("Invoke dbt with `dbt build`", BUILDING))
    with a_project(tmp_path, Script(seconds=600, steps=steps)) as project:
        run_id = triggered(project)

        def end(now: float) -> None:
            if now - begun > 100 and project.dbt_runs()[0]["status"] == 3:
                project.sandbox.finish([run_id])

        clock.on_sleep = end
        fast = {"dbt_cloud": account(project, clock=clock)}
        result = project.materialize(selection=LANDED, run={"poll_interval": 10}, resources=fast)
        assert result.success
        told = [line for line in project.logs(result) if "Running after" in line]
        assert told == [
            f"dbt Cloud run {run_id}: Running after {seconds} s, step 2: Invoke dbt with "
            "`dbt build`, 12 of 40 nodes"
            for seconds in (30, 60, 90)
        ]
        polls = sent(project.sandbox, "GET", f"/runs/{run_id}/")
        assert len(polls) < 45
