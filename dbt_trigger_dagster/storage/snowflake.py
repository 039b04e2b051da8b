"""The tables in Snowflake.

Rows travel as one JSON text for about a megabyte of them, which Snowflake unpacks and merges in one
statement. What is asked about tables, and the check before a run, need no warehouse, so they wake
none. Names are in capitals, so that people need not quote them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.dbt_cloud.text import one_line
from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.database import (
    WAIT_LIMIT,
    execute_all,
    in_utc,
    merge,
    no_compatible_views,
    quote,
    text,
)
from dbt_trigger_dagster.storage.database_url import driver, parsed
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import Existing
from dbt_trigger_dagster.storage.json_rows import as_parameter, chunks
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.snowflake_session import EXAMPLE, Session, arguments
from dbt_trigger_dagster.storage.view import View

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_PLAIN_NAME = re.compile(r"[A-Za-z_][\w$]*\Z", re.ASCII)
_NOT_THERE = {2003, 2043}  # or not to be seen
_AWAY = {
    "OperationalError",
    "InternalServerError",
    "ServiceUnavailableError",
    "BadGatewayError",
    "GatewayTimeoutError",
    "TooManyRequests",
}
"""The driver's errors of a server that cannot be reached."""


class Snowflake:
    """A schema of a Snowflake database.

    Args:
        url: Its URL, as SQLAlchemy has it; its parameters are the driver's. Without an account, the
            driver's connections.toml says where.
        schema: The schema; made when missing. Empty for the URL's, or the session's own.
        user: Whom to connect as, where the URL does not say.
        password: The password, likewise.
        connection: The driver's arguments by name.
        wait_limit: Seconds to wait for a server that does not answer.

    Raises:
        StorageError: The URL cannot be read.
    """

    types: Mapping[Kind, str] = {
        Kind.INTEGER: "NUMBER(38,0)",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.TEXT: "VARCHAR(16777216)",
        Kind.JSON: "VARIANT",
        Kind.TIMESTAMP: "TIMESTAMP_TZ(9)",
        Kind.SECONDS: "NUMBER(38,0)",
        Kind.NUMBER: "FLOAT",
    }
    mark = ":"
    keeps_keys = False
    fills: Mapping[tuple[str, str], str] = {}
    addition = "ADD COLUMN IF NOT EXISTS"
    adds_together = False
    table_options = ""
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
        self._arguments = arguments(
            parsed(url, EXAMPLE), user, password, connection or {}, wait_limit
        )
        self._database = str(self._arguments.get("database", ""))
        self._schema = schema or str(self._arguments.get("schema", ""))

    @contextmanager
    def connect(self) -> Iterator["Session"]:
        """A connection in which each transaction begins with its first write."""
        connector = _driver()
        try:
            with closing(connector.connect(**self._arguments, **self._default())) as connection:
                yield self._at_the_schema(connection)
        except connector.Error as error:
            told = StorageError(f"The database {self._database} cannot be used: {_reason(error)}")
            told.is_momentary = type(error).__name__ in _AWAY
            raise told from error

    def begin(self, *, writes: bool) -> str:  # noqa: ARG002  # the first write begins it
        """What begins a transaction."""
        return "BEGIN"

    def quote(self, name: str) -> str:
        """In capitals, as Snowflake keeps what nobody quotes: some of ours are reserved words."""
        return quote(_folded(name))

    def relation(self, table: Table | View) -> str:
        """The table's full name; exact once the database has been used."""
        parts = [self._database, self._schema, table.name]
        return ".".join(_folded(part) for part in parts if part)

    def name(self, table: Table | View) -> str:
        """The table's full name, quoted."""
        return f"{self._place}.{self.quote(table.name)}"

    def check_place(self) -> None:
        """Snowflake looks after its disks."""

    def look(self, connection: "Session", names: Sequence[str]) -> dict[str, Existing]:
        """By commands that need no warehouse."""
        found: dict[str, Existing] = {}
        for name, kind in self._kinds(connection, names).items():
            there = f"{self._place}.{self.quote(name)}"
            columns = connection.rows(f"DESCRIBE TABLE {there}")
            found[name] = Existing(
                {_plain(column["name"]): column["type"] for column in columns},
                is_view=kind != "TABLE",
                required=frozenset(
                    _plain(column["name"])
                    for column in columns
                    if column["null?"] == "N" and column["default"] is None
                ),
            )
        return found

    def beside(self, package: str) -> "Snowflake":
        """They look into JSON in words that Snowflake does not know."""
        raise no_compatible_views(package, "Snowflake")

    def make_schema(self, connection: "Session") -> None:
        """Nobody else can be kept from making tables; whoever comes second finds them."""
        name = _folded(self._schema)
        found = connection.rows(
            f"SHOW SCHEMAS LIKE {_text(name)} IN DATABASE {self.quote(self._database)}"
        )
        if name not in {schema["name"] for schema in found}:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self._place}")

    def view_marks(self, connection: "Session", names: Sequence[str]) -> dict[str, str]:
        """The comments of what is there."""
        there = dict.fromkeys(self._kinds(connection, names), "")
        views = connection.rows(f"SHOW VIEWS {self._like(names)}") if there else []
        comments = {_plain(view["name"]): view["comment"] or "" for view in views}
        return {name: comments.get(name, "") for name in there}

    def view(self, view: View, select: str, mark: str) -> list[str]:
        """With a comment, and the grants that it has."""
        name = self.name(view)
        return [f"CREATE OR REPLACE VIEW {name} COPY GRANTS COMMENT = {_text(mark)} AS {select}"]

    def remake_views(
        self, connection: "Session", drops: Sequence[str], makes: Sequence[str]
    ) -> str:
        """Each is replaced in its place; none needs to be dropped."""
        del drops
        try:
            execute_all(connection, makes)
        except _driver().ProgrammingError as error:
            return _reason(error)
        return ""

    def write(self, connection: "Session", rows: Rows) -> None:
        """Insert, or update where the key is there; other columns stay as they are."""
        for chunk in chunks(rows):
            connection.write(self._merge(rows.table), chunk)

    def rehearse(self, connection: "Session", rows: Rows) -> None:
        """Compile a write, and execute nothing: a warehouse need not wake up."""
        for chunk in chunks(rows):
            connection.describe(self._merge(rows.table), chunk)

    def value(self, column: Column) -> str:
        """A column in a SELECT."""
        name = self.quote(column.name)
        return f"TO_JSON({name})" if column.kind is Kind.JSON else name

    def among(self, parameter: str, kind: Kind) -> str:
        """One list, as JSON."""
        return f"SELECT f.value::{self.types[kind]} FROM {_flattened(parameter)}"  # noqa: S608  # no value

    def as_parameter(self, value: Any) -> Any:
        """Text as `write` has kept it, and times as text."""
        return value.isoformat() if isinstance(value, datetime) else as_parameter(value)

    @property
    def _place(self) -> str:
        return f"{self.quote(self._database)}.{self.quote(self._schema)}"

    def _default(self) -> Mapping[str, Any]:
        """The driver's own connection, where nothing says which."""
        if self._arguments.keys() & {"account", "host", "connection_name"}:
            return {}
        manager = _driver("snowflake.connector.config_manager").CONFIG_MANAGER
        return {"connection_name": manager["default_connection_name"]}

    def _at_the_schema(self, connection: "SnowflakeConnection") -> "Session":
        self._database = self._database or connection.database or ""
        self._schema = self._schema or connection.schema or ""
        if not self._database or not self._schema:
            lacking = "schema: name one (schema)" if self._database else "database: name one"
            raise StorageError(f"The connection to Snowflake has no {lacking}, as in {EXAMPLE}.")
        return Session(connection)

    def _merge(self, table: Table) -> str:
        fields = ", ".join(
            f"{_field(column, self.types)} AS {self.quote(column.name)}" for column in table.columns
        )
        return merge(self, table, f"SELECT {fields} FROM {_flattened('?')}")  # noqa: S608  # names are ours

    def _kinds(self, connection: "Session", names: Sequence[str]) -> dict[str, str]:
        """Of some names, what they are, where they are there."""
        try:
            found = connection.rows(f"SHOW OBJECTS {self._like(names)}")
        except _driver().ProgrammingError as error:
            if error.errno in _NOT_THERE:
                return {}
            raise
        there = {_plain(each["name"]): each["kind"] for each in found}
        return {name: there[name] for name in names if name in there}

    def _like(self, names: Sequence[str]) -> str:
        """Where to look for names: there may be more than a command shows, but not of these."""
        beginning = commonprefix(names)  # noqa: RUF071  # of names, not of paths
        return f"LIKE {_text(beginning + '%')} IN SCHEMA {self._place}"


