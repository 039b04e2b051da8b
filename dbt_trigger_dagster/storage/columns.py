"""What columns hold: their kinds, and how values of a payload become values of a kind.

Values of an unexpected type become null in their column, never an error: the whole payload stands
in ``raw``. Rows are columns of plain values; pandas is imported for those alone who want a
DataFrame, because that takes a third of a second, or a whole one where pyarrow is installed.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.dbt_cloud.models import parse_timestamp

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE = 500
"""Rows that are made or written at a time: what a database makes of them takes memory, too."""

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
    NUMBER = "64-bit floating-point number"

    @property
    def dtype(self) -> str:
        """The pandas dtype."""
        return _DTYPES[self]

    def values(self, values: Iterable[Any]) -> list[Any]:
        """Values of a payload as values of this kind; null where they are of another."""
        convert = _CONVERTERS[self]
        return [None if value is None else convert(value) for value in values]


_DTYPES = {
    Kind.INTEGER: "Int64",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "string",
    Kind.JSON: "string",
    Kind.TIMESTAMP: "datetime64[us, UTC]",
    Kind.SECONDS: "Int64",
    Kind.NUMBER: "Float64",
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
        preview: The columns that a small preview shows; none where Dagster shows it otherwise.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    preview: tuple[str, ...] = ()

    @property
    def dtypes(self) -> dict[str, Any]:
        """The pandas dtype of each column."""
        return {column.name: column.kind.dtype for column in self.columns}

    @property
    def keys_left_out(self) -> dict[str, Any]:
        """What stands in each part of the key that dbt Cloud left out: 0, or empty text.

        A null equals nothing, not even itself.
        """
        kinds = {column.name: column.kind for column in self.columns}
        return {name: _KEY_LEFT_OUT[kinds[name]] for name in self.primary_key}

    def keys(self, columns: Mapping[str, list[Any]]) -> list[tuple[Any, ...]]:
        """The primary key of each row, none of its parts null."""
        parts = (
            [left_out if value is None else value for value in columns[name]]
            for name, left_out in self.keys_left_out.items()
        )
        return list(zip(*parts, strict=True))

    def rows(self, records: Iterable[Mapping[str, Any]]) -> "Rows":
        """Rows with exactly this table's columns, each value of its declared kind.

        Args:
            records: A mapping from column name to value for each row; what is missing is null.
        """
        columns: dict[str, list[Any]] = {column.name: [] for column in self.columns}
        rest = iter(records)
        while some := list(islice(rest, ROWS_AT_ONCE)):
            for column in self.columns:
                columns[column.name] += column.kind.values(each.get(column.name) for each in some)
        return Rows(self, columns)

    def frame(self, records: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
        """The same as a DataFrame, each column of its declared dtype."""
        return self.rows(records).frame()

    def rows_of_frame(self, frame: "pd.DataFrame") -> "Rows":
        """Rows from a DataFrame, such as `frame` makes; its other columns are left out.

        Raises:
            ValueError: A column is missing, or holds what its kind cannot.
        """
        missing = [column.name for column in self.columns if column.name not in frame.columns]
        if missing:
            raise ValueError(
                f"The DataFrame for {self.name} has no column {', '.join(missing)}: start from "
                f"the table's own frame([...]), which has them all."
            )
        return Rows(self, {column.name: _column_of(frame, column) for column in self.columns})

    def record(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """One row's values from the API's payload, ``raw`` among them."""
        values = {
            column.name: _value_at(payload, column.source)
            for column in self.columns
            if column.source
        }
        return {**values, "raw": payload}


@dataclass(frozen=True)
class Rows:
    """Rows of one table, as columns of plain Python values.

    Integers and seconds are ``int``, numbers ``float``, times ``datetime`` in UTC, text and JSON
    ``str``; null is None.

    Attributes:
        table: Whose rows they are.
        columns: The values of each of the table's columns, all of one length.
    """

    table: Table
    columns: Mapping[str, list[Any]]

    def __len__(self) -> int:
        return len(self.columns[self.table.columns[0].name])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each row, as a mapping from column name to value."""
        names = list(self.columns)
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(names, values, strict=True))

    def filled(self, **values: Any) -> "Rows":
        """The same rows with one value in the whole of each of some columns."""
        return Rows(self.table, {**self.columns, **{k: [v] * len(self) for k, v in values.items()}})

    def first(self, count: int) -> "Rows":
        """The first rows."""
        return self.part(0, count)

    def batches(self) -> Iterator["Rows"]:
        """All rows, some at a time, as `distinct` has them."""
        rows = self.distinct()
        for start in range(0, len(rows), ROWS_AT_ONCE):
            yield rows.part(start, ROWS_AT_ONCE)

    def part(self, start: int, count: int) -> "Rows":
        """Some of the rows, from one of them on."""
        return Rows(self.table, {k: v[start : start + count] for k, v in self.columns.items()})

    def distinct(self) -> "Rows":
        """The last row of each primary key, in the order of the keys, none of them null.

        A database that takes many rows at once refuses two of one key, or keeps both; and writers
        that take their rows in one order cannot wait for each other in a circle.
        """
        keys = self.table.keys(self.columns)
        filled = {
            **self.columns,
            **dict(zip(self.table.primary_key, map(list, zip(*keys, strict=True)), strict=False)),
        }
        last = {key: number for number, key in enumerate(keys)}
        return Rows(self.table, filled).picked([last[key] for key in sorted(last)])

    def picked(self, numbers: Sequence[int]) -> "Rows":
        """Some of the rows, by their numbers from 0, in this order."""
        return Rows(
            self.table,
            {name: [values[n] for n in numbers] for name, values in self.columns.items()},
        )

    def frame(self) -> "pd.DataFrame":
        """A DataFrame with the table's columns, each of its declared dtype."""
        import pandas as pd  # noqa: PLC0415  # see the top of this module

        return pd.DataFrame(
            {
                column.name: pd.Series(self.columns[column.name], dtype=column.kind.dtype)
                for column in self.table.columns
            }
        )


