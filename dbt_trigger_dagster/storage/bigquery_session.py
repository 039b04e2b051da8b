"""A connection to BigQuery: what it is made with, and how what it writes is sent.

All that a transaction writes is one job: BigQuery takes it back as a whole where it fails, and
where its writer is killed the job goes on to its end. Over several jobs it would need a session,
and a session that a killed writer leaves holds its tables for up to 24 hours:
https://docs.cloud.google.com/bigquery/docs/troubleshoot-queries ("Transaction aborted due to
concurrent update").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.storage.database_url import driver, given
from dbt_trigger_dagster.storage.errors import StorageError

if TYPE_CHECKING:
    from google.cloud.bigquery import Client, Table
    from sqlalchemy.engine import URL

EXAMPLE = "bigquery://project/dataset"
"""What a URL looks like."""

ROWS = "@rows"
"""The parameter of a write: its rows, as a list of JSON arrays."""

_TYPES: Mapping[type, str] = {
    bool: "BOOL",
    int: "INT64",
    str: "STRING",
    float: "FLOAT64",
    datetime: "TIMESTAMP",
}


def bigquery(module: str = "google.cloud.bigquery") -> Any:
    """The driver.

    Args:
        module: Which part of it, or of what it brings.

    Raises:
        StorageError: It is not installed.
    """
    return driver(module, of="BigQuery", package="google-cloud-bigquery", extra="bigquery")


def arguments(url: "URL", user: str, password: str, others: Mapping[str, Any]) -> dict[str, Any]:
    """What the driver's client is told.

    Args:
        url: What the URL says.
        user: Nobody: BigQuery goes by Google's own credentials.
        password: None, likewise.
        others: The client's own arguments, which count before the URL's.

    Raises:
        StorageError: There is a user or a password.
    """
    if user or password or url.username or url.password:
        raise StorageError(
            "BigQuery takes no user and no password: it goes by Google's application default "
            "credentials, or by the file that credentials_path names (connection)."
        )
    return {**given(project=url.host), **url.query, **others}


def client_of(settings: Mapping[str, Any]) -> "Client":
    """The driver's client.

    Args:
        settings: Its arguments; beside them ``credentials_path`` (of a service account's file) and
            ``api_endpoint``.

    Raises:
        StorageError: It cannot be made of these.
    """
    own = dict(settings)
    path, endpoint = own.pop("credentials_path", ""), own.pop("api_endpoint", "")
    if endpoint:
        own["client_options"] = {**own.get("client_options", {}), "api_endpoint": endpoint}
    client = bigquery().Client
    make = partial(client.from_service_account_json, path) if path else client
    unknown = bigquery("google.auth.exceptions").GoogleAuthError
    try:
        return make(**own)
    except (OSError, TypeError, ValueError, unknown) as error:
        raise StorageError(f"The connection to BigQuery cannot be made: {error}") from error


@dataclass
class _Write:
    """Rows of one table, to be merged by one statement.

    Attributes:
        statement: It, with `ROWS` in it.
        chunks: The rows, as JSON arrays.
        last: The highest key among them.
    """

    statement: str
    chunks: list[str]
    last: tuple[Any, ...]


class Session:
    """A connection that keeps what is to be written until its transaction ends.

    Attributes:
        client: The driver's client.
        location: Where the dataset is, as soon as that is known: jobs have to run there.
    """

    def __init__(self, client: "Client", wait_limit: float) -> None:
        self.client = client
        self.location: str | None = client.location
        self._writes: list[_Write] = []
        retries = bigquery("google.cloud.bigquery.retry")
        self._retry = retries.DEFAULT_RETRY.with_timeout(max(60, wait_limit))
        self._job_retry = retries.DEFAULT_JOB_RETRY.with_timeout(max(60, wait_limit))

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> "_Found":
        """Execute a statement; what ends a transaction sends or drops what it has written."""
        if statement in {"BEGIN", "COMMIT", "ROLLBACK"}:
            writes, self._writes = self._writes, []
            if statement == "COMMIT" and writes:
                self._send(writes)
            return _Found([])
        scalar = bigquery().ScalarQueryParameter
        named = [
            scalar(f"p{number}", _TYPES[type(value)], value)
            for number, value in enumerate(parameters, 1)
        ]
        return self._query(statement, named)

    def write(self, statement: str, chunks: Sequence[str], keys: Sequence[tuple[Any, ...]]) -> None:
        """Have rows of one table merged at the end of the transaction.

        Args:
            statement: What merges them, with `ROWS` in it.
            chunks: The rows, as JSON arrays.
            keys: Their keys, the lowest first. A MERGE refuses two rows of one key, so that only
                rows with higher keys than those before are merged together with them.
        """
        before = self._writes[-1] if self._writes else None
        if before and before.statement == statement and before.last < keys[0]:
            before.chunks += chunks
            before.last = keys[-1]
        else:
            self._writes.append(_Write(statement, list(chunks), keys[-1]))

    def describe(self, statement: str, chunk: str) -> None:
        """Have a write compiled: a dry run starts nothing and costs nothing."""
        self._query(statement, [_rows("rows", [chunk])], dry_run=True)

    def table(self, name: str) -> "Table | None":
        """A table or view; None where there is none.

        Asked of the API, not of INFORMATION_SCHEMA, which is behind after a change:
        https://docs.cloud.google.com/bigquery/docs/managing-table-schemas
        """
        try:
            found = self.client.get_table(name, retry=self._retry)
        except bigquery("google.api_core.exceptions").NotFound:
            return None
        self.location = found.location or self.location
        return found

    def make_dataset(self, name: str) -> None:
        """Make a dataset where it is missing, at the client's location."""
        try:
            found = self.client.get_dataset(name, retry=self._retry)
        except bigquery("google.api_core.exceptions").NotFound:
            found = self.client.create_dataset(name, exists_ok=True, retry=self._retry)
        self.location = found.location or self.location

    def _send(self, writes: Sequence[_Write]) -> None:
        """Send writes as one job.

        A single statement is no transaction of its own: it waits for others, where a transaction
        would be cancelled: https://docs.cloud.google.com/bigquery/docs/transactions
        """
        statements = [
            write.statement.replace(ROWS, f"{ROWS}{number}")
            for number, write in enumerate(writes, 1)
        ]
        if len(statements) > 1:
            statements = ["BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION"]
        named = [_rows(f"rows{number}", write.chunks) for number, write in enumerate(writes, 1)]
        self._query(";\n".join(statements), named)

    def _query(
        self, statement: str, parameters: Sequence[Any], *, dry_run: bool = False
    ) -> "_Found":
        config = bigquery().QueryJobConfig(query_parameters=parameters, dry_run=dry_run)
        job = self.client.query(
            statement,
            job_config=config,
            location=self.location,
            retry=self._retry,
            job_retry=None if dry_run else self._job_retry,
        )
        if dry_run:
            return _Found([])
        return _Found([row.values() for row in job.result(retry=self._retry)])


class _Found:
    """What a statement has found."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        return self._rows


def _rows(name: str, chunks: Sequence[str]) -> Any:
    return bigquery().ArrayQueryParameter(name, "STRING", chunks)
