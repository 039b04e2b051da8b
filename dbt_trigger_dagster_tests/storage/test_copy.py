"""Tables are copied whole from any store to any other, and what is not there in the end is told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.copy import copy_tables, rows_of
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, TABLES, TRIGGER
from dbt_trigger_dagster_tests.databases import EmptySchema, runs
from dbt_trigger_dagster_tests.payloads import run_payload
from dbt_trigger_dagster_tests.storage.test_stores import comparable

MORE_THAN_A_BATCH = range(1, 251)


def filled(store: SqlStore) -> SqlStore:
    """Three tables with rows of all kinds of values, the second of several batches."""
    lineage = {"dagster_run_id": "first", "loaded_at": "2026-01-02T03:04:05.678901Z"}
    trigger = TRIGGER.record(run_payload(10)) | {"adopted": True, **lineage}
    artifacts = [
        {"account_id": 101, "run_id": 7, "step": step, "path": path, "uri": "é", **lineage}
        for step in (0, 4)
        for path in ("b", "a/b", "Z", "ä", "")
    ]
    store.upsert(
        TRIGGER.rows([trigger]), runs(*MORE_THAN_A_BATCH, -1, 2**62), ARTIFACT.rows(artifacts)
    )
    return store


def contents(store: SqlStore) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, in one order."""
    return {table.name: comparable(store.read(table).distinct()) for table in TABLES.values()}


def test_all_rows_are_copied_from_and_to_each_kind(place: EmptySchema, tmp_path: Path) -> None:
    """As they are, with their lineage, times and JSON; there and back."""
    origin = filled(a_schema_of_duckdb(tmp_path))
    target = place.open(wait_limit=10)
    back = open_store(f"sqlite:///{tmp_path}/back.db")
    assert isinstance(back, SqlStore)
    done = [each for each in copy_tables(rows_of(origin), target) if each.total is not None]
    list(copy_tables(rows_of(target), back))
    assert contents(target) == contents(origin) == contents(back)
    assert [(each.table, each.copied, each.total) for each in done] == [
        (TRIGGER, 1, 1),
        (RUN, 252, 252),
        (ARTIFACT, 10, 10),
    ]


def a_schema_of_duckdb(folder: Path) -> SqlStore:
    """A DuckDB store beside others."""
    store = open_store(f"{folder}/origin.duckdb")
    assert isinstance(store, SqlStore)
    return store


def test_progress_is_told_after_each_batch(tmp_path: Path) -> None:
    """And the count is of what is written by then."""
    origin, target = filled(a_schema_of_duckdb(tmp_path)), open_store(f"{tmp_path}/t.duckdb")
    seen = [
        (each.copied, len(target.read(RUN)))
        for each in copy_tables(rows_of(origin), target)
        if each.table is RUN
    ]
    assert seen == [(100, 100), (200, 200), (252, 252), (252, 252)]


def test_a_copy_that_broke_off_is_started_again(tmp_path: Path) -> None:
    """What is there already is no harm, and rows of other keys stay."""
    origin, target = filled(a_schema_of_duckdb(tmp_path)), open_store(f"sqlite:///{tmp_path}/t.db")
    assert isinstance(target, SqlStore)
    target.upsert(runs(999_999, dagster_run_id="of the target"))
    copying = copy_tables(rows_of(origin), target)
    while next(copying).table is not RUN:
        pass
    copying.close()
    assert len(target.read(RUN)) == 101
    last = [each for each in copy_tables(rows_of(origin), target) if each.table is RUN][-1]
    assert (last.copied, last.total) == (252, 253)
    assert len(target.read(RUN, dagster_run_id="of the target")) == 1


def test_rows_that_are_not_there_in_the_end_are_told(tmp_path: Path) -> None:
    """Somebody else deletes them while the rest is copied."""
    origin, target = filled(a_schema_of_duckdb(tmp_path)), open_store(f"{tmp_path}/t.duckdb")

    def read(table: Table) -> Iterator[Rows]:
        yield from rows_of(origin)(table)
        with duckdb.connect(tmp_path / "t.duckdb") as connection:
            connection.execute("DELETE FROM dbt_cloud_run WHERE id IN (5, 6)")

    with pytest.raises(StorageError, match=r"2 of 252 rows .* t\.main\.dbt_cloud_run are not"):
        list(copy_tables(read, target))


def test_a_null_in_an_old_key_is_copied(tmp_path: Path) -> None:
    """Nothing comes after a null, and yet the pages end."""
    origin = filled(a_schema_of_duckdb(tmp_path))
    with duckdb.connect(tmp_path / "origin.duckdb") as connection:
        connection.execute("UPDATE dbt_cloud_run SET account_id = NULL")
    target = open_store(f"{tmp_path}/t.duckdb")
    list(copy_tables(rows_of(origin), target))
    assert len(target.read(RUN, account_id=0)) == 252


def test_a_key_that_an_older_version_lacks_is_told(tmp_path: Path) -> None:
    """The check fills it in; without, rows of two accounts might become one."""
    origin = a_schema_of_duckdb(tmp_path)
    with duckdb.connect(tmp_path / "origin.duckdb") as connection:
        connection.execute("CREATE TABLE dbt_cloud_artifact (run_id BIGINT)")
    with pytest.raises(StorageError, match="has no account_id, step, path: run dbt-trigger-dagst"):
        list(copy_tables(rows_of(origin), open_store(f"{tmp_path}/t.duckdb")))
