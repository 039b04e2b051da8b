"""What a repeated step makes of a run that failed: dbt Cloud continues it, exactly once."""

import functools
import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster.assets.config import DbtCloudRunConfig
from dbt_trigger_dagster.assets.continuation import retried_in
from dbt_trigger_dagster.assets.follow import CANCEL_WAIT, follow
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.assets.termination import Termination
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudWaitTimeoutError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.definitions import defs
from dbt_trigger_dagster.sandbox import Fault, SandboxJob, Script
from dbt_trigger_dagster_tests.artifacts.telemetry_files import node, telemetry
from dbt_trigger_dagster_tests.clocks import FakeClock, until
from dbt_trigger_dagster_tests.graphs import (
    ARTIFACTS,
    BROKEN,
    GOOD,
    LONG,
    SLOW,
    Project,
    a_project,
    ended,
    sent,
    triggers,
)
from dbt_trigger_dagster_tests.harness import ask

RESUMES = {"dagster/is_resume_retry": "true"}


def failing_with(*messages: str) -> Script:
    """A run in which nodes failed for these reasons, as its run_results.json says."""
    results = [
        {"unique_id": f"model.shop.m{number}", "status": "error", "message": message}
        for number, message in enumerate(messages)
    ]
    document = {"metadata": {"invocation_id": "a"}, "args": {"which": "build"}, "results": results}
    return replace(BROKEN, artifacts={**ARTIFACTS, "run_results.json": json.dumps(document)})


LOCKED = failing_with("Database Error in model m0 (m0.sql)\n  deadlock detected")
HALF_LOCKED = failing_with("deadlock detected", 'column "a" does not exist')
FUSION = replace(
    failing_with("Remote Error"),
    artifacts={
        **failing_with("Remote Error").artifacts,
        "metadata/telemetry-2-otel.parquet": telemetry(
            node("model.shop.m0", "NODE_OUTCOME_ERROR", node_error_type="NODE_ERROR_TYPE_EXTERNAL")
        ),
    },
)
ANEW = "Re-execute the whole Dagster run"


def code_location_job() -> dg.JobDefinition:
    """The package's own job."""
    return defs.resolve_job_def("dbt_cloud_job")


@contextmanager
def a_location(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *scripts: Script
) -> Iterator[Project]:
    """The package's own code location, for a job whose runs follow the scripts."""
    with a_project(folder, *scripts) as project:
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)
        yield project


def executed(project: Project, **wait: Any) -> dg.JobExecutionResult:
    """The code location's job."""
    return dg.execute_job(
        dg.reconstructable(code_location_job), project.instance, run_config=config(wait)
    )


def resumed(project: Project, failed: dg.JobExecutionResult, **wait: Any) -> dg.JobExecutionResult:
    """The same job from its failure, tagged as the UI and Dagster's automatic retries tag it."""
    return dg.execute_job(
        dg.reconstructable(code_location_job),
        project.instance,
        run_config=config(wait),
        tags=RESUMES,
        reexecution_options=dg.ReexecutionOptions.from_failure(failed.run_id, project.instance),
    )


def config(wait: dict[str, Any]) -> dict[str, Any]:
    """Run config with a wait policy."""
    return {"ops": {"dbt_cloud_run": {"config": {"poll_interval": 0.05, **wait}}}}


