"""The tables in BigQuery.

Rows travel as JSON texts of about a megabyte each, which BigQuery unpacks and merges. What is asked
about tables is asked of the API, and the check before a run is a dry run: neither is billed.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.dbt_cloud.text import one_line
from dbt_trigger_dagster.storage.bigquery_client import (
    EXAMPLE,
    arguments,
    bigquery,
    client_of,
    errors,
)
from dbt_trigger_dagster.storage.bigquery_session import CHUNKS, Session
from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.database import (
    WAIT_LIMIT,
    escaped_text,
    execute_all,
    in_utc,
    merge,
    no_compatible_views,
)
from dbt_trigger_dagster.storage.database_url import parsed
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import Existing
from dbt_trigger_dagster.storage.json_rows import as_parameter, chunks
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.view import View

if TYPE_CHECKING:
    from google.cloud.bigquery import SchemaField

_STANDARD_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
"""SQL's names of types, by the API's where they differ."""

_AWAY = {
    "BadGateway",
    "Conflict",
    "GatewayTimeout",
    "InternalServerError",
    "PreconditionFailed",
    "RetryError",
    "ServiceUnavailable",
    "TooManyRequests",
    "TransportError",
}
"""The driver's errors of a service that cannot be reached or has too much to do, and those where
somebody else has made or changed the same table at the same moment."""

_PASSING = {
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "jobRateLimitExceeded",
    "rateLimitExceeded",
}
"""The reasons of errors that say the same."""

_CONFLICTS = ("due to concurrent update", "Too many DML statements outstanding")
"""What is said where others write to the same table."""


class BigQuery:
    """A dataset of BigQuery.

    Args:
        url: Its URL, as SQLAlchemy has it. Without a project, it is that of Google's application
            default credentials.
        schema: The dataset, or ``project.dataset`` where it is in another project than the jobs;
            made when missing. Empty for the URL's own.
        user: Nobody; see `arguments`.
        password: None, likewise.
        connection: The client's arguments by name.
        wait_limit: Not of use here: the store waits, and sends transactions again.

    Raises:
        StorageError: The URL cannot be read, or there is no dataset in it.
    """

    types: Mapping[Kind, str] = {
        Kind.INTEGER: "INT64",
        Kind.BOOLEAN: "BOOL",
        Kind.TEXT: "STRING",
        Kind.JSON: "JSON",
        Kind.TIMESTAMP: "TIMESTAMP",
        Kind.SECONDS: "INT64",
        Kind.NUMBER: "FLOAT64",
    }
    mark = "@p"
    keeps_keys = False
    fills: Mapping[tuple[str, str], str] = {}
    addition = "ADD COLUMN IF NOT EXISTS"
    adds_together = True  # a table is changed no more than five times in ten seconds
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
        wait_limit: float = WAIT_LIMIT,  # noqa: ARG002  # as the others have it
    ) -> None:
        where = parsed(url, EXAMPLE)
        self._arguments = arguments(where, user, password, connection or {})
        self._project = str(self._arguments.get("project", ""))
        self._dataset = schema or where.database or ""
        if not self._dataset:
            raise StorageError(f"BigQuery needs a dataset: name one (schema), as in {EXAMPLE}.")

    @contextmanager
    def connect(self) -> Iterator[Session]:
        """A connection that sends what it writes when its transaction ends."""
        client = client_of(self._arguments)
        self._project = client.project
        try:
            with closing(Session(client, self._place)) as session:
                session.open()
                yield session
        except errors() as error:
            told = StorageError(f"The dataset {self._place} cannot be used: {_reason(error)}")
            told.is_momentary = _is_momentary(error)
            raise told from error

    def begin(self, *, writes: bool) -> str:  # noqa: ARG002  # it begins when it is sent
        """What begins a transaction."""
        return "BEGIN"

    def quote(self, name: str) -> str:
        """In backticks: quotes are for text."""
        return f"`{name}`"

    def relation(self, table: Table | View) -> str:
        """The table's full name; exact once the database has been used."""
        return self._full(table.name).removeprefix(".")

    def name(self, table: Table | View) -> str:
        """The table's full name, quoted."""
        return self.quote(self._full(table.name))

    def check_place(self) -> None:
        """BigQuery has room."""

    def look(self, connection: Session, names: Sequence[str]) -> dict[str, Existing]:
        """A request for each."""
        found: dict[str, Existing] = {}
        for name in names:
            table = connection.table(self._full(name))
            if table is not None:
                found[name] = Existing(
                    {field.name.lower(): _type_of(field) for field in table.schema},
                    is_view=table.table_type != "TABLE",
                    required=frozenset(
                        field.name.lower()
                        for field in table.schema
                        if field.mode == "REQUIRED" and field.default_value_expression is None
                    ),
                )
        return found

    def beside(self, package: str) -> "BigQuery":
        """They look into JSON in words that BigQuery does not know."""
        raise no_compatible_views(package, "BigQuery")

    def make_schema(self, connection: Session) -> None:
        """Nobody else can be kept from making tables; whoever comes second finds them."""
        connection.make_dataset()

    def view_marks(self, connection: Session, names: Sequence[str]) -> dict[str, str]:
        """The descriptions of what is there."""
        there = {name: connection.table(self._full(name)) for name in names}
        return {name: each.description or "" for name, each in there.items() if each}

    def view(self, view: View, select: str, mark: str) -> list[str]:
        """With a description."""
        options = f"OPTIONS (description = {escaped_text(mark)})"
        return [f"CREATE OR REPLACE VIEW {self.name(view)} {options} AS {select}"]

    def remake_views(self, connection: Session, drops: Sequence[str], makes: Sequence[str]) -> str:
        """Each is replaced in its place; none needs to be dropped."""
        del drops
        try:
            execute_all(connection, makes)
        except bigquery("google.api_core.exceptions").ClientError as error:
            if _is_momentary(error):
                raise
            return _reason(error)
        return ""

    def write(self, connection: Session, rows: Rows) -> None:
        """Insert, or update where the key is there; other columns stay as they are."""
        connection.write(self._merge(rows.table), list(chunks(rows)), rows.table.keys(rows.columns))

    def rehearse(self, connection: Session, rows: Rows) -> None:
        """Compile a write, and execute nothing."""
        for chunk in chunks(rows):
            connection.describe(self._merge(rows.table), chunk)

    def value(self, column: Column) -> str:
        """A column in a SELECT."""
        name = self.quote(column.name)
        if column.kind is Kind.JSON:  # of a null, TO_JSON_STRING makes text
            return f"IF({name} IS NULL, NULL, TO_JSON_STRING({name}))"
        return name

    def among(self, parameter: str, kind: Kind) -> str:
        """One list, as JSON."""
        return (
            f"SELECT CAST(each AS {self.types[kind]}) FROM UNNEST(JSON_VALUE_ARRAY({parameter})) "  # noqa: S608  # no value
            "AS each"
        )

    def as_parameter(self, value: Any) -> Any:
        """Text as `write` has kept it."""
        return as_parameter(value)

    @property
    def _place(self) -> str:
        return self._dataset if "." in self._dataset else f"{self._project}.{self._dataset}"

    def _full(self, name: str) -> str:
        return f"{self._place}.{name}"

    def _merge(self, table: Table) -> str:
        fields = ", ".join(
            f"{_field(column, self.types)} AS {self.quote(column.name)}" for column in table.columns
        )
        return merge(
            self,
            table,
            f"SELECT {fields} FROM {CHUNKS}, "  # noqa: S608  # names are ours
            "UNNEST(JSON_QUERY_ARRAY(PARSE_JSON(chunk, wide_number_mode => 'round'))) AS r",
        )


