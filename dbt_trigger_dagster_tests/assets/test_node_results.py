"""What the graph keeps of steps, nodes and sources, however a run ends and whoever lands it."""

import json
from pathlib import Path

import pytest

from dbt_trigger_dagster import build_dbt_cloud_job_assets
from dbt_trigger_dagster.sandbox import Script, ScriptStep
from dbt_trigger_dagster_tests.artifacts.files import result, results_of
from dbt_trigger_dagster_tests.graphs import a_project, materialized, metadata_of, observed, sent

_MANIFEST = json.dumps(
    {
        "nodes": {
            "model.shop.orders": {
                "name": "orders",
                "config": {"materialized": "table", "meta": {"owner": "ann"}},
            },
            "test.shop.unique_id.1": {"name": "unique_id", "attached_node": "model.shop.orders"},
        }
    }
)
_BUILD = json.dumps(
    results_of(
        "build",
        result("model.shop.orders", "error", message="no such column"),
        result("test.shop.unique_id.1", "skipped"),
    )
)
_SEED = json.dumps(results_of("seed", result("seed.shop.raw")))
_FILES = {"manifest.json": _MANIFEST, "run_results.json": _BUILD}
_STEPS = (
    ScriptStep("Clone git repository", "Cloned."),
    ScriptStep("Invoke dbt with `dbt seed`", "Seeded.", artifacts={"run_results.json": _SEED}),
    ScriptStep("Invoke dbt with `dbt build`", "Building\n\x1b[31mfailed\x1b[0m", artifacts=_FILES),
)
_FAILED = Script(outcome="error", steps=_STEPS, artifacts=_FILES)
_EACH_STEP = {"artifact_steps": "all"}


def test_a_failed_run_tells_of_every_node(tmp_path: Path) -> None:
    """Which node failed and why, whose it is, and what was not built because of it."""
    with a_project(tmp_path, _FAILED) as project:
        outcome = project.materialize(run=_EACH_STEP)
        assert not outcome.success
        assert "node_results" in observed(outcome)
        rows = project.rows("dbt_cloud_node_result")
        found = {(row["step"], row["unique_id"]): row for row in rows}
        assert {key: (row["status"], row["executed"]) for key, row in found.items()} == {
            (2, "seed.shop.raw"): ("success", True),
            (3, "model.shop.orders"): ("error", True),
            (3, "test.shop.unique_id.1"): ("skipped", True),
        }
        orders = found[3, "model.shop.orders"]
        assert (orders["message"], orders["owner"]) == ("no such column", "ann")
        assert {row["asset_key"] for row in rows} == {"node_results"}
        assert {row["unique_id"] for row in project.rows("dbt_cloud_node")} == {
            "model.shop.orders",
            "test.shop.unique_id.1",
        }
        metadata = metadata_of(outcome, "node_results")
        assert (metadata["nodes_error"], metadata["nodes_skipped"]) == (1, 1)


def test_what_nodes_need_is_fetched_of_each_dbt_step(tmp_path: Path) -> None:
    """With artifact_steps "last" too: one file of the step before, nothing of the clone."""
    with a_project(tmp_path, Script(steps=_STEPS, artifacts=_FILES)) as project:
        assert project.materialize().success
        rows = project.rows("dbt_cloud_node_result")
        assert {(row["step"], row["unique_id"], row["source"]) for row in rows} == {
            (2, "seed.shop.raw", "run_results"),
            (3, "model.shop.orders", "run_results"),
            (3, "test.shop.unique_id.1", "run_results"),
        }
        stored = {(row["step"], row["path"]) for row in project.rows("dbt_cloud_artifact")}
        assert stored == {(0, "manifest.json"), (0, "run_results.json"), (2, "run_results.json")}
        asked = [path for path in sent(project.sandbox, "GET") if "/artifacts/" in path]
        assert len([path for path in asked if not path.endswith("/")]) == 3


