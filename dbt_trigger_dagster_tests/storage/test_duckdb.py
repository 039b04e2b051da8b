"""Tables in a DuckDB file: history, atomicity, other writers, and files that are none."""

import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from dbt_trigger_dagster.storage.columns import Column, Kind, Rows, Table
from dbt_trigger_dagster.storage.duckdb import DuckDBStore
from dbt_trigger_dagster.storage.duckdb_file import DuckDBFile
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, TABLES, TRIGGER
from dbt_trigger_dagster_tests.payloads import run_payload

STORAGE_VERSION_OF_DUCKDB_1_2 = 65


@pytest.fixture
def path(tmp_path) -> Path:
    """Where the database is going to be; its folder is missing yet."""
    return tmp_path / "data" / "dbt_cloud.duckdb"


@pytest.fixture
def store(path) -> DuckDBStore:
    """A store that is not there yet, and that does not wait for others."""
    return DuckDBStore(path, schema="main", wait_limit=0.2)


def _runs(*ids: int, dagster_run_id: str = "first", **changes: Any) -> Rows:
    rows = RUN.rows(RUN.record(run_payload(10, id=run_id, **changes)) for run_id in ids)
    return rows.filled(dagster_run_id=dagster_run_id)


def _ids(store: DuckDBStore, **equal: str) -> list[int]:
    return sorted(store.read(RUN, **equal).columns["id"])


def _sql(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path) as connection:
        return connection.execute(statement).fetchall()


