"""The tables in PostgreSQL, for teams whose runs start on several machines.

Rows travel as one JSON text for about a megabyte of them, which PostgreSQL unpacks and inserts in
one statement. They are sorted by key, so that writers of the same rows wait for each other and not
in a circle.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.dbt_cloud.text import one_line
from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.database import (
    NO_KEY,
    WAIT_LIMIT,
    execute_all,
    in_utc,
    quote,
    replacement,
    text,
)
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import Existing
from dbt_trigger_dagster.storage.json_rows import chunks, without_nul
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.postgresql_driver import driver, is_momentary, parsed
from dbt_trigger_dagster.storage.view import View

if TYPE_CHECKING:
    import psycopg

_LONGEST_NAME = 63
_LOCK_OF_DEFINITIONS = int.from_bytes(b"dbt_trig", "big")


class PostgreSQL:
    """A schema of a PostgreSQL database.

    Args:
        url: Its URL, as libpq takes it. What it leaves out is found in libpq's own ways: the
            variables PGHOST, PGPASSWORD and so on, a service file, a password file.
        schema: The schema; made when missing. Empty for the first one of the search path.
        user: Whom to connect as, where the URL does not say.
        password: The password, likewise.
        connection: Further parameters of libpq by name, such as ``sslmode``.
        wait_limit: Seconds to wait for other writers.

    Raises:
        StorageError: The URL cannot be read, or the schema's name cannot be one.
    """

    types: Mapping[Kind, str] = {
        Kind.INTEGER: "bigint",
        Kind.BOOLEAN: "boolean",
        Kind.TEXT: "text",
        Kind.JSON: "jsonb",
        Kind.TIMESTAMP: "timestamp with time zone",
        Kind.SECONDS: "bigint",
        Kind.NUMBER: "double precision",
    }
    mark = "$"
    keeps_keys = True
    fills: Mapping[tuple[str, str], str] = {}
    addition = "ADD COLUMN IF NOT EXISTS"
    adds_together = True
    table_options = ""
    quote = staticmethod(quote)
    as_read = staticmethod(in_utc)

    def __init__(
        self,
        url: str,
        *,
        schema: str = "",
        user: str = "",
        password: str = "",
        connection: Mapping[str, Any] | None = None,
        wait_limit: float = WAIT_LIMIT,
    ) -> None:
        _check_schema(schema)
        own = {name: value for name, value in {"user": user, "password": password}.items() if value}
        self._parameters = {
            "connect_timeout": 10,
            "client_encoding": "UTF8",
            # A server that is gone without a word is noticed.
            "keepalives_idle": 30,
            "tcp_user_timeout": int(wait_limit * 1000),
            **own,
            **parsed(url),
            **(connection or {}),
        }
        self._schema = schema
        self._wait_limit = wait_limit
        self._database = str(self._parameters.get("dbname", ""))

    @contextmanager
    def connect(self) -> Iterator["psycopg.Connection[Any]"]:
        """A connection that begins nothing by itself."""
        psycopg = driver()
        try:
            with psycopg.connect(
                **self._parameters,
                autocommit=True,
                cursor_factory=psycopg.RawCursor,
                prepare_threshold=None,  # poolers between us and the server keep no statements
            ) as connection:
                self._database = connection.info.dbname
                yield self._at_the_schema(connection)
        except psycopg.Error as error:
            told = StorageError(self._explain(error))
            told.is_momentary = is_momentary(error)
            raise told from error

    def begin(self, *, writes: bool) -> str:  # noqa: ARG002  # the same for both
        """What begins a transaction: with times as psycopg reads them, and an end to waiting."""
        limit = int(self._wait_limit * 1000)
        return (
            "BEGIN; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; "
            f"SET LOCAL lock_timeout = {limit}"
        )

    def relation(self, table: Table | View) -> str:
        """The table's full name; exact once the database has been used."""
        parts = [self._database, self._schema, table.name]
        return ".".join(part for part in parts if part)

    def name(self, table: Table | View) -> str:
        """The table's full name, quoted."""
        return f"{quote(self._schema)}.{quote(table.name)}"

    def check_place(self) -> None:
        """Whoever runs the server looks after its disk."""

    def look(
        self, connection: "psycopg.Connection[Any]", names: Sequence[str]
    ) -> dict[str, Existing]:
        """All at once: each question is a way to the server and back."""
        found = connection.execute(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), c.relkind "
            "FROM pg_catalog.pg_class c "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_catalog.pg_attribute a "
            "ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            "WHERE n.nspname = $1 AND c.relname = ANY($2)",
            [self._schema, list(names)],
        ).fetchall()
        columns: dict[str, dict[str, str]] = {}
        for table, column, kept_as, _ in found:
            columns.setdefault(table, {})[column] = kept_as
        views = {table for table, _, _, relkind in found if relkind in {"v", "m"}}
        return {name: Existing(each, is_view=name in views) for name, each in columns.items()}

    def beside(self, package: str) -> "PostgreSQL":
        """Named as dbt names a schema of its own: after the target's."""
        schema = f"{self._schema}_{package}"
        _check_schema(schema)
        other = copy(self)
        other._schema = schema  # noqa: SLF001  # one of ours
        return other

    def make_schema(self, connection: "psycopg.Connection[Any]") -> None:
        """IF NOT EXISTS alone fails where two come at once, or where it exists and is another's."""
        connection.execute("SELECT pg_advisory_xact_lock($1)", [_LOCK_OF_DEFINITIONS])
        there = connection.execute(
            "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1", [self._schema]
        )
        if there.fetchall():
            return
        try:
            connection.execute(f"CREATE SCHEMA {quote(self._schema)}")
        except driver().errors.InsufficientPrivilege as error:
            user = connection.info.user
            raise StorageError(
                f"The schema {self._schema} is missing, and {user} may not make it: {error}. "
                f"CREATE SCHEMA {quote(self._schema)} AUTHORIZATION {quote(user)}, as somebody who "
                f"may, or GRANT CREATE ON DATABASE {quote(self._database)} TO {quote(user)}."
            ) from error

    def view_marks(
        self, connection: "psycopg.Connection[Any]", names: Sequence[str]
    ) -> dict[str, str]:
        """The comments of what is there."""
        found = connection.execute(
            "SELECT c.relname, coalesce(obj_description(c.oid, 'pg_class'), '') "
            "FROM pg_catalog.pg_class c "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = $1 AND c.relname = ANY($2)",
            [self._schema, list(names)],
        )
        return dict(found.fetchall())

    def view(self, view: View, select: str, mark: str) -> list[str]:
        """With a comment."""
        name = self.name(view)
        return [
            f"CREATE OR REPLACE VIEW {name} AS {select}",
            f"COMMENT ON VIEW {name} IS {text(mark)}",
        ]

    def remake_views(
        self, connection: "psycopg.Connection[Any]", drops: Sequence[str], makes: Sequence[str]
    ) -> str:
        """Replaced, which keeps grants and what others have made of them; else dropped before."""
        return self._refusal(connection, makes) and self._refusal(connection, [*drops, *makes])

    def write(self, connection: "psycopg.Connection[Any]", rows: Rows) -> None:
        """Insert, or update where the key is there; other columns stay as they are."""
        table = rows.table
        names = ", ".join(quote(column.name) for column in table.columns)
        values = ", ".join(
            f"{quote(column.name)}::jsonb" if column.kind is Kind.JSON else quote(column.name)
            for column in table.columns
        )
        kept_as = {**self.types, Kind.JSON: "text"}
        fields = ", ".join(f"{quote(each.name)} {kept_as[each.kind]}" for each in table.columns)
        statement = (
            f"INSERT INTO {self.name(table)} ({names}) "  # noqa: S608  # names are ours
            f"SELECT {values} FROM json_to_recordset($1::json) AS incoming({fields}) "
            f"{replacement(table)}"
        )
        for chunk in chunks(rows):
            connection.execute(statement, [chunk])

    def rehearse(self, connection: "psycopg.Connection[Any]", rows: Rows) -> None:
        """As a write; the transaction is taken back."""
        self.write(connection, rows)

    def value(self, column: Column) -> str:
        """A column in a SELECT."""
        name = quote(column.name)
        return f"{name}::text" if column.kind is Kind.JSON else name

    def among(self, parameter: str, kind: Kind) -> str:
        """One list."""
        return f"SELECT unnest({parameter}::{self.types[kind]}[])"

    def as_parameter(self, value: Any) -> Any:
        """Text as `write` has kept it."""
        if isinstance(value, list | tuple):
            return [self.as_parameter(each) for each in value]
        return without_nul(value) if isinstance(value, str) else value

    def _at_the_schema(self, connection: "psycopg.Connection[Any]") -> "psycopg.Connection[Any]":
        if not self._schema:
            found = connection.execute("SELECT current_schema()").fetchall()
            if found[0][0] is None:
                raise StorageError(
                    f"The search path of {self._database} has no schema: name one (schema)."
                )
            self._schema = found[0][0]
        return connection

    def _refusal(self, connection: "psycopg.Connection[Any]", statements: Sequence[str]) -> str:
        """Why some statements are refused, of which none is executed then; empty if all are."""
        try:
            with connection.transaction():
                execute_all(connection, statements)
        except driver().Error as error:
            if is_momentary(error):
                raise
            return self._explain(error)
        return ""

    def _explain(self, error: "psycopg.Error") -> str:
        first_line = str(error).strip().partition("\n")[0]
        detail = one_line(error.diag.message_detail or "")
        hint = {
            "2BP01": f" ({detail}) Drop what was made of it, run this again, and make it anew.",
            "42P10": NO_KEY,
            "55P03": f" Another run or program has held a table for {self._wait_limit:.0f} s: see "
            "which one hangs, and run this again.",
        }.get(error.sqlstate or "", "")
        return f"The database {self._database} cannot be used: {first_line}{hint}"


def _check_schema(schema: str) -> None:
    """Refuse a name that PostgreSQL would cut: it would be another one."""
    if len(schema.encode()) > _LONGEST_NAME or "\0" in schema:
        raise StorageError(f"PostgreSQL takes no schema of the name {schema!r}.")