def said(result: dg.JobExecutionResult) -> str:
    """What a failed Dagster run says of its failure."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert event.step_failure_data.user_failure_data is not None
    return str(event.step_failure_data.user_failure_data.description)


def retries(project: Project) -> int:
    """How often dbt Cloud was asked to retry a run."""
    return len(sent(project.sandbox, "POST", "/retry/"))


def test_a_resumed_dagster_run_continues_the_failed_dbt_run(tmp_path: Path, monkeypatch) -> None:
    """Both runs are kept, with their artifacts, and the second names the first."""
    with a_location(tmp_path, monkeypatch, BROKEN, GOOD) as project:
        first = executed(project)
        assert "and dbt Cloud retries the dbt run from its point of failure" in said(first)
        assert retries(project) == 0
        second = resumed(project, first)
        assert second.success
        failed, continued = project.rows("dbt_cloud_run")
        assert [failed["status"], continued["status"]] == [20, 10]
        assert continued["retrying_run_id"] == failed["id"]
        assert len(project.files()) == 2 * len(ARTIFACTS)
        assert {row["dagster_run_id"] for row in (failed, continued)} == {second.run_id}
        assert (triggers(project.sandbox), retries(project)) == (1, 1)
        (event,) = [
            event.event_specific_data.materialization
            for event in second.all_events
            if event.is_step_materialization and event.asset_key == dg.AssetKey("run_result")
        ]
        assert event.metadata["dbt_cloud_run_id"].value == str(continued["id"])
        assert event.metadata["dbt_cloud_status"].value == "Success"


def test_each_resumption_asks_for_one_retry_of_the_latest_run(tmp_path: Path, monkeypatch) -> None:
    """A retry that failed too is itself what the next resumption continues."""
    with a_location(tmp_path, monkeypatch, BROKEN, BROKEN, BROKEN, GOOD) as project:
        chain = [executed(project)]
        while not chain[-1].success:
            chain.append(resumed(project, chain[-1]))
            assert retries(project) == len(chain) - 1
        rows = project.rows("dbt_cloud_run")
        assert [row["status"] for row in rows] == [20, 20, 20, 10]
        assert [row["retrying_run_id"] for row in rows] == [None, *project.run_ids()[:-1]]
        assert triggers(project.sandbox) == 1


def test_an_op_that_is_retried_continues_the_failed_dbt_run(tmp_path: Path) -> None:
    """A retry policy of Dagster's is what it says, without a second trigger."""
    with a_project(tmp_path, BROKEN, GOOD) as project:
        job = dg.Definitions(
            assets=project.assets(),
            resources=project.resources(),
            jobs=[dg.define_asset_job("eager", op_retry_policy=dg.RetryPolicy(max_retries=3))],
        ).resolve_job_def("eager")
        assert job.execute_in_process(instance=project.instance).success
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [20, 10]
        assert (triggers(project.sandbox), retries(project)) == (1, 1)


def test_an_op_is_not_retried_for_what_dbt_cloud_cannot_retry(tmp_path: Path) -> None:
    """A run that was cancelled stays so: one attempt, although three more are allowed."""
    with a_project(tmp_path, Script(outcome="cancelled")) as project:
        job = dg.Definitions(
            assets=project.assets(),
            resources=project.resources(),
            jobs=[dg.define_asset_job("eager", op_retry_policy=dg.RetryPolicy(max_retries=3))],
        ).resolve_job_def("eager")
        result = job.execute_in_process(instance=project.instance, raise_on_error=False)
        assert not result.success
        assert not [event for event in result.all_events if event.is_step_up_for_retry]
        assert (triggers(project.sandbox), retries(project)) == (1, 0)


def test_a_failed_run_can_be_left_as_it_is(tmp_path: Path, monkeypatch) -> None:
    """retry_failed_run false: a resumed run looks at the same dbt run and fails again."""
    with a_location(tmp_path, monkeypatch, BROKEN, GOOD) as project:
        first = executed(project, retry_failed_run=False)
        assert "retr" not in said(first)
        assert not resumed(project, first, retry_failed_run=False).success
        assert retries(project) == 0
        assert len(project.dbt_runs()) == 1


def test_a_re_execution_of_everything_does_not_retry(tmp_path: Path, monkeypatch) -> None:
    """It triggers the job anew, which is a wish of its own."""
    with a_location(tmp_path, monkeypatch, BROKEN, BROKEN) as project:
        first = executed(project)
        again = dg.execute_job(
            dg.reconstructable(code_location_job),
            project.instance,
            run_config=config({}),
            reexecution_options=dg.ReexecutionOptions(first.run_id),
        )
        assert not again.success
        assert (triggers(project.sandbox), retries(project)) == (2, 0)


def test_looking_at_a_failed_run_again_does_not_retry(tmp_path: Path) -> None:
    """A materialization of run_result alone re-executes nothing."""
    with a_project(tmp_path, BROKEN, GOOD) as project:
        project.materialize()
        assert not project.materialize(selection=["run_result", "artifacts"]).success
        assert retries(project) == 0


