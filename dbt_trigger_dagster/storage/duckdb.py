"""The tables in DuckDB: one file, safe for several processes at once.

A write replaces the rows that have the same primary key and leaves all others alone, in one
transaction, at a cost that does not grow with the table. There is no PRIMARY KEY constraint,
because its index makes each write slower as the table grows; the lock makes the key hold.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.storage.columns import Column, Kind, Rows, Table
from dbt_trigger_dagster.storage.duckdb_file import WAIT_LIMIT, DuckDBFile
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import missing_columns, probe_of

if TYPE_CHECKING:
    import duckdb

_TYPES = {
    Kind.INTEGER: "BIGINT",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TEXT: "VARCHAR",
    Kind.JSON: "VARCHAR",
    Kind.TIMESTAMP: "TIMESTAMPTZ",
    Kind.SECONDS: "BIGINT",
    Kind.NUMBER: "DOUBLE",
}
_AS_DUCKDB_SAYS = {"TIMESTAMPTZ": ("TIMESTAMP WITH TIME ZONE",)}

# Version 0.1.0 kept no account of artifacts; their addresses end in <account>/<job>/<run>/….
_FILL = {
    ("dbt_cloud_artifact", "account_id"): "UPDATE {table} SET account_id = "
    "TRY_CAST(regexp_extract(uri, '/(\\d+)/\\d+/' || run_id || '/', 1) AS BIGINT)"
}


class DuckDBStore:
    """Tables in a DuckDB file, in one schema of it.

    Args:
        path: The file; it and its folder are made when missing, readable by the owner's group at
            most.
        schema: The schema; made when missing.
        wait_limit: Seconds to wait for other writers.
    """

    def __init__(self, path: Path, *, schema: str, wait_limit: float = WAIT_LIMIT) -> None:
        self._file = DuckDBFile(path, wait_limit)
        self._schema = schema
        self._database = path.name.partition(".")[0]

    def relation(self, table: Table) -> str:
        """The table's full name in DuckDB; exact once the file has been used."""
        return f"{self._database}.{self._schema}.{table.name}"

    def check(self, tables: Iterable[Table]) -> None:
        """Make sure that rows can be written, before anything is done that needs it.

        Makes the tables, or gives them what they lack, and tries a write that it takes back.

        Raises:
            StorageError: They cannot; the message says why.
        """
        prepared = list(tables)
        with self._connect() as connection:
            self._file.check_room()
            connection.begin()
            for table in prepared:
                self._prepare(connection, table)
            connection.commit()
            connection.begin()
            for table in prepared:
                self._replace(connection, probe_of(table))
            connection.rollback()

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

    def read(self, table: Table, **equal: str | int) -> Rows:
        """Rows whose columns equal the given values; with none given, the whole table.

        Raises:
            StorageError: The file cannot be read.
        """
        with self._connect() as connection:
            existing = self._columns(connection, table)
            if not existing or not existing.keys() >= equal.keys():
                return table.rows([])
            values = ", ".join(_value(column, existing) for column in table.columns)
            matches = " AND ".join(f"{_quote(name)} = ?" for name in equal) or "true"
            found = connection.execute(
                f"SELECT {values} FROM {self._name(table)} WHERE {matches}",  # noqa: S608  # names are ours
                list(equal.values()),
            ).fetchall()
        columns = list(zip(*found, strict=True)) or [()] * len(table.columns)
        return Rows(
            table,
            {
                column.name: _in_utc(each) if column.kind is Kind.TIMESTAMP else list(each)
                for column, each in zip(table.columns, columns, strict=True)
            },
        )

    def look_up(
        self, table: Table, wanted: str, *, key: str, values: Iterable[int], **equal: str | int
    ) -> dict[int, str]:
        """One column of the rows whose key is among some numbers, by the key.

        Reads these columns alone, whatever else a row holds.

        Args:
            table: Where.
            wanted: The column, of text.
            key: The column with the numbers.
            values: The numbers.
            equal: What other columns have to be.

        Raises:
            StorageError: The file cannot be read.
        """
        with self._connect() as connection:
            if not self._columns(connection, table).keys() >= {wanted, key, *equal}:
                return {}
            others = "".join(f" AND {_quote(name)} = ?" for name in equal)
            found = connection.execute(
                f"SELECT {_quote(key)}, {_quote(wanted)} FROM {self._name(table)} "  # noqa: S608  # names are ours
                f"WHERE {_quote(key)} IN (SELECT unnest(?::BIGINT[])){others}",
                [sorted(values), *equal.values()],
            )
            return dict(found.fetchall())

    def newest(
        self,
        table: Table,
        columns: Sequence[str],
        *,
        by: str,
        limit: int,
        **equal: str | int | Sequence[str],
    ) -> list[dict[str, Any]]:
        """As `Store` says.

        Raises:
            StorageError: The file cannot be read.
        """
        with self._connect() as connection:
            existing = self._columns(connection, table)
            if not existing.keys() >= {by, *equal}:
                return []
            wanted = [column for column in table.columns if column.name in columns]
            matches = " AND ".join(_match(*pair) for pair in equal.items()) or "true"
            found = connection.execute(
                f"SELECT {', '.join(_value(column, existing) for column in wanted)} "  # noqa: S608  # names are ours
                f"FROM {self._name(table)} WHERE {matches} "
                f"ORDER BY {_quote(by)} DESC LIMIT {limit:d}",
                [value if isinstance(value, str | int) else [*value] for value in equal.values()],
            ).fetchall()
        names = [column.name for column in wanted]
        return [dict(zip(names, _row_in_utc(row), strict=True)) for row in found]

    def open_runs(
        self,
        trigger: Table,
        run: Table,
        *,
        account_id: int,
        since: datetime,
        until: datetime,
        after: int,
        limit: int,
    ) -> list[int]:
        """As `Store` says.

        Raises:
            StorageError: The file cannot be read.
        """
        with self._connect() as connection:
            if not self._columns(connection, trigger):
                return []
            landed = (
                f"SELECT id FROM {self._name(run)} "  # noqa: S608  # names are ours
                "WHERE account_id = $account_id AND id > $after AND status NOT IN (1, 2, 3)"
            )
            missing = f"AND id NOT IN ({landed})" if self._columns(connection, run) else ""
            found = connection.execute(
                f"SELECT id FROM {self._name(trigger)} "  # noqa: S608  # names are ours
                "WHERE account_id = $account_id AND id > $after "
                f"AND loaded_at BETWEEN $since AND $until {missing} ORDER BY id LIMIT $limit",
                {
                    "account_id": account_id,
                    "after": after,
                    "since": since,
                    "until": until,
                    "limit": limit,
                },
            )
            return [run_id for (run_id,) in found.fetchall()]

    def _prepare(self, connection: "duckdb.DuckDBPyConnection", table: Table) -> None:
        """Make the schema and the table, or add the columns that a newer version declares."""
        name = self._name(table)
        existing = self._columns(connection, table)
        if not existing:
            columns = ", ".join(map(_declaration, table.columns))
            schema = f"{_quote(self._database)}.{_quote(self._schema)}"
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            connection.execute(f"CREATE TABLE {name} ({columns})")
            return
        if self._is_view(connection, table):
            raise StorageError(
                f"{self.relation(table)} is a view of somebody else's, and is left alone. Name "
                "another schema for our tables (schema), or rename it."
            )
        for column in missing_columns(
            table, existing, relation=self.relation(table), types_of=_types_of
        ):
            connection.execute(f"ALTER TABLE {name} ADD COLUMN {_declaration(column)}")
            if (table.name, column.name) in _FILL:
                connection.execute(_FILL[table.name, column.name].format(table=name))

    def _columns(self, connection: "duckdb.DuckDBPyConnection", table: Table) -> dict[str, str]:
        """The types of the columns that there are, by their names; empty where there is no table.

        DuckDB takes names in any letter case for the same.
        """
        found = connection.execute(
            "SELECT lower(column_name), data_type FROM duckdb_columns() "
            "WHERE database_name = ? AND lower(schema_name) = lower(?) AND lower(table_name) = ?",
            [self._database, self._schema, table.name],
        )
        return dict(found.fetchall())

    def _is_view(self, connection: "duckdb.DuckDBPyConnection", table: Table) -> bool:
        found = connection.execute(
            "SELECT count(*) FROM duckdb_views() "
            "WHERE database_name = ? AND lower(schema_name) = lower(?) AND lower(view_name) = ?",
            [self._database, self._schema, table.name],
        )
        return found.fetchall() != [(0,)]

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

    def _name(self, table: Table) -> str:
        """In full: a schema may have the database's own name."""
        return f"{_quote(self._database)}.{_quote(self._schema)}.{_quote(table.name)}"

    @contextmanager
    def _connect(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        with self._file.connect() as connection:
            # What DuckDB calls the file: not its name where that is taken, as "main" is.
            (self._database,) = connection.execute("SELECT current_database()").fetchall()[0]
            yield connection


def _types_of(kind: Kind) -> tuple[str, ...]:
    return _AS_DUCKDB_SAYS.get(_TYPES[kind], (_TYPES[kind],))


def _declaration(column: Column) -> str:
    return f"{_quote(column.name)} {_TYPES[column.kind]}"


def _parameters(columns: Iterable[Column]) -> str:
    """The columns of a SELECT whose parameters are lists, one for each column."""
    return ", ".join(
        f"unnest(?::{_TYPES[column.kind]}[]) AS {_quote(column.name)}" for column in columns
    )


def _value(column: Column, existing: Iterable[str]) -> str:
    """A column in a SELECT; without its time zone, for which some DuckDBs need another package."""
    name = _quote(column.name)
    if column.name not in existing:
        return f"NULL AS {name}"
    return f"{name}::TIMESTAMP AS {name}" if column.kind is Kind.TIMESTAMP else name


def _match(name: str, value: str | int | Sequence[str]) -> str:
    """A condition with one parameter."""
    if isinstance(value, str | int):
        return f"{_quote(name)} = ?"
    return f"{_quote(name)} IN (SELECT unnest(?::VARCHAR[]))"


def _row_in_utc(row: Iterable[Any]) -> list[Any]:
    return [
        each.replace(tzinfo=timezone.utc) if isinstance(each, datetime) else each for each in row
    ]


def _in_utc(moments: Iterable[datetime | None]) -> list[datetime | None]:
    return [moment and moment.replace(tzinfo=timezone.utc) for moment in moments]


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