def _folded(name: str) -> str:
    """A name as Snowflake keeps it where nobody quotes it."""
    return name.upper() if _PLAIN_NAME.match(name) else name


def _plain(name: str) -> str:
    """A name as ours are written; one that was quoted stays as it is, and is none of ours."""
    return name.lower() if name == name.upper() else name


def _flattened(parameter: str) -> str:
    """The elements of a list; FLATTEN takes no bare parameter."""
    return f"(SELECT PARSE_JSON({parameter}) AS d) AS x, LATERAL FLATTEN(input => x.d) AS f"


def _field(column: Column, types: Mapping[Kind, str]) -> str:
    path = f'f.value:"{column.name}"'
    if column.kind is Kind.JSON:
        return f"PARSE_JSON({path}::VARCHAR)"
    return f"{path}::{types[column.kind]}"


def _text(value: str) -> str:
    """A text as SQL takes it: a backslash begins an escape."""
    return text(value.replace("\\", "\\\\"))


def _reason(error: Any) -> str:
    """What Snowflake says, in one line; the number before it names the error in its documents."""
    return one_line(str(error))


def _driver(module: str = "snowflake.connector") -> Any:
    return driver(
        module,
        of="Snowflake",
        package="snowflake-connector-python",
        extra="snowflake",
    )
