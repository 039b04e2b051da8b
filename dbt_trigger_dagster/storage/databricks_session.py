"""A connection to Databricks: what it is made with, and what is sent at a commit.

A MERGE into one table is all or nothing. Transactions of several statements are a preview, for
tables of Unity Catalog that have catalog commits (https://docs.databricks.com/aws/en/transactions),
and so cannot be counted on. What a write brings is therefore kept back until its commit, which is
one MERGE for each table. A write that is cut between two of them is healed when it is repeated; the
rows of what belongs to a run are there before the run's own row, which tells that it has landed.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.dbt_cloud.text import one_line
from dbt_trigger_dagster.storage.columns import Table
from dbt_trigger_dagster.storage.database import Found
from dbt_trigger_dagster.storage.database_url import given
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.json_rows import CHUNK

if TYPE_CHECKING:
    from databricks.sql.client import Connection, Cursor
    from sqlalchemy.engine import URL

EXAMPLE = "databricks://token:…@host?http_path=/sql/1.0/warehouses/id&catalog=name&schema=name"
"""What a URL looks like."""

_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+)[.\w]*\]")
_NOT_THERE = {"TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND"}
_THERE_ALREADY = {"FIELD_ALREADY_EXISTS", "FIELDS_ALREADY_EXISTS", "COLUMN_ALREADY_EXISTS"}
# https://docs.databricks.com/aws/en/error-messages: SQLSTATE 2D521, and two who make one table.
_CONFLICT = re.compile(
    r"SQLSTATE: 2D521|\[DELTA_(?:CONCURRENT_\w+|METADATA_CHANGED|PROTOCOL_CHANGED)"
    r"|(?:Concurrent\w+|MetadataChanged|ProtocolChanged)Exception|\[TABLE_OR_VIEW_ALREADY_EXISTS\]"
)
_STATUS = re.compile(r"Error during request to server\. Received (\d{3})\b")  # older drivers
_REFUSED, _TOO_MANY_REQUESTS, _BROKEN = 400, 429, 500
_THE_DRIVERS = {"databricks", "thrift", "urllib3"}
"""Whose errors a driver's call may raise: it lets those of what it is built on through."""


def arguments(url: "URL", user: str, password: str, others: Mapping[str, Any]) -> dict[str, Any]:
    """What the driver is told.

    Args:
        url: What the URL says, which counts before the password.
        user: Nobody: a token says whose it is.
        password: A token.
        others: The driver's own arguments, which count before all.

    Raises:
        StorageError: Something is missing, or stands where it is not read.
    """
    if {user, url.username or ""} - {"", "token"}:
        raise StorageError(
            f"Databricks knows whom a token belongs to, and takes no user: give {EXAMPLE}, or the "
            "token as the password."
        )
    told = {
        "user_agent_entry": "dbt_trigger_dagster",
        # It asks for its settings at each connection, which hangs for long where nobody answers.
        "enable_telemetry": False,
        **given(access_token=password),
        **given(access_token=url.password, server_hostname=url.host),
        **url.query,
        **others,
    }
    if lacking := {"server_hostname", "http_path"} - told.keys():
        raise StorageError(f"The URL of the database has no {min(lacking)}: give {EXAMPLE}.")
    return told


