"""The checks of run_result: what they say of each kind of run, and who evaluates them."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster.sandbox import Script, ScriptStep
from dbt_trigger_dagster_tests.artifacts.files import result, results_of
from dbt_trigger_dagster_tests.assets.scripts import FAILED, FINE, MANIFEST, a_script, timed
from dbt_trigger_dagster_tests.graphs import (
    BROKEN,
    GOOD,
    LANDED,
    Project,
    a_project,
    evaluations_of,
    materialized,
    triggers,
)

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
TEST_FAILS = a_script(
    timed("model.shop.orders"),
    timed("test.shop.unique_id.1", "fail", failures=3, message="Got 3 results"),
    outcome="error",
)
TEST_WARNS = a_script(
    timed("model.shop.orders"), timed("test.shop.unique_id.1", "warn", message="Got 3 results")
)


def freshness(status: str) -> Script:
    """A run that looked at a source."""
    source = {
        "unique_id": "source.shop.raw.orders",
        "status": status,
        "max_loaded_at": "2026-01-02T03:04:05Z",
        "snapshotted_at": "2026-01-03T03:04:05Z",
        "max_loaded_at_time_ago_in_s": 86400.0,
        "criteria": {"warn_after": {"count": 12, "period": "hour"}},
    }
    files = {
        "sources.json": json.dumps(
            {"metadata": {"invocation_id": "freshness"}, "results": [source]}
        )
    }
    step = ScriptStep("Invoke dbt with `dbt source freshness`", artifacts=files)
    return Script(steps=(step,), artifacts=files)


@pytest.mark.parametrize(
    ("script", "name", "passed", "severity", "said"),
    [
        (FINE, "dbt_run_succeeded", True, ERROR, "ended: Success."),
        (FINE, "dbt_tests_passed", True, ERROR, "1 tests passed."),
        (FINE, "dbt_sources_fresh", True, ERROR, "The run has not looked at sources."),
        (FAILED, "dbt_run_succeeded", False, ERROR, "newly failing: orders. dbt Cloud run "),
        (FAILED, "dbt_tests_passed", False, WARN, "The run has run no tests."),
        (BROKEN, "dbt_run_succeeded", False, ERROR, "ended: Error."),
        (TEST_FAILS, "dbt_run_succeeded", False, ERROR, "newly failing: unique_id."),
        (TEST_FAILS, "dbt_tests_passed", False, ERROR, "newly failing: unique_id"),
        (TEST_WARNS, "dbt_run_succeeded", True, ERROR, "ended: Success."),
        (TEST_WARNS, "dbt_tests_passed", False, WARN, "unique_id: warned, of 1 tests."),
        (GOOD, "dbt_tests_passed", True, WARN, "The run has run no tests."),
        (freshness("pass"), "dbt_sources_fresh", True, ERROR, "1 sources are fresh."),
        (freshness("warn"), "dbt_sources_fresh", False, WARN, "source.shop.raw.orders: not fresh."),
        (freshness("error"), "dbt_sources_fresh", False, ERROR, "source.shop.raw.orders: not f"),
    ],
)
def test_each_check_says_what_dbt_said(  # noqa: PLR0917  # a row of the table
    tmp_path: Path,
    script: Script,
    name: str,
    passed: bool,  # noqa: FBT001  # likewise
    severity: dg.AssetCheckSeverity,
    said: str,
) -> None:
    """A test that warns is a warning; one that was skipped is none that passed."""
    with a_project(tmp_path, script) as project:
        evaluation = evaluations_of(project.materialize(trigger=None))[name]
        assert (evaluation.passed, evaluation.severity) == (passed, severity)
        assert said in str(evaluation.description)


def test_a_check_links_to_the_run_and_says_what_failed(tmp_path: Path) -> None:
    """A short table; descriptions have no picture, for they stand in the log."""
    with a_project(tmp_path, TEST_FAILS) as project:
        checks = evaluations_of(project.materialize())
        (run,) = project.dbt_runs()
        for check in checks.values():
            assert check.metadata["dbt_cloud_run_url"].value == run["href"]
            assert "data:" not in str(check.description)
        (row,) = checks["dbt_tests_passed"].metadata["failing_tests"].value.records
        assert (row.data["node"], row.data["message"]) == ("unique_id", "Got 3 results")
        (row,) = checks["dbt_run_succeeded"].metadata["failing_nodes"].value.records
        assert row.data["node"] == "unique_id"
        assert checks["dbt_tests_passed"].metadata["tests_failed"].value == 1


def latest(project: Project, name: str) -> tuple[str, str]:
    """How Dagster shows a check, and in which of its runs it was evaluated."""
    key = dg.AssetCheckKey(dg.AssetKey("run_result"), name)
    (record,) = project.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return record.status.value, record.run_id


def test_a_failed_check_is_stored_though_the_step_fails(tmp_path: Path) -> None:
    """Nothing that was planned is left open."""
    with a_project(tmp_path, FAILED) as project:
        outcome = project.materialize()
        assert latest(project, "dbt_run_succeeded") == ("FAILED", outcome.run_id)
        assert latest(project, "dbt_sources_fresh") == ("SUCCEEDED", outcome.run_id)


def test_executing_checks_looks_again_at_the_newest_run(tmp_path: Path) -> None:
    """Without a trigger, a request to dbt Cloud, or a materialization."""
    with a_project(tmp_path, FINE, FAILED) as project:
        project.materialize()
        project.materialize()
        asked = len(project.sandbox.requests)
        again = dg.materialize(
            project.assets(),
            selection=dg.AssetSelection.checks_for_assets("run_result"),
            resources=project.resources(),
            instance=project.instance,
        )
        assert again.success
        assert materialized(again) == []
        assert (len(project.sandbox.requests), triggers(project.sandbox)) == (asked, 2)
        checks = evaluations_of(again)
        assert {name: each.passed for name, each in checks.items()} == {
            "dbt_run_succeeded": False,
            "dbt_tests_passed": False,
            "dbt_sources_fresh": True,
        }
        assert "newly failing: orders" in str(checks["dbt_run_succeeded"].description)
        assert latest(project, "dbt_run_succeeded") == ("FAILED", again.run_id)


def test_what_failed_before_is_known_of_every_node(tmp_path: Path) -> None:
    """However many failed: none is called new that failed in the run before."""
    many = [result(f"model.shop.m{number:03}", "error") for number in range(101)]
    with a_project(tmp_path, a_script(*many, outcome="error")) as project:
        project.materialize()
        check = evaluations_of(project.materialize())["dbt_run_succeeded"]
        said = "failing since 2 runs: m000, m001, m002 and 98 more. dbt Cloud run "
        assert str(check.description).startswith(said)


def test_one_check_can_be_executed_alone_before_any_run(tmp_path: Path) -> None:
    """It says in the log that there is nothing to look at."""
    with a_project(tmp_path, FINE) as project:
        key = dg.AssetCheckKey(dg.AssetKey("run_result"), "dbt_tests_passed")
        again = dg.materialize(
            project.assets(),
            selection=dg.AssetSelection.checks(key),
            resources=project.resources(),
            instance=project.instance,
        )
        assert again.success
        assert evaluations_of(again) == {}
        assert any("No dbt Cloud run was landed yet" in line for line in project.logs(again))


def test_every_run_of_several_is_checked_and_the_newest_counts(tmp_path: Path) -> None:
    """As when the monitor lands what nobody has waited for."""
    with a_project(tmp_path, FAILED, FINE) as project:
        for _ in range(2):
            project.materialize(selection=["trigger_response"])
        run_ids = project.run_ids("dbt_cloud_trigger")
        outcome = project.materialize(selection=LANDED, run={"run_ids": run_ids})
        said = [
            event.asset_check_evaluation_data.passed
            for event in outcome.all_events
            if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
            and event.asset_check_evaluation_data.check_name == "dbt_run_succeeded"
        ]
        assert said == [False, True]
        assert latest(project, "dbt_run_succeeded") == ("SUCCEEDED", outcome.run_id)


def test_a_run_that_only_compiled_has_tested_nothing(tmp_path: Path) -> None:
    """``dbt docs generate`` tells of each node that it compiled."""
    compiled = result("test.shop.unique_id.1", "success")
    script = a_script(compiled)
    steps = (ScriptStep("Invoke dbt with `dbt compile`"),)
    with a_project(tmp_path, Script(steps=steps, artifacts=script.artifacts)) as project:
        evaluation = evaluations_of(project.materialize())["dbt_tests_passed"]
        assert evaluation.description == "The run has run no tests."


@pytest.mark.parametrize(
    ("script", "name"), [(TEST_WARNS, "dbt_tests_passed"), (freshness("warn"), "dbt_sources_fresh")]
)
def test_landing_a_run_again_without_its_nodes_turns_no_check_green(
    tmp_path: Path, script: Script, name: str
) -> None:
    """What was landed of its nodes before counts."""
    with a_project(tmp_path, script) as project:
        first = evaluations_of(project.materialize())[name]
        again = evaluations_of(project.materialize(selection=["run_result"]))[name]
        assert (first.passed, again.passed, again.severity) == (False, False, WARN)
        assert again.description == first.description


@pytest.mark.parametrize("run", [{"node_results": False}, {"store_artifacts": False}])
def test_of_nodes_that_nobody_has_looked_at_no_check_speaks(
    tmp_path: Path, run: dict[str, bool]
) -> None:
    """Neither at the landing, nor when the checks are executed afterwards."""
    with a_project(tmp_path, TEST_WARNS) as project:
        landed = project.materialize(run=run)
        again = dg.materialize(
            project.assets(),
            selection=dg.AssetSelection.checks_for_assets("run_result"),
            resources=project.resources(),
            instance=project.instance,
        )
        for landing in (landed, again):
            assert landing.success
            assert list(evaluations_of(landing)) == ["dbt_run_succeeded"]


def test_a_graph_without_node_results_has_no_check_of_them(tmp_path: Path) -> None:
    """It has the one of the run, and lands as ever."""
    with a_project(tmp_path, TEST_WARNS) as project:
        assets = project.assets(node_results=False)
        keys = {key.name for each in assets for key in each.check_keys}
        assert keys == {"dbt_run_succeeded"}
        landed = project.materialize(assets=assets)
        assert list(evaluations_of(landed)) == ["dbt_run_succeeded"]


def in_two_steps(first: dict[str, Any], second: dict[str, Any]) -> Script:
    """A run of ``dbt build`` and then ``dbt test``, each with a result."""
    files = [
        {"manifest.json": MANIFEST, "run_results.json": json.dumps(results_of(which, each))}
        for which, each in (("build", first), ("test", second))
    ]
    steps = (
        ScriptStep("Invoke dbt with `dbt build`", artifacts=files[0]),
        ScriptStep("Invoke dbt with `dbt test`", artifacts=files[1]),
    )
    return Script(steps=steps, artifacts=files[1])


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("warn", "pass", "1 tests passed."),
        ("fail", "pass", "1 tests passed."),
        ("pass", "warn", "unique_id: warned, of 1 tests."),
        ("warn", "skipped", "unique_id: warned, of 1 tests."),
        ("fail", "skipped", "newly failing: unique_id"),
    ],
)
def test_of_a_test_in_several_steps_the_last_result_counts(
    tmp_path: Path, first: str, second: str, said: str
) -> None:
    """For warnings, failures and their number alike; where it was skipped, it did not run."""
    test = "test.shop.unique_id.1"
    with a_project(tmp_path, in_two_steps(timed(test, first), timed(test, second))) as project:
        check = evaluations_of(project.materialize())["dbt_tests_passed"]
        assert check.description == said
        assert check.metadata["tests_run"].value == 1
