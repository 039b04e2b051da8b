"""Where tables are kept: DuckDB, one file, safe for several processes at once.

A write replaces the rows that have the same primary key and leaves all others alone, in one
transaction, at a cost that does not grow with the table. There is no PRIMARY KEY constraint,
because its index makes each write slower as the table grows; the lock makes the key hold.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from dbt_trigger_dagster.storage.columns import Column, Kind, Rows, Table
from dbt_trigger_dagster.storage.errors import StorageError

if TYPE_CHECKING:
    import duckdb

WAIT_LIMIT = 60.0
"""Seconds that a write waits for other writers, ours or another program's."""

_RETRY_PAUSE = 0.1
_FORMAT: dict[str, str | bool | int | float | list[str]] = {
    "storage_compatibility_version": "v1.2.0",  # so that older DuckDB tools open the file
    "autoinstall_known_extensions": False,  # another kind of database is told, not downloaded for
}
_URL_PREFIX = "duckdb:///"
_TYPES = {
    Kind.INTEGER: "BIGINT",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TEXT: "VARCHAR",
    Kind.JSON: "VARCHAR",
    Kind.TIMESTAMP: "TIMESTAMPTZ",
    Kind.SECONDS: "BIGINT",
}


def open_store(database: str, *, schema: str, wait_limit: float = WAIT_LIMIT) -> "DuckDBStore":
    """The store that a database setting names: a path, or ``duckdb:///path``.

    Raises:
        StorageError: It names a database of another kind.
    """
    path = database.removeprefix(_URL_PREFIX)
    if "://" in path:
        raise StorageError(
            f"database {database!r} is not supported: give the path of a DuckDB file, such as "
            "data/dbt_cloud.duckdb."
        )
    return DuckDBStore(Path(path).expanduser().absolute(), schema=schema, wait_limit=wait_limit)