def test_the_reason_why_a_run_cannot_be_retried_is_told(tmp_path: Path, monkeypatch) -> None:
    """The job has run since; nothing is asked for that dbt Cloud refuses anyway."""
    with a_location(tmp_path, monkeypatch, BROKEN, GOOD) as project:
        first = executed(project)
        project.materialize()
        second = resumed(project, first)
        assert not second.success
        assert "the job has run again since (RETRY_NOT_LATEST_RUN)" in said(second)
        first_row, _ = project.rows("dbt_cloud_run")
        told = "not retried: the job has run again since (RETRY_NOT_LATEST_RUN)"
        assert first_row["retry_decision"] == told
        assert ANEW in said(second)
        assert retries(project) == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset", method="POST", path="*/retry/", when="after"),
        Fault("truncate", method="POST", path="*/retry/", when="after"),
        Fault(method="POST", path="*/retry/", when="after", status=502),
        Fault(method="POST", path="*/retry/", when="after", status=503),
        Fault(method="POST", path="*/retry/", status=429, headers={"Retry-After": "0"}),
    ],
    ids=["answer lost", "cut off", "502", "503 although it acted", "429"],
)
def test_a_retry_happens_exactly_once(tmp_path: Path, monkeypatch, fault: Fault) -> None:
    """Whatever becomes of the request or its answer; the run that continues ours is found."""
    with a_location(tmp_path, monkeypatch, BROKEN, GOOD) as project:
        first = executed(project)
        project.sandbox.inject(fault)
        assert resumed(project, first).success
        assert len(project.dbt_runs()) == len(project.run_ids()) == 2


def test_a_retry_that_is_under_way_is_followed(tmp_path: Path, monkeypatch) -> None:
    """A worker that died after its request, or a person in dbt Cloud, has asked for it before."""
    with a_location(tmp_path, monkeypatch, BROKEN, LONG) as project:
        first = executed(project)
        ask(project.sandbox, f"runs/{project.run_ids()[0]}/retry/", "POST")
        asked = len(sent(project.sandbox, "GET"))
        with ended(project, lambda: len(sent(project.sandbox, "GET")) > asked):
            assert resumed(project, first).success
        assert retries(project) == 1
        failed, newer = project.rows("dbt_cloud_run")
        assert [failed["status"], newer["status"]] == [20, 10]
        told = f"continued by run {newer['id']}, which had been asked for before"
        assert failed["retry_decision"] == told


def test_a_retry_that_was_cancelled_is_not_repeated(tmp_path: Path, monkeypatch) -> None:
    """Who cancelled it does not want it; the error is about it."""
    with a_location(tmp_path, monkeypatch, BROKEN, SLOW) as project:
        first = executed(project)
        ask(project.sandbox, f"runs/{project.run_ids()[0]}/retry/", "POST")
        ask(project.sandbox, f"runs/{project.dbt_runs()[-1]['id']}/cancel/", "POST")
        until(lambda: project.dbt_runs()[-1]["status"] == 30, "the retry is cancelled")
        second = resumed(project, first)
        assert f"{project.dbt_runs()[-1]['id']} ended: Cancelled" in said(second)
        assert len(project.dbt_runs()) == 2
        assert project.run_ids() == [run["id"] for run in project.dbt_runs()]


def test_a_retry_that_is_refused_is_told_with_the_run(tmp_path: Path, monkeypatch) -> None:
    """The token may not retry; the run's own explanation is not lost."""
    with a_location(tmp_path, monkeypatch, BROKEN) as project:
        first = executed(project)
        project.sandbox.inject(Fault(path="*/retry/", status=403, count=None))
        description = said(resumed(project, first))
        assert "It could not be retried from its point of failure: POST" in description
        assert "403" in description
        (row,) = project.rows("dbt_cloud_run")
        assert row["retry_decision"].startswith("not retried: POST ")
        assert "Database Error in model orders" in description


