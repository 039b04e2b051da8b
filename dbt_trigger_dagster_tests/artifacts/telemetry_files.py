"""Telemetry as Fusion's published code writes it (its columns and words), made by hand."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

_NODE = "v1.public.events.fusion.node."
_QUERY = "v1.public.events.fusion.query.QueryExecuted"
_COLUMNS = """
record_type VARCHAR, span_name VARCHAR, start_time_unix_nano UBIGINT, end_time_unix_nano UBIGINT,
status_message VARCHAR, event_type VARCHAR, attributes STRUCT(
    json_payload VARCHAR, unique_id VARCHAR, database VARCHAR, schema VARCHAR, identifier VARCHAR,
    materialization VARCHAR, node_outcome VARCHAR, node_error_type VARCHAR,
    node_skip_reason VARCHAR, query_id VARCHAR, duration_ms UBIGINT, rows_affected UBIGINT)
"""
_FIELDS = tuple(re.findall(r"(\w+) (?:VARCHAR|UBIGINT)", _COLUMNS.partition("STRUCT")[2]))


def node(unique_id: str, outcome: str, **more: Any) -> dict[str, Any]:
    """The end of a node's span."""
    return {
        "event": _NODE + "NodeProcessed",
        "unique_id": unique_id,
        "node_outcome": outcome,
    } | more


def query(unique_id: str, query_id: str) -> dict[str, Any]:
    """The end of a query's span."""
    return {"event": _QUERY, "unique_id": unique_id, "query_id": query_id}


def telemetry(*spans: Mapping[str, Any]) -> bytes:
    """A Parquet file of spans that ended one second after the other."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE spans ({_COLUMNS})")
        for number, span in enumerate(spans):
            start = 1_780_000_000_000_000_000 + number * 1_000_000_000
            others = {k: v for k, v in span.items() if k.startswith("node_test")}
            values = {**span, "json_payload": json.dumps(others) if others else None}
            connection.execute(
                "INSERT INTO spans VALUES ('SpanEnd', 'x', ?, ?, ?, ?, ?)",
                [
                    start,
                    start + 500_000_000,
                    span.get("status_message"),
                    span["event"],
                    {name: values.get(name) for name in _FIELDS},
                ],
            )
        file = Path(folder, "telemetry.parquet")
        connection.execute(f"COPY spans TO '{file}' (FORMAT parquet)")
        return file.read_bytes()