@contextmanager
def _python(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs some code; it ends at the end of its input."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(  # noqa: S603  # code of our own
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_rows_come_back_as_they_were_written(store) -> None:
    """Values, types, nulls and the order of the columns."""
    rows = _runs(1, 2, status_message="größe", retrying_run_id=70_403_103_922_125)
    store.upsert(rows)
    assert store.read(RUN) == rows


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_that_was_never_written_is_empty(store, table) -> None:
    """With all its columns, of their types."""
    assert store.read(table) == table.rows([])


def test_a_row_replaces_the_one_with_the_same_key(store) -> None:
    """A run that is landed twice is one row, the later one."""
    store.upsert(_runs(1, 2))
    store.upsert(_runs(2, 3, dagster_run_id="second"))
    rows = store.read(RUN).frame().set_index("id")["dagster_run_id"].to_dict()
    assert rows == {1: "first", 2: "second", 3: "second"}


def test_of_rows_with_one_key_the_last_counts(store) -> None:
    """A run that is handed over twice in one write is one row."""
    store.upsert(RUN.rows([{"id": 1, "href": "old"}, {"id": 2}, {"id": 1, "href": "new"}]))
    rows = store.read(RUN)
    assert dict(zip(rows.columns["id"], rows.columns["href"], strict=True)) == {1: "new", 2: None}


def test_rows_of_several_tables_are_written_together_or_not_at_all(store) -> None:
    """A run's steps are never there without the run."""
    store.upsert(_runs(1), ARTIFACT.rows([{"run_id": 1, "step": 0, "path": "a"}]))
    assert (len(store.read(RUN)), len(store.read(ARTIFACT))) == (1, 1)
    spoiled = Rows(ARTIFACT, {**ARTIFACT.rows([{"run_id": 2}]).columns, "size_bytes": ["many"]})
    with pytest.raises(StorageError):
        store.upsert(_runs(2), spoiled)
    assert (_ids(store), len(store.read(ARTIFACT))) == ([1], 1)


def test_pandas_is_not_imported_for_rows_of_our_own(tmp_path) -> None:
    """It takes a third of a second, and a whole one where pyarrow is installed."""
    code = """
import sys
from pathlib import Path
from dbt_trigger_dagster.storage.duckdb import DuckDBStore
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import RUN
store = DuckDBStore(Path(sys.argv[1]), schema="main")
store.upsert(RUN.rows([{"id": 1, "created_at": "2026-01-02T03:04:05Z"}]))
assert store.read(RUN).columns["id"] == [1]
assert store.look_up(RUN, "href", key="id", values=[1]) == {1: None}
assert not {"pandas", "numpy"} & set(sys.modules)
"""
    with _python(code, tmp_path / "x.duckdb") as process:
        assert process.wait(60) == 0


def test_a_key_of_several_columns_is_compared_as_a_whole(store) -> None:
    """The same path of another step is another file."""
    keys = [(1, 0, "manifest.json"), (1, 4, "manifest.json"), (2, 0, "manifest.json")]
    names = ("run_id", "step", "path")
    rows = [dict(zip(names, key, strict=True)) for key in keys]
    store.upsert(ARTIFACT.rows(row | {"uri": "old"} for row in rows))
    store.upsert(ARTIFACT.rows([rows[1] | {"uri": "new"}]))
    found = store.read(ARTIFACT).frame().sort_values(["run_id", "step"])
    assert list(found["uri"]) == ["old", "new", "old"]


def test_runs_of_two_accounts_may_have_one_id(store) -> None:
    """Both stay; a look tells them apart."""
    for account_id in (1, 2):
        store.upsert(RUN.rows([{"account_id": account_id, "id": 5, "href": f"of {account_id}"}]))
    assert store.read(RUN).columns["href"] == ["of 1", "of 2"]
    for account_id in (1, 2):
        found = store.look_up(RUN, "href", key="id", values=[5], account_id=account_id)
        assert found == {5: f"of {account_id}"}


def test_history_survives_everything_that_is_written_later(store, path) -> None:
    """Also in another table, and through another store object."""
    store.upsert(_runs(*range(100)))
    for run_id in range(100, 105):
        DuckDBStore(path, schema="main").upsert(_runs(run_id))
    store.upsert(TRIGGER.rows([TRIGGER.record(run_payload(id=1))]))
    assert _ids(store) == list(range(105))


def test_writing_no_rows_changes_nothing(store) -> None:
    """But the table is there."""
    store.upsert(_runs(1))
    store.upsert(_runs())
    assert _ids(store) == [1]


def test_rows_are_read_by_the_values_of_columns(store) -> None:
    """All that are given have to match; a quote in a value is a value."""
    store.upsert(_runs(1, dagster_run_id="it's"))
    store.upsert(_runs(2, 3, dagster_run_id="second"))
    assert _ids(store, dagster_run_id="it's") == [1]
    assert _ids(store, dagster_run_id="second", git_branch="main") == [2, 3]
    assert _ids(store, dagster_run_id="second", git_branch="other") == []
    assert _ids(store, dagster_run_id="' OR true --") == []


def test_columns_are_typed_though_all_their_values_are_null(store, path) -> None:
    """Whoever reads the table with SQL can rely on the types from the first row on."""
    store.upsert(RUN.rows([{"id": 1}]))
    types = {row[0]: row[1] for row in _sql(path, "DESCRIBE dbt_cloud_run")}
    assert set(types) == {column.name for column in RUN.columns}
    assert {name: types[name] for name in ("id", "can_retry", "finished_at", "job")} == {
        "id": "BIGINT",
        "can_retry": "BOOLEAN",
        "finished_at": "TIMESTAMP WITH TIME ZONE",
        "job": "VARCHAR",
    }
    assert types["duration_seconds"] == "BIGINT"
    assert types["raw"] == "VARCHAR"


def test_a_column_that_a_newer_version_declares_is_added_to_an_old_table(store, path) -> None:
    """Old rows have null in it; nothing else of them changes."""
    old = Table("dbt_cloud_run", "Old", RUN.columns[:5] + RUN.columns[-2:], ("id",), ())
    store.upsert(old.rows([{"id": 1, "account_id": 101, "raw": "{}"}]))
    store.upsert(_runs(2))
    rows = store.read(RUN).frame().set_index("id")
    assert list(rows["account_id"]) == [101, 101]
    assert rows["status"].isna().to_dict() == {1: True, 2: False}
    assert _sql(path, "SELECT count(*) FROM dbt_cloud_run") == [(2,)]


def test_columns_that_users_have_added_survive(store, path) -> None:
    """A note on a run is not ours to drop; a row that is replaced starts without."""
    store.upsert(_runs(1, 2))
    _sql(path, "ALTER TABLE dbt_cloud_run ADD COLUMN note VARCHAR DEFAULT 'none'")
    _sql(path, "UPDATE dbt_cloud_run SET note = 'mine'")
    store.upsert(_runs(2, 3))
    found = _sql(path, "SELECT id, note FROM dbt_cloud_run ORDER BY id")
    assert found == [(1, "mine"), (2, "none"), (3, "none")]
    assert list(store.read(RUN).columns) == [column.name for column in RUN.columns]


def test_columns_in_another_order_are_filled_by_name(store, path) -> None:
    """The table's order does not count."""
    path.parent.mkdir()
    reversed_columns = Table("dbt_cloud_run", "Old", RUN.columns[::-1], ("id",), ())
    store.upsert(reversed_columns.rows([]))
    store.upsert(_runs(1))
    (row,) = store.read(RUN)
    assert (row["id"], row["git_branch"]) == (1, "main")


def test_each_schema_has_tables_of_its_own(path) -> None:
    """Whatever a schema is called."""
    names = ("main", "dbt", 'odd "name"; --')
    for number, name in enumerate(names):
        DuckDBStore(path, schema=name).upsert(_runs(number))
    assert [_ids(DuckDBStore(path, schema=name)) for name in names] == [[0], [1], [2]]


def test_a_file_that_we_create_opens_with_the_duckdb_of_other_tools(store, path) -> None:
    """Its header has the format's version of DuckDB 1.2."""
    store.check(TABLES.values())
    header = path.read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") == STORAGE_VERSION_OF_DUCKDB_1_2


def test_a_file_of_another_duckdb_is_written_as_well(store, path) -> None:
    """One that a user made with defaults."""
    path.parent.mkdir()
    _sql(path, "CREATE TABLE mine AS SELECT 1 AS a")
    store.upsert(_runs(1))
    assert _ids(store) == [1]
    assert _sql(path, "FROM mine") == [(1,)]


@pytest.mark.parametrize(
    "name",
    [
        "dbt_cloud.duckdb",
        "a.b.duckdb",
        "plain",
        "with-dash.db",
        "temp.duckdb",
        "TEMP",
        "main",
        "system",
        ".duckdb",
    ],
)
def test_the_full_name_of_a_table_is_the_one_that_duckdb_uses(tmp_path, name) -> None:
    """It stands in Dagster's UI, for people to copy."""
    store = DuckDBStore(tmp_path / name, schema="s")
    store.upsert(_runs(1))
    database, schema, table = store.relation(RUN).split(".")
    query = f'SELECT count(*) FROM "{database}"."{schema}"."{table}"'  # noqa: S608  # names are ours
    assert _sql(tmp_path / name, query) == [(1,)]


@pytest.mark.parametrize("prefix", ["", "duckdb:///"])
def test_a_database_is_named_by_a_path_or_a_url(tmp_path, monkeypatch, prefix) -> None:
    """Relative to the working directory, as all paths are."""
    monkeypatch.chdir(tmp_path)
    open_store(f"{prefix}data/x.duckdb", schema="main").check(TABLES.values())
    assert (tmp_path / "data" / "x.duckdb").is_file()


def test_an_absolute_url_and_a_home_folder_are_understood(tmp_path, monkeypatch) -> None:
    """Four slashes, and a tilde."""
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store(f"duckdb:///{tmp_path}/a.duckdb", schema="main").check(TABLES.values())
    open_store("~/b.duckdb", schema="main").check(TABLES.values())
    assert (tmp_path / "a.duckdb").is_file()
    assert (tmp_path / "b.duckdb").is_file()


@pytest.mark.parametrize("database", ["postgresql://host/db", "sqlite:///x.db", "s3://bucket/x"])
def test_a_database_of_another_kind_is_refused(database) -> None:
    """With what to give instead, and without making a file of that name."""
    with pytest.raises(StorageError, match=r"not supported: give the path\s+of a DuckDB file"):
        open_store(database, schema="main")


@pytest.mark.parametrize("content", [b"not a database\n" * 1000, b"\0" * 100_000])
def test_a_file_that_is_no_database_is_left_as_it_is(store, path, content) -> None:
    """It may be somebody's only copy of something."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"dbt_cloud\.duckdb"):
        store.upsert(_runs(1))
    assert path.read_bytes() == content


def test_a_text_file_is_told_to_be_no_database(store, path) -> None:
    """In words, with what to do."""
    path.parent.mkdir()
    path.write_text("hello " * 1000)
    with pytest.raises(StorageError, match="is not a DuckDB database: name another file"):
        store.check(TABLES.values())


def test_a_directory_is_no_database(tmp_path) -> None:
    """The message names it, on one line."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(StorageError, match="folder") as caught:
        DuckDBStore(folder, schema="main").check(TABLES.values())
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_told(tmp_path) -> None:
    """A file stands in the way."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"x\.duckdb cannot be written"):
        DuckDBStore(tmp_path / "file" / "x.duckdb", schema="main").check(TABLES.values())


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_the_right_to_write_is_told(tmp_path) -> None:
    """Before a job is triggered whose row could not be kept."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StorageError, match="Permission denied"):
        DuckDBStore(folder / "x.duckdb", schema="main").check(TABLES.values())


def test_a_lock_that_cannot_be_made_is_told(store, path) -> None:
    """At once: there is nobody to wait for."""
    Path(f"{path}.lock").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"dbt_cloud\.duckdb cannot be written: Is a directory"):
        store.check(TABLES.values())


