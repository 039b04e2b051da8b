"""Which Dagster runs want one dbt Cloud run, shown by running them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import StepSuccessData
from dagster._core.storage.tags import ASSET_RESUME_RETRY_TAG, RESUME_RETRY_TAG
from dagster._utils.interrupts import _received_interrupt
from hypothesis import given, settings
from hypothesis import strategies as st

from dbt_trigger_dagster import DbtCloudArtifactStore, DbtCloudTableIOManager
from dbt_trigger_dagster.assets.dagster_run import has_materialized
from dbt_trigger_dagster.assets.job import RUN_ID_TAG
from dbt_trigger_dagster.assets.resumption import first_with_intention
from dbt_trigger_dagster.definitions import defs
from dbt_trigger_dagster.sandbox import Fault
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster_tests.graphs import (
    GOOD,
    LONG,
    Project,
    a_project,
    failed_ops,
    failure_of,
    triggers,
    until,
)
from dbt_trigger_dagster_tests.instances import an_instance

ANSWER_IS_LOST = Fault("reset", method="POST", when="after")
HOW: dict[str, dict[str, str]] = {
    "from failure, in Python": {},
    "from failure, by steps": {RESUME_RETRY_TAG: "true"},
    "from failure, by assets": {ASSET_RESUME_RETRY_TAG: "true"},
    "everything": {},
}
"""The ways to execute a run again, with the tags that Dagster gives them."""

SEARCH_IS_REFUSED = Fault(method="GET", path="*/runs/", status=401)


def code_location_job() -> dg.JobDefinition:
    """The package's own job."""
    return defs.resolve_job_def("dbt_cloud_job")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The package's own code location."""
    with a_project(tmp_path, GOOD) as project:
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)
        yield project


def executed(project: Project) -> dg.JobExecutionResult:
    """The code location's job."""
    return dg.execute_job(dg.reconstructable(code_location_job), project.instance)


def re_executed_by(
    project: Project, failed: dg.JobExecutionResult, how: str
) -> dg.JobExecutionResult:
    """The same job once more, in one of the ways of `HOW`."""
    options = (
        dg.ReexecutionOptions(failed.run_id)
        if how == "everything"
        else dg.ReexecutionOptions.from_failure(failed.run_id, project.instance)
    )
    return dg.execute_job(
        dg.reconstructable(code_location_job),
        project.instance,
        tags=HOW[how],
        reexecution_options=options,
    )


@pytest.mark.parametrize("how", HOW)
def test_a_re_execution_adopts_what_nobody_recorded(project: Project, how: str) -> None:
    """Of whatever kind, over a whole chain: the first run's key is the key of all after it."""
    project.sandbox.inject(ANSWER_IS_LOST)
    project.sandbox.inject(SEARCH_IS_REFUSED)
    project.sandbox.inject(SEARCH_IS_REFUSED)
    first = executed(project)
    second = re_executed_by(project, first, how)
    third = re_executed_by(project, second, how)
    assert [first.success, second.success, third.success] == [False, False, True]
    (dbt_run,) = project.dbt_runs()
    (row,) = project.rows("dbt_cloud_trigger")
    assert (row["id"], row["adopted"]) == (dbt_run["id"], True)
    assert triggers(project.sandbox) == 1
    assert f"[dagster {first.run_id}]" in dbt_run["trigger"]["cause"]


def test_a_re_execution_of_what_was_recorded_triggers_anew(project: Project) -> None:
    """The first has its dbt run; who executes its trigger step again wants another one."""
    first = executed(project)
    assert first.success
    assert re_executed_by(project, first, "everything").success
    assert len(project.dbt_runs()) == 2
    assert [row["adopted"] for row in project.rows("dbt_cloud_trigger")] == [False, False]


class DrainedAfterwards(DbtCloudTableIOManager):
    """The worker is drained when the trigger's row is written, and its event is not stored yet."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write, and be told to end: Dagster interrupts the step when it goes on with it."""
        super().handle_output(context, obj)
        if context.step_key == "trigger_response":
            _received_interrupt["received"] = True


