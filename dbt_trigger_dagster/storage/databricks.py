"""The tables in Databricks, as Delta tables.

Rows travel as one JSON text for about a megabyte of them, which Databricks unpacks and merges in
one statement; `databricks_session` says what that makes of a write. JSON columns are text: the
operator ``:`` looks into it as it does into a VARIANT, which not every reader of Delta knows.

Nothing here depends on the time zone of the session: times are written with their offset and read
as microseconds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.dbt_cloud.text import one_line
from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.database import (
    WAIT_LIMIT,
    escaped_text,
    execute_all,
    merge,
    no_compatible_views,
)
from dbt_trigger_dagster.storage.database_url import driver, parsed
from dbt_trigger_dagster.storage.databricks_session import (
    EXAMPLE,
    Session,
    arguments,
    is_momentary,
    is_the_drivers,
    reason,
)
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import Existing
from dbt_trigger_dagster.storage.json_rows import as_parameter, chunks
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.view import View

if TYPE_CHECKING:
    from databricks.sql.client import Connection

ASIDE = "dbt_cloud_incoming"
"""The table where rows wait that are too many for one statement."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TABLES = {"MANAGED", "EXTERNAL"}
_REFUSED = "Error occurred during query planning"
"""What EXPLAIN finds where it fails: it does not raise."""