def test_a_good_place_passes_the_check_and_gets_the_tables(store, path) -> None:
    """Without a row."""
    store.check(TABLES.values())
    assert {row[0] for row in _sql(path, "SHOW TABLES")} == set(TABLES)
    assert [len(store.read(table)) for table in TABLES.values()] == [0] * len(TABLES)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "CREATE VIEW dbt_cloud_run AS SELECT 1::BIGINT AS id",
            "dbt_cloud_run is a view",
        ),
        ("CREATE TABLE DBT_CLOUD_RUN (ID VARCHAR)", "its column id is VARCHAR and not BIGINT"),
        ("CREATE TABLE dbt_cloud_run (mine INT NOT NULL)", "NOT NULL constraint failed"),
        ("CREATE TABLE dbt_cloud_run (href VARCHAR CHECK (href <> ''), id DATE)", "id is DATE"),
        ("CREATE TABLE dbt_cloud_artifact (loaded_at TIMESTAMP)", "loaded_at is TIMESTAMP and"),
    ],
)
def test_a_table_that_would_refuse_rows_is_told_before_a_job_is_triggered(
    store, path, statement, message
) -> None:
    """The check does what the write will do; and what somebody else made is left alone."""
    path.parent.mkdir()
    _sql(path, statement)
    before = _sql(path, "SELECT table_name, column_name, data_type FROM duckdb_columns()")
    with pytest.raises(StorageError, match=message):
        store.check(TABLES.values())
    with pytest.raises(StorageError, match=message):
        store.upsert(_runs(1), ARTIFACT.rows([{"run_id": 1}]))
    made = set(_sql(path, "SELECT table_name, column_name, data_type FROM duckdb_columns()"))
    assert set(before) <= made


