"""Rows as the JSON in which they travel to a database, of what all of them take.

A NUL has no place in PostgreSQL's text, nor in what some warehouses make of JSON.
"""

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.kinds import Kind

CHUNK = 1_000_000
"""About so many characters travel in one statement."""

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def chunks(rows: Rows) -> Iterator[str]:
    """The rows as JSON arrays of about `CHUNK` characters; a null is left out."""
    parts: list[str] = []
    length = 0
    as_json = {column.name: _AS_JSON.get(column.kind) for column in rows.table.columns}
    for row in rows:
        fields = {
            name: convert(value) if (convert := as_json[name]) else value
            for name, value in row.items()
            if value is not None
        }
        parts.append(json.dumps(fields, ensure_ascii=False))
        length += len(parts[-1])
        if length >= CHUNK:
            yield f"[{','.join(parts)}]"
            parts, length = [], 0
    if parts:
        yield f"[{','.join(parts)}]"


def without_nul(text: str) -> str:
    """A text that every database has a place for."""
    return text.replace("\0", "\ufffd")


def as_parameter(value: Any) -> Any:
    """A value as a driver takes it that knows no lists: these as JSON; text as rows have it."""
    if isinstance(value, list | tuple):
        return json.dumps([as_parameter(each) for each in value])
    return without_nul(value) if isinstance(value, str) else value


def _as_json(text: str) -> str:
    """JSON text that is read without an error: no escaped NUL, and no half of a surrogate pair."""
    if "\\u" not in text:
        return text
    (clean,) = Kind.JSON.values([json.loads(text)])
    return _NUL.sub(r"\1\\ufffd", clean)


def _as_number(number: float) -> float | str:
    """What JSON has no word for, databases read from text."""
    return number if math.isfinite(number) else str(number)


def _as_moment(moment: datetime) -> str:
    return moment.isoformat()


_AS_JSON: dict[Kind, Any] = {
    Kind.TEXT: without_nul,
    Kind.JSON: _as_json,
    Kind.NUMBER: _as_number,
    Kind.TIMESTAMP: _as_moment,
}