def test_a_run_whose_row_was_kept_when_the_step_was_interrupted_is_adopted(
    tmp_path: Path,
) -> None:
    """The asset was materialized, and its step has failed: resuming executes the step again."""
    with a_project(tmp_path, GOOD) as project:
        resources = {
            **project.resources(),
            "dbt_cloud_tables": DrainedAfterwards(database=str(project.database)),
        }
        result = project.materialize(resources=resources)
        assert failed_ops(result) == ["trigger_response"]
        (lost,) = project.instance.get_runs()
        again = dg.DagsterRun(job_name="j", parent_run_id=lost.run_id, root_run_id=lost.run_id)
        key = dg.AssetKey("trigger_response")
        assert has_materialized(project.instance, lost, key)
        assert first_with_intention(project.instance, again, key).run_id == lost.run_id


def test_a_run_that_was_announced_and_not_kept_is_adopted(tmp_path: Path) -> None:
    """The row could not be written: whoever re-executes everything finds the dbt run again."""
    with a_project(tmp_path, GOOD) as project:
        resources = {
            **project.resources(),
            "dbt_cloud_tables": FullDisk(database=str(project.database)),
        }
        lost = project.materialize(resources=resources)
        assert failed_ops(lost) == ["trigger_response"]
        again = dg.DagsterRun(job_name="j", parent_run_id=lost.run_id, root_run_id=lost.run_id)
        first = first_with_intention(project.instance, again, dg.AssetKey("trigger_response"))
        assert first.run_id == lost.run_id


def test_a_lost_answer_says_how_to_go_on(project: Project) -> None:
    """The step's error is the lost answer, not the search that failed after it."""
    project.sandbox.inject(ANSWER_IS_LOST)
    project.sandbox.inject(SEARCH_IS_REFUSED)
    first = executed(project)
    (event,) = [event for event in first.all_events if event.is_step_failure]
    assert event.step_failure_data.user_failure_data is not None
    said = str(event.step_failure_data.user_failure_data.description)
    assert "POST" in said
    assert "may have been started" in said


def test_two_resumptions_at_the_same_time_follow_one_dbt_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A double click, where the request to trigger takes a second: one dbt run goes on.

    Where both have searched before either's has come, the older counts and the younger is
    cancelled; where one is late, it finds the other's. Both Dagster runs end well.
    """
    with a_project(tmp_path, LONG) as project, dg.DagsterInstance.local_temp() as instance:
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)
        project.sandbox.inject(Fault(method="POST", status=401))
        first = dg.execute_job(dg.reconstructable(code_location_job), instance)
        assert not first.success
        project.sandbox.inject(Fault("hang", method="POST", path="*/run/", seconds=1, count=2))

        def resume(_: int) -> bool:
            options = dg.ReexecutionOptions.from_failure(first.run_id, instance)
            return dg.execute_job(
                dg.reconstructable(code_location_job), instance, reexecution_options=options
            ).success

        with ThreadPoolExecutor(2) as threads:
            resumed = [threads.submit(resume, number) for number in range(2)]
            try:
                until(project.dbt_runs, "one of them has triggered")
                followed = {RUN_ID_TAG: str(project.dbt_runs()[0]["id"])}
                until(
                    lambda: len(instance.get_runs(dg.RunsFilter(tags=followed))) == 2,
                    "both know of the older one",
                )
            finally:  # whatever was seen, nobody waits any longer
                project.sandbox.finish(
                    run["id"] for run in project.dbt_runs() if run["status"] < 10
                )
            assert [future.result() for future in resumed] == [True, True]
        assert statuses(project) in ([10], [10, 30])
        assert project.run_ids() == [project.dbt_runs()[0]["id"]]


def statuses(project: Project) -> list[int]:
    """Of the account's dbt runs, oldest first."""
    return [run["status"] for run in project.dbt_runs()]


def test_a_row_that_another_has_written_since_is_still_the_runs_own(tmp_path: Path) -> None:
    """Rows tell by the dbt run, not by the last Dagster run that wrote them."""
    with a_project(tmp_path, GOOD) as project:
        first = project.materialize(selection=["trigger_response"])
        assert first.success
        project.change("UPDATE dbt_cloud_trigger SET dagster_run_id = 'another run'")
        result = project.materialize(selection=["run_result", "artifacts", "node_results"])
        assert result.success
        assert project.run_ids() == project.run_ids("dbt_cloud_trigger")