def test_names_in_capitals_are_the_same_names(store, path) -> None:
    """So they are for DuckDB; a table that was made so by hand is used as it is."""
    path.parent.mkdir()
    _sql(path, "CREATE TABLE DBT_CLOUD_RUN (ID BIGINT, Account_ID BIGINT)")
    store.check(TABLES.values())
    store.upsert(_runs(1))
    assert _sql(path, "SELECT id FROM dbt_cloud_run") == [(1,)]
    assert _ids(store) == [1]


@pytest.mark.parametrize("schema", ["pg_catalog", "information_schema"])
def test_a_schema_of_the_databases_own_is_refused(path, schema) -> None:
    """Before a job is triggered."""
    with pytest.raises(StorageError, match=schema):
        DuckDBStore(path, schema=schema).check(TABLES.values())


def test_a_disk_that_is_nearly_full_is_told_before_a_job_is_triggered(tmp_path) -> None:
    """A row that cannot be written costs more than a job that does not start."""
    file = DuckDBFile(tmp_path / "x.duckdb")
    file.check_room()
    with pytest.raises(StorageError, match=r"is full but for \d+ bytes: make room"):
        file.check_room(shutil.disk_usage(tmp_path).total + 1)


def test_a_file_that_we_make_is_for_the_owner_and_its_group(store, path) -> None:
    """The rows hold what logs say; one that is there keeps its mode."""
    store.check(TABLES.values())
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o007 == 0
    path.chmod(0o644)
    store.check(TABLES.values())
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "spoiled",
    [
        Rows(RUN, {**_runs(1, 2).columns, "status": [10, "not a number"]}),
        Rows(RUN, {**_runs(1, 2).columns, "raw": ["{}", object()]}),
    ],
    ids=["a value of another type", "a value of no type"],
)
def test_a_write_that_fails_halfway_changes_nothing(store, spoiled) -> None:
    """The old rows were deleted by then, and are back."""
    store.upsert(_runs(1, 2))
    with pytest.raises(StorageError, match="cannot be used"):
        store.upsert(spoiled)
    assert store.read(RUN).columns["dagster_run_id"] == ["first", "first"]
    assert _ids(store) == [1, 2]


