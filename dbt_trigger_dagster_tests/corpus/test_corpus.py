"""Every row that is made of the corpus's runs agrees with what is known of them: 100 %."""

import fnmatch
import io
import json
import re
from typing import BinaryIO

import pytest

from dbt_trigger_dagster.artifacts.node_results import collect_node_results
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT, RUN_STEP, SOURCE_FRESHNESS
from dbt_trigger_dagster_tests.corpus.hand_made import HAND_MADE, VERSION, HandMade
from dbt_trigger_dagster_tests.corpus.make_corpus import RUNS, known_of
from dbt_trigger_dagster_tests.corpus.recorded import read_run
from dbt_trigger_dagster_tests.corpus.scenarios import SCENARIOS, Scenario

_FIRST = 4
"""The step of a run's first command, behind clone, profile and deps."""


def _pattern_of(unique_id: str, known: dict[str, str]) -> str:
    """What is known of a node: ids of tests end in a hash, which is not known."""
    return next((each for each in known if fnmatch.fnmatch(unique_id, each)), unique_id)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_what_is_made_of_a_run_is_what_is_known_of_it(scenario) -> None:
    """Of every command all nodes and no other: statuses, whether executed, and from where."""
    found = read_run(scenario)
    for step, command in enumerate(scenario.commands, start=_FIRST):
        if step > len(found.steps):
            continue  # a command before it failed
        known = known_of(command.known)
        rows = [row for row in found.results.values() if row["step"] == step]
        made = {_pattern_of(row["unique_id"], known): row["status"] for row in rows}
        assert made == known, command.text
        assert {row["executed"] for row in rows} <= {command.executed}
        assert {row["source"] for row in rows} <= {command.source}
        freshness = [row for row in found.freshness.values() if row["step"] == step]
        assert {row["unique_id"]: row["status"] for row in freshness} == known_of(command.freshness)
    assert found.warnings == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_rows_of_real_runs_have_what_people_look_for(scenario) -> None:
    """Who failed says why; what was built says where, when, and how long it took."""
    for row in NODE_RESULT.rows(read_run(scenario).results.values()):
        if row["status"] in {"error", "fail", "partial success"}:
            assert row["message"], row["unique_id"]
        if row["status"] == "success" and row["executed"] and row["resource_type"] == "model":
            assert row["alias"]
            assert row["materialization"]
            assert row["execute_completed_at"] >= row["execute_started_at"]
            assert row["execution_time"] >= 0


def test_there_are_enough_of_them() -> None:
    """At least twenty runs, each with its file."""
    assert len(SCENARIOS) >= 20
    assert {scenario.name for scenario in SCENARIOS} == {file.stem for file in RUNS.glob("*.zip")}


def test_a_critical_path_is_a_chain_of_what_was_built() -> None:
    """In the whole build: seed, staging, orders, and what took longest behind them."""
    found = read_run(_scenario("build_with_docs"))
    path = [row["unique_id"] for row in found.results.values() if row["on_critical_path"]]
    assert path[:2] == ["seed.orders.raw_orders", "model.orders.stg_orders"]
    step = next(step for step in found.steps if step["step"] == _FIRST)
    assert step["peak_concurrency"] == 1
    assert 0 < step["critical_path_seconds"] <= step["busy_seconds"]


def _scenario(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def test_a_step_says_which_dbt_ran_and_how_it_was_called() -> None:
    """Each command's own version, arguments and flags; of a step that ran no dbt, none."""
    steps = list(RUN_STEP.rows(read_run(_scenario("docs_by_command")).steps))
    called = [step for step in steps if step["args"]]
    assert [json.loads(step["args"])["invocation_command"] for step in called] == [
        "dbt seed",
        "dbt run",
        "dbt docs generate",
        "dbt test",
    ]
    assert all(re.fullmatch(r"1\.\d+\.\d+", step["dbt_version"]) for step in called)
    assert [step["dbt_version"] for step in steps if step not in called] == [None] * 3


def test_the_freshness_of_a_source_says_when_dbt_looked() -> None:
    """As of a node: begin and end; of what dbt could not look at, only the log tells."""
    rows = list(SOURCE_FRESHNESS.rows(read_run(_scenario("freshness")).freshness.values()))
    looked = [row for row in rows if row["status"] != "runtime error"]
    assert len(looked) == 3
    for row in looked:
        assert row["execute_started_at"] < row["snapshotted_at"] < row["execute_completed_at"]
        assert row["compile_started_at"] <= row["compile_completed_at"]


class _HandMadeFiles:
    """The files of a run that was made by hand."""

    def __init__(self, made: HandMade) -> None:
        self._files = made.files

    def open(self, step: int, path: str) -> BinaryIO | None:
        content = self._files.get((step, path))
        if content is None:
            return None
        return io.BytesIO(content if isinstance(content, bytes) else json.dumps(content).encode())

    def uri(self, step: int, path: str) -> str | None:
        """They are in no store."""
        del step, path
        return None


@pytest.mark.parametrize("made", HAND_MADE, ids=lambda made: made.name)
def test_what_is_made_of_a_run_of_fusion_is_what_was_put_into_it(made) -> None:
    """Made by hand, after its published shapes: all rows and no other, each column as it is."""
    run = Run.from_payload(made.run)
    found = collect_node_results(run, _HandMadeFiles(made))
    for rows, known in (
        (NODE_RESULT.rows(found.results.values()), made.known),
        (SOURCE_FRESHNESS.rows(found.freshness.values()), made.freshness),
    ):
        by_key = {(row["step"], row["unique_id"]): row for row in rows}
        assert by_key.keys() == known.keys()
        for key, columns in known.items():
            assert {name: by_key[key][name] for name in columns} == columns, key
    assert found.warnings == []
    steps = RUN_STEP.rows(found.steps)
    versions = {step["dbt_version"] for step in steps if step["invocation_id"]}
    assert versions <= {VERSION}
