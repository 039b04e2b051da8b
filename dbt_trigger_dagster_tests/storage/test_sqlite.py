"""What is special about a SQLite file."""

import sqlite3
import stat
from contextlib import closing

import pytest

from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import RUN, TABLES
from dbt_trigger_dagster_tests.databases import runs


def test_times_are_text_that_sqlite_reckons_with(tmp_path) -> None:
    """In UTC and of one length; booleans are 0 and 1."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    store.upsert(runs(1, created_at="2026-01-02T05:04:05+02:00", is_success=True))
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        found = connection.execute(
            "SELECT created_at, unixepoch(created_at, 'auto'), is_success FROM dbt_cloud_run"
        ).fetchall()
    assert found == [("2026-01-02 03:04:05.000000+00:00", 1767323045, 1)]


def test_a_schema_is_refused(tmp_path) -> None:
    """SQLite has none."""
    open_store(f"sqlite:///{tmp_path}/x.db", schema="main").check(TABLES.values())
    with pytest.raises(StorageError, match="SQLite has no schema 'dbt': leave the schema out"):
        open_store(f"sqlite:///{tmp_path}/x.db", schema="dbt")


def test_a_file_that_is_no_database_is_told_and_left_as_it_is(tmp_path) -> None:
    """It may be somebody's only copy of something."""
    (tmp_path / "x.db").write_text("hello " * 1000)
    with pytest.raises(StorageError, match="is not a SQLite database: name another file"):
        open_store(f"sqlite:///{tmp_path}/x.db").check(TABLES.values())
    assert (tmp_path / "x.db").read_text() == "hello " * 1000


def test_a_file_that_we_make_is_for_the_owner_and_its_group(tmp_path) -> None:
    """The rows hold what logs say; one that is there keeps its mode."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    store.check(TABLES.values())
    assert stat.S_IMODE((tmp_path / "x.db").stat().st_mode) & 0o007 == 0
    (tmp_path / "x.db").chmod(0o644)
    store.check(TABLES.values())
    assert stat.S_IMODE((tmp_path / "x.db").stat().st_mode) == 0o644


def test_a_writer_that_hangs_is_told_after_the_wait_limit(tmp_path) -> None:
    """Readers do not wait for it."""
    store = open_store(f"sqlite:///{tmp_path}/x.db", wait_limit=0.1)
    store.upsert(runs(1))
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"has been writing to .* for 0 s"):
            store.upsert(runs(2))
        assert store.read(RUN).columns["id"] == [1]


def test_a_place_that_cannot_be_written_is_told(tmp_path) -> None:
    """A folder, and a file that stands in the way."""
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "x.db"):
        with pytest.raises(StorageError, match=r"cannot be used: .*\. Name another file"):
            open_store(f"sqlite:///{path}").check(TABLES.values())
