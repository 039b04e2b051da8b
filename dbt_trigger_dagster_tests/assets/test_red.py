"""A failed dbt run is red: whatever looks at the asset or waits for it takes it for failed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from dbt_trigger_dagster import DbtCloudTableIOManager, build_dbt_cloud_job_assets
from dbt_trigger_dagster.definitions import defs
from dbt_trigger_dagster.sandbox import Script
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster_tests.assets.scripts import FAILED
from dbt_trigger_dagster_tests.graphs import (
    BROKEN,
    GOOD,
    LANDED,
    Project,
    a_project,
    evaluations_of,
    failed_ops,
    failure_of,
    materialized,
    metadata_of,
    observed,
)


def eager_after(name: str) -> dg.AssetsDefinition:
    """An asset that Dagster materializes by itself when one of ours is new."""

    @dg.asset(
        name=f"after_{name}",
        deps=[name],
        automation_condition=dg.AutomationCondition.eager(),
    )
    def after() -> None:
        """Needs a good run."""

    return after


TABLES = ("dbt_cloud_run", "dbt_cloud_run_step", "dbt_cloud_artifact", "dbt_cloud_node_result")
EAGER = [eager_after(name) for name in LANDED]


class Automation:
    """Dagster's automation, tick by tick."""

    def __init__(self, project: Project) -> None:
        self._definitions = dg.Definitions(
            assets=[*project.assets(), *EAGER], resources=project.resources()
        )
        self._instance = project.instance
        self._cursor = None

    def tick(self) -> list[str]:
        """The eager assets that one tick starts."""
        evaluated = dg.evaluate_automation_conditions(
            defs=self._definitions,
            instance=self._instance,
            cursor=self._cursor,
            asset_selection=dg.AssetSelection.assets(*EAGER),
        )
        self._cursor = evaluated.cursor
        names = [f"after_{name}" for name in LANDED]
        return [name for name in names if evaluated.get_num_requested(dg.AssetKey(name))]


def test_what_waits_for_a_good_run_does_not_start_after_a_failed_one(tmp_path: Path) -> None:
    """Eager assets fire once after each good run, and never after a failed one."""
    with a_project(tmp_path, GOOD, BROKEN, GOOD) as project:
        automation = Automation(project)
        project.materialize(*EAGER)  # so that nothing is missing
        automation.tick()
        assert not project.materialize().success
        assert automation.tick() == []
        assert project.materialize().success
        assert automation.tick() == [f"after_{name}" for name in LANDED]
        assert automation.tick() == []


def test_a_failed_run_that_is_accepted_starts_what_waits(tmp_path: Path) -> None:
    """With raise_on_failed_run false every run is materialized."""
    with a_project(tmp_path, GOOD, BROKEN) as project:
        automation = Automation(project)
        project.materialize(*EAGER)
        automation.tick()
        outcome = project.materialize(run={"raise_on_failed_run": False})
        assert materialized(outcome) == ["trigger_response", *LANDED]
        assert automation.tick() == [f"after_{name}" for name in LANDED]
        assert not evaluations_of(outcome)["dbt_run_succeeded"].passed


def test_rows_of_a_failed_run_are_those_of_any_run(tmp_path: Path) -> None:
    """The same tables, columns and lineage, whichever way they were written."""
    with a_project(tmp_path / "a", FAILED) as red, a_project(tmp_path / "b", FAILED) as accepted:
        result = red.materialize()
        accepted.materialize(run={"raise_on_failed_run": False})
        for table in TABLES:
            ours, theirs = red.rows(table), accepted.rows(table)
            assert len(ours) == len(theirs) > 0, table
            assert [row.keys() for row in ours] == [row.keys() for row in theirs]
            assert [row["asset_key"] for row in ours] == [row["asset_key"] for row in theirs]
            assert {row["dagster_run_id"] for row in ours} == {result.run_id}


def test_an_observation_tells_what_a_materialization_would(tmp_path: Path) -> None:
    """The same metadata under the same keys."""
    with a_project(tmp_path / "a", FAILED) as red, a_project(tmp_path / "b", FAILED) as accepted:
        seen = red.materialize()
        made = accepted.materialize(run={"raise_on_failed_run": False})
        assert observed(seen)[1:] == list(LANDED)
        for name in LANDED:
            assert metadata_of(seen, name).keys() == metadata_of(made, name).keys()
            assert metadata_of(seen, name)["dagster/row_count"] > 0


@dg.asset(ins={"rows": dg.AssetIn(key="run_result")})
def report(rows: pd.DataFrame) -> dg.MaterializeResult[Any]:
    """Tells which runs it got."""
    return dg.MaterializeResult(metadata={"got": [int(each) for each in rows["id"]]})


