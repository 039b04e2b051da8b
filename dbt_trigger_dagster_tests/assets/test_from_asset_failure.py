"""*Re-execute from asset failure*, as Dagster's UI asks for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.api import execute_run
from dagster._core.test_utils import MockedRunLauncher, in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceRequestContext
from dagster._utils.hosted_user_process import recon_job_from_origin

from dbt_trigger_dagster_tests.graphs import BROKEN, GOOD, LANDED, Project, a_project
from dbt_trigger_dagster_tests.harness import environment

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
AGAIN = """
mutation ($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
NOT_YET = {
    "run_launcher": {"module": MockedRunLauncher.__module__, "class": MockedRunLauncher.__name__},
    "run_coordinator": {
        "module": "dagster._core.run_coordinator",
        "class": "DefaultRunCoordinator",
    },
}
"""Runs that are launched wait until they are executed in this process."""


@contextmanager
def a_workspace(
    project: Project, instance: dg.DagsterInstance
) -> Iterator[WorkspaceRequestContext]:
    """What the UI's server knows: the package's own code location, loaded in this process."""
    location = LoadableTargetOrigin(module_name="dbt_trigger_dagster.definitions")
    with (
        environment(project.environment()),
        in_process_test_workspace(instance, location) as workspace,
    ):
        yield workspace


def launched(workspace: WorkspaceRequestContext, mutation: str, **params: Any) -> dg.DagsterRun:
    """The Dagster run that a mutation has launched, and executed."""
    from dagster_graphql.test.utils import execute_dagster_graphql  # noqa: PLC0415  # takes a second

    (answer,) = execute_dagster_graphql(workspace, mutation, {"params": params}).data.values()
    assert answer["__typename"] == "LaunchRunSuccess", answer
    run_id = answer["run"]["runId"]
    run = workspace.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.job_code_origin is not None
    execute_run(recon_job_from_origin(run.job_code_origin), run, workspace.instance)
    ended = workspace.instance.get_run_by_id(run_id)
    assert ended is not None
    return ended


@pytest.mark.filterwarnings(
    "ignore:Property `ScheduleDefinition.environment_vars`"
)  # Dagster's own
def test_what_failed_is_executed_again_and_the_trigger_is_not(tmp_path: Path) -> None:
    """Dagster takes what was planned and not materialized: dbt Cloud retries the run."""
    from dagster_graphql.test.utils import infer_job_selector  # noqa: PLC0415  # likewise

    config = {"ops": {"dbt_cloud_run": {"config": {"poll_interval": 0.05}}}}
    with (
        a_project(tmp_path, BROKEN, GOOD) as project,
        dg.instance_for_test(overrides=NOT_YET) as instance,
        a_workspace(project, instance) as workspace,
    ):
        selector = infer_job_selector(workspace, "dbt_cloud_job")
        first = launched(workspace, LAUNCH, selector=selector, runConfigData=config)
        assert first.status is dg.DagsterRunStatus.FAILURE
        again = {"parentRunId": first.run_id, "strategy": "FROM_ASSET_FAILURE"}
        second = launched(workspace, AGAIN, **again)
        assert second.status is dg.DagsterRunStatus.SUCCESS
        assert second.asset_selection == {dg.AssetKey(name) for name in LANDED}
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [20, 10]
        assert len(project.rows("dbt_cloud_trigger")) == 1
