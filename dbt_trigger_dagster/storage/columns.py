"""What columns hold: their kinds, and how values of a payload become values of a kind.

Values of an unexpected type become null in their column, never an error: the whole payload stands
in ``raw``.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_INTEGER_BITS = 64
_DURATION = re.compile(r"(\d{1,9}):(\d\d):(\d\d)(?:\.\d+)?\Z")


class Kind(Enum):
    """What a column holds."""

    INTEGER = "64-bit integer"
    BOOLEAN = "boolean"
    TEXT = "text"
    JSON = "JSON text"
    TIMESTAMP = "UTC timestamp"
    SECONDS = "whole seconds"

    @property
    def dtype(self) -> str:
        """The pandas dtype."""
        return _DTYPES[self]


_DTYPES = {
    Kind.INTEGER: "Int64",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "string",
    Kind.JSON: "string",
    Kind.TIMESTAMP: "datetime64[us, UTC]",
    Kind.SECONDS: "Int64",
}


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its name in the table.
        kind: What it holds.
        description: What it means; shown in Dagster's UI.
        source: The field of the API's payload that it is filled from; dots lead into objects.
            Empty for our own columns.
    """

    name: str
    kind: Kind
    description: str
    source: str = ""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Its name in the database.
        description: What a row is.
        columns: All columns, in order.
        primary_key: The columns that tell rows apart; a row replaces the one with the same key.
        preview: The columns that a small preview shows.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    preview: tuple[str, ...]

    @property
    def dtypes(self) -> dict[str, Any]:
        """The pandas dtype of each column."""
        return {column.name: column.kind.dtype for column in self.columns}

    def frame(self, records: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
        """A DataFrame with exactly this table's columns, each of its declared type.

        Args:
            records: A mapping from column name to value for each row; what is missing is null.
        """
        import pandas as pd  # noqa: PLC0415  # a third of a second that loading definitions saves

        rows = list(records)
        return pd.DataFrame(
            {
                column.name: pd.Series(
                    _CONVERTERS[column.kind]([row.get(column.name) for row in rows]),
                    dtype=column.kind.dtype,
                )
                for column in self.columns
            }
        )

    def record(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """One row's values from the API's payload, ``raw`` among them."""
        values = {
            column.name: _value_at(payload, column.source)
            for column in self.columns
            if column.source
        }
        return {**values, "raw": payload}


def _value_at(payload: Any, source: str) -> Any:
    for name in source.split("."):
        payload = payload.get(name) if isinstance(payload, Mapping) else None
    return payload


def _each(convert: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [None if value is None else convert(value) for value in values]


def _as_integer(value: Any) -> int | None:
    if isinstance(value, bool | float):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if number.bit_length() < _INTEGER_BITS else None


def _as_boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _as_text(value: Any) -> str | None:
    """Text that UTF-8 can hold: JSON may escape half of a surrogate pair, which it cannot."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _as_json(value: Any) -> str | None:
    return _as_text(json.dumps(value, default=str, ensure_ascii=False))


def _as_timestamps(values: list[Any]) -> Any:
    """UTC timestamps from the three formats that the API writes, and from datetimes."""
    import pandas as pd  # noqa: PLC0415  # as in Table.frame

    texts = [_as_iso_8601(value) for value in values]
    moments = pd.to_datetime(
        pd.Series(texts, dtype="object"), format="ISO8601", utc=True, errors="coerce"
    )
    return moments.astype("datetime64[us, UTC]")


def _as_iso_8601(value: Any) -> str | None:
    """What may be a timestamp; pandas alone would also take ``now`` and numbers for one."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str) and value[:1].isdigit() else None


def _as_seconds(value: Any) -> int | None:
    """Whole seconds from ``HH:MM:SS``; hours may exceed 24."""
    duration = _DURATION.match(value) if isinstance(value, str) else None
    if duration is None:
        return None
    hours, minutes, seconds = map(int, duration.groups())
    return (hours * 60 + minutes) * 60 + seconds


_CONVERTERS: dict[Kind, Callable[[list[Any]], Any]] = {
    Kind.INTEGER: _each(_as_integer),
    Kind.BOOLEAN: _each(_as_boolean),
    Kind.TEXT: _each(_as_text),
    Kind.JSON: _each(_as_json),
    Kind.TIMESTAMP: _as_timestamps,
    Kind.SECONDS: _each(_as_seconds),
}
