"""Fusion's telemetry: outcomes in dbt's words, kinds of errors, ids of queries."""

import io
from datetime import datetime, timezone
from typing import Any

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
