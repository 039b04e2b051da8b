"""Which store a setting names, and that no setting is told that may hold a password."""

import sys
from pathlib import Path

import pytest

from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.store import database_below, open_store
from dbt_trigger_dagster.storage.tables import RUN, TABLES
from dbt_trigger_dagster_tests.databases import runs


@pytest.mark.parametrize("database", ["data/x.db", "duckdb:///data/x.db", "sqlite:///data/x.db"])
def test_a_file_is_named_by_a_path_or_a_url(tmp_path, monkeypatch, database) -> None:
    """Relative to the working directory, as all paths are."""
    monkeypatch.chdir(tmp_path)
    open_store(database).check(TABLES.values())
    is_sqlite = (tmp_path / "data" / "x.db").read_bytes().startswith(b"SQLite format 3")
    assert is_sqlite == database.startswith("sqlite")


@pytest.mark.parametrize(
    ("database", "placed"),
    [
        ("data/x.db", "/p/data/x.db"),
        ("duckdb:///data/x.db", "duckdb:////p/data/x.db"),
        ("sqlite:///x.db", "sqlite:////p/x.db"),
        ("/data/x.db", "/data/x.db"),
        ("sqlite:////data/x.db", "sqlite:////data/x.db"),
        ("postgresql://u@host/db", "postgresql://u@host/db"),
        ("md:mine", "md:mine"),
    ],
)
def test_a_relative_path_may_begin_in_another_folder(database, placed) -> None:
    """All else stays as it is."""
    assert database_below(database, Path("/p")) == placed


def test_an_absolute_url_and_a_home_folder_are_understood(tmp_path, monkeypatch) -> None:
    """Four slashes, and a tilde."""
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store(f"duckdb:///{tmp_path}/a.duckdb").check(TABLES.values())
    open_store("~/b.duckdb").check(TABLES.values())
    open_store("sqlite:///~/c.db").check(TABLES.values())
    assert {file.name for file in tmp_path.iterdir()} >= {"a.duckdb", "b.duckdb", "c.db"}


@pytest.mark.parametrize(
    "database",
    [
        "mysql://u:sesame@host/db",
        "s3://bucket/x",
        "md:sesame",
        "postgresq://u:sesame@host/db",
        "sqlite://u:sesame@host/x.db",
        "host=h password=sesame",
        "https:/u:sesame@host/db",
        "mysql//u:sesame@host/db",
    ],
)
def test_a_database_of_another_kind_is_refused(tmp_path, monkeypatch, database) -> None:
    """With what to give instead, and without making a file of that name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="not supported: give the path of a DuckDB") as caught:
        open_store(database)
    assert "sesame" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://u:sesame@[half/db",
        "postgresql://u:se/same@host/db?nonsense=sesame",
        "postgresql://u:sesame@host:port/db",
        "postgresql://u:se/same@host/db",
        "postgresql://u:12/sesame@host/db",
        "postgresql://u:12@sesame@host/db",
        "postgresql://u:1?2@sesame@host,other/db",
        "postgresql:/u:sesame@host/db",
        "postgresql//u:sesame@host/db",
        "postgresql//u:se/same@host/db",
        "postgresql+psycopg2://u:sesame@host/db?sslmode",
        "postgres://u:ses%zzame@host/db",
    ],
)
def test_a_url_that_cannot_be_read_is_not_told(database) -> None:
    """The driver's own error has it in it; neither it nor what caused it does."""
    with pytest.raises(StorageError, match="cannot be read: give postgresql://user@host") as caught:
        open_store(database).check(TABLES.values())
    assert "ses" not in f"{caught.value} {caught.value.__cause__}"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("database", ["x.duckdb", "sqlite:///x.db"])
@pytest.mark.parametrize("setting", ["user", "password", "connection"])
def test_a_file_takes_no_user(database, setting) -> None:
    """Whoever gives one means another database."""
    value = {"sslmode": "x"} if setting == "connection" else "sesame"
    with pytest.raises(StorageError, match="takes no user, password or connection"):
        open_store(database, **{setting: value})


def test_a_driver_that_is_missing_is_named_with_how_to_get_it(monkeypatch) -> None:
    """An extra that nobody installed."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match=r"pip install 'dbt_trigger_dagster\[postgresql\]'"):
        open_store("postgresql://host/db")


class AwayAtFirst:
    """A database that cannot be reached the first times."""

    def __init__(self, store: SqlStore, times: int) -> None:
        self._database = store._database
        self.times = times

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)

    def connect(self) -> object:
        """What `Database.connect` does, at last."""
        self.times -= 1
        if self.times >= 0:
            error = StorageError("away")
            error.is_momentary = True
            raise error
        return self._database.connect()


def test_rows_wait_for_a_database_that_is_away_for_a_moment(tmp_path) -> None:
    """The run that they tell of has been, what is read too; the check before says so at once."""
    kept = open_store(f"sqlite:///{tmp_path}/x.db")
    assert isinstance(kept, SqlStore)
    with pytest.raises(StorageError, match="away"):
        SqlStore(AwayAtFirst(kept, times=1)).check([RUN])
    SqlStore(AwayAtFirst(kept, times=1)).upsert(runs(1))
    assert SqlStore(AwayAtFirst(kept, times=1)).read(RUN).columns["id"] == [1]
    with pytest.raises(StorageError, match="away"):
        SqlStore(AwayAtFirst(kept, times=9), wait_limit=0).upsert(runs(2))