class Session:
    """A connection that keeps what is written until the commit.

    Args:
        connection: The driver's.
        merge: The MERGE of what is read from somewhere into a table.
        aside: The table where rows wait that are too many for one statement.
        options: What stands after the columns of a table that is made.
    """

    def __init__(
        self,
        connection: "Connection",
        merge: Callable[[Table, str, str], str],
        aside: str,
        options: str,
    ) -> None:
        self._connection = connection
        self._merge = merge
        self._aside = aside
        self._options = options
        self._forget()

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> "Cursor | Found":
        """Execute a statement; a commit sends what is kept, and nothing begins or is taken back."""
        if statement in {"BEGIN", "ROLLBACK"}:
            self._forget()
        elif statement == "COMMIT":
            self._commit()
        else:
            return self._send(statement, parameters)
        return Found()

    def keep(self, table: Table, rows: str) -> None:
        """Keep some rows, as JSON, until the commit: the last ones of each table in memory."""
        last = self._last.get(table)
        if last and len(last) + len(rows) <= CHUNK:
            rows = f"{last[:-1]},{rows[1:]}"
        elif last:
            self._put_aside(table)
        self._last[table] = rows

    def describe(self, what: str) -> dict[str, Any] | None:
        """What a table or view is, by its quoted name; None where there is none."""
        found = self._ask(f"DESCRIBE TABLE EXTENDED {what} AS JSON")
        return None if found is None else dict(json.loads(found[0][0]))

    def has_schema(self, schema: str) -> bool:
        """Whether there is a schema, by its quoted name."""
        return self._ask(f"DESCRIBE SCHEMA {schema}") is not None

    def make_aside(self) -> None:
        """Make the table where rows wait, if it is missing."""
        if self.describe(self._aside) is None:
            self._send(
                f"CREATE TABLE IF NOT EXISTS {self._aside} "
                "(write_id STRING, table_name STRING, piece STRING, sent_at TIMESTAMP)"
                f"{self._options}"
            )

    def _send(self, statement: str, parameters: Sequence[Any] = ()) -> "Cursor":
        cursor = self._connection.cursor()
        named = {f"p{number}": value for number, value in enumerate(parameters, 1)}
        try:
            cursor.execute(statement, named or None)
        except Exception as error:
            # A column that somebody else has added since we looked: there is no IF NOT EXISTS.
            if not (statement.startswith("ALTER TABLE ") and condition(error) in _THERE_ALREADY):
                raise
        return cursor

    def _ask(self, command: str) -> list[Any] | None:
        """What a command shows; None where what it asks for is not there."""
        try:
            return list(self._send(command).fetchall())
        except Exception as error:
            if condition(error) in _NOT_THERE:
                return None
            raise

    def _put_aside(self, table: Table) -> None:
        if not self._waiting:
            self.make_aside()
        self._send(
            f"INSERT INTO {self._aside} VALUES (:p1, :p2, :p3, current_timestamp())",  # noqa: S608  # a name of ours
            [self._write_id, table.name, self._last.pop(table)],
        )
        self._waiting.add(table)

    def _commit(self) -> None:
        # What has more in its key belongs to what has less: to a run, at last.
        for table in sorted(self._last, key=lambda each: len(each.primary_key), reverse=True):
            if table in self._waiting:
                self._put_aside(table)
                # The driver sends again what nobody answered: a piece may be there twice.
                waiting = (
                    f" FROM (SELECT DISTINCT piece FROM {self._aside} "  # noqa: S608  # a name of ours
                    "WHERE write_id = :p1 AND table_name = :p2)"
                )
                merge = self._merge(table, "piece", waiting)
                self._send(merge, [self._write_id, table.name])
            else:
                self._send(self._merge(table, ":p1", ""), [self._last[table]])
        if self._waiting:
            self._clear_aside()
        self._forget()

    def _clear_aside(self) -> None:
        """Take away what is merged, and what writers have left that were killed."""
        try:
            self._send(
                f"DELETE FROM {self._aside} WHERE write_id = :p1 "  # noqa: S608  # a name of ours
                "OR sent_at < current_timestamp() - INTERVAL 1 DAY",
                [self._write_id],
            )
        except Exception as error:
            if not is_momentary(error):  # somebody else takes it away then
                raise

    def _forget(self) -> None:
        self._last: dict[Table, str] = {}
        self._waiting: set[Table] = set()
        self._write_id = uuid.uuid4().hex


def is_the_drivers(error: Exception) -> bool:
    """Whether an error comes from the driver, or from what it is built on."""
    return any(each.__module__.partition(".")[0] in _THE_DRIVERS for each in type(error).__mro__)


def condition(error: Exception) -> str:
    """What Databricks calls an error in its documents; empty where it says no name."""
    found = _CONDITION.search(reason(error))
    return found[1] if found else ""


def reason(error: Exception) -> str:
    """What the driver says, in one line."""
    code = _http_code(error)
    said = one_line(str(error.args[0]) if error.args else type(error).__name__)
    return f"{said} (HTTP {code})" if code >= _REFUSED else said


def _http_code(error: Exception) -> int:
    """The status of the response; 0 where there was none."""
    said = _STATUS.search(str(error.args[:1]))
    return getattr(error, "context", {}).get("http-code") or int(said[1] if said else 0)


def is_momentary(error: Exception) -> bool:
    """Whether a write that failed may do so only now: somebody else writes, or nobody answers."""
    if _CONFLICT.search(reason(error)):
        return True
    code = _http_code(error)
    if _REFUSED <= code < _BROKEN and code != _TOO_MANY_REQUESTS:
        return False
    return any(
        each.__name__ == "RequestError" or each.__module__.startswith("urllib3")
        for each in type(error).__mro__
    )