class Databricks:
    """A schema of a catalog in Databricks.

    Args:
        url: Its URL, as databricks-sqlalchemy has it; its parameters are the driver's.
        schema: The schema; made when missing. Empty for the URL's, or the session's own.
        user: Nobody: a token says whose it is.
        password: A token, where the URL has none.
        connection: The driver's arguments by name.
        wait_limit: As the other databases have it; the driver waits for a warehouse that starts.

    Raises:
        StorageError: The URL cannot be read, or lacks something.
    """

    types: Mapping[Kind, str] = {
        Kind.INTEGER: "BIGINT",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.TEXT: "STRING",
        Kind.JSON: "STRING",
        Kind.TIMESTAMP: "TIMESTAMP",
        Kind.SECONDS: "BIGINT",
        Kind.NUMBER: "DOUBLE",
    }
    mark = ":p"
    keeps_keys = False
    fills: Mapping[tuple[str, str], str] = {}
    addition = "ADD COLUMN"
    adds_together = False  # one that is there already would keep the others out
    # Without them, two MERGEs of one table conflict, and one is sent again. With them, only changes
    # of one row do, and two MERGEs that bring the same new row may leave it twice, for good:
    # https://docs.databricks.com/aws/en/optimizations/isolation/row-level-concurrency
    table_options = " TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')"

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
        del wait_limit
        self._arguments = arguments(parsed(url, EXAMPLE), user, password, connection or {})
        self._catalog = str(self._arguments.get("catalog", ""))
        self._schema = schema or str(self._arguments.get("schema", ""))

    @contextmanager
    def connect(self) -> Iterator[Session]:
        """A connection that keeps what is written until the commit."""
        sql = driver(
            "databricks.sql",
            of="Databricks",
            package="databricks-sql-connector",
            extra="databricks",
        )
        try:
            connection = sql.connect(**self._arguments)
        except Exception as error:  # who signs in raises what he likes
            raise _told(error) from error
        try:
            with closing(connection):
                yield self._at_the_schema(connection)
        except Exception as error:
            if not is_the_drivers(error):
                raise
            raise _told(error) from error

    def begin(self, *, writes: bool) -> str:  # noqa: ARG002  # nothing is sent for it
        """What begins a transaction, as far as there is one."""
        return "BEGIN"

    def quote(self, name: str) -> str:
        """A name as Databricks takes it, whatever it is made of."""
        return "`" + name.replace("`", "``") + "`"

    def relation(self, table: Table | View) -> str:
        """The table's full name; exact once the database has been used."""
        return ".".join(part for part in (self._catalog, self._schema, table.name) if part)

    def name(self, table: Table | View) -> str:
        """The table's full name, quoted."""
        return self._named(table.name)

    def check_place(self) -> None:
        """Databricks looks after its disks."""

    def look(self, connection: Session, names: Sequence[str]) -> dict[str, Existing]:
        """One by one: a command for each shows how the table itself is, as JSON."""
        described = {name: connection.describe(self._named(name)) for name in names}
        return {name: _existing(each) for name, each in described.items() if each}

    def beside(self, package: str) -> "Databricks":
        """They look into JSON in words that Databricks does not know."""
        raise no_compatible_views(package, "Databricks")

    def make_schema(self, connection: Session) -> None:
        """Nobody else can be kept from making tables; whoever comes second finds them."""
        if not connection.has_schema(self._place):
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self._place}")
        connection.make_aside()

    def view_marks(self, connection: Session, names: Sequence[str]) -> dict[str, str]:
        """The comments of what is there."""
        described = {name: connection.describe(self._named(name)) for name in names}
        return {
            name: (each.get("comment") or "") if each["type"] == "VIEW" else ""
            for name, each in described.items()
            if each
        }

    def view(self, view: View, select: str, mark: str) -> list[str]:
        """With a comment; grants stay, as the view is replaced in its place."""
        comment = f"COMMENT {escaped_text(mark)}"
        return [f"CREATE OR REPLACE VIEW {self.name(view)} {comment} AS {select}"]

    def remake_views(self, connection: Session, drops: Sequence[str], makes: Sequence[str]) -> str:
        """Each is replaced in its place; none needs to be dropped."""
        del drops
        try:
            execute_all(connection, makes)
        except Exception as error:
            if is_momentary(error) or not is_the_drivers(error):
                raise
            return reason(error)
        return ""

    def write(self, connection: Session, rows: Rows) -> None:
        """Insert, or update where the key is there; other columns stay as they are."""
        for chunk in chunks(rows):
            connection.keep(rows.table, chunk)

    def rehearse(self, connection: Session, rows: Rows) -> None:
        """Compile a write, and execute nothing."""
        for chunk in chunks(rows):
            plan = connection.execute(f"EXPLAIN {self._merge(rows.table, escaped_text(chunk), '')}")
            told = one_line(" ".join(str(row[0]) for row in plan.fetchall()))
            if told.startswith(_REFUSED):
                raise StorageError(f"{self.relation(rows.table)} cannot be written: {told}")

    def value(self, column: Column) -> str:
        """A column in a SELECT."""
        name = self.quote(column.name)
        return f"unix_micros({name})" if column.kind is Kind.TIMESTAMP else name

    def among(self, parameter: str, kind: Kind) -> str:
        """One list, as JSON."""
        return f"SELECT explode(from_json({parameter}, 'ARRAY<{self.types[kind]}>'))"

    def as_parameter(self, value: Any) -> Any:
        """Text as `write` has kept it."""
        return as_parameter(value)

    def as_read(self, kind: Kind, values: Iterable[Any]) -> list[Any]:
        """Times are in UTC."""
        if kind is not Kind.TIMESTAMP:
            return list(values)
        return [
            None if value is None else _EPOCH + timedelta(microseconds=value) for value in values
        ]

    @property
    def _place(self) -> str:
        return f"{self.quote(self._catalog)}.{self.quote(self._schema)}"

    def _named(self, name: str) -> str:
        return f"{self._place}.{self.quote(name)}"

    def _at_the_schema(self, connection: "Connection") -> Session:
        if not (self._catalog and self._schema):
            cursor = connection.cursor()
            cursor.execute("SELECT current_catalog(), current_schema()")
            catalog, schema = cursor.fetchall()[0]
            self._catalog, self._schema = self._catalog or catalog, self._schema or schema
        return Session(connection, self._merge, self._named(ASIDE), self.table_options)

    def _merge(self, table: Table, rows: str, rest: str) -> str:
        """The MERGE of rows into a table.

        Args:
            table: The table.
            rows: What has them, as JSON.
            rest: What follows in the SELECT of that.
        """
        fields = ", ".join(
            f"{self.quote(column.name)}: {_AS_FIELD.get(column.kind) or self.types[column.kind]}"
            for column in table.columns
        )
        values = ", ".join(self._from_field(column) for column in table.columns)
        # What cannot be read is an error, and not null.
        unpacked = f"from_json({rows}, 'ARRAY<STRUCT<{fields}>>', map('mode', 'FAILFAST'))"
        return merge(self, table, f"SELECT {values} FROM (SELECT inline({unpacked}){rest})")  # noqa: S608  # names are ours

    def _from_field(self, column: Column) -> str:
        name = self.quote(column.name)
        if column.kind not in _AS_FIELD:
            return name
        return f"CAST({name} AS {self.types[column.kind]}) AS {name}"


_AS_FIELD = {Kind.TIMESTAMP: "STRING", Kind.NUMBER: "STRING"}
"""As what the JSON is read, where a CAST reads more: all digits, and NaN."""


def _told(error: Exception) -> StorageError:
    """What goes wrong in the driver, in one line."""
    told = StorageError(f"Databricks cannot be used: {reason(error)}")
    told.is_momentary = is_momentary(error)
    return told


def _existing(described: Mapping[str, Any]) -> Existing:
    columns = described["columns"]
    return Existing(
        {column["name"].lower(): _type(column["type"]) for column in columns},
        is_view=described["type"] not in _TABLES,
        required=frozenset(
            column["name"].lower()
            for column in columns
            if not column.get("nullable", True) and column.get("default") is None
        ),
    )


def _type(described: Mapping[str, Any]) -> str:
    """A type as it is declared."""
    name = str(described["name"]).upper()
    if "length" in described:
        return f"{name}({described['length']})"
    return "TIMESTAMP" if name == "TIMESTAMP_LTZ" else name