LINEAGE = (
    Column("asset_key", Kind.TEXT, "The Dagster asset that wrote the row"),
    Column("dagster_run_id", Kind.TEXT, "The Dagster run that wrote the row"),
    Column("loaded_at", Kind.TIMESTAMP, "When the row was written"),
    Column("raw", Kind.JSON, "The whole payload that the row was made from"),
)
"""The columns that every table ends in."""


def _column_of(frame: "pd.DataFrame", column: Column) -> list[Any]:
    """One column of a DataFrame as plain values."""
    try:
        series = frame[column.name].astype(column.kind.dtype)  # type: ignore[call-overload]  # any
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The column {column.name} of the DataFrame cannot be read as {column.kind.value}: "
            f"{error}"
        ) from error
    plain = _PLAIN[column.kind]
    return [
        plain(value) if is_there else None
        for value, is_there in zip(series, series.notna(), strict=True)
    ]


def _value_at(payload: Any, source: str) -> Any:
    for name in source.split("."):
        payload = payload.get(name) if isinstance(payload, Mapping) else None
    return payload


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


class JsonText(str):
    """What a JSON column is to hold, as text already: it takes a quarter of the memory."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Any) -> "JsonText":
        """A value as such a text."""
        return cls(_as_json(value))


def _as_json(value: Any) -> str | None:
    if isinstance(value, JsonText):
        return str(value)
    try:
        text = json.dumps(value, default=str, ensure_ascii=False, allow_nan=False)
    except ValueError:  # 1e400, which Python reads as infinite
        text = json.dumps(_finite(value), default=str, ensure_ascii=False)
    return _as_text(text)


def _finite(value: Any) -> Any:
    """The same with text in place of the numbers that JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _as_timestamp(value: Any) -> datetime | None:
    """A moment in UTC from the three formats that the API writes, and from datetimes."""
    if isinstance(value, str) and value[:1].isdigit():
        value = parse_timestamp(value)
    if not isinstance(value, datetime):
        return None
    moment = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    try:
        return moment.astimezone(timezone.utc)
    except (OverflowError, ValueError):  # in the year 0 or 10000, in UTC
        return None


def _as_seconds(value: Any) -> int | None:
    """Whole seconds from ``HH:MM:SS``; hours may exceed 24."""
    duration = _DURATION.match(value) if isinstance(value, str) else None
    if duration is None:
        return None
    hours, minutes, seconds = map(int, duration.groups())
    return (hours * 60 + minutes) * 60 + seconds


_KEY_LEFT_OUT: dict[Kind, Any] = {Kind.INTEGER: 0, Kind.TEXT: ""}


def _as_number(value: Any) -> float | None:
    """A number; what is none, or is infinite, is null."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


_CONVERTERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.INTEGER: _as_integer,
    Kind.BOOLEAN: _as_boolean,
    Kind.TEXT: _as_text,
    Kind.JSON: _as_json,
    Kind.TIMESTAMP: _as_timestamp,
    Kind.SECONDS: _as_seconds,
    Kind.NUMBER: _as_number,
}

_PLAIN: dict[Kind, Callable[[Any], Any]] = {
    Kind.INTEGER: int,
    Kind.BOOLEAN: bool,
    Kind.TEXT: _as_text,
    Kind.JSON: _as_text,  # it is text already
    Kind.TIMESTAMP: lambda value: value.to_pydatetime(),
    Kind.SECONDS: int,
    Kind.NUMBER: float,
}
