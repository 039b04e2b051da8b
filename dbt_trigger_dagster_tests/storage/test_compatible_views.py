"""Views like the tables of dbt_artifacts and elementary, in each kind of database with schemas."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from dbt_trigger_dagster.artifacts.node_rows import node_rows
from dbt_trigger_dagster.storage.compatible_views import COMPATIBLE_VIEWS, views_like
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.node_tables import RUN_STEP
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.tables import RUN, TABLES, run_rows
from dbt_trigger_dagster.storage.views import VIEWS
from dbt_trigger_dagster_tests.corpus.recorded import read_run_as
from dbt_trigger_dagster_tests.corpus.scenarios import SCENARIOS
from dbt_trigger_dagster_tests.databases import EmptySchema, a_file, a_schema

EXECUTION = """command_invocation_id node_id run_started_at was_full_refresh thread_id status
    compile_started_at query_completed_at total_node_runtime rows_affected"""
PUBLISHED = {
    "fct_dbt__model_executions": f"""model_execution_id {EXECUTION} bytes_processed materialization
        schema name alias message""",
    "fct_dbt__test_executions": f"test_execution_id {EXECUTION} failures message",
    "fct_dbt__invocations": """command_invocation_id dbt_version project_name run_started_at
        dbt_command full_refresh_flag target_profile_name target_name target_schema target_threads
        dbt_cloud_project_id dbt_cloud_job_id dbt_cloud_run_id dbt_cloud_run_reason_category
        dbt_cloud_run_reason env_vars dbt_vars invocation_args dbt_custom_envs""",
    "dim_dbt__current_models": """model_execution_id command_invocation_id node_id run_started_at
        database schema name depends_on_nodes package_name path checksum materialization tags meta
        alias last_full_refresh_run_completed_at last_full_refresh_run_total_runtime
        last_full_refresh_run_rows_affected last_full_refresh_run_bytes_processed
        last_run_completed_at last_run_total_runtime last_run_rows_affected
        last_run_bytes_processed""",
    "dbt_run_results": """model_execution_id unique_id invocation_id generated_at created_at name
        message status resource_type execution_time execute_started_at execute_completed_at
        compile_started_at compile_completed_at rows_affected full_refresh compiled_code failures
        query_id thread_id materialization adapter_response group_name""",
    "dbt_invocations": """invocation_id job_id job_name job_run_id run_started_at run_completed_at
        generated_at created_at command dbt_version elementary_version full_refresh
        invocation_vars vars target_name target_database target_schema target_profile_name threads
        selected yaml_selector project_id project_name env env_id cause_category cause
        pull_request_id git_sha orchestrator dbt_user job_url job_run_url account_id
        target_adapter_specific_fields""",
    "dbt_source_freshness_results": """source_freshness_execution_id unique_id max_loaded_at
        snapshotted_at generated_at created_at max_loaded_at_time_ago_in_s status error
        compile_started_at compile_completed_at execute_started_at execute_completed_at
        invocation_id warn_after error_after filter""",
}
"""The columns of the packages' tables as they publish them: dbt_artifacts 2, elementary 0.2x."""

ALL = [*VIEWS, *views_like(COMPATIBLE_VIEWS)]


@pytest.fixture(params=["duckdb", "postgresql"])
def place(request, tmp_path: Path) -> EmptySchema:
    """A schema of a database of each kind that has schemas, empty."""
    if request.param == "postgresql":
        return a_schema(request.getfixturevalue("cluster"))
    return a_file(request.param, tmp_path)


@pytest.fixture
def store(place: EmptySchema) -> SqlStore:
    """A store of it, with the tables and all views."""
    made = place.open(wait_limit=10)
    made.check(TABLES.values(), ALL)
    return made


def land(store: SqlStore, *names: str, **changes: Any) -> None:
    """Keep some of the recorded runs."""
    for scenario in SCENARIOS:
        if scenario.name in names:
            run, found = read_run_as(scenario, **changes)
            steps = RUN_STEP.rows(found.steps)
            store.upsert(run_rows(RUN, [run]), steps, *node_rows([found]))


