"""What Fusion's telemetry says of nodes: a Parquet file for each step, which DuckDB reads.

One row for each span; those of nodes have outcomes and kinds of errors, those of queries their ids.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from dbt_trigger_dagster.artifacts.json_stream import BrokenFileError, OpenFile
from dbt_trigger_dagster.artifacts.run_results import named_by

_OUTCOMES = {
    "success": "success",
    "error": "error",
    "skipped": "skipped",
    "canceled": "cancelled",
}
_TEST_OUTCOMES = {"passed": "pass", "warned": "warn", "failed": "fail"}
_SKIPPED_AS = {"cached": "reused", "no_op": "no-op"}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SPANS = """
SELECT event_type, TRY_CAST(start_time_unix_nano AS BIGINT),
    TRY_CAST(end_time_unix_nano AS BIGINT), status_message::VARCHAR, to_json(attributes)::VARCHAR
FROM read_parquet(?)
WHERE record_type ILIKE '%span%end%'
    AND (event_type LIKE '%.NodeEvaluated' OR event_type LIKE '%.NodeProcessed'
        OR event_type LIKE '%.QueryExecuted')
ORDER BY end_time_unix_nano
"""


def telemetry_file(step: int) -> str:
    """The path that a step's telemetry has among the run's artifacts."""
    return f"metadata/telemetry-{step}-otel.parquet"


def read_telemetry(open_file: OpenFile) -> Iterator[dict[str, Any]]:
    """The nodes of a step as records of `NODE_RESULT`'s columns, one for each that was processed.

    Raises:
        BrokenFileError: It is no Parquet file, or has other columns.
    """
    nodes: dict[str, dict[str, Any]] = {}
    queries: dict[str, str] = {}
    for event, start, end, message, attributes in _spans(open_file):
        unique_id = attributes.get("unique_id")
        if not isinstance(unique_id, str) or not unique_id:
            continue
        if event.endswith(".QueryExecuted"):
            queries[unique_id] = attributes.get("query_id") or queries.get(unique_id, "")
        else:
            # A node is evaluated in phases and then processed: what comes last has the outcome.
            record = nodes.setdefault(unique_id, named_by(unique_id))
            found = _record(start, end, message, attributes)
            record.update({name: value for name, value in found.items() if value is not None})
    for unique_id, record in nodes.items():
        yield {"query_id": queries.get(unique_id) or None, **record, "source": "telemetry"}


def _spans(open_file: OpenFile) -> list[tuple[str, int, int, str, Mapping[str, Any]]]:
    import duckdb  # noqa: PLC0415  # loading definitions does not need it

    with tempfile.NamedTemporaryFile(suffix=".parquet") as local, open_file() as stream:
        shutil.copyfileobj(stream, local)
        local.flush()
        try:
            with duckdb.connect() as connection:
                rows = connection.execute(_SPANS, [local.name]).fetchall()
        except duckdb.Error as error:
            raise BrokenFileError(str(error).partition("\n")[0]) from error
    return [(*row[:4], _attributes(row[4])) for row in rows]


def _attributes(text: str | None) -> Mapping[str, Any]:
    """The attributes, with those that have no column of their own."""
    attributes = dict(_mapping(text))
    others = attributes.pop("json_payload", None)
    return {**_mapping(others), **attributes}


def _record(
    start: int | None, end: int | None, message: str | None, attributes: Mapping[str, Any]
) -> dict[str, Any]:
    identifier = attributes.get("identifier")
    return {
        "status": _status(attributes),
        "message": message or None,
        "failures": _mapping(attributes.get("node_test_detail")).get("failing_rows"),
        "error_kind": _word(attributes.get("node_error_type"), "NODE_ERROR_TYPE_"),
        "materialization": _word(attributes.get("materialization"), "NODE_MATERIALIZATION_"),
        "database": attributes.get("database"),
        "schema": attributes.get("schema"),
        "alias": identifier,
        "query_id": attributes.get("query_id"),
        "rows_affected": attributes.get("rows_affected"),
        "execution_time": _seconds(start, end, attributes.get("duration_ms")),
        "execute_started_at": _moment(start),
        "execute_completed_at": _moment(end),
        "raw": {name: value for name, value in attributes.items() if value is not None},
    }


def _status(attributes: Mapping[str, Any]) -> str | None:
    """Fusion's outcome in the words of run_results.json, where it has one for it."""
    outcome = _word(attributes.get("node_outcome"), "NODE_OUTCOME_")
    test = _mapping(attributes.get("node_test_detail")).get("test_outcome")
    if (
        str(attributes.get("unique_id")).startswith(("test.", "unit_test."))
        and outcome == "success"
    ):
        found = _word(test, "TEST_OUTCOME_")
        return _TEST_OUTCOMES.get(found or "passed", found)
    reason = _word(attributes.get("node_skip_reason"), "NODE_SKIP_REASON_")
    if outcome == "skipped" and reason in _SKIPPED_AS:
        return _SKIPPED_AS[reason]
    return _OUTCOMES.get(outcome or "", outcome)


def _word(value: Any, prefix: str) -> str | None:
    word = str(value or "").removeprefix(prefix).lower()
    return None if word in {"", "unspecified"} else word


def _mapping(value: Any) -> Mapping[str, Any]:
    """An attribute that is an object, or the JSON of one."""
    with contextlib.suppress(ValueError):
        while isinstance(value, str):
            value = json.loads(value)
    return value if isinstance(value, Mapping) else {}


def _seconds(start: int | None, end: int | None, milliseconds: Any) -> float | None:
    if isinstance(milliseconds, int):
        return milliseconds / 1000
    return (end - start) / 1e9 if start and end else None


def _moment(nanoseconds: int | None) -> datetime | None:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000) if nanoseconds else None
