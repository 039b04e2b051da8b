"""A connection to BigQuery: how what it writes is sent.

All that a transaction writes is one job: BigQuery takes it back as a whole where it fails, and
where its writer is killed the job goes on to its end. Over several jobs it would need a session,
and a session that a killed writer leaves holds its tables for up to 24 hours:
https://docs.cloud.google.com/bigquery/docs/troubleshoot-queries ("Transaction aborted due to
concurrent update"). What is more than a request takes is loaded before into a table that nobody
else knows of, and that is dropped at the end.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dbt_trigger_dagster.dbt_cloud.text import one_line
from dbt_trigger_dagster.storage.bigquery_client import bigquery, errors
from dbt_trigger_dagster.storage.database import WAIT_LIMIT, Found
from dbt_trigger_dagster.storage.errors import StorageError

if TYPE_CHECKING:
    from google.cloud.bigquery import Client, Dataset, Table

CHUNKS = "UNNEST(@rows) AS chunk"
"""In what merges rows: where they are, as JSON arrays."""

_REQUEST = 8_000_000
"""About so many bytes of rows travel in one request, which takes 10 MB:
https://docs.cloud.google.com/bigquery/quotas#query_jobs"""

_RETRIED = 10.0
"""Seconds for which the driver repeats a request by itself; the store repeats transactions."""

_PAUSE = 1.0
"""Seconds between two looks for a job whose answer was lost."""

_SILENCE = 300.0
"""Seconds without a word after which a request is given up: the driver would wait for ever."""

_KEPT = timedelta(days=1)
"""How long rows stay that a writer has loaded which was killed then."""

_TYPES: Mapping[type, str] = {
    bool: "BOOL",
    int: "INT64",
    str: "STRING",
    float: "FLOAT64",
    datetime: "TIMESTAMP",
}


@dataclass
class _Write:
    """Rows of one table, to be merged by one statement.

    Attributes:
        statement: It, with `CHUNKS` in it.
        chunks: The rows, as JSON arrays, but for those that are loaded.
        last: The highest key among them.
    """

    statement: str
    chunks: list[str]
    last: tuple[Any, ...]