def test_runs_that_are_named_are_retried_only_when_that_is_repeated(tmp_path: Path) -> None:
    """run_ids by hand; of several, each that failed is continued."""
    with a_project(tmp_path, BROKEN, GOOD, GOOD) as project:
        project.materialize(selection=["trigger_response"])
        (run_id,) = project.run_ids("dbt_cloud_trigger")
        job = dg.Definitions(
            assets=project.assets(),
            resources=project.resources(),
            jobs=[
                dg.define_asset_job(
                    "landing",
                    selection=["run_result", "artifacts"],
                    op_retry_policy=dg.RetryPolicy(max_retries=1),
                )
            ],
        ).resolve_job_def("landing")
        result = job.execute_in_process(
            instance=project.instance, run_config=config({"run_ids": [run_id]})
        )
        assert result.success
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [20, 10]
        assert retries(project) == 1


def test_a_run_that_is_named_beside_the_one_it_continues_is_followed_once(
    tmp_path: Path, monkeypatch
) -> None:
    """run_ids of a failed run and of its retry, either first: no row, no download twice."""
    with a_location(tmp_path, monkeypatch, BROKEN, GOOD) as project:
        assert resumed(project, executed(project)).success
        for run_ids in (project.run_ids(), project.run_ids()[::-1]):
            run = project.instance.create_run_for_job(dg.GraphDefinition("nothing").to_job())
            log = logging.getLogger("step")
            with project.account().build_client() as client:
                termination = Termination(project.instance, run.run_id, cancel=True, log=log)
                step = Step(
                    client, DbtCloudRunConfig(), termination, log, lambda _: None, is_repeated=True
                )
                followed = follow(step, run_ids)
            assert [each.run.run_id for each in followed if each.run] == run_ids
            (failed,) = [each for each in followed if each.continued_by is not None]
            assert failed.run is not None
            assert failed.run.has_failed
            assert not failed.was_retried


def test_a_step_retries_by_itself_what_fails(tmp_path: Path) -> None:
    """max_run_retries 2: two runs that failed are continued, with nobody's help, and all kept."""
    with a_project(tmp_path, BROKEN, BROKEN, GOOD) as project:
        result = project.materialize(run={"max_run_retries": 2})
        assert result.success
        rows = project.rows("dbt_cloud_run")
        assert [row["status"] for row in rows] == [20, 20, 10]
        assert [row["retrying_run_id"] for row in rows] == [None, *project.run_ids()[:-1]]
        assert (triggers(project.sandbox), retries(project)) == (1, 2)
        _, second, third = project.run_ids()
        assert [row["retry_decision"] for row in rows] == [
            f"retried by run {second}: retry_failed_run is always",
            f"retried by run {third}: retry_failed_run is always",
            None,
        ]
        told = "\n".join(project.logs(result))
        assert f"failed; {rows[1]['retry_decision']}." in told
        assert "retry 1 in this step comes in 30 s" in told
        assert "retry 2 in this step comes in 60 s" in told


def test_a_dagster_run_names_all_dbt_runs_that_its_steps_retry(tmp_path: Path) -> None:
    """Several jobs in one may do so at the same time: none takes another's off the list."""
    jobs = [SandboxJob(name=name, script=(BROKEN, BROKEN, GOOD)) for name in ("a", "b")]
    with a_project(tmp_path, jobs=jobs) as project:
        retry = DbtCloudRunConfig(max_run_retries=2, poll_interval=0.05)
        graphs = [
            each
            for job in project.sandbox.jobs
            for each in project.assets(job_id=job.id, key_prefix=job.name, run_defaults=retry)
        ]
        result = project.materialize(assets=graphs)
        assert result.success
        run = project.instance.get_run_by_id(result.run_id)
        assert run is not None
        failed = {row["id"] for row in project.rows("dbt_cloud_run") if row["status"] == 20}
        assert retried_in(run.tags) == failed
        assert len(failed) == 4


def test_a_step_retries_no_more_often_than_it_may(tmp_path: Path) -> None:
    """max_run_retries 1: the second failure is the step's, and it says how to go on."""
    with a_project(tmp_path, BROKEN, BROKEN, GOOD) as project:
        result = project.materialize(run={"max_run_retries": 1})
        assert not result.success
        _, last = project.rows("dbt_cloud_run")
        assert last["status"] == 20
        assert retries(project) == 1
        assert last["retry_decision"] == "not retried: it failed after 1 retry in this step"
        assert f"dbt Cloud run {last['id']} failed; {last['retry_decision']}." in project.logs(
            result
        )


