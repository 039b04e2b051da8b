"""Tables as they are declared, and their rows.

Rows are columns of plain values; pandas is imported for those alone who want a DataFrame, because
that takes a third of a second, or a whole one where pyarrow is installed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.storage.kinds import Kind

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE = 500
"""Rows that are made or written at a time: what a database makes of them takes memory, too."""


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
    return [
        column.kind.plain(value) if is_there else None
        for value, is_there in zip(series, series.notna(), strict=True)
    ]


def _value_at(payload: Any, source: str) -> Any:
    for name in source.split("."):
        payload = payload.get(name) if isinstance(payload, Mapping) else None
    return payload


_KEY_LEFT_OUT: dict[Kind, Any] = {Kind.INTEGER: 0, Kind.TEXT: ""}
