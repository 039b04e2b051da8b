"""Runs of dbt Fusion, made by hand: nobody here can run it.

Their files have the shapes of Fusion's published code: run_results.json (v6, some fields left out,
others added, one interval for compiling and executing), manifest.json (v12, with more in it),
sources.json, and a Parquet file of telemetry for each step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from dbt_trigger_dagster_tests.artifacts.telemetry_files import node as span
from dbt_trigger_dagster_tests.artifacts.telemetry_files import query, telemetry

VERSION = "2.0.0-preview.76"
BEGIN = datetime(2026, 6, 1, 3, 0, tzinfo=timezone.utc)
_SUCCESS, _ERROR = 10, 20


@dataclass(frozen=True)
class HandMade:
    """A run that nobody has run.

    Attributes:
        name: What it shows.
        run: The run as the API says it.
        files: Its files by step and path; text is made of everything but bytes.
        known: What is known of each row of `NODE_RESULT`: by step and id, the columns that are
            known.
        freshness: The same of `SOURCE_FRESHNESS`.
    """

    name: str
    run: Mapping[str, Any]
    files: Mapping[tuple[int, str], Any]
    known: Mapping[tuple[int, str], Mapping[str, Any]]
    freshness: Mapping[tuple[int, str], Mapping[str, Any]] = field(default_factory=dict)


def _run(*commands: tuple[str, int, str]) -> dict[str, Any]:
    """A run of some commands, each with its status and its log."""
    before = [("Clone git repository", _SUCCESS, "Cloned"), ("Create profile", _SUCCESS, "")]
    steps = [*before, *((f"Invoke dbt with `{text}`", *rest) for text, *rest in commands)]
    status = steps[-1][1]
    return {
        "id": 90_000_001,
        "account_id": 1,
        "project_id": 4,
        "job_definition_id": 300,
        "status": status,
        "is_complete": True,
        "is_success": status == _SUCCESS,
        "is_error": status == _ERROR,
        "run_steps": [
            {
                "index": index,
                "name": name,
                "status": code,
                "logs": log,
                "started_at": (BEGIN + timedelta(minutes=index)).isoformat(),
                "finished_at": (BEGIN + timedelta(minutes=index, seconds=50)).isoformat(),
            }
            for index, (name, code, log) in enumerate(steps, start=1)
        ],
    }


def _result(unique_id: str, status: str, second: int = 0, **more: Any) -> dict[str, Any]:
    """A node in run_results.json; Fusion leaves out what it does not know."""
    started = BEGIN + timedelta(seconds=second)
    interval = {
        "started_at": started.isoformat().replace("+00:00", "Z"),
        "completed_at": (started + timedelta(seconds=0.5)).isoformat().replace("+00:00", "Z"),
    }
    return {
        "status": status,
        "timing": [{"name": "compile", **interval}, {"name": "execute", **interval}],
        "thread_id": "Thread-2",
        "execution_time": 0.5,
        "adapter_response": {},
        "unique_id": unique_id,
        **more,
    }


def _run_results(which: str, *results: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json",
            "dbt_version": VERSION,
            "generated_at": "2026-06-01T03:05:00.000000Z",
            "invocation_id": f"0197-{which}",
            "invocation_started_at": "2026-06-01T03:03:01.000000Z",
            "env": {},
        },
        "results": list(results),
        "elapsed_time": 12.5,
        "args": {"command": which, "which": which, "select": []},
    }


def _manifest(*nodes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "dbt_version": VERSION,
            "adapter_type": "snowflake",
            "project_name": "shop",
        },
        "nodes": {node["unique_id"]: node for node in nodes},
        "sources": {},
        "unit_tests": {},
        "groups": {"group.shop.finance": {"name": "finance", "owner": {"email": "f@example.com"}}},
        "functions": {},
    }


def _node(unique_id: str, *, depends_on: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    kind, package, name, *_ = unique_id.split(".")
    return {
        "unique_id": unique_id,
        "resource_type": kind,
        "package_name": package,
        "name": name,
        "alias": name,
        "database": "ANALYTICS",
        "schema": "PROD",
        "relation_name": f"ANALYTICS.PROD.{name}" if kind == "model" else None,
        "original_file_path": f"models/{name}.sql",
        "checksum": {"name": "sha256", "checksum": "ab"},
        "depends_on": {
            "macros": [],
            "nodes": list(depends_on),
            "nodes_with_ref_location": [[each, {"line": 1}] for each in depends_on],
        },
        "static_analysis_off_reason": None,
        "classifiers": [],
        "config": {"materialized": "table" if kind == "model" else "test"},
        **more,
    }


_STAGED, _ORDERS = "model.shop.staged", "model.shop.orders"
_LATE, _AFTER, _LOCKED = "model.shop.late", "model.shop.after", "model.shop.locked"
_UNIQUE, _NOT_NULL = "test.shop.unique_orders_id.1f", "test.shop.not_null_orders_id.2e"
_FRESH = "test.shop.recent_orders.3d"
_MANIFEST = _manifest(
    _node(_STAGED, config={"materialized": "view", "tags": ["nightly"], "group": "finance"}),
    _node(_ORDERS, depends_on=[_STAGED]),
    _node(_LATE, depends_on=[_ORDERS]),
    _node(_LOCKED, depends_on=[_ORDERS]),
    _node(_AFTER, depends_on=[_LATE]),
    _node(
        _UNIQUE,
        depends_on=[_ORDERS],
        attached_node=_ORDERS,
        column_name="ID",
        config={"materialized": "test", "severity": "ERROR"},
    ),
    _node(_NOT_NULL, depends_on=[_ORDERS], attached_node=_ORDERS, column_name="ID"),
    _node(_FRESH, depends_on=[_ORDERS], config={"materialized": "test", "severity": "WARN"}),
)
_COLD = "250001: the warehouse could not be resumed"

FULL_BUILD = HandMade(
    "a build with dbt State, with run results and telemetry",
    _run(("dbt build", _ERROR, "")),
    {
        (3, "manifest.json"): _MANIFEST,
        (3, "run_results.json"): _run_results(
            "build",
            _result(_STAGED, "reused", relation_name="ANALYTICS.PROD.staged"),
            _result(
                _ORDERS,
                "success",
                1,
                message="SUCCESS 3",
                adapter_response={"_message": "SUCCESS 3", "code": "SUCCESS", "rows_affected": 3},
                static_analysis_off_reason="unsupported_adapter",
            ),
            _result(_LATE, "error", 2, message=_COLD),
            _result(_LOCKED, "error", 2, message="column AMOUNT is not there"),
            _result(_AFTER, "skipped", 3, timing=[], execution_time=0.0),
            _result(_UNIQUE, "fail", 4, failures=2, message="Got 2 results"),
            _result(_NOT_NULL, "pass", 5, failures=0),
            _result(_FRESH, "warn", 6, failures=1),
        ),
        (3, "metadata/telemetry-3-otel.parquet"): telemetry(
            span(_STAGED, "NODE_OUTCOME_SKIPPED", node_skip_reason="NODE_SKIP_REASON_CACHED"),
            query(_ORDERS, "01bc-orders"),
            span(_ORDERS, "NODE_OUTCOME_SUCCESS", rows_affected=3, duration_ms=480),
            span(
                _LATE,
                "NODE_OUTCOME_ERROR",
                node_error_type="NODE_ERROR_TYPE_EXTERNAL",
                status_message=_COLD,
            ),
            span(_LOCKED, "NODE_OUTCOME_ERROR", node_error_type="NODE_ERROR_TYPE_USER"),
            span(
                _AFTER,
                "NODE_OUTCOME_SKIPPED",
                node_skip_reason="NODE_SKIP_REASON_UPSTREAM",
            ),
            span(
                _UNIQUE,
                "NODE_OUTCOME_SUCCESS",
                node_test_detail={"failing_rows": 2, "test_outcome": "TEST_OUTCOME_FAILED"},
            ),
        ),
    },
    {
        (3, _STAGED): {
            "status": "reused",
            "executed": True,
            "source": "run_results",
            "materialization": "view",
            "owner": "f@example.com",
            "tags": '["nightly"]',
            "relation_name": "ANALYTICS.PROD.staged",
            "query_id": None,
        },
        (3, _ORDERS): {
            "status": "success",
            "source": "run_results",
            "query_id": "01bc-orders",
            "rows_affected": 3,
            "adapter_code": "SUCCESS",
            "message": "SUCCESS 3",
            "database": "ANALYTICS",
            "schema": "PROD",
            "alias": "orders",
            "execution_time": 0.5,
            "compile_started_at": BEGIN + timedelta(seconds=1),
            "execute_started_at": BEGIN + timedelta(seconds=1),
            "error_kind": None,
            "invocation_id": "0197-build",
        },
        (3, _LATE): {"status": "error", "error_kind": "external", "message": _COLD},
        (3, _LOCKED): {"status": "error", "error_kind": "user"},
        (3, _AFTER): {"status": "skipped", "error_kind": None},
        (3, _UNIQUE): {
            "status": "fail",
            "failures": 2,
            "severity": "error",
            "attached_node": _ORDERS,
            "column_name": "ID",
            "resource_type": "test",
        },
        (3, _NOT_NULL): {"status": "pass", "failures": 0},
        (3, _FRESH): {"status": "warn", "failures": 1, "severity": "warn"},
    },
)

TORN_BUILD = HandMade(
    "a build that was killed: telemetry is all that it has left",
    _run(("dbt build", _ERROR, "")),
    {
        (3, "metadata/telemetry-3-otel.parquet"): telemetry(
            span(
                _ORDERS,
                "NODE_OUTCOME_SUCCESS",
                database="ANALYTICS",
                schema="PROD",
                identifier="orders",
                materialization="NODE_MATERIALIZATION_TABLE",
                rows_affected=3,
                duration_ms=480,
            ),
            span(_LATE, "NODE_OUTCOME_CANCELED"),
            span(
                _FRESH,
                "NODE_OUTCOME_SUCCESS",
                node_test_detail={"failing_rows": 1, "test_outcome": "TEST_OUTCOME_WARNED"},
            ),
            span(_AFTER, "NODE_OUTCOME_SKIPPED", node_skip_reason="NODE_SKIP_REASON_NO_OP"),
        ),
    },
    {
        (3, _ORDERS): {
            "status": "success",
            "executed": True,
            "source": "telemetry",
            "materialization": "table",
            "database": "ANALYTICS",
            "schema": "PROD",
            "alias": "orders",
            "rows_affected": 3,
            "execution_time": 0.48,
            "invocation_id": None,
        },
        (3, _LATE): {"status": "cancelled", "source": "telemetry"},
        (3, _FRESH): {"status": "warn", "failures": 1, "source": "telemetry"},
        (3, _AFTER): {"status": "no-op", "source": "telemetry"},
    },
)

_SOURCE, _OTHER = "source.shop.raw.orders", "source.shop.raw.returns"
FRESHNESS_AND_COMPILE = HandMade(
    "sources that were looked at, and models that were only compiled",
    _run(("dbt source freshness", _SUCCESS, ""), ("dbt compile", _SUCCESS, "")),
    {
        (3, "sources.json"): {
            "metadata": {"invocation_id": "0197-freshness", "dbt_version": VERSION, "env": {}},
            "results": [
                {
                    "unique_id": _SOURCE,
                    "status": "warn",
                    "max_loaded_at": "2026-05-31T03:00:00Z",
                    "snapshotted_at": "2026-06-01T03:03:02Z",
                    "max_loaded_at_time_ago_in_s": 86582.0,
                    "criteria": {"warn_after": {"count": 12, "period": "hour"}},
                },
                {"unique_id": _OTHER, "status": "runtime error", "error": "it is not there"},
            ],
            "elapsed_time": 1.5,
        },
        (4, "manifest.json"): _MANIFEST,
        (4, "run_results.json"): _run_results("compile", _result(_STAGED, "success")),
        (4, "metadata/telemetry-4-otel.parquet"): telemetry(span(_STAGED, "NODE_OUTCOME_SUCCESS")),
    },
    {(4, _STAGED): {"status": "success", "executed": False, "source": "run_results"}},
    {
        (3, _SOURCE): {
            "status": "warn",
            "max_loaded_at": BEGIN - timedelta(days=1),
            "max_loaded_at_time_ago_in_s": 86582.0,
            "warn_after": '{"count": 12, "period": "hour"}',
            "error_after": None,
            "execute_started_at": None,
            "invocation_id": "0197-freshness",
        },
        (3, _OTHER): {"status": "runtime error", "error": "it is not there"},
    },
)

HAND_MADE = (FULL_BUILD, TORN_BUILD, FRESHNESS_AND_COMPILE)
"""All of them."""
