"""What the store of tables asks of each kind of database, and SQL that is the same in all."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timezone
from typing import Any, Protocol

from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import Existing
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.view import View

WAIT_LIMIT = 60.0
"""Seconds that a write waits for other writers, ours or another program's."""

NO_KEY = (
    " One of the tables was made without its PRIMARY KEY: add it, or name another schema for our "
    "tables (schema), or rename it."
)
"""What to do where `replacement` finds no key."""


class Cursor(Protocol):
    """What a statement has found."""

    def fetchall(self) -> list[Any]:
        """All rows, as tuples."""


class Connection(Protocol):
    """What the drivers have in common; nothing is begun or committed but by a statement."""

    def execute(self, statement: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Execute one statement."""


class Database(Protocol):
    """One kind of database, and the schema of it that holds the tables.

    Attributes:
        types: The type of each kind of column, as the database says it.
        mark: What stands before a parameter's number.
        keeps_keys: Whether tables have a PRIMARY KEY.
        fills: By table and column, what fills a column that an old table gets.
        addition: What adds a column; where two may come at once, it takes one that is there.
        adds_together: Whether one statement adds several columns.
        table_options: What stands after the columns of a table that is made.
    """

    types: Mapping[Kind, str]
    mark: str
    keeps_keys: bool
    fills: Mapping[tuple[str, str], str]
    addition: str
    adds_together: bool
    table_options: str

    def quote(self, name: str) -> str:
        """A column's name as SQL takes it."""

    def connect(self) -> AbstractContextManager[Any]:
        """A connection; whatever goes wrong in it is a `StorageError`."""

    def begin(self, *, writes: bool) -> str:
        """What begins a transaction."""

    def relation(self, table: Table | View) -> str:
        """A table's full name, for people."""

    def name(self, table: Table | View) -> str:
        """A table's full name, quoted."""

    def check_place(self) -> None:
        """Make sure that there is room for what a run leaves."""

    def look(self, connection: Any, names: Sequence[str]) -> Mapping[str, Existing]:
        """Of some tables, what is there."""

    def beside(self, package: str) -> "Database":
        """The same database at the schema of the views that are like a package's tables."""

    def make_schema(self, connection: Any) -> None:
        """Make the schema if it is missing, and let nobody else define tables meanwhile."""

    def view_marks(self, connection: Any, names: Sequence[str]) -> Mapping[str, str]:
        """Of some views, the marks of those that are there; empty for what is no view of ours."""

    def view(self, view: View, select: str, mark: str) -> list[str]:
        """The statements that make a view with a mark."""

    def remake_views(self, connection: Any, drops: Sequence[str], makes: Sequence[str]) -> str:
        """Make views anew, all or none; why that is refused, empty where it is not.

        Args:
            connection: In a transaction.
            drops: The statements that drop them.
            makes: The statements that make them.
        """

    def write(self, connection: Any, rows: Rows) -> None:
        """Write rows of different keys, in place of those of the same keys."""

    def rehearse(self, connection: Any, rows: Rows) -> None:
        """Try a write that is taken back."""

    def value(self, column: Column) -> str:
        """A column in a SELECT."""

    def among(self, parameter: str, kind: Kind) -> str:
        """A subquery with the values of a kind that one parameter carries."""

    def as_parameter(self, value: Any) -> Any:
        """A value, or a list of them, as the driver takes it."""

    def as_read(self, kind: Kind, values: Iterable[Any]) -> list[Any]:
        """Values of a kind from what the driver gives."""


@dataclass(frozen=True)
class Found:
    """A cursor of rows that are in memory already; of none, where a statement was not sent.

    Attributes:
        rows: The rows.
    """

    rows: Sequence[tuple[Any, ...]] = ()

    def fetchall(self) -> list[Any]:
        """All rows, as tuples."""
        return list(self.rows)


def no_compatible_views(package: str, kind: str) -> StorageError:
    """What to do where a database reads JSON in words that those views do not know.

    Args:
        package: Whose tables they are like.
        kind: What kind of database it is.
    """
    return StorageError(
        f"There are no views like the tables of {package} in {kind}: leave compatible_views out, "
        "or keep the tables in DuckDB or PostgreSQL."
    )


def in_utc(kind: Kind, values: Iterable[Any]) -> list[Any]:
    """Values of a kind from a driver that gives times in any zone."""
    if kind is not Kind.TIMESTAMP:
        return list(values)
    return [value and value.astimezone(timezone.utc) for value in values]


def execute_all(connection: Connection, statements: Iterable[str]) -> None:
    """Execute statements, one after another."""
    for statement in statements:
        connection.execute(statement)


def quote(name: str) -> str:
    """A name as SQL takes it, whatever it is made of."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as SQL takes it."""
    return "'" + value.replace("'", "''") + "'"


def escaped_text(value: str) -> str:
    """A text as SQL takes it where a backslash begins an escape, also of a quote."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def replacement(table: Table) -> str:
    """What an INSERT does where a row of the same key is there: the rest of it becomes the new."""
    keys = ", ".join(map(quote, table.primary_key))
    others = [column.name for column in table.columns if column.name not in table.primary_key]
    changes = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in others)
    return f"ON CONFLICT ({keys}) DO UPDATE SET {changes}"


def merge(database: Database, table: Table, incoming: str) -> str:
    """What inserts rows, or updates those whose keys are there, where there is no `replacement`.

    Args:
        database: Where.
        table: The table.
        incoming: A SELECT of the rows, of all columns by their names.
    """
    names = [database.quote(column.name) for column in table.columns]
    keys = [database.quote(name) for name in table.primary_key]
    matches = " AND ".join(f"kept.{key} = incoming.{key}" for key in keys)
    changes = ", ".join(f"{name} = incoming.{name}" for name in names if name not in keys)
    values = ", ".join(f"incoming.{name}" for name in names)
    return (
        f"MERGE INTO {database.name(table)} AS kept USING ({incoming}) AS incoming ON {matches} "  # noqa: S608  # names are ours
        f"WHEN MATCHED THEN UPDATE SET {changes} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({values})"
    )


def beyond(order: Sequence[str], marks: Sequence[str], *, is_indexed: bool) -> str:
    """The condition that a row's key comes after one.

    Args:
        order: The parts of the key.
        marks: The parameters of the one, as many.
        is_indexed: Whether there is an index, which serves the comparison of rows alone; without
            one they are compared in a way that all databases know.
    """
    if is_indexed:
        return f"({', '.join(order)}) > ({', '.join(marks)})"
    condition = ""
    for part, mark in reversed(list(zip(order, marks, strict=True))):
        tie = f" OR ({part} = {mark} AND {condition})" if condition else ""
        condition = f"({part} > {mark}{tie})"
    return condition
