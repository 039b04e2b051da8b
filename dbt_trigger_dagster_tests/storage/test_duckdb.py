"""What is special about a DuckDB file: one at a time, names, modes, and files that are none."""

import os
import resource
import shutil
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

from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.database_file import check_room
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.store import Store, open_store
from dbt_trigger_dagster.storage.tables import RUN, TABLES
from dbt_trigger_dagster_tests.clocks import HANGS_AFTER, until
from dbt_trigger_dagster_tests.payloads import run_payload

STORAGE_VERSION_OF_DUCKDB_1_2 = 65


@pytest.fixture
def path(tmp_path) -> Path:
    """Where the database is going to be; its folder is missing yet."""
    return tmp_path / "data" / "dbt_cloud.duckdb"


@pytest.fixture
def store(path) -> Store:
    """A store that is not there yet, and that does not wait for others."""
    return open_store(str(path), wait_limit=0.2)


def _runs(*ids: int, dagster_run_id: str = "first", **changes: Any) -> Rows:
    rows = RUN.rows(RUN.record(run_payload(10, id=run_id, **changes)) for run_id in ids)
    return rows.filled(dagster_run_id=dagster_run_id)


def _ids(store: Store, **equal: str) -> list[int]:
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


def test_pandas_is_not_imported_for_rows_of_our_own(tmp_path) -> None:
    """It takes a third of a second, and a whole one where pyarrow is installed."""
    code = """
import sys
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import RUN
store = open_store(sys.argv[1])
store.upsert(RUN.rows([{"id": 1, "created_at": "2026-01-02T03:04:05Z"}]))
assert store.read(RUN).columns["id"] == [1]
assert store.look_up(RUN, "href", key="id", values=[1]) == {1: None}
assert not {"pandas", "numpy"} & set(sys.modules)
"""
    with _python(code, tmp_path / "x.duckdb") as process:
        assert process.wait(60) == 0


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


def test_each_schema_has_tables_of_its_own(path) -> None:
    """Whatever a schema is called."""
    names = ("main", "dbt", 'odd "name"; --')
    for number, name in enumerate(names):
        open_store(str(path), schema=name).upsert(_runs(number))
    assert [_ids(open_store(str(path), schema=name)) for name in names] == [[0], [1], [2]]


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
    store = open_store(str(tmp_path / name), schema="s")
    store.upsert(_runs(1))
    database, schema, table = store.relation(RUN).split(".")
    query = f'SELECT count(*) FROM "{database}"."{schema}"."{table}"'  # noqa: S608  # names are ours
    assert _sql(tmp_path / name, query) == [(1,)]


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
    with pytest.raises(StorageError, match="folder is a folder: name a file") as caught:
        open_store(str(folder)).check(TABLES.values())
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_told(tmp_path) -> None:
    """A file stands in the way."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"x\.duckdb cannot be written: .* Name another file"):
        open_store(str(tmp_path / "file" / "x.duckdb")).check(TABLES.values())


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_the_right_to_write_is_told(tmp_path) -> None:
    """Before a job is triggered whose row could not be kept."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StorageError, match="Permission denied"):
        open_store(str(folder / "x.duckdb")).check(TABLES.values())


def test_a_lock_that_cannot_be_made_is_told(store, path) -> None:
    """At once: there is nobody to wait for."""
    Path(f"{path}.lock").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"dbt_cloud\.duckdb cannot be written: Is a directory"):
        store.check(TABLES.values())


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
        open_store(str(path), schema=schema).check(TABLES.values())


def test_a_disk_that_is_nearly_full_is_told_before_a_job_is_triggered(tmp_path) -> None:
    """A row that cannot be written costs more than a job that does not start."""
    path = tmp_path / "x.duckdb"
    check_room(path)
    with pytest.raises(StorageError, match=r"is full but for \d+ bytes: make room"):
        check_room(path, shutil.disk_usage(tmp_path).total + 1)


@pytest.mark.parametrize("most", [0, 4096, 8192])
def test_a_file_that_could_not_be_made_is_made_when_there_is_room_again(store, path, most) -> None:
    """Half of it would be no database, for every later run."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(StorageError, match="cannot be used"):
            store.upsert(RUN.rows([run_payload(1)]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    store.upsert(RUN.rows([run_payload(1)]))
    assert len(store.read(RUN)) == 1
    assert not list(path.parent.glob("*.new"))


def test_a_link_to_a_file_that_is_not_there_yet_stays_one(tmp_path) -> None:
    """It leads to another disk, say."""
    (tmp_path / "disk").mkdir()
    link = tmp_path / "tables.duckdb"
    link.symlink_to(tmp_path / "disk" / "tables.duckdb")
    open_store(str(link)).upsert(RUN.rows([run_payload(1)]))
    assert link.is_symlink()
    assert (tmp_path / "disk" / "tables.duckdb").is_file()


@pytest.mark.parametrize("is_link", [False, True])
def test_a_file_that_was_deleted_after_a_kill_is_made_anew(tmp_path, is_link) -> None:
    """What its last transactions left beside it is no part of the new one."""
    path = tmp_path / "tables.duckdb"
    if is_link:
        (tmp_path / "disk").mkdir()
        path.symlink_to(tmp_path / "disk" / "tables.duckdb")
    killed = (
        "import duckdb, os, sys; connection = duckdb.connect(sys.argv[1]); "
        "connection.execute('CREATE TABLE t (a INT)'); connection.execute('CHECKPOINT'); "
        "connection.execute('INSERT INTO t VALUES (1)'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, path], check=False)  # noqa: S603  # our own script
    assert list(tmp_path.rglob("*.wal"))
    path.resolve().unlink()
    store = open_store(str(path))
    store.upsert(RUN.rows([run_payload(1)]))
    assert len(store.read(RUN)) == 1


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


def _write_many(path: Path, writer: int, writes: int) -> None:
    store = open_store(str(path))
    for number in range(writes):
        store.upsert(_runs(writer * 1000 + number, 1, dagster_run_id=str(writer)))


def test_threads_that_write_at_once_all_land(path) -> None:
    """One process, several runs of Dagster."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda writer: _write_many(path, writer, 3), range(1, 5)))
    assert len(_ids(open_store(str(path)))) == 13


_HOLDS = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
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
    lock = path.with_name(f"{path.name}.lock")
    with _python(_HOLDS, path) as process, ThreadPoolExecutor(1) as pool:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        waits = pool.submit(until, lock.exists, "somebody waits for the file")
        waits.add_done_callback(lambda _: process.stdin.close())
        store = open_store(str(path), wait_limit=HANGS_AFTER)
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
