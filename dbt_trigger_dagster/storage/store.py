"""The store that a database setting names."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from dbt_trigger_dagster.storage.batches import Batches
from dbt_trigger_dagster.storage.bigquery import BigQuery
from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.database import WAIT_LIMIT
from dbt_trigger_dagster.storage.databricks import Databricks
from dbt_trigger_dagster.storage.duckdb import DuckDB
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.postgresql import PostgreSQL
from dbt_trigger_dagster.storage.snowflake import Snowflake
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.sqlite import SQLite
from dbt_trigger_dagster.storage.view import View

# Also what is but meant as one: a setting that is no path may hold a password, and is not told.
_URL = re.compile(
    r"(?P<kind>[A-Za-z][\w+.-]+)(?:[:=]|//(?=.*@))(?P<place>.*)",  # a colon may be forgotten
    re.DOTALL,
)
_SERVERS: Mapping[str, type[BigQuery | Databricks | PostgreSQL | Snowflake]] = {
    "bigquery": BigQuery,
    "databricks": Databricks,
    "postgresql": PostgreSQL,
    "postgres": PostgreSQL,
    "snowflake": Snowflake,
}
_FILES: Mapping[str, type[DuckDB | SQLite]] = {"duckdb": DuckDB, "sqlite": SQLite}


class Store(Protocol):
    """Tables with a history, in one schema of a database.

    Every method raises `StorageError` where the database cannot do what it should; nothing has
    changed then. But in Databricks, a write is all or nothing for each table by itself, a run's own
    row last: some tables may be written when it fails, and it is to be repeated.
    """

    def relation(self, table: Table) -> str:
        """The table's full name in the database."""

    def check(self, tables: Iterable[Table], views: Iterable[View] = ()) -> None:
        """Make sure that rows can be written: make tables and views, and try a write."""

    def upsert(self, *rows: Rows | Batches) -> None:
        """Write rows of one or several tables, all or none, in place of those of the same keys."""

    def read(self, table: Table, **equal: str | int | Sequence[int]) -> Rows:
        """Rows whose columns equal the given values, several numbers being any of them.

        With none given, the whole table.
        """

    def pages(
        self, table: Table, names: Collection[str], size: int
    ) -> Iterator[dict[str, list[Any]]]:
        """Some columns of all rows, a number of rows at a time, in the order of their keys.

        Each page is read in a transaction of its own: nobody waits for the whole.

        Args:
            table: Where; there are no pages where it is missing.
            names: The columns that are wanted, the primary key's among them.
            size: Most rows of a page.
        """

    def look_up(
        self, table: Table, wanted: str, *, key: str, values: Iterable[int], **equal: str | int
    ) -> dict[int, str]:
        """One column of the rows whose key is among some numbers, by the key."""

    def newest(
        self,
        table: Table,
        columns: Sequence[str],
        *,
        by: str,
        limit: int,
        **equal: str | int | Sequence[str],
    ) -> list[dict[str, Any]]:
        """Some columns of the rows with the highest value in one, highest first.

        Args:
            table: Where; there are no rows where it is missing.
            columns: The columns that are wanted, and read.
            by: The column that orders them.
            limit: Most rows.
            equal: What other columns have to be; several texts are any of them.
        """

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
        """Ids of an account's runs that the first table has and the second lacks, lowest first.

        A row of the second table with the status of a run in flight (1, 2, 3) counts as none.

        Args:
            trigger: The table of the triggers.
            run: The table of the runs that are over.
            account_id: The account.
            since: The earliest ``loaded_at`` of the triggers.
            until: The latest.
            after: Only ids above this one.
            limit: Most ids.
        """


def database_below(database: str, folder: Path) -> str:
    """The same database setting; a relative path begins in the folder."""
    named = _URL.match(database)
    if named is None:
        return str(folder / Path(database).expanduser())
    kind, place = named["kind"], named["place"]
    if kind in _FILES and place.startswith("///"):
        return f"{kind}:///{folder / Path(place.removeprefix('///')).expanduser()}"
    return database


def file_of(database: str) -> Path | None:
    """The file that a database setting names; None where it names none."""
    named = _URL.match(database)
    if named is None:
        return Path(database).expanduser().absolute()
    if named["kind"] not in _FILES or not named["place"].startswith("///"):
        return None
    return Path(named["place"].removeprefix("///")).expanduser().absolute()


def open_store(
    database: str,
    *,
    schema: str = "",
    user: str = "",
    password: str = "",
    connection: Mapping[str, Any] | None = None,
    wait_limit: float = WAIT_LIMIT,
) -> Store:
    """The store that a database setting names.

    Args:
        database: The path of a DuckDB file, or a URL: ``duckdb:///path``, ``sqlite:///path``,
            ``postgresql://user@host:5432/database``, ``snowflake://user@account/database/schema``,
            ``bigquery://project/dataset`` or ``databricks://host?http_path=path&catalog=name``.
        schema: The schema of the tables; empty for the database's own.
        user: Whom to connect as, where the URL does not say.
        password: The password, likewise.
        connection: The driver's own arguments.
        wait_limit: Seconds to wait for other writers.

    Raises:
        StorageError: It names a database of another kind, or a setting cannot be used.
    """
    named = _URL.match(database)
    kind = named["kind"] if named else "duckdb"
    if kind.partition("+")[0] in _SERVERS:
        server = _SERVERS[kind.partition("+")[0]](
            database,
            schema=schema,
            user=user,
            password=password,
            connection=connection,
            wait_limit=wait_limit,
        )
        return SqlStore(server, wait_limit=wait_limit)
    path = file_of(database)
    if path is None:
        raise StorageError(
            f"The kind of database {kind} is not supported: give the path of a DuckDB file, such "
            "as data/dbt_cloud.duckdb, or a URL: duckdb:///path, sqlite:///path, "
            "postgresql://user@host:5432/database, snowflake://user@account/database/schema, "
            "bigquery://project/dataset or databricks://host?http_path=path&catalog=name."
        )
    if user or password or connection:
        raise StorageError("The file of a database takes no user, password or connection.")
    file = _FILES[kind](path, schema=schema or "main", wait_limit=wait_limit)
    return SqlStore(file, wait_limit=wait_limit)