def _field(column: Column, types: Mapping[Kind, str]) -> str:
    """A column of a row that is JSON; what has no place in a JSON column is kept as text there."""
    value = f"JSON_VALUE(r, '$.{column.name}')"
    if column.kind is Kind.TEXT:
        return value
    if column.kind is Kind.JSON:
        as_json = f"SAFE.PARSE_JSON({value}, wide_number_mode => 'round')"
        return f"IF({value} IS NULL, NULL, COALESCE({as_json}, TO_JSON({value})))"
    return f"CAST({value} AS {types[column.kind]})"


def _type_of(field: "SchemaField") -> str:
    """A column's type, as SQL says it."""
    name = _STANDARD_NAMES.get(field.field_type, field.field_type)
    if field.max_length is not None:
        name = f"{name}({field.max_length})"
    return f"ARRAY<{name}>" if field.mode == "REPEATED" else name


def _is_momentary(error: Exception) -> bool:
    """Whether the same may succeed a moment later; a certificate that nobody trusts stays so."""
    distrust = bigquery("requests.exceptions").SSLError
    if isinstance(error, distrust) or isinstance(error.__cause__, distrust):
        return False
    if isinstance(error, OSError | futures.TimeoutError) or type(error).__name__ in _AWAY:
        return True
    reasons = {each.get("reason") for each in getattr(error, "errors", [])}
    return bool(reasons & _PASSING) or any(sign in str(error) for sign in _CONFLICTS)


def _reason(error: Exception) -> str:
    """What BigQuery says, in one line."""
    return one_line(str(error))