class FullDisk(DbtCloudTableIOManager):
    """Cannot keep the first two things that it is given."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Fail twice, then keep."""
        if context.step_context.previous_attempt_count < 2:
            raise StorageError("The disk is full.")
        super().handle_output(context, obj)  # type: ignore[arg-type]  # rows, in this graph


def test_a_retried_step_adopts_the_run_that_it_started(tmp_path: Path) -> None:
    """The row could not be kept after the trigger; Dagster's retry does not trigger again."""
    with a_project(tmp_path, GOOD) as project:
        job = dg.Definitions(
            assets=project.assets(),
            resources={
                **project.resources(),
                "dbt_cloud_tables": FullDisk(database=str(project.database)),
            },
            jobs=[dg.define_asset_job("eager", op_retry_policy=dg.RetryPolicy(max_retries=3))],
        ).resolve_job_def("eager")
        assert job.execute_in_process(instance=project.instance).success
        assert triggers(project.sandbox) == 1
        assert project.run_ids("dbt_cloud_trigger") == project.run_ids()
        assert [row["adopted"] for row in project.rows("dbt_cloud_trigger")] == [True]


class GivenUp(DbtCloudArtifactStore):
    """Takes so long to set up that the Dagster run is given up meanwhile."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """As a monitor of Dagster's does with a run whose worker gives no sign of life."""
        assert context.instance is not None
        assert context.run is not None
        context.instance.report_run_failed(context.run)


def test_a_worker_whose_run_was_given_up_triggers_nothing(tmp_path: Path) -> None:
    """It was paused, not dead, and whoever re-executed its run has triggered the job."""
    with a_project(tmp_path, GOOD) as project:
        late = {"dbt_cloud_artifacts": GivenUp(root=str(project.artifacts))}
        result = project.materialize(resources=late)
        said = str(failure_of(result, "trigger_response").description)
        assert said.startswith("Nothing was triggered")
        assert triggers(project.sandbox) == 0


def test_two_graphs_of_one_job_in_one_dagster_run_are_two_intentions(tmp_path: Path) -> None:
    """Each has its own prefix, and its own dbt run, though both answers were lost."""
    with a_project(tmp_path, GOOD) as project:
        project.sandbox.inject(Fault("reset", method="POST", when="after", count=2))
        graphs = [*project.assets(key_prefix="one"), *project.assets(key_prefix="two")]
        result = dg.materialize(graphs, resources=project.resources(), instance=project.instance)
        assert failed_ops(result) == []
        assert len(project.dbt_runs()) == 2
        assert len(set(project.run_ids("dbt_cloud_trigger"))) == 2


TRIGGER = dg.AssetKey(["nightly", "trigger_response"])
OTHER = dg.AssetKey(["weekly", "trigger_response"])


def recorded(instance: dg.DagsterInstance, run: dg.DagsterRun, key: dg.AssetKey) -> None:
    """A run whose step materialized an asset, and succeeded."""
    instance.report_dagster_event(
        dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.STEP_SUCCESS.value,
            job_name=run.job_name,
            step_key=key.to_python_identifier(),
            event_specific_data=StepSuccessData(duration_ms=1.0),
        ),
        run.run_id,
    )


@settings(max_examples=20)  # each makes an instance
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([None, TRIGGER, OTHER])),
        min_size=1,
        max_size=10,
    )
)
def test_an_intention_lasts_until_its_trigger_has_been_recorded(
    tree: list[tuple[int, dg.AssetKey | None]],
) -> None:
    """Any tree of re-executions, each of which recorded a trigger, another graph's, or none."""
    with an_instance() as instance:
        runs: list[dg.DagsterRun] = []
        expected: list[str] = []
        for number, (parent, _) in enumerate(tree):
            before = parent % max(1, number)
            run = dg.DagsterRun(
                job_name="job",
                run_id=f"run {number}",
                parent_run_id=runs[before].run_id if runs else None,
                root_run_id=runs[0].run_id if runs else None,
            )
            instance.add_run(run)
            carries_on = number > 0 and tree[before][1] != TRIGGER
            expected.append(expected[before] if carries_on else run.run_id)
            runs.append(run)
        for run, (_, key) in zip(runs, tree, strict=True):
            if key is not None:
                recorded(instance, run, key)
        for run, first in zip(runs, expected, strict=True):
            assert first_with_intention(instance, run, TRIGGER).run_id == first