@pytest.mark.parametrize(
    ("run", "selection"),
    [({"node_results": False}, None), ({}, ["trigger_response", "run_result", "artifacts"])],
)
def test_nothing_more_is_fetched_where_nobody_asks_for_nodes(
    tmp_path: Path, run, selection
) -> None:
    """Switched off, or not selected: what dbt Cloud lists."""
    with a_project(tmp_path, Script(steps=_STEPS, artifacts=_FILES)) as project:
        assert project.materialize(run=run, selection=selection).success
        assert {row["step"] for row in project.rows("dbt_cloud_artifact")} == {0}


def test_the_steps_come_with_the_runs_row(tmp_path: Path) -> None:
    """The end of each log without colours, and by which invocation of dbt."""
    with a_project(tmp_path, _FAILED) as project:
        project.materialize(run=_EACH_STEP)
        steps = {row["step"]: row for row in project.rows("dbt_cloud_run_step")}
        assert [(n, step["command"]) for n, step in sorted(steps.items())] == [
            (1, None),
            (2, "dbt seed"),
            (3, "dbt build"),
        ]
        assert steps[3]["log_tail"].splitlines()[-2:] == ["failed", "dbt command failed"] or (
            steps[3]["log_tail"].endswith("failed")
        )
        assert steps[3]["invocation_id"] == "invocation of build"


def test_only_the_rows_of_the_run_are_wanted(tmp_path: Path) -> None:
    """Then its steps are there all the same, and nothing is downloaded."""
    with a_project(tmp_path, _FAILED) as project:
        project.materialize(selection=["trigger_response", "run_result"])
        assert len(project.rows("dbt_cloud_run_step")) == 3
        assert project.rows("dbt_cloud_node_result") == []
        assert project.files() == {}


@pytest.mark.parametrize("run", [{"node_results": False}, {"store_artifacts": False}])
def test_nobody_has_to_have_them(tmp_path: Path, run) -> None:
    """Where they are switched off, or the files that they are read from are."""
    with a_project(tmp_path, Script(steps=_STEPS, artifacts=_FILES)) as project:
        outcome = project.materialize(run=run)
        assert outcome.success
        assert "node_results" not in materialized(outcome)
        assert project.rows("dbt_cloud_node_result") == []


def test_a_graph_without_them_stores_none(tmp_path: Path) -> None:
    """The asset is not there."""
    with a_project(tmp_path, Script(steps=_STEPS, artifacts=_FILES)) as project:
        assets = build_dbt_cloud_job_assets(job_id=project.job_id, node_results=False)
        outcome = project.materialize(assets=assets)
        assert outcome.success
        assert materialized(outcome) == ["trigger_response", "run_result", "artifacts"]


def test_a_file_that_cannot_be_read_costs_a_warning_and_no_landing(tmp_path: Path) -> None:
    """What can be known is kept; the run is landed."""
    files = {"manifest.json": '{"nodes": {"a', "run_results.json": _BUILD}
    with a_project(tmp_path, Script(steps=_STEPS[:2], artifacts=files)) as project:
        outcome = project.materialize()
        assert outcome.success
        assert "node_results" in materialized(outcome)


def test_several_runs_are_landed_in_one_write(tmp_path: Path) -> None:
    """As the monitor does; each run has its own rows."""
    with a_project(tmp_path, Script(steps=_STEPS, artifacts=_FILES)) as project:
        ids = []
        for _ in range(3):
            project.materialize(selection=["trigger_response"])
        ids = [run["id"] for run in project.dbt_runs()]
        outcome = project.materialize(
            selection=["run_result", "artifacts", "node_results"], run={"run_ids": ids}
        )
        assert outcome.success
        rows = project.rows("dbt_cloud_node_result")
        assert {row["run_id"] for row in rows} == set(ids)
        assert {row["manifest_run_id"] for row in project.rows("dbt_cloud_node")} == {max(ids)}
