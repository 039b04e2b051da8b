"""Events of nodes, as landings report them: what is built sets off what is downstream, once."""

from pathlib import Path
from typing import Any

import dagster as dg

from dbt_trigger_dagster import DbtCloudRunConfig, build_dbt_cloud_model_assets
from dbt_trigger_dagster_tests.artifacts.projects import stored
from dbt_trigger_dagster_tests.assets.scripts import FAILED, FINE, MANIFEST
from dbt_trigger_dagster_tests.graphs import Project, a_project
from dbt_trigger_dagster_tests.monitors import a_watch, settle, trigger_by_hand

EMIT = {"emit_node_events": True}
NODES = {"orders", "items"}


def _told(result: dg.ExecuteInProcessResult) -> set[tuple[str, str, str]]:
    """What a run told of nodes: kind, name and dbt's status."""
    events: list[Any] = []
    for event in result.all_events:
        if event.is_step_materialization:
            events.append(event.materialization)
        elif event.is_asset_observation:
            events.append(event.asset_observation_data.asset_observation)
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            events.append(event.asset_check_evaluation_data)
    return {
        (
            type(event).__name__.removeprefix("Asset"),
            getattr(event, "check_name", event.asset_key.to_user_string()),
            str(event.metadata["status"].value),
        )
        for event in events
        if event.asset_key.path[-1] in NODES
    }


def test_a_good_run_reports_what_was_built_and_tested(tmp_path: Path) -> None:
    """Each node by its own asset or check."""
    with a_project(tmp_path, FINE) as project:
        outcome = project.materialize(run=EMIT)
        assert outcome.success
        assert _told(outcome) == {
            ("Materialization", "orders", "success"),
            ("Materialization", "items", "success"),
            ("CheckEvaluation", "unique_id", "pass"),
        }


def test_a_failed_run_reports_what_was_built_before(tmp_path: Path) -> None:
    """The model that failed is observed, and the test that was skipped has said nothing."""
    with a_project(tmp_path, FAILED) as project:
        outcome = project.materialize(run=EMIT)
        assert not outcome.success
        assert _told(outcome) == {
            ("Observation", "orders", "error"),
            ("Materialization", "items", "success"),
        }


def test_nothing_is_reported_unless_it_is_wanted(tmp_path: Path) -> None:
    """It costs time in Dagster's storage."""
    with a_project(tmp_path, FINE) as project:
        assert _told(project.materialize()) == set()


def test_a_run_that_is_landed_again_reports_nothing_again(tmp_path: Path) -> None:
    """As after a repetition, or by two who land it."""
    with a_project(tmp_path, FINE) as project:
        assert len(_told(project.materialize(run=EMIT))) == 3
        again = {**EMIT, "run_ids": project.run_ids()}
        outcome = project.materialize(
            selection=["run_result", "artifacts", "node_results"], run=again
        )
        assert outcome.success
        assert _told(outcome) == set()


def test_runs_that_dbt_cloud_started_report_too(tmp_path: Path) -> None:
    """As the job's defaults say, for the monitor's landings have no config of their own for it."""
    wants = {"run_defaults": DbtCloudRunConfig(emit_node_events=True)}
    with a_watch(tmp_path, FINE, graphs=[wants], include_external_runs=True) as watch:
        trigger_by_hand(watch.project)
        settle(watch.project)
        (landing,) = watch.launch(watch.tick())
        assert landing.success
        assert len(_told(landing)) == 3


class _Automation:
    """Dagster's automation of what is downstream of models, tick by tick."""

    def __init__(self, project: Project, manifest: Path) -> None:
        self._after = [_after(name) for name in sorted(NODES)]
        models = build_dbt_cloud_model_assets(manifest=manifest)
        self._definitions = dg.Definitions(assets=[*models, *self._after])
        self._instance = project.instance
        self._cursor: Any = None

    def tick(self) -> set[str]:
        """The assets that one tick starts."""
        result = dg.evaluate_automation_conditions(
            self._definitions,
            self._instance,
            asset_selection=dg.AssetSelection.assets(*self._after),
            cursor=self._cursor,
        )
        self._cursor = result.cursor
        names = {f"after_{name}" for name in NODES}
        return {name for name in names if result.get_num_requested(dg.AssetKey(name))}


def _after(name: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"after_{name}", deps=[name], automation_condition=dg.AutomationCondition.eager()
    )
    def after() -> None:
        """Needs a model."""

    return after


def test_what_is_downstream_of_a_model_runs_when_that_model_was_built(tmp_path: Path) -> None:
    """Of a failed run too, and not after the model that failed; nor twice for one build."""
    with a_project(tmp_path, FAILED) as project:
        automation = _Automation(project, stored(tmp_path / "project", MANIFEST))
        assert automation.tick() == set()
        project.materialize(run=EMIT)
        assert automation.tick() == {"after_items"}
        project.materialize(
            selection=["run_result", "artifacts", "node_results"],
            run={**EMIT, "run_ids": project.run_ids()},
        )
        assert automation.tick() == set()
