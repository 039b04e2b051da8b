"""Copies all tables from one place to another, in batches.

A row replaces the one with the same key. So a copy that was interrupted is started again, and what
is there already is no harm.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.store import Store
from dbt_trigger_dagster.storage.tables import RUN, TABLES, TRIGGER
from dbt_trigger_dagster.storage.views import VIEWS

Source = Callable[[Table], Iterator[Rows]]
"""The rows of a table, in batches; none where there is no such table."""

_ROWS_OF_RUNS = 100
"""Runs have their steps' logs with them, twice: some are megabytes long."""

_ROWS = 5_000
_KEYS = 50_000


@dataclass(frozen=True)
class Progress:
    """How far the copy of a table is.

    Attributes:
        table: The table.
        copied: How many of its rows have been copied, each key counted once.
        total: How many rows are in it in the end, when all that were copied have been found there;
            None before.
    """

    table: Table
    copied: int
    total: int | None = None


def rows_of(store: Store) -> Source:
    """The rows of a store."""

    def read(table: Table) -> Iterator[Rows]:
        size = _ROWS_OF_RUNS if table in {TRIGGER, RUN} else _ROWS
        for page in store.pages(table, table.dtypes, size):
            yield Rows(table, page)

    return read


def copy_tables(source: Source, target: Store) -> Iterator[Progress]:
    """Copy all tables, and find at the end of each what was copied.

    Args:
        source: What to copy.
        target: Where to; tables and views are made where they are missing.

    Yields:
        Progress after each batch, and when a table has been checked.

    Raises:
        StorageError: Rows cannot be read or written, or are not there in the end. What has been
            copied stays.
    """
    target.check(TABLES.values(), VIEWS)
    for table in TABLES.values():
        yield from _copy(table, source, target)


def _copy(table: Table, source: Source, target: Store) -> Iterator[Progress]:
    copied: set[bytes] = set()
    for rows in source(table):
        target.upsert(rows)
        copied.update(map(_digest, table.keys(rows.columns)))
        yield Progress(table, len(copied))
    if not copied:
        return
    missing, total = set(copied), 0
    for page in target.pages(table, table.primary_key, _KEYS):
        keys = table.keys(page)
        missing.difference_update(map(_digest, keys))
        total += len(keys)
    if missing:
        raise StorageError(
            f"{len(missing)} of {len(copied)} rows that were copied to {target.relation(table)} "
            "are not there: see what else deletes rows from it, and copy again."
        )
    yield Progress(table, len(copied), total)


def _digest(key: tuple[Any, ...]) -> bytes:
    """What stands for a key in memory: keys are many, and long."""
    return blake2b(repr(key).encode(), digest_size=16).digest()
