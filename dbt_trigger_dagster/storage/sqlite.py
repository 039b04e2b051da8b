"""The tables in SQLite: one file, with nothing to install."""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.database import NO_KEY, WAIT_LIMIT, execute_all, quote, replacement
from dbt_trigger_dagster.storage.database_file import (
    NAME_ANOTHER,
    check_room,
    keep_private,
    make_folder,
)
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import Existing
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.view import View

_ONLY_SCHEMA = "main"
_COMMENT = re.compile(r" AS /\* (.*?) \*/ ")


class SQLite:
    """A SQLite file.

    Args:
        path: The file; it and its folder are made when missing, readable by the owner's group at
            most.
        wait_limit: Seconds to wait for other writers.
        schema: SQLite has but one, ``main``.

    Raises:
        StorageError: Another schema is wanted.
    """

    types: Mapping[Kind, str] = {
        Kind.INTEGER: "INTEGER",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.TEXT: "TEXT",
        Kind.JSON: "TEXT",
        Kind.TIMESTAMP: "TIMESTAMP",
        Kind.SECONDS: "INTEGER",
        Kind.NUMBER: "REAL",
    }
    mark = "?"
    keeps_keys = True
    fills: Mapping[tuple[str, str], str] = {}
    addition = "ADD COLUMN"
    adds_together = False
    table_options = ""
    quote = staticmethod(quote)

    def __init__(
        self, path: Path, *, schema: str = _ONLY_SCHEMA, wait_limit: float = WAIT_LIMIT
    ) -> None:
        if schema != _ONLY_SCHEMA:
            raise StorageError(f"SQLite has no schema {schema!r}: leave the schema out.")
        self._path = path
        self._wait_limit = wait_limit

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """A connection that begins nothing by itself."""
        try:
            is_new = not self._path.exists()
            make_folder(self._path)
            with closing(
                sqlite3.connect(self._path, timeout=self._wait_limit, isolation_level=None)
            ) as connection:
                if is_new:
                    keep_private(self._path)
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise StorageError(self._explain(error)) from error

    def begin(self, *, writes: bool) -> str:
        """Whoever is going to write waits for others first: two that have read cannot both."""
        return "BEGIN IMMEDIATE" if writes else "BEGIN"

    def relation(self, table: Table | View) -> str:
        """The table's full name."""
        return f"{self._path.name.partition('.')[0]}.{_ONLY_SCHEMA}.{table.name}"

    def name(self, table: Table | View) -> str:
        """The table's name, quoted."""
        return quote(table.name)

    def check_place(self) -> None:
        """Make sure that the disk has room."""
        check_room(self._path)

    def look(self, connection: sqlite3.Connection, names: Sequence[str]) -> dict[str, Existing]:
        """SQLite takes names in any letter case for the same."""
        there: dict[str, Existing] = {}
        for name in names:
            found = connection.execute(
                "SELECT lower(c.name), upper(c.type), t.type FROM pragma_table_info(?1) AS c, "
                "sqlite_master AS t WHERE lower(t.name) = lower(?1)",
                [name],
            ).fetchall()
            if found:
                columns = {column: kept_as for column, kept_as, _ in found}
                there[name] = Existing(columns, is_view=found[0][2] == "view")
        return there

    def beside(self, package: str) -> "SQLite":
        """There is no other."""
        raise StorageError(
            f"SQLite has no schemas, and so no views like the tables of {package}: leave "
            "compatible_views out, or keep the tables in DuckDB or PostgreSQL."
        )

    def make_schema(self, connection: sqlite3.Connection) -> None:
        """It is there; and a transaction that writes is alone."""

    def view_marks(self, connection: sqlite3.Connection, names: Sequence[str]) -> dict[str, str]:
        """The comment that `view` has put into its statement, which SQLite keeps as it is."""
        found = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE name IN (SELECT value FROM json_each(?))",
            [json.dumps(list(names))],
        )
        comments = ((name, _COMMENT.search(sql)) for name, sql in found.fetchall())
        return {name: comment[1] if comment else "" for name, comment in comments}

    def view(self, view: View, select: str, mark: str) -> list[str]:
        """SQLite has no comments on views but those in the statement."""
        return [f"CREATE VIEW {self.name(view)} AS /* {mark} */ {select}"]

    def remake_views(
        self, connection: sqlite3.Connection, drops: Sequence[str], makes: Sequence[str]
    ) -> str:
        """Nothing that others have made of a view keeps it from being dropped."""
        execute_all(connection, [*drops, *makes])
        return ""

    def write(self, connection: sqlite3.Connection, rows: Rows) -> None:
        """Insert, or update where the key is there; other columns stay as they are."""
        table = rows.table
        names = ", ".join(quote(column.name) for column in table.columns)
        marks = ", ".join("?" * len(table.columns))
        columns = [map(self.as_parameter, rows.columns[column.name]) for column in table.columns]
        connection.executemany(
            f"INSERT INTO {self.name(table)} ({names}) VALUES ({marks}) {replacement(table)}",  # noqa: S608  # names are ours
            zip(*columns, strict=True),
        )

    def rehearse(self, connection: sqlite3.Connection, rows: Rows) -> None:
        """As a write; the transaction is taken back."""
        self.write(connection, rows)

    def value(self, column: Column) -> str:
        """A column in a SELECT."""
        return quote(column.name)

    def among(self, parameter: str, kind: Kind) -> str:  # noqa: ARG002  # JSON knows its kinds
        """One list, as JSON."""
        return f"SELECT value FROM json_each({parameter})"  # noqa: S608  # no value

    def as_parameter(self, value: Any) -> Any:
        """Times as text of one length, in UTC: it sorts as they do."""
        if isinstance(value, list | tuple):
            return json.dumps(value)
        if not isinstance(value, datetime):
            return value
        return value.astimezone(timezone.utc).isoformat(" ", "microseconds")

    def as_read(self, kind: Kind, values: Iterable[Any]) -> list[Any]:
        """SQLite knows no booleans and no times."""
        if kind is Kind.BOOLEAN:
            return [None if value is None else bool(value) for value in values]
        if kind is Kind.TIMESTAMP:
            return [value and datetime.fromisoformat(value) for value in values]
        return list(values)

    def _explain(self, error: Exception) -> str:
        if "database is locked" in str(error):
            return (
                f"Another run or program has been writing to {self._path} for "
                f"{self._wait_limit:.0f} s: see which one hangs, and run this again."
            )
        if "file is not a database" in str(error):
            return (
                f"{self._path} is not a SQLite database: name another file (database, or "
                "DBT_TRIGGER_DATABASE)."
            )
        if "does not match any PRIMARY KEY" in str(error):
            return f"The database {self._path} cannot be used.{NO_KEY}"
        if isinstance(error, OSError) or "unable to open" in str(error):
            reason = getattr(error, "strerror", error)
            return f"The database {self._path} cannot be used: {reason}. {NAME_ANOTHER}"
        return f"The database {self._path} cannot be used: {error}"