class DuckDBStore:
    """Tables in a DuckDB file, in one schema of it.

    Args:
        path: The file; it and its folder are made when missing.
        schema: The schema; made when missing.
        wait_limit: Seconds to wait for other writers.
    """

    def __init__(self, path: Path, *, schema: str, wait_limit: float = WAIT_LIMIT) -> None:
        self._path = path
        self._schema = schema
        self._wait_limit = wait_limit

    def relation(self, table: Table) -> str:
        """The table's full name in DuckDB."""
        return f"{self._database}.{self._schema}.{table.name}"

    @property
    def _database(self) -> str:
        """What DuckDB calls the file."""
        return self._path.name.partition(".")[0]

    @property
    def _schema_name(self) -> str:
        """In full: a schema may have the database's own name."""
        return f"{_quote(self._database)}.{_quote(self._schema)}"

    def check(self) -> None:
        """Make sure that the file can be written, before anything is done that needs it.

        Raises:
            StorageError: It cannot; the message says why.
        """
        with self._connect() as connection:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self._schema_name}")

    def upsert(self, *rows: Rows) -> None:
        """Write rows of one or several tables, all or none, in place of those of the same keys.

        Tables are made when missing, and given the columns that they lack. Of several rows with
        one key, the last counts.

        Raises:
            StorageError: The file cannot be written; nothing has changed.
        """
        with self._connect() as connection:
            connection.begin()
            for each in rows:
                self._prepare(connection, each.table)
                if len(each):
                    self._replace(connection, each.distinct())
            connection.commit()

    def _replace(self, connection: "duckdb.DuckDBPyConnection", rows: Rows) -> None:
        """Delete the rows that have these rows' keys, and insert these."""
        table = rows.table
        name = self._name(table)
        keys = [column for column in table.columns if column.name in table.primary_key]
        matches = " AND ".join(
            f"{name}.{_quote(key.name)} = incoming.{_quote(key.name)}" for key in keys
        )
        connection.execute(
            f"DELETE FROM {name} USING (SELECT {_parameters(keys)}) AS incoming WHERE {matches}",  # noqa: S608  # names are ours
            [rows.columns[key.name] for key in keys],
        )
        names = ", ".join(_quote(column.name) for column in table.columns)
        connection.execute(
            f"INSERT INTO {name} ({names}) SELECT {_parameters(table.columns)}",
            [rows.columns[column.name] for column in table.columns],
        )

    def read(self, table: Table, **equal: str) -> Rows:
        """Rows whose columns equal the given values; with none given, the whole table.

        Raises:
            StorageError: The file cannot be read.
        """
        with self._connect() as connection:
            self._prepare(connection, table)
            values = ", ".join(_value(column) for column in table.columns)
            matches = " AND ".join(f"{_quote(name)} = ?" for name in equal) or "true"
            found = connection.execute(
                f"SELECT {values} FROM {self._name(table)} WHERE {matches}",  # noqa: S608  # names are ours
                list(equal.values()),
            ).fetchall()
        columns = [list(column) for column in zip(*found, strict=True)] or [
            [] for _ in table.columns
        ]
        return Rows(
            table,
            {
                column.name: _in_utc(each) if column.kind is Kind.TIMESTAMP else each
                for column, each in zip(table.columns, columns, strict=True)
            },
        )

    def look_up(
        self, table: Table, wanted: str, *, key: str, values: Iterable[int]
    ) -> dict[int, str]:
        """One column of the rows whose key is among some numbers, by the key.

        Reads these two columns alone, whatever else a row holds.

        Raises:
            StorageError: The file cannot be read.
        """
        with self._connect() as connection:
            self._prepare(connection, table)
            found = connection.execute(
                f"SELECT {_quote(key)}, {_quote(wanted)} FROM {self._name(table)} "  # noqa: S608  # names are ours
                f"WHERE {_quote(key)} IN (SELECT unnest(?::BIGINT[]))",
                [sorted(values)],
            )
            return dict(found.fetchall())

    def _prepare(self, connection: "duckdb.DuckDBPyConnection", table: Table) -> None:
        """Make the schema and the table, or add the columns that a newer version declares."""
        columns = [f"{_quote(column.name)} {_TYPES[column.kind]}" for column in table.columns]
        name = self._name(table)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self._schema_name}")
        connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)})")
        existing = {row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()}
        for column, declaration in zip(table.columns, columns, strict=True):
            if column.name not in existing:
                connection.execute(f"ALTER TABLE {name} ADD COLUMN {declaration}")

    def _name(self, table: Table) -> str:
        return f"{self._schema_name}.{_quote(table.name)}"

    @contextmanager
    def _connect(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        """A connection that nobody else in our processes has at the same time."""
        import duckdb  # noqa: PLC0415  # loading definitions does not need it

        deadline = time.monotonic() + self._wait_limit
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with (
                FileLock(f"{self._path}.lock", timeout=self._wait_limit),
                self._open(deadline) as connection,
            ):
                connection.execute("SET TimeZone = 'UTC'")
                yield connection
        except Timeout as error:
            raise StorageError(
                f"Another run has been writing to {self._path} for {self._wait_limit:.0f} s: see "
                "which one hangs, and run this again."
            ) from error
        except (OSError, duckdb.Error) as error:
            raise StorageError(self._explain(error)) from error

    def _open(self, deadline: float) -> "duckdb.DuckDBPyConnection":
        """Open the file, waiting while another program has it open."""
        import duckdb  # noqa: PLC0415  # as in _connect

        while True:
            try:
                return duckdb.connect(self._path, config=_FORMAT)
            except (duckdb.IOException, duckdb.ConnectionException) as error:
                if not _is_held(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_PAUSE)

    def _explain(self, error: Exception) -> str:
        if _is_held(error):
            return (
                f"Another program has had {self._path} open for {self._wait_limit:.0f} s: close "
                "it there, or open it read-only only while no run is writing."
            )
        if "not a valid DuckDB database" in str(error):
            return (
                f"{self._path} is not a DuckDB database: name another file (database, or "
                "DBT_TRIGGER_DATABASE)."
            )
        if isinstance(error, OSError):
            return f"The database {self._path} cannot be written: {error.strerror}."
        first_line = str(error).partition("\n")[0]
        return f"The database {self._path} cannot be used: {first_line}"


def _is_held(error: Exception) -> bool:
    return "Could not set lock" in str(error) or "different configuration" in str(error)


def _parameters(columns: Iterable[Column]) -> str:
    """The columns of a SELECT whose parameters are lists, one for each column."""
    return ", ".join(
        f"unnest(?::{_TYPES[column.kind]}[]) AS {_quote(column.name)}" for column in columns
    )


def _value(column: Column) -> str:
    """A column in a SELECT; without its time zone, for which some DuckDBs need another package."""
    name = _quote(column.name)
    return f"{name}::TIMESTAMP AS {name}" if column.kind is Kind.TIMESTAMP else name


def _in_utc(moments: Iterable[datetime | None]) -> list[datetime | None]:
    return [moment and moment.replace(tzinfo=timezone.utc) for moment in moments]


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