def reporting_job() -> dg.JobDefinition:
    """The code location's graph with a report behind it, for `dg.reconstructable`."""
    return dg.Definitions(
        assets=[*build_dbt_cloud_job_assets(job_id=dg.EnvVar.int("DBT_CLOUD_JOB_ID")), report],
        resources=defs.resources,
        jobs=[dg.define_asset_job("reporting", executor_def=dg.in_process_executor)],
    ).resolve_job_def("reporting")


def executed(project: Project, **again: Any) -> dg.JobExecutionResult:
    """That job, whole or again in part."""
    return dg.execute_job(
        dg.reconstructable(reporting_job),
        project.instance,
        run_config={"ops": {"dbt_cloud_run": {"config": {"poll_interval": 0.05}}}},
        **again,
    )


def in_part(failed: dg.JobExecutionResult, step: str) -> dict[str, Any]:
    """How a job is executed again in part."""
    return {
        "reexecution_options": dg.ReexecutionOptions(failed.run_id, step_selection=[step]),
    }


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[Project], None]:
    """Sets the variables of a project."""

    def set_all(project: Project) -> None:
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)

    return set_all


def got(result: dg.JobExecutionResult) -> object:
    """The runs that the report got; None where it did not run."""
    for event in result.asset_materializations_for_node("report"):
        return event.metadata["got"].value
    return None


def test_checks_that_are_not_selected_speak_too(tmp_path: Path) -> None:
    """From asset failure Dagster selects none that was evaluated: it would stay red for ever."""
    with a_project(tmp_path, BROKEN, GOOD) as project:
        project.materialize()
        result = dg.materialize(
            project.assets(),
            selection=dg.AssetSelection.assets("trigger_response", *LANDED).without_checks(),
            resources=project.resources(),
            instance=project.instance,
        )
        assert {each.passed for each in evaluations_of(result).values()} == {True}
        assert len(evaluations_of(result)) == 3


def test_what_is_downstream_never_gets_the_rows_of_a_failed_run(
    tmp_path: Path, environment: Any
) -> None:
    """Executed again by itself after one: those of the last good run."""
    with a_project(tmp_path, GOOD, BROKEN) as project:
        environment(project)
        good = executed(project)
        failed = executed(project)
        again = executed(project, **in_part(failed, "report"))
        assert [got(each) for each in (good, failed, again)] == [
            [project.run_ids()[0]],
            None,
            [project.run_ids()[0]],
        ]
        assert len(project.run_ids()) == 2


class FullDisk(DbtCloudTableIOManager):
    """Keeps no rows of one table."""

    full: str

    def store_rows(self, asset_key: Any, *arguments: Any, **more: Any) -> dict[str, Any]:
        """Fail for the table."""
        if more["table"].name == self.full:
            raise StorageError("The disk is full.")
        return super().store_rows(asset_key, *arguments, **more)


@pytest.mark.parametrize("table", ["dbt_cloud_run", "dbt_cloud_artifact", "dbt_cloud_node_result"])
def test_a_failed_run_whose_rows_cannot_be_kept_is_not_landed(tmp_path: Path, table: str) -> None:
    """Both errors are told; and as no row says that the run is landed, the monitor comes for it."""
    with a_project(tmp_path, FAILED) as project:
        tables = FullDisk(database=str(project.database), full=table)
        result = project.materialize(resources={"dbt_cloud_tables": tables})
        description = str(failure_of(result, "dbt_cloud_run").description)
        assert "no such column" in description
        assert "The disk is full." in description
        assert project.run_ids() == []
        assert observed(result) == ["trigger_response"]


def trigger(project: Project, times: int) -> list[int]:
    """Start runs that nobody waits for; their ids."""
    for _ in range(times):
        project.materialize(selection=["trigger_response"])
    return project.run_ids("dbt_cloud_trigger")


@pytest.mark.parametrize(
    ("scripts", "is_green"), [((BROKEN, GOOD), True), ((GOOD, BROKEN), False)], ids=["good", "bad"]
)
def test_of_several_runs_the_newest_decides(
    tmp_path: Path, scripts: Sequence[Script], *, is_green: bool
) -> None:
    """All are kept, and the step fails for the bad one, which hides no newer run."""
    with a_project(tmp_path, *scripts) as project:
        run_ids = trigger(project, 2)
        result = project.materialize(selection=LANDED, run={"run_ids": run_ids})
        assert failed_ops(result) == ["dbt_cloud_run"]
        assert materialized(result) == (list(LANDED) if is_green else [])
        assert observed(result) == ([] if is_green else list(LANDED))
        assert project.run_ids() == run_ids
        assert evaluations_of(result)["dbt_run_succeeded"].passed is is_green
        assert metadata_of(result, "run_result")["dbt_cloud_run_id"] == str(run_ids[-1])
