"""Fusion's telemetry: outcomes in dbt's words, kinds of errors, ids of queries."""

import io
from datetime import datetime, timezone
from typing import Any

import duckdb
import pytest

from dbt_trigger_dagster.artifacts.json_stream import BrokenFileError
from dbt_trigger_dagster.artifacts.telemetry import read_telemetry
from dbt_trigger_dagster_tests.artifacts.telemetry_files import node, query, telemetry


def _read(*spans: dict[str, Any]) -> list[dict[str, Any]]:
    content = telemetry(*spans)
    return list(read_telemetry(lambda: io.BytesIO(content)))


def test_a_span_becomes_a_record() -> None:
    """Its times are Unix nanoseconds; the query's id comes from the query's own span."""
    (record,) = _read(
        query("model.a.b", "01b2"),
        node(
            "model.a.b",
            "NODE_OUTCOME_ERROR",
            node_error_type="NODE_ERROR_TYPE_EXTERNAL",
            materialization="NODE_MATERIALIZATION_TABLE",
            status_message="the warehouse is away",
            identifier="b",
            schema="main",
            rows_affected=5,
            duration_ms=1250,
        ),
    )
    expected = {
        "unique_id": "model.a.b",
        "status": "error",
        "error_kind": "external",
        "materialization": "table",
        "message": "the warehouse is away",
        "schema": "main",
        "alias": "b",
        "query_id": "01b2",
        "rows_affected": 5,
        "execution_time": 1.25,
        "execute_started_at": datetime.fromtimestamp(1_780_000_001, timezone.utc),
        "source": "telemetry",
    }
    assert {name: record[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("unique_id", "span", "status"),
    [
        ("model.a.b", {"outcome": "NODE_OUTCOME_SUCCESS"}, "success"),
        ("model.a.b", {"outcome": "NODE_OUTCOME_CANCELED"}, "cancelled"),
        ("model.a.b", {"outcome": "NODE_OUTCOME_SKIPPED"}, "skipped"),
        (
            "model.a.b",
            {"outcome": "NODE_OUTCOME_SKIPPED", "node_skip_reason": "NODE_SKIP_REASON_CACHED"},
            "reused",
        ),
        (
            "model.a.b",
            {"outcome": "NODE_OUTCOME_SKIPPED", "node_skip_reason": "NODE_SKIP_REASON_NO_OP"},
            "no-op",
        ),
        ("model.a.b", {"outcome": "NODE_OUTCOME_SOMETHING_NEW"}, "something_new"),
        ("test.a.b.1", {"outcome": "NODE_OUTCOME_SUCCESS"}, "pass"),
        (
            "test.a.b.1",
            {
                "outcome": "NODE_OUTCOME_SUCCESS",
                "node_test_detail": {"failing_rows": 38, "test_outcome": "TEST_OUTCOME_FAILED"},
            },
            "fail",
        ),
        (
            "test.a.b.1",
            {
                "outcome": "NODE_OUTCOME_SUCCESS",
                "node_test_detail": {"failing_rows": 1, "test_outcome": "TEST_OUTCOME_WARNED"},
            },
            "warn",
        ),
    ],
)
def test_outcomes_are_told_in_dbts_words(unique_id, span, status) -> None:
    """A failed test is a node that succeeded, for Fusion; unknown outcomes stay as they are."""
    (record,) = _read(node(unique_id, **span))
    assert record["status"] == status
    assert record.get("failures") == span.get("node_test_detail", {}).get("failing_rows")


_AT = 1_780_000_000_000_000_000
_ATTRIBUTES = "{unique_id: 'model.a.b', node_outcome: 'NODE_OUTCOME_SUCCESS', json_payload: %s}"


@pytest.mark.parametrize(
    ("changes", "statuses"),
    [
        ({"start_time_unix_nano": f"'{_AT}'"}, ["success"]),
        ({"start_time_unix_nano": "TIMESTAMP '2026-05-28'"}, ["success"]),
        ({"end_time_unix_nano": "18446744073709551615::UBIGINT"}, ["success"]),
        ({"status_message": "5"}, ["success"]),
        ({"attributes": """'{"unique_id": "model.a.b", "node_outcome": "x"}'"""}, ["x"]),
        ({"attributes": "'nonsense'"}, []),
        ({"attributes": "['model.a.b']"}, []),
        ({"attributes": "NULL::STRUCT(unique_id VARCHAR)"}, []),
        ({"attributes": "{unique_id: 5}"}, []),
        ({"attributes": _ATTRIBUTES % "'{half'"}, ["success"]),
        ({"attributes": _ATTRIBUTES % "'[1]'"}, ["success"]),
        ({"attributes": _ATTRIBUTES % "{node_test_detail: '{half'}"}, ["success"]),
    ],
    ids=str,
)
def test_columns_of_other_types_cost_what_only_they_say(tmp_path, changes, statuses) -> None:
    """Fusion is young."""
    columns = {
        "record_type": "'SpanEnd'",
        "event_type": "'v1.public.events.fusion.node.NodeProcessed'",
        "start_time_unix_nano": f"{_AT}::UBIGINT",
        "end_time_unix_nano": f"{_AT}::UBIGINT",
        "status_message": "NULL::VARCHAR",
        "attributes": _ATTRIBUTES % "NULL::VARCHAR",
        **changes,
    }
    file = tmp_path / "telemetry.parquet"
    selected = ", ".join(f"{value} AS {name}" for name, value in columns.items())
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT {selected}) TO '{file}' (FORMAT parquet)")
    found = list(read_telemetry(lambda: file.open("rb")))
    assert [record["status"] for record in found] == statuses


def test_of_several_spans_of_a_node_the_last_counts() -> None:
    """A node is evaluated phase by phase, and then processed."""
    (record,) = _read(
        node("model.a.b", "NODE_OUTCOME_SUCCESS", schema="main"),
        node("model.a.b", "NODE_OUTCOME_ERROR"),
    )
    assert (record["status"], record["schema"]) == ("error", "main")


@pytest.mark.parametrize("content", [b"", b"PAR1", b'{"a": 1}', b"x" * 5000])
def test_what_is_no_parquet_says_so(content) -> None:
    """Truncated, empty, something else."""
    with pytest.raises(BrokenFileError, match=r"\w"):
        list(read_telemetry(lambda: io.BytesIO(content)))
