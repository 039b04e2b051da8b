"""The store that a database setting names."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.duckdb import DuckDBStore
from dbt_trigger_dagster.storage.duckdb_file import WAIT_LIMIT
from dbt_trigger_dagster.storage.errors import StorageError

_DUCKDB_URL = "duckdb:///"


class Store(Protocol):
    """Tables with a history, in one schema of a database.

    Every method raises `StorageError` where the database cannot do what it should; nothing has
    changed then.
    """

    def relation(self, table: Table) -> str:
        """The table's full name in the database."""

    def check(self, tables: Iterable[Table]) -> None:
        """Make sure that rows can be written: make the tables, and try a write."""

    def upsert(self, *rows: Rows) -> None:
        """Write rows of one or several tables, all or none, in place of those of the same keys."""

    def read(self, table: Table, **equal: str | int) -> Rows:
        """Rows whose columns equal the given values; with none given, the whole table."""

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


def open_store(database: str, *, schema: str, wait_limit: float = WAIT_LIMIT) -> Store:
    """The store that a database setting names: a path, or ``duckdb:///path``.

    Args:
        database: The setting.
        schema: The schema of the tables.
        wait_limit: Seconds to wait for other writers.

    Raises:
        StorageError: It names a database of another kind.
    """
    path = database.removeprefix(_DUCKDB_URL)
    if "://" in path:
        raise StorageError(
            f"The kind of database {path.partition('://')[0]}:// is not supported: give the path "
            "of a DuckDB file, such as data/dbt_cloud.duckdb."
        )
    return DuckDBStore(Path(path).expanduser().absolute(), schema=schema, wait_limit=wait_limit)