def found_in(place: EmptySchema, package: str, view: str, columns: str) -> list[tuple[Any, ...]]:
    """Some columns of all rows of a view, in their order."""
    return place.execute(
        f'SELECT {columns} FROM "{place.schema}_{package}".{view} ORDER BY {columns}'  # noqa: S608  # our own
    )


@pytest.mark.parametrize("view", views_like(COMPATIBLE_VIEWS), ids=lambda view: view.name)
def test_a_view_has_the_columns_of_the_table_that_it_is_like(place, store, view) -> None:
    """All of them and in their order, each of the kind that is documented."""
    names = [column.name for column in view.columns]
    assert names == PUBLISHED[view.name].split()
    there = place.execute(
        "SELECT column_name, data_type FROM information_schema.columns "  # noqa: S608  # our own
        f"WHERE table_schema = '{place.schema}_{view.package}' AND table_name = '{view.name}' "
        "ORDER BY ordinal_position"
    )
    assert [name for name, _ in there] == names
    kinds = {
        "64-bit integer": "BIGINT",
        "boolean": "BOOLEAN",
        "text": "VARCHAR" if place.kind == "duckdb" else "CHARACTER VARYING",
        "UTC timestamp": "TIMESTAMP WITH TIME ZONE",
        "64-bit floating-point number": "DOUBLE" if place.kind == "duckdb" else "DOUBLE PRECISION",
    }
    assert [kept.upper() for _, kept in there] == [kinds[c.kind.value] for c in view.columns]


def test_executions_are_those_of_commands_with_hooks(place, store) -> None:
    """Docs are generated in the same run, and say success of all; they count for nothing."""
    land(store, "build_with_docs")
    models = found_in(place, "dbt_artifacts", "fct_dbt__model_executions", "node_id, status")
    assert models == [
        ("model.orders.big_orders", "success"),
        ("model.orders.orders", "success"),
        ("model.orders.stg_orders", "success"),
    ]
    tests = found_in(place, "dbt_artifacts", "fct_dbt__test_executions", "status")
    assert tests == [("pass",)] * 3
    commands = found_in(place, "dbt_artifacts", "fct_dbt__invocations", "dbt_command")
    assert commands == [("build",)]
    kinds = dict(found_in(place, "elementary", "dbt_run_results", "resource_type, status"))
    assert kinds == {
        "model": "success",
        "seed": "success",
        "snapshot": "success",
        "test": "pass",
        "unit_test": "pass",
    }


def test_what_is_current_says_when_it_was_last_built(place, store) -> None:
    """A newer run of docs alone knows the models; what was built, an older one has built."""
    land(store, "build_with_docs", id=1)
    land(store, "compile_only", id=2)
    found = found_in(
        place,
        "dbt_artifacts",
        "dim_dbt__current_models",
        "name, materialization, path, last_run_completed_at IS NOT NULL, "
        "last_full_refresh_run_completed_at IS NOT NULL",
    )
    assert found == [
        ("big_orders", "incremental", "models/big_orders.sql", True, False),
        ("orders", "table", "models/orders.sql", True, False),
        ("scaled", "ephemeral", "models/scaled.sql", False, False),
        ("stg_orders", "view", "models/stg_orders.sql", True, False),
    ]


def test_a_full_refresh_is_told_from_other_runs(place, store) -> None:
    """By the arguments that dbt took, wherever they were set."""
    land(store, "build_with_docs", id=1)
    run, found = read_run_as(next(each for each in SCENARIOS if each.name == "seeds"), id=2)
    for step in found.steps:
        if step.get("args"):
            step["args"] = {**step["args"], "full_refresh": True}
    store.upsert(run_rows(RUN, [run]), RUN_STEP.rows(found.steps), *node_rows([found]))
    flags = found_in(place, "elementary", "dbt_invocations", "job_run_id, full_refresh")
    assert dict(flags) == {"1": False, "2": True}
    results = found_in(
        place, "elementary", "dbt_run_results", "resource_type, full_refresh, message"
    )
    assert {(kind, full) for kind, full, _ in results if kind == "seed"} == {
        ("seed", False),
        ("seed", True),
    }