def test_a_write_that_fails_leaves_the_file_to_the_next(store) -> None:
    """Neither the lock nor the connection stays."""
    with pytest.raises(StorageError):
        store.upsert(Rows(RUN, {**_runs(1).columns, "status": ["ten"]}))
    store.upsert(_runs(2))
    assert _ids(store) == [2]


_DIES = """
import os, signal, sys
from pathlib import Path
import duckdb
from dbt_trigger_dagster.storage.duckdb import DuckDBStore
from dbt_trigger_dagster_tests.storage.test_duckdb import RUN, _runs

real_connect, when = duckdb.connect, sys.argv[2]

class Mortal:
    def __init__(self, connection):
        self.connection = connection
    def __getattr__(self, name):
        return getattr(self.connection, name)
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.connection.close()
    def commit(self):
        if when == "after":
            self.connection.commit()
        os.kill(os.getpid(), signal.SIGKILL)

duckdb.connect = lambda *args, **kwargs: Mortal(real_connect(*args, **kwargs))
rows = _runs(*range(2, 500), dagster_run_id="second")
DuckDBStore(Path(sys.argv[1]), schema="main").upsert(rows)
"""


@pytest.mark.parametrize(("when", "rows"), [("before", 2), ("after", 500)])
def test_a_writer_that_is_killed_leaves_all_of_its_rows_or_none(store, path, when, rows) -> None:
    """And no lock: the next writer does not wait."""
    store.upsert(_runs(1, 2))
    _sql(path, "UPDATE dbt_cloud_run SET id = 0 WHERE id = 2")
    with _python(_DIES, path, when) as process:
        assert process.wait(30) == -signal.SIGKILL
    assert len(store.read(RUN)) == rows
    store.upsert(_runs(1000))
    assert len(store.read(RUN)) == rows + 1


def _write_many(path: Path, writer: int, writes: int) -> None:
    store = DuckDBStore(path, schema="main")
    for number in range(writes):
        store.upsert(_runs(writer * 1000 + number, 1, dagster_run_id=str(writer)))


