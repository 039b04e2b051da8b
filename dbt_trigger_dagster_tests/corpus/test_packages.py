"""What elementary and dbt_artifacts wrote of a run, and what the views like them say of it."""

import contextlib
import json
import zipfile
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbt_trigger_dagster.artifacts.node_results import collect_node_results
from dbt_trigger_dagster.artifacts.node_rows import node_rows
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.columns import Column
from dbt_trigger_dagster.storage.compatible_views import views_like
from dbt_trigger_dagster.storage.node_tables import RUN_STEP
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import RUN, TABLES, run_rows
from dbt_trigger_dagster.storage.view import View
from dbt_trigger_dagster_tests.corpus.record_packages import CATEGORY, PACKAGES, REASON, RECORDED
from dbt_trigger_dagster_tests.corpus.recorded import Files

Table = Mapping[str, Mapping[str, Any]]
"""Rows by their keys."""

KEYS = {
    "dim_dbt__current_models": "node_id",
    "fct_dbt__invocations": "command_invocation_id",
    "dbt_invocations": "invocation_id",
}
"""What tells rows apart, where that is not the first column."""

_ENDED = "when the step ended, not when a row was written within it"
_OWN_CLOCK = "when the row was written here"
_ABSENT = "of what dbt could not look at, only the log tells"
_NOT_GIVEN = "only where the command or the trigger says it"
DIFFERENT: Mapping[str, Mapping[str, str]] = {
    "fct_dbt__model_executions": {},
    "fct_dbt__test_executions": {"message": "no message is the text None there"},
    "fct_dbt__invocations": {
        "target_profile_name": _NOT_GIVEN,
        "target_schema": _NOT_GIVEN,
        "invocation_args": "warn_error_options is written in another way",
    },
    "dim_dbt__current_models": {"meta": "JSON, where theirs is how Python writes a dictionary"},
    "dbt_run_results": {
        "generated_at": _ENDED,
        "created_at": _OWN_CLOCK,
        "group_name": "a test is of its model's group",
        "message": _ABSENT,
        "execution_time": _ABSENT,
        "execute_started_at": _ABSENT,
        "execute_completed_at": _ABSENT,
        "compile_started_at": _ABSENT,
        "compile_completed_at": _ABSENT,
        "thread_id": _ABSENT,
        "adapter_response": _ABSENT,
    },
    "dbt_invocations": {
        "run_completed_at": _ENDED,
        "generated_at": _ENDED,
        "created_at": _OWN_CLOCK,
        "job_name": "theirs does not know it",
        "account_id": "theirs does not know it",
        "invocation_vars": "sources.json does not tell them",
        "target_profile_name": _NOT_GIVEN,
        "target_schema": _NOT_GIVEN,
    },
    "dbt_source_freshness_results": {
        "generated_at": _ENDED,
        "created_at": _OWN_CLOCK,
        "error": _ABSENT,
        "execute_started_at": _ABSENT,
        "execute_completed_at": _ABSENT,
    },
}
"""The columns that differ in some row, and why."""


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    """The recorded run, landed, with the views."""
    file = Path(tmp_path_factory.mktemp("packages"), "x.duckdb")
    store = open_store(str(file))
    store.check(TABLES.values(), views_like(PACKAGES))
    with zipfile.ZipFile(RECORDED / "recorded.zip") as archive:
        of_the_account = {
            "trigger": {"cause": REASON, "cause_category": CATEGORY},
            "job": {"name": "nightly", "settings": {"threads": 1, "target_name": "dev"}},
        }
        run = Run.from_payload({**json.loads(archive.read("run.json")), **of_the_account})
        found = collect_node_results(run, Files(archive))
    rows = [run_rows(RUN, [run]), RUN_STEP.rows(found.steps), *node_rows([found])]
    store.upsert(*(each.filled(loaded_at=datetime.now(timezone.utc)) for each in rows))
    return file


def ours(database: Path, view: View) -> Table:
    """What a view says."""
    with duckdb.connect(database, read_only=True) as connection:
        found = connection.execute(f"SELECT * FROM main_{view.package}.{view.name}").fetchall()  # noqa: S608  # our own
    names = [column.name for column in view.columns]
    rows = [dict(zip(names, row, strict=True)) for row in found]
    return {row[KEYS.get(view.name, names[0])]: row for row in rows}


def theirs(view: View, invocations: set[str]) -> Table:
    """What the package wrote of the recorded run; it has also seen what was done before it.

    Of current models, without the packages' own, whose code is not kept.
    """
    with zipfile.ZipFile(RECORDED / "recorded.zip") as archive:
        rows = json.loads(archive.read(f"{view.package}/{view.name}.json"))
    key = KEYS.get(view.name, view.columns[0].name)
    return {
        row[key]: row
        for row in rows
        if (row.get("command_invocation_id") or row.get("invocation_id")) in invocations
        and row.get("package_name") not in PACKAGES
    }


def is_the_same(one: Any, other: Any) -> bool:
    """Whether two values say the same.

    elementary's moments are text, some in whole seconds; dbt tells its begin to its hooks some
    milliseconds later than to its files; and JSON may be written in several ways.
    """
    if isinstance(one, datetime) and isinstance(other, str):
        moment = datetime.fromisoformat(other.replace("Z", "+00:00"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return abs(one - moment) < timedelta(seconds=0.1 if "." in other else 1)
    if {"{", "["} & {str(one)[:1]} and isinstance(other, str):
        with contextlib.suppress(ValueError):
            return bool(json.loads(one) == json.loads(other))
    return bool(one == other)


def is_unknown(column: Column) -> bool:
    """Whether the documents say that nobody knows it."""
    return column.description.startswith("Not known: null")


@pytest.mark.parametrize("view", views_like(PACKAGES), ids=lambda view: view.name)
def test_a_view_says_what_the_package_wrote_of_the_same_run(database, view) -> None:
    """The same rows, and every column the same, or named here or in the documents as another."""
    (invocations,) = (each for each in views_like(PACKAGES) if each.name == "dbt_invocations")
    mine, written = ours(database, view), theirs(view, set(ours(database, invocations)))
    assert mine.keys() == written.keys()
    assert len(mine) > 3
    different = {
        column.name
        for column in view.columns
        if not is_unknown(column)
        and not all(is_the_same(mine[k][column.name], written[k].get(column.name)) for k in mine)
    }
    assert different == set(DIFFERENT[view.name])


@pytest.mark.parametrize("view", views_like(PACKAGES), ids=lambda view: view.name)
def test_what_nobody_knows_is_null(database, view) -> None:
    """And never a guess."""
    for row in ours(database, view).values():
        assert {row[column.name] for column in view.columns if is_unknown(column)} <= {None}


def test_a_step_ends_after_the_last_word_of_its_hooks(database) -> None:
    """Who sorts by generated_at gets the same order."""
    (view,) = (each for each in views_like(PACKAGES) if each.name == "dbt_invocations")
    mine = ours(database, view)
    written = theirs(view, set(mine))
    for key, row in written.items():
        completed = datetime.fromisoformat(row["generated_at"]).replace(tzinfo=timezone.utc)
        assert completed <= mine[key]["generated_at"]
    assert sorted(mine, key=lambda key: mine[key]["generated_at"]) == sorted(
        written, key=lambda key: written[key]["generated_at"]
    )