def test_a_run_that_broke_has_rows_too(place, store) -> None:
    """Dbt was killed, and left no file: run and step stand for the id that nobody knows."""
    land(store, "killed")
    found = found_in(place, "elementary", "dbt_run_results", "invocation_id, unique_id, status")
    run_id = read_run_as(next(each for each in SCENARIOS if each.name == "killed"))[0].run_id
    assert (f"{run_id}.5", "model.orders.b_slow", "started") in found
    invocations = found_in(place, "elementary", "dbt_invocations", "invocation_id, command")
    assert (f"{run_id}.5", "build") in invocations
    assert {invocation for invocation, *_ in found} <= {each for each, _ in invocations}


def test_what_dbt_cloud_knows_of_a_run_stands_with_its_commands(place, store) -> None:
    """Its job, cause, pull request, target and threads, under the packages' names."""
    land(
        store,
        "seeds",
        trigger={
            "cause": "Nightly",
            "cause_category": "api",
            "github_pull_request_id": 12,
            "schema_override": "pr_12",
        },
        job={"name": "nightly", "settings": {"threads": 4, "target_name": "default"}},
        git_sha="abc",
    )
    (found,) = found_in(
        place,
        "elementary",
        "dbt_invocations",
        "job_id, job_name, job_url, cause, cause_category, pull_request_id, threads, target_name, "
        "target_schema, git_sha, orchestrator, account_id, selected",
    )
    assert found == (
        "300",
        "nightly",
        "https://cloud.example.com/deploy/1/projects/4/jobs/300",
        "Nightly",
        "api",
        "12",
        4,
        "default",
        "pr_12",
        "abc",
        "dbt_cloud",
        "1",
        "",
    )


@pytest.mark.parametrize("odd", ["", "many", "9" * 30, "-", {"a": 1}])
def test_threads_that_are_no_number_do_not_break_a_view(place, store, odd) -> None:
    """They are passed over for what the job says."""
    job = {"name": "nightly", "settings": {"threads": "4"}}
    land(store, "seeds", trigger={"threads_override": odd}, job=job)
    assert found_in(place, "elementary", "dbt_invocations", "threads") == [(4,)]


def test_a_view_is_made_anew_where_a_release_changes_it(place, store) -> None:
    """As all views are; what has not changed stays as it is."""
    *others, last = ALL
    changed = dataclasses.replace(last, select=last.select + " AND 1 = 0")
    land(store, "freshness")
    assert len(found_in(place, last.package, last.name, "unique_id")) == 4
    store.check(TABLES.values(), [*others, changed])
    assert found_in(place, last.package, last.name, "unique_id") == []
    store.check(TABLES.values(), ALL)
    assert len(found_in(place, last.package, last.name, "unique_id")) == 4


def test_a_table_of_the_packages_own_is_left_alone(place) -> None:
    """Its rows are somebody's; the sentence names it, before a job is triggered."""
    place.execute(f'CREATE SCHEMA "{place.schema}_elementary"')
    place.execute(f'CREATE TABLE "{place.schema}_elementary".dbt_run_results (unique_id text)')
    with pytest.raises(StorageError, match=r"_elementary\.dbt_run_results was made by somebody"):
        place.open().check(TABLES.values(), ALL)


def test_views_that_nobody_wants_are_not_there(place) -> None:
    """It is off by default, and each package is wanted by itself."""
    place.open().check(TABLES.values(), VIEWS)
    schemas = "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '{}%'"
    made = schemas.format(f"{place.schema}_")
    assert place.execute(made) == []
    place.open().check(TABLES.values(), [*VIEWS, *views_like(["elementary"])])
    assert {name for (name,) in place.execute(made)} == {f"{place.schema}_elementary"}


def test_sqlite_says_that_it_has_no_schemas(tmp_path: Path) -> None:
    """Before a job is triggered."""
    with pytest.raises(StorageError, match=r"SQLite has no schemas, .* leave compatible_views out"):
        a_file("sqlite", tmp_path).open().check(TABLES.values(), ALL)


def test_a_schema_whose_name_postgresql_would_cut_is_refused(cluster) -> None:
    """It would be another one."""
    schema = dataclasses.replace(a_schema(cluster), schema="x" * 60)
    with pytest.raises(StorageError, match="PostgreSQL takes no schema of the name"):
        schema.open().check(TABLES.values(), ALL)
