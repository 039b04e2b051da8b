"""The questions of the examples, asked of a database that holds the corpus's runs."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbt_trigger_dagster.artifacts.node_rows import node_rows
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT, RUN_STEP
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import RUN, TABLES, run_rows
from dbt_trigger_dagster.storage.views import VIEWS
from dbt_trigger_dagster_tests.corpus.recorded import read_run_as
from dbt_trigger_dagster_tests.corpus.scenarios import SCENARIOS
from dbt_trigger_dagster_tests.documentation import ROOT, queries

FILE = ROOT / "examples" / "questions.sql"
QUESTIONS = queries(FILE)


def _test(name: str, outcomes: str) -> list[dict[str, Any]]:
    """What a test came to in the runs 1, 2, 3, …: p for pass, f for fail."""
    return [
        {
            "account_id": 1,
            "job_id": 300,
            "run_id": number,
            "step": 4,
            "unique_id": f"test.orders.{name}",
            "resource_type": "test",
            "name": name,
            "executed": True,
            "status": {"p": "pass", "f": "fail"}[outcome],
        }
        for number, outcome in enumerate(outcomes, start=1)
    ]


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    """The corpus's runs, as if they had just been landed, and tests that flicker or never pass."""
    path = tmp_path_factory.mktemp("questions") / "dbt_cloud.duckdb"
    store = open_store(str(path))
    store.check(TABLES.values(), VIEWS)
    read = [
        read_run_as(scenario, id=number, queued_duration="00:00:07")
        for number, scenario in enumerate(SCENARIOS, start=1)
    ]
    store.upsert(
        run_rows(
            RUN,
            [run for run, _ in read],
            own={2: {"retry_decision": "not retried: max_run_retries is 0"}},
        ),
        RUN_STEP.rows(step for _, found in read for step in found.steps),
        *node_rows(found for _, found in read),
    )
    store.upsert(NODE_RESULT.rows([*_test("flaky", "pfpf"), *_test("hopeless", "ffff")]))
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE dbt_cloud_run SET created_at = now()")
        connection.execute("UPDATE dbt_cloud_node_result SET execute_completed_at = now()")
    return path


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered(database, question) -> None:
    """By rows, and not by an error."""
    with duckdb.connect(database, read_only=True) as connection:
        rows = connection.execute(QUESTIONS[question]).fetchall()
    assert rows
    for name, asked in {"flaky": "flaky", "hopeless": "always fail"}.items():
        if asked in question:
            assert rows[0][0] == name


def test_the_file_is_made_of_questions() -> None:
    """Nothing in it is left untried."""
    assert len(QUESTIONS) >= 11
    statements = [part for part in FILE.read_text().split(";\n") if part.strip()]
    assert len(statements) == len(QUESTIONS)