@pytest.mark.parametrize(
    ("wait", "why"),
    [
        ({"max_run_retries": 2, "retry_failed_run": "never"}, "retry_failed_run is never"),
        ({"max_run_retries": 2, "max_wait_time": 25}, "less than 30 s are left of max_wait_time"),
        ({}, "max_run_retries is 0"),
    ],
    ids=["never", "no time left", "none wanted"],
)
def test_a_step_does_not_retry_where_it_must_not(
    tmp_path: Path, wait: dict[str, Any], why: str
) -> None:
    """Switched off, or with less than the pause left of max_wait_time; the row and log say so."""
    with a_project(tmp_path, BROKEN, GOOD) as project:
        result = project.materialize(run=wait)
        assert not result.success
        assert retries(project) == 0
        (row,) = project.rows("dbt_cloud_run")
        assert row["retry_decision"] == f"not retried: {why}"
        assert f"dbt Cloud run {row['id']} failed; not retried: {why}." in project.logs(result)


def test_a_run_that_was_over_before_is_looked_at_and_not_retried(tmp_path: Path) -> None:
    """max_run_retries is for what fails while it is waited for; run_ids may name old runs."""
    with a_project(tmp_path, BROKEN, GOOD) as project:
        project.materialize()
        (run_id,) = project.run_ids()
        again = {"run_ids": [run_id], "max_run_retries": 2}
        assert not project.materialize(selection=["run_result", "artifacts"], run=again).success
        assert retries(project) == 0
        (row,) = project.rows("dbt_cloud_run")
        assert row["retry_decision"] is None


@pytest.mark.parametrize(
    ("script", "kind"), [(LOCKED, "deadlock"), (FUSION, "external")], ids=["Core", "Fusion"]
)
def test_what_may_heal_is_retried(tmp_path: Path, script: Script, kind: str) -> None:
    """transient: one error is all that failed, and it is of such a kind; the log says so."""
    with a_project(tmp_path, script, GOOD) as project:
        result = project.materialize(run={"retry_failed_run": "transient", "max_run_retries": 1})
        assert result.success
        failed, newer = project.rows("dbt_cloud_run")
        assert [failed["status"], newer["status"]] == [20, 10]
        assert failed["retry_decision"] == (
            f"retried by run {newer['id']}: the error of every node may heal by itself: 1 of {kind}"
        )
        told = f"dbt Cloud run {failed['id']} failed; {failed['retry_decision']}."
        assert told in project.logs(result)


@pytest.mark.parametrize("script", [HALF_LOCKED, BROKEN], ids=["one of two", "unknown"])
def test_what_does_not_heal_is_not_retried(tmp_path: Path, script: Script) -> None:
    """transient: not in the step, not by Dagster's policy; the failure says why."""
    with a_project(tmp_path, script, GOOD) as project:
        job = dg.Definitions(
            assets=project.assets(),
            resources=project.resources(),
            jobs=[dg.define_asset_job("eager", op_retry_policy=dg.RetryPolicy(max_retries=3))],
        ).resolve_job_def("eager")
        result = job.execute_in_process(
            instance=project.instance,
            run_config=config({"retry_failed_run": "transient", "max_run_retries": 1}),
            raise_on_error=False,
        )
        assert not result.success
        assert not [event for event in result.all_events if event.is_step_up_for_retry]
        assert retries(project) == 0
        (event,) = [event for event in result.all_events if event.is_step_failure]
        said = str(event.step_failure_data.user_failure_data)
        assert "It is not retried from its point of failure" in said
        (row,) = project.rows("dbt_cloud_run")
        why = row["retry_decision"].removeprefix("not retried: ")
        assert f"It is not retried from its point of failure: {why}" in said


def test_a_resumed_run_retries_what_may_heal_alone(tmp_path: Path, monkeypatch) -> None:
    """transient: the repetition that Dagster is asked for keeps to it as well."""
    with a_location(tmp_path, monkeypatch, LOCKED, HALF_LOCKED, GOOD) as project:
        first = executed(project, retry_failed_run="transient")
        assert "retries the dbt run from its point of failure" in said(first)
        second = resumed(project, first, retry_failed_run="transient")
        assert "the error of model m1 is none that heals by itself" in said(second)
        assert retries(project) == 1
        assert not resumed(project, second, retry_failed_run="transient").success
        assert retries(project) == 1


