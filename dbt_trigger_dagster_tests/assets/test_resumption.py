"""Which Dagster runs want one dbt Cloud run, shown by running them."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import ASSET_RESUME_RETRY_TAG, RESUME_RETRY_TAG
from hypothesis import given, settings
from hypothesis import strategies as st

from dbt_trigger_dagster import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.resumption import resume_chain
from dbt_trigger_dagster.definitions import defs
from dbt_trigger_dagster.sandbox import Fault
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster_tests.graphs import GOOD, Project, a_project, failed_ops, triggers

ANSWER_IS_LOST = Fault("reset", method="POST", when="after")
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


def resumed(project: Project, failed: dg.JobExecutionResult, tag: str) -> dg.JobExecutionResult:
    """The same job from its failure, tagged as the UI and Dagster's automatic retries tag it."""
    return dg.execute_job(
        dg.reconstructable(code_location_job),
        project.instance,
        tags={tag: "true"},
        reexecution_options=dg.ReexecutionOptions.from_failure(failed.run_id, project.instance),
    )


@pytest.mark.parametrize("tag", [RESUME_RETRY_TAG, ASSET_RESUME_RETRY_TAG])
def test_a_run_that_resumes_a_failed_one_adopts_its_dbt_run(project: Project, tag: str) -> None:
    """Over a whole chain: the first run's key is the key of all that resume it."""
    project.sandbox.inject(ANSWER_IS_LOST)
    project.sandbox.inject(SEARCH_IS_REFUSED)
    project.sandbox.inject(SEARCH_IS_REFUSED)
    first = executed(project)
    second = resumed(project, first, tag)
    third = resumed(project, second, tag)
    assert [first.success, second.success, third.success] == [False, False, True]
    (dbt_run,) = project.dbt_runs()
    (row,) = project.rows("dbt_cloud_trigger")
    assert (row["id"], row["adopted"]) == (dbt_run["id"], True)
    assert triggers(project.sandbox) == 1
    assert f"[dagster {first.run_id}]" in dbt_run["trigger"]["cause"]


def test_a_re_execution_of_everything_triggers_anew(project: Project) -> None:
    """Even of a run whose own trigger is in doubt: it is a new intention."""
    project.sandbox.inject(ANSWER_IS_LOST)
    project.sandbox.inject(SEARCH_IS_REFUSED)
    first = executed(project)
    assert not first.success
    everything = dg.execute_job(
        dg.reconstructable(code_location_job),
        project.instance,
        reexecution_options=dg.ReexecutionOptions(first.run_id),
    )
    assert everything.success
    assert len(project.dbt_runs()) == 2


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


def test_two_graphs_of_one_job_in_one_dagster_run_are_two_intentions(tmp_path: Path) -> None:
    """Each has its own prefix, and its own dbt run, though both answers were lost."""
    with a_project(tmp_path, GOOD) as project:
        project.sandbox.inject(Fault("reset", method="POST", when="after", count=2))
        graphs = [*project.assets(key_prefix="one"), *project.assets(key_prefix="two")]
        result = dg.materialize(graphs, resources=project.resources(), instance=project.instance)
        assert failed_ops(result) == []
        assert len(project.dbt_runs()) == 2
        assert len(set(project.run_ids("dbt_cloud_trigger"))) == 2


HOW = ("anew", "by steps", "by assets")
"""The ways to execute a run again."""

TAGS = {
    "anew": {},
    "by steps": {RESUME_RETRY_TAG: "true"},
    "by assets": {ASSET_RESUME_RETRY_TAG: "true"},
}


@settings(max_examples=20, deadline=None)  # each makes an instance
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(HOW)), min_size=1, max_size=10))
def test_a_chain_leads_back_over_resumed_runs_and_no_further(tree: list[tuple[int, str]]) -> None:
    """Any tree of re-executions: each run is resumed or executed anew, any number of times."""
    with dg.DagsterInstance.ephemeral() as instance:
        runs: list[dg.DagsterRun] = []
        expected: list[list[str]] = []
        for number, (parent, how) in enumerate(tree):
            is_first = not runs
            before = parent % max(1, len(runs))
            run = dg.DagsterRun(
                job_name="job",
                run_id=f"run {number}",
                parent_run_id=None if is_first else runs[before].run_id,
                root_run_id=None if is_first else runs[0].run_id,
                tags=TAGS[how],
            )
            instance.add_run(run)
            resumes = not is_first and how != "anew"
            expected.append([run.run_id, *(expected[before] if resumes else [])])
            runs.append(run)
        for run, chain in zip(runs, expected, strict=True):
            assert [each.run_id for each in resume_chain(instance, run)] == chain


def test_a_chain_ends_where_a_run_has_been_deleted() -> None:
    """Nobody can tell what came before it."""
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun(
            job_name="job", parent_run_id="gone", root_run_id="gone", tags=TAGS["by steps"]
        )
        assert list(resume_chain(instance, run)) == [run]
