"""The tables in DuckDB: one file, safe for several processes at once.

A write replaces the rows that have the same primary key and leaves all others alone, in one
transaction, at a cost that does not grow with the table. There is no PRIMARY KEY constraint,
because its index makes each write slower as the table grows; the lock makes the key hold.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.database import WAIT_LIMIT, execute_all, quote, text
from dbt_trigger_dagster.storage.duckdb_file import DuckDBFile
from dbt_trigger_dagster.storage.existing import Existing
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.view import View

if TYPE_CHECKING:
    import duckdb


class DuckDB:
    """A schema of a DuckDB file.

    Args:
        path: The file; it and its folder are made when missing, readable by the owner's group at
            most.
        schema: The schema; made when missing.
        wait_limit: Seconds to wait for other writers.
    """

    types: Mapping[Kind, str] = {
        Kind.INTEGER: "BIGINT",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.TEXT: "VARCHAR",
        Kind.JSON: "VARCHAR",
        Kind.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
        Kind.SECONDS: "BIGINT",
        Kind.NUMBER: "DOUBLE",
    }
    mark = "$"
    keeps_keys = False
    # Version 0.1.0 kept no account of artifacts; their addresses end in <account>/<job>/<run>/….
    fills: Mapping[tuple[str, str], str] = {
        ("dbt_cloud_artifact", "account_id"): "UPDATE {table} SET account_id = "
        "TRY_CAST(regexp_extract(uri, '/(\\d+)/\\d+/' || run_id || '/', 1) AS BIGINT)"
    }
    addition = "ADD COLUMN IF NOT EXISTS"
    adds_together = False
    table_options = ""
    quote = staticmethod(quote)

    def __init__(self, path: Path, *, schema: str = "main", wait_limit: float = WAIT_LIMIT) -> None:
        self._file = DuckDBFile(path, wait_limit)
        self._schema = schema
        self._database = path.name.partition(".")[0]

    @contextmanager
    def connect(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        """A connection that nobody else in our processes has at the same time."""
        with self._file.connect() as connection:
            # What DuckDB calls the file: not its name where that is taken, as "main" is.
            (self._database,) = connection.execute("SELECT current_database()").fetchall()[0]
            yield connection

    def begin(self, *, writes: bool) -> str:  # noqa: ARG002  # either is alone
        """What begins a transaction."""
        return "BEGIN"

    def relation(self, table: Table | View) -> str:
        """The table's full name in DuckDB; exact once the file has been used."""
        return f"{self._database}.{self._schema}.{table.name}"

    def name(self, table: Table | View) -> str:
        """In full: a schema may have the database's own name."""
        return f"{quote(self._database)}.{quote(self._schema)}.{quote(table.name)}"

    def check_place(self) -> None:
        """Make sure that the disk has room."""
        self._file.check_room()

    def look(
        self, connection: "duckdb.DuckDBPyConnection", names: Sequence[str]
    ) -> dict[str, Existing]:
        """DuckDB takes names in any letter case for the same."""
        here = "database_name = $1 AND lower(schema_name) = lower($2)"
        place = [self._database, self._schema]
        found = connection.execute(
            "SELECT lower(table_name), lower(column_name), data_type FROM duckdb_columns() "  # noqa: S608  # no value of anybody's
            f"WHERE {here} AND lower(table_name) IN (SELECT unnest($3::VARCHAR[]))",
            [*place, list(names)],
        ).fetchall()
        statement = f"SELECT lower(view_name) FROM duckdb_views() WHERE {here}"  # noqa: S608  # likewise
        views = {name for (name,) in connection.execute(statement, place).fetchall()}
        columns: dict[str, dict[str, str]] = {}
        for table, column, kept_as in found:
            columns.setdefault(table, {})[column] = kept_as
        return {name: Existing(each, is_view=name in views) for name, each in columns.items()}

    def beside(self, package: str) -> "DuckDB":
        """Named as dbt names a schema of its own: after the target's."""
        other = copy(self)
        other._schema = f"{self._schema}_{package}"  # noqa: SLF001  # one of ours
        return other

    def make_schema(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Whoever has the file open is alone with it."""
        schema = f"{quote(self._database)}.{quote(self._schema)}"
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")

    def view_marks(
        self, connection: "duckdb.DuckDBPyConnection", names: Sequence[str]
    ) -> dict[str, str]:
        """The comments of what is there."""
        found = connection.execute(
            "SELECT view_name, coalesce(comment, '') FROM duckdb_views() "
            "WHERE database_name = $1 AND lower(schema_name) = lower($2) "
            "AND view_name IN (SELECT unnest($3::VARCHAR[])) UNION ALL "
            "SELECT table_name, '' FROM duckdb_tables() "
            "WHERE database_name = $1 AND lower(schema_name) = lower($2) "
            "AND table_name IN (SELECT unnest($3::VARCHAR[]))",
            [self._database, self._schema, list(names)],
        )
        return dict(found.fetchall())

    def view(self, view: View, select: str, mark: str) -> list[str]:
        """With a comment."""
        name = self.name(view)
        return [f"CREATE VIEW {name} AS {select}", f"COMMENT ON VIEW {name} IS {text(mark)}"]

    def remake_views(
        self, connection: "duckdb.DuckDBPyConnection", drops: Sequence[str], makes: Sequence[str]
    ) -> str:
        """Nothing that others have made of a view keeps it from being dropped."""
        execute_all(connection, [*drops, *makes])
        return ""

    def write(self, connection: "duckdb.DuckDBPyConnection", rows: Rows) -> None:
        """Delete the rows that have these rows' keys, and insert these."""
        table = rows.table
        name = self.name(table)
        keys = [column for column in table.columns if column.name in table.primary_key]
        matches = " AND ".join(
            f"{name}.{quote(key.name)} = incoming.{quote(key.name)}" for key in keys
        )
        connection.execute(
            f"DELETE FROM {name} USING (SELECT {self._lists(keys)}) AS incoming WHERE {matches}",  # noqa: S608  # names are ours
            [rows.columns[key.name] for key in keys],
        )
        names = ", ".join(quote(column.name) for column in table.columns)
        connection.execute(
            f"INSERT INTO {name} ({names}) SELECT {self._lists(table.columns)}",
            [rows.columns[column.name] for column in table.columns],
        )

    def rehearse(self, connection: "duckdb.DuckDBPyConnection", rows: Rows) -> None:
        """As a write; the transaction is taken back."""
        self.write(connection, rows)

    def value(self, column: Column) -> str:
        """Without its time zone, for which some DuckDBs need another package."""
        name = quote(column.name)
        return f"{name}::TIMESTAMP" if column.kind is Kind.TIMESTAMP else name

    def among(self, parameter: str, kind: Kind) -> str:
        """One list."""
        return f"SELECT unnest({parameter}::{self.types[kind]}[])"

    def as_parameter(self, value: Any) -> Any:
        """DuckDB takes all that we have."""
        return value

    def as_read(self, kind: Kind, values: Iterable[Any]) -> list[Any]:
        """Times are in UTC."""
        if kind is not Kind.TIMESTAMP:
            return list(values)
        return [moment and moment.replace(tzinfo=timezone.utc) for moment in values]

    def _lists(self, columns: Iterable[Column]) -> str:
        """The columns of a SELECT whose parameters are lists, one for each column."""
        return ", ".join(
            f"unnest(?::{self.types[column.kind]}[]) AS {quote(column.name)}" for column in columns
        )
