"""Databases of each kind for tests, and processes that write to them."""

import contextlib
import itertools
import os
import pwd
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.store import Store, open_store
from dbt_trigger_dagster.storage.tables import RUN, TRIGGER
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.processes import a_process, a_short_folder, fork_server

KEEPER = "keeper"
"""The one user of the cluster who is asked for a password."""

PASSWORD = "sesame:of@the/cluster"

_WHERE_POSTGRES_MAY_BE = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/*/bin")
_GRACE = 20.0
_NUMBERS = itertools.count()


def missing_programs() -> str:
    """What of PostgreSQL this machine lacks, as a reason to skip a test; empty for nothing."""
    lacking = [name for name in ("initdb", "postgres") if not _postgres_program(name)]
    return f"not found: PostgreSQL's {' and '.join(lacking)}" if lacking else ""


def _postgres_program(name: str) -> str | None:
    """Where a program of PostgreSQL's is; the newest, where none is on the path."""
    folders = sorted(folder for each in _WHERE_POSTGRES_MAY_BE for folder in Path("/").glob(each))
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, reversed(folders))])
    return shutil.which(name, path=path)


@contextmanager
def a_postgres_cluster() -> Iterator[str]:
    """A throw-away PostgreSQL that listens on a socket in a folder of its own; its URL.

    Everybody who comes is let in, but `KEEPER`.
    """
    with a_short_folder() as folder, (folder / "log").open("wb") as log:
        options = {"cwd": folder, "stdout": log, "stderr": log, **_owner(folder)}
        initdb = [_postgres_program("initdb"), "-D", folder / "data", "-U", "dagster"]
        initdb += ["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        server = [_postgres_program("postgres"), "-D", folder / "data", "-k", folder]
        server += ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]
        with a_process(initdb, **options) as process:
            assert process.wait() == 0, (folder / "log").read_text()
        rules = folder / "data" / "pg_hba.conf"
        rules.write_text(f"local all {KEEPER} scram-sha-256\n{rules.read_text()}")
        with a_process(server, **options) as process:
            try:
                until(lambda: _accepts(folder), "PostgreSQL accepts connections")
                yield f"postgresql+psycopg2://dagster@/postgres?host={folder}"
            finally:
                # Its processes are in groups of their own, and its memory is shared: a kill -9
                # would leave them to clean up after it.
                process.send_signal(signal.SIGINT)
                process.wait(_GRACE)


def _owner(folder: Path) -> dict[str, Any]:
    """As whom PostgreSQL runs: it refuses to be root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _accepts(folder: Path) -> bool:
    try:
        psycopg.connect(host=str(folder), user="dagster", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def as_libpq_takes_it(url: str) -> str:
    """A URL without the driver that SQLAlchemy wants named."""
    return url.replace("+psycopg2", "")


@dataclass(frozen=True)
class EmptySchema:
    """A schema of a database of some kind, where nothing is yet.

    Attributes:
        kind: ``duckdb``, ``sqlite``, ``postgresql`` or a warehouse's.
        url: As the setting takes it.
        schema: The schema.
        execute: Executes a statement as another program does, and gives what it finds.
    """

    kind: str
    url: str
    schema: str
    execute: Callable[[str], list[tuple[Any, ...]]]

    def open(self, wait_limit: float = 60) -> SqlStore:
        """The store of the place."""
        store = open_store(self.url, schema=self.schema, wait_limit=wait_limit)
        assert isinstance(store, SqlStore)
        return store

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement as another program does; its tables stand in braces."""
        mark = "`" if self.kind in {"bigquery", "databricks"} else '"'
        qualifier = "" if self.kind == "sqlite" else f"{mark}{self.schema}{mark}."
        return self.execute(re.sub(r"{(\w+)}", rf"{qualifier}\1", statement))


def a_file(kind: str, folder: Path) -> EmptySchema:
    """A place in a file of its own."""

    def of_duckdb(statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(folder / "x.db") as connection:
            return connection.execute(statement).fetchall()

    def of_sqlite(statement: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(folder / "x.db")) as connection, connection:
            return connection.execute(statement).fetchall()

    execute = {"duckdb": of_duckdb, "sqlite": of_sqlite}[kind]
    return EmptySchema(kind, f"{kind}:///{folder}/x.db", "main", execute)


def a_schema(url: str) -> EmptySchema:
    """A place in a cluster; its schema is there, so that other programs can come first."""

    def execute(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(as_libpq_takes_it(url)) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    place = EmptySchema("postgresql", url, f"team {next(_NUMBERS)}", execute)
    execute(f'CREATE SCHEMA "{place.schema}"')
    return place


def runs(*ids: int, dagster_run_id: str = "first", **changes: Any) -> Rows:
    """Rows of some runs, good unless said otherwise."""
    records = ({"account_id": 101, "id": run_id, "status": 10, **changes} for run_id in ids)
    return RUN.rows(records).filled(dagster_run_id=dagster_run_id)


class Struck:
    """A database whose connection something happens to at its first commit.

    Args:
        store: A store of the database.
        when: ``before`` the commit, or ``after`` it.
        strike: What happens, with the connection.
    """

    def __init__(self, store: SqlStore, when: str, strike: Callable[[Any], None]) -> None:
        self._database = store._database
        self._when = when
        self._strikes = [strike]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """A connection that is struck."""
        with self._database.connect() as connection:
            yield _StruckConnection(connection, self._when, self._strikes)


class _StruckConnection:
    def __init__(self, connection: Any, when: str, strikes: list[Callable[[Any], None]]) -> None:
        self._connection = connection
        self._when = when
        self._strikes = strikes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *parameters: Any) -> Any:
        if statement == "COMMIT" and self._strikes:
            if self._when == "after":
                self._connection.execute(statement)
            self._strikes.pop()(self._connection)
        return self._connection.execute(statement, *parameters)


def in_processes(target: Callable[..., None], arguments: Sequence[Sequence[Any]]) -> list[int]:
    """Call a function in a process for each of some arguments, all at once; their exit codes."""
    processes = [fork_server().Process(target=target, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode or 0 for process in processes]


def write_many(url: str, schema: str, writer: int, writes: int) -> None:
    """Write, several times, a row of one's own and rows that all writers write, to two tables."""
    store: Store = open_store(url, schema=schema)
    for number in range(writes):
        ids = [writer * 1000 + number, *range(1, 20)]
        rows = runs(*ids[:: 1 if writer % 2 else -1], dagster_run_id=str(writer))
        both = [rows, Rows(TRIGGER, TRIGGER.rows(rows).columns)]
        store.upsert(*both[:: 1 if number % 2 else -1])


def write_and_die(url: str, schema: str, when: str) -> None:
    """Be killed at the commit of a write of many rows."""
    store = open_store(url, schema=schema)
    assert isinstance(store, SqlStore)
    struck = Struck(store, when, lambda _: os.kill(os.getpid(), signal.SIGKILL))
    SqlStore(struck).upsert(runs(*range(2, 500), dagster_run_id="second"))