@contextmanager
def interrupted_when_retried(
    project: Project, before_it: Callable[[], None] | None
) -> Iterator[None]:
    """As Dagster interrupts a step, as soon as dbt Cloud has the request to retry."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise dg.DagsterExecutionInterruptedError

    def wait_and_interrupt() -> None:
        until(lambda: retries(project), "the run is retried")
        if before_it is not None:
            before_it()
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, interrupt)
    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("is_wanted", [True, False], ids=["terminated", "drained"])
def test_an_interrupt_while_the_run_is_retried_loses_no_run(
    tmp_path: Path, *, is_wanted: bool
) -> None:
    """A person's wish cancels the new run, although its answer had not come; a drain does not."""
    with a_project(tmp_path, BROKEN, SLOW) as project:
        project.materialize()
        project.sandbox.inject(
            Fault("hang", method="POST", path="*/retry/", when="after", seconds=600)
        )
        run = project.instance.create_run_for_job(dg.GraphDefinition("nothing").to_job())
        log = logging.getLogger("step")
        with project.account(request_timeout=1).build_client() as client:
            termination = Termination(project.instance, run.run_id, cancel=True, log=log)
            step = Step(
                client, DbtCloudRunConfig(), termination, log, lambda _: None, is_repeated=True
            )
            ends_with = dg.Failure if is_wanted else dg.DagsterExecutionInterruptedError
            terminate = functools.partial(project.instance.report_run_canceling, run)
            with (
                interrupted_when_retried(project, terminate if is_wanted else None),
                pytest.raises(ends_with),
            ):
                follow(step, project.run_ids())
        assert retries(project) == 1
        continued = 30 if is_wanted else 3
        until(
            lambda: [each["status"] for each in project.dbt_runs()] == [20, continued],
            "the new run is as it should be",
        )


def test_a_step_that_is_terminated_before_it_looks_cancels_what_it_was_to_wait_for(
    tmp_path: Path,
) -> None:
    """It ends with a failure of its own, after which nobody looks for a run that goes on."""
    with a_project(tmp_path, SLOW) as project:
        project.materialize(run={"wait_for_result": False})
        (row,) = project.rows("dbt_cloud_trigger")
        run = project.instance.create_run_for_job(dg.GraphDefinition("nothing").to_job())
        project.instance.report_run_canceling(run)
        log = logging.getLogger("step")
        with project.account().build_client() as client:
            termination = Termination(project.instance, run.run_id, cancel=True, log=log)
            step = Step(
                client, DbtCloudRunConfig(), termination, log, lambda _: None, is_repeated=False
            )
            with pytest.raises(dg.Failure, match="is cancelled") as caught:
                follow(step, [Run.from_payload(json.loads(row["raw"]))])
        assert caught.value.allow_retries is False
        until(lambda: [each["status"] for each in project.dbt_runs()] == [30], "it is cancelled")


def test_a_cancel_that_dbt_cloud_puts_off_comes_to_an_end(tmp_path: Path) -> None:
    """on_timeout "cancel" and a rate limit: five cool-downs would be twenty-five minutes."""
    clock = FakeClock()
    with a_project(tmp_path, SLOW) as project:
        project.materialize(run={"wait_for_result": False})
        project.sandbox.inject(Fault(path="*/cancel/", status=429, count=None))
        config = DbtCloudRunConfig(max_wait_time=5, on_timeout="cancel")
        log = logging.getLogger("step")
        with DbtCloudClient(
            account_id=project.sandbox.account_id,
            token=project.sandbox.token,
            access_url=project.sandbox.access_url,
            clock=clock,
        ) as client:
            begun = clock.now
            run = project.instance.create_run_for_job(dg.GraphDefinition("nothing").to_job())
            termination = Termination(project.instance, run.run_id, cancel=True, log=log)
            step = Step(client, config, termination, log, lambda _: None, is_repeated=False)
            (followed,) = follow(step, project.run_ids("dbt_cloud_trigger"))
        assert clock.now - begun <= 5 + CANCEL_WAIT
        assert isinstance(followed.error, DbtCloudWaitTimeoutError)
        assert followed.run is not None
        assert not followed.run.is_over