class Session:
    """A connection that keeps what is to be written until its transaction ends.

    Args:
        client: The driver's client.
        dataset: The full name of the dataset.
    """

    def __init__(self, client: "Client", dataset: str) -> None:
        self._client = client
        self._name = dataset
        self._dataset: Dataset | None = None
        self._writes: list[_Write] = []
        self._size = 0
        self._loaded = ""  # the table with what is sent already
        retry = bigquery("google.cloud.bigquery.retry").DEFAULT_RETRY
        self._patience = {"retry": retry.with_timeout(_RETRIED), "timeout": _SILENCE}
        self._more_patience = {"retry": retry.with_timeout(WAIT_LIMIT), "timeout": _SILENCE}

    def open(self) -> None:
        """Find out whether the dataset is there, and where: jobs have to run there."""
        with suppress(bigquery("google.api_core.exceptions").NotFound):
            self._dataset = self._client.get_dataset(self._name, **self._patience)

    def close(self) -> None:
        """Drop what is not written, and close the client."""
        self._forget()
        self._client.close()

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Found:
        """Execute a statement; what ends a transaction sends or drops what it has written.

        Raises:
            StorageError: A table is to be made where it would go by itself.
        """
        if statement in {"BEGIN", "COMMIT", "ROLLBACK"}:
            if statement == "COMMIT" and self._writes:
                self._send()
            self._forget()
            return Found()
        if statement.startswith("CREATE TABLE"):
            self._refuse_expiring()
        scalar = bigquery().ScalarQueryParameter
        named = [
            scalar(f"p{number}", _TYPES[type(value)], value)
            for number, value in enumerate(parameters, 1)
        ]
        return self._query(statement, named)

    def write(self, statement: str, chunks: Sequence[str], keys: Sequence[tuple[Any, ...]]) -> None:
        """Have rows of one table merged at the end of the transaction.

        Args:
            statement: What merges them, with `CHUNKS` in it.
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
        self._size += sum(len(json.dumps(chunk)) for chunk in chunks)
        if self._size > _REQUEST:
            self._load()

    def describe(self, statement: str, chunk: str) -> None:
        """Have a write compiled: a dry run starts nothing and costs nothing."""
        self._query(statement, [_rows("rows", [chunk])], dry_run=True)

    def table(self, name: str) -> "Table | None":
        """A table or view; None where there is none.

        Asked of the API, not of INFORMATION_SCHEMA, which is behind after a change:
        https://docs.cloud.google.com/bigquery/docs/managing-table-schemas
        """
        try:
            return self._client.get_table(name, **self._patience)
        except bigquery("google.api_core.exceptions").NotFound:
            return None

    def make_dataset(self) -> None:
        """Make the dataset where it is missing, at the client's location."""
        if self._dataset is None:
            self._dataset = self._client.create_dataset(
                self._name, exists_ok=True, **self._patience
            )

    def _refuse_expiring(self) -> None:
        """Make no table that would go by itself; those that are there may have been told to stay.

        Raises:
            StorageError: It would.
        """
        if self._dataset and self._dataset.default_table_expiration_ms is not None:
            raise StorageError(
                f"Tables in {self._name} are deleted by themselves after a time: name another "
                "dataset for our tables (schema), or take its default table expiration away."
            )

    def _send(self) -> None:
        """Send what is to be written as one job.

        A single statement is no transaction of its own: it waits for others, where a transaction
        would be cancelled: https://docs.cloud.google.com/bigquery/docs/transactions

        Raises:
            StorageError: Whether it was written cannot be found out.
        """
        if self._loaded:
            self._load()
        statements = [
            write.statement.replace(CHUNKS, self._source(number))
            for number, write in enumerate(self._writes, 1)
        ]
        if len(statements) > 1:
            statements = ["BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION"]
        named = [
            _rows(f"rows{number}", write.chunks)
            for number, write in enumerate(self._writes, 1)
            if write.chunks
        ]
        job_id = f"dbt_cloud_{uuid4().hex}"
        try:
            self._query(";\n".join(statements), named, job_id=job_id)
        except errors() as error:
            if not self._has_written(job_id, error):
                raise

    def _has_written(self, job_id: str, error: Exception) -> bool:
        """Wait for the end of a job that may go on: beside it, another would insert its rows twice.

        Args:
            job_id: Which job; there is none where it never arrived.
            error: What was told in place of its result.

        Raises:
            StorageError: Nobody answers.
        """
        try:
            job = self._client.get_job(job_id, location=self._location, **self._more_patience)
            while not job.done(**self._more_patience):
                time.sleep(_PAUSE)
        except bigquery("google.api_core.exceptions").NotFound:
            return False
        except errors() as silence:
            raise StorageError(
                f"Whether the job {job_id} has written to {self._name} is not known: "
                f"{one_line(str(error))}"
            ) from silence
        return job.error_result is None

    def _source(self, number: int) -> str:
        """Where the rows of a write are."""
        if self._loaded:
            return f"(SELECT chunk FROM `{self._loaded}` WHERE write = {number:d})"  # noqa: S608  # ours
        return CHUNKS.replace("@rows", f"@rows{number}")

    def _load(self) -> None:
        """Send rows ahead of their transaction; loading is free, and takes what requests do not."""
        schema = [
            bigquery().SchemaField("write", "INTEGER"),
            bigquery().SchemaField("chunk", "STRING"),
        ]
        if not self._loaded:
            name = f"{self._name}.dbt_cloud_incoming_{uuid4().hex}"
            table = bigquery().Table(name, schema=schema)
            table.expires = datetime.now(timezone.utc) + _KEPT
            self._client.create_table(table, **self._patience)
            self._loaded = name
        rows = [
            {"write": number, "chunk": write.chunks.pop(0)}
            for number, write in enumerate(self._writes, 1)
            for _ in list(write.chunks)
        ]
        self._size = 0
        if rows:
            config = bigquery().LoadJobConfig(schema=schema)
            job = self._client.load_table_from_json(
                rows,
                self._loaded,
                job_config=config,
                location=self._location,
                timeout=_SILENCE,
            )
            job.result(retry=self._patience["retry"])

    @property
    def _location(self) -> str | None:
        return self._dataset.location if self._dataset else None

    def _forget(self) -> None:
        """Keep nothing of what was to be written."""
        self._writes, self._size = [], 0
        with suppress(*errors()):
            if self._loaded:  # if it stays, BigQuery drops it
                self._client.delete_table(self._loaded, not_found_ok=True, **self._patience)
        self._loaded = ""

    def _query(
        self,
        statement: str,
        parameters: Sequence[Any],
        *,
        dry_run: bool = False,
        job_id: str | None = None,
    ) -> Found:
        config = bigquery().QueryJobConfig(query_parameters=parameters, dry_run=dry_run)
        job = self._client.query(
            statement,
            job_config=config,
            job_id=job_id,
            location=self._location,
            **self._patience,
            job_retry=None,  # whole transactions are tried again
        )
        if dry_run:
            return Found()
        return Found([row.values() for row in job.result(retry=self._patience["retry"])])


def _rows(name: str, chunks: Sequence[str]) -> Any:
    return bigquery().ArrayQueryParameter(name, "STRING", chunks)