def test_processes_that_write_at_once_all_land(path) -> None:
    """The first ones race for making the file; a row that all of them write stays one."""
    writers, writes = 4, 5
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_write_many, args=(path, writer, writes))
        for writer in range(1, writers + 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * writers
    expected = [1] + [
        writer * 1000 + number for writer in range(1, writers + 1) for number in range(writes)
    ]
    assert _ids(DuckDBStore(path, schema="main")) == expected


def test_threads_that_write_at_once_all_land(path) -> None:
    """One process, several runs of Dagster."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda writer: _write_many(path, writer, 3), range(1, 5)))
    assert len(_ids(DuckDBStore(path, schema="main"))) == 13


_HOLDS = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""

_HOLDS_UNTIL_SOMEBODY_WAITS = """
import os, sys, time, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
while not os.path.exists(sys.argv[1] + ".lock"):
    time.sleep(0.01)
connection.close()
"""


def test_another_program_that_keeps_the_file_open_is_told_after_the_wait_limit(store, path) -> None:
    """A notebook that somebody forgot; with what to do about it."""
    path.parent.mkdir()
    with _python(_HOLDS, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(
            StorageError, match=r"Another program has had .* open for 0 s: close it"
        ):
            store.upsert(_runs(1))
    store.upsert(_runs(1))
    assert _ids(store) == [1]


def test_another_program_that_closes_the_file_in_time_is_waited_for(path) -> None:
    """A dashboard that looks at the tables for a moment costs nobody a row."""
    path.parent.mkdir()
    with _python(_HOLDS_UNTIL_SOMEBODY_WAITS, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        store = DuckDBStore(path, schema="main", wait_limit=30)
        store.upsert(_runs(1))
    assert _ids(store) == [1]


def test_a_writer_that_hangs_is_told_after_the_wait_limit(store, path) -> None:
    """It is one of ours: it has the lock, not the file."""
    path.parent.mkdir()
    with (
        FileLock(f"{path}.lock"),
        pytest.raises(StorageError, match="Another run has been writing"),
    ):
        store.upsert(_runs(1))
    store.upsert(_runs(1))
    assert _ids(store) == [1]


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_of_column_survives_a_round_trip(store, kind) -> None:
    """Null and not null."""
    values = {
        Kind.INTEGER: 2**62,
        Kind.BOOLEAN: False,
        Kind.TEXT: "a\0b'\"",
        Kind.JSON: {"a": [1]},
        Kind.TIMESTAMP: "2026-01-02 03:04:05.678900+00:00",
        Kind.SECONDS: "24:00:36",
        Kind.NUMBER: 1.25,
    }
    columns = (Column("key", Kind.INTEGER, "The key"), Column("value", kind, "A value"))
    table = Table("t", "A table", columns, ("key",), ())
    rows = table.rows([{"key": 1, "value": values[kind]}, {"key": 2, "value": None}])
    store.upsert(rows)
    assert store.read(table) == rows
    assert [value is None for value in rows.columns["value"]] == [False, True]


def test_one_column_is_looked_up_by_numbers(store) -> None:
    """Of the rows that are there; of none where there is no table yet."""
    assert store.look_up(RUN, "dagster_run_id", key="id", values=[1, 2]) == {}
    store.upsert(_runs(1, 2, 3, dagster_run_id="first"))
    store.upsert(_runs(3, dagster_run_id="second"))
    found = store.look_up(RUN, "dagster_run_id", key="id", values={3, 1, 2**62})
    assert found == {1: "first", 3: "second"}


def test_the_newest_rows_come_first_with_what_is_wanted_of_them(store) -> None:
    """So many of them, of the rows that have one value, or one of several texts."""
    store.upsert(_runs(1, 3), _runs(2, dagster_run_id="second"), _runs(4, dagster_run_id="third"))
    either = {"dagster_run_id": ["first", "second"]}
    found = store.newest(RUN, ["status", "id"], by="id", limit=2, **either)
    assert found == [{"id": 3, "status": 10}, {"id": 2, "status": 10}]
    assert store.newest(RUN, ["id"], by="id", limit=9, dagster_run_id="third") == [{"id": 4}]
    (newest,) = store.newest(RUN, ["created_at"], by="id", limit=1)
    assert newest["created_at"] == next(iter(store.read(RUN, id=4)))["created_at"]


def test_of_a_table_that_is_not_there_no_row_is_the_newest(store) -> None:
    """Nothing was landed yet."""
    assert store.newest(RUN, ["id"], by="id", limit=1) == []
