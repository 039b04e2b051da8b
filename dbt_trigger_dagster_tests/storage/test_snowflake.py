"""What is special about Snowflake: what it is told, what wakes a warehouse, transactions."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.snowflake import Snowflake
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, TABLES
from dbt_trigger_dagster.storage.views import VIEWS
from dbt_trigger_dagster_tests import databases, emulators

CHEAP = ("SHOW ", "DESCRIBE ", "CREATE ", "ALTER TABLE ")
"""How the statements begin that need no warehouse."""


class RefusedError(Exception):
    """What the driver raises here, as soon as it is to connect."""


@pytest.fixture
def arguments(monkeypatch) -> dict[str, Any]:
    """What the driver is told, in place of which this stands: it need not be installed."""
    told: dict[str, Any] = {}

    def connect(**arguments: Any) -> None:
        told.update(arguments)
        raise RefusedError("250001: nobody is there")

    stand_in = SimpleNamespace(connect=connect, Error=RefusedError)
    manager = SimpleNamespace(CONFIG_MANAGER={"default_connection_name": "mine"})
    monkeypatch.setitem(sys.modules, "snowflake", SimpleNamespace(connector=stand_in))
    monkeypatch.setitem(sys.modules, "snowflake.connector", stand_in)
    monkeypatch.setitem(sys.modules, "snowflake.connector.config_manager", manager)
    return told


@pytest.mark.parametrize(
    ("url", "settings", "expected"),
    [
        (
            "snowflake://me:sesame%40@acme-x1/tables/dbt?warehouse=small&role=loader",
            {},
            {
                "user": "me",
                "password": "sesame@",
                "account": "acme-x1",
                "database": "tables",
                "schema": "dbt",
                "warehouse": "small",
                "role": "loader",
            },
        ),
        (
            "snowflake://acme-x1/tables",
            {"user": "me", "password": "sesame", "connection": {"private_key_file": "k.p8"}},
            {"user": "me", "password": "sesame", "private_key_file": "k.p8"},
        ),
        (
            "snowflake://me:sesame@acme-x1/tables",
            {"user": "nobody", "password": "wrong"},
            {"user": "me", "password": "sesame"},
        ),
        ("snowflake:///?connection_name=theirs", {}, {"connection_name": "theirs"}),
        ("snowflake://", {}, {"connection_name": "mine"}),
        (
            "snowflake://acme-x1/tables",
            {"connection": {"session_parameters": {"LOCK_TIMEOUT": 5, "QUERY_TAG": "us"}}},
            {
                "session_parameters": {
                    "LOCK_TIMEOUT": 5,
                    "QUERY_TAG": "us",
                    "TIMESTAMP_INPUT_FORMAT": "AUTO",
                }
            },
        ),
    ],
)
def test_the_driver_is_told_what_the_settings_say(arguments, url, settings, expected) -> None:
    """The URL counts first; without an account it is the driver's own connection.

    No secret is in the error.
    """
    with pytest.raises(StorageError, match="cannot be used: 250001: nobody is there") as caught:
        open_store(url, **settings).check(TABLES.values())
    assert arguments.items() >= expected.items()
    assert arguments["paramstyle"] == "qmark"
    assert "sesame" not in str(caught.value) + repr(open_store(url, **settings))


@pytest.mark.parametrize("url", ["snowflake://u:sesame@host:port/db", "snowflake:/u:sesame@host"])
def test_a_url_that_cannot_be_read_is_not_told(url) -> None:
    """It may have a password in it."""
    with pytest.raises(StorageError, match="cannot be read: give snowflake://user@acc") as caught:
        open_store(url)
    assert "sesame" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url", ["snowflake://me:p@ss@acct/db/s", "snowflake://me:12/p@ss@acct/db/s"]
)
def test_a_password_with_a_sign_that_is_not_quoted_is_not_told(url) -> None:
    """Its end would stand in the account's name, or in the database's."""
    with pytest.raises(StorageError, match="In a password, write") as caught:
        open_store(url)
    assert "ss@" not in f"{caught.value}{caught.value!r}"
    assert caught.value.__context__ is None


def test_views_like_other_packages_tables_are_refused() -> None:
    """Before anything is made."""
    with pytest.raises(StorageError, match="no views like the tables of elementary in Snowflake"):
        Snowflake("snowflake://acme-x1/tables").beside("elementary")


def test_a_driver_that_is_missing_is_named_with_how_to_get_it(monkeypatch) -> None:
    """An extra that nobody installed."""
    monkeypatch.setitem(sys.modules, "snowflake.connector", None)
    with pytest.raises(StorageError, match=r"pip install 'dbt_trigger_dagster\[snowflake\]'"):
        open_store("snowflake://host/db").check(TABLES.values())


@pytest.mark.parametrize(
    ("schema", "relation"),
    [
        ("dbt_cloud", "TABLES.DBT_CLOUD.DBT_CLOUD_RUN"),
        ("My Schema", "TABLES.My Schema.DBT_CLOUD_RUN"),
    ],
)
def test_names_are_those_that_nobody_needs_to_quote(schema, relation) -> None:
    """In capitals, as Snowflake keeps them; what is no plain name stays as it is."""
    store = Snowflake("snowflake://acme-x1/tables", schema=schema)
    assert store.relation(RUN) == relation
    assert store.name(RUN) == ".".join(f'"{part}"' for part in relation.split("."))


@pytest.fixture
def place(fakesnow) -> databases.EmptySchema:
    """An empty schema of the emulator."""
    return emulators.a_schema_of_snowflake(fakesnow)


@pytest.mark.slow
def test_a_check_wakes_no_warehouse(place, monkeypatch) -> None:
    """What it asks and makes needs none; a write is compiled, and not executed."""
    import snowflake.connector.cursor as driver  # noqa: PLC0415  # of another venv

    sent: list[str] = []
    compiled: list[str] = []
    execute, describe = driver.SnowflakeCursor.execute, driver.SnowflakeCursor.describe

    def recording(cursor: Any, statement: str, *parameters: Any, **others: Any) -> Any:
        if not others.get("_describe_only"):
            sent.append(statement)
        return execute(cursor, statement, *parameters, **others)

    def compiling(cursor: Any, statement: str, *parameters: Any, **others: Any) -> Any:
        compiled.append(statement)
        return describe(cursor, statement, *parameters, **others)

    monkeypatch.setattr(driver.SnowflakeCursor, "execute", recording)
    monkeypatch.setattr(driver.SnowflakeCursor, "describe", compiling)
    for _ in range(2):
        place.open().check(TABLES.values(), VIEWS)
    assert [statement for statement in sent if not statement.startswith(CHEAP)] == []
    assert len(compiled) == 2 * len(TABLES)
    assert all(statement.startswith("MERGE ") for statement in compiled)


class FailingAtRuns:
    """A database that fails where runs are to be written."""

    def __init__(self, store: SqlStore) -> None:
        self._database = store._database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def write(self, connection: Any, rows: Any) -> None:
        """What `Database.write` does, but for runs."""
        if rows.table is RUN:
            raise StorageError("no more")
        self._database.write(connection, rows)


@pytest.mark.slow
def test_rows_of_several_tables_are_written_together_or_not_at_all(place) -> None:
    """Also where the write made the tables, which ends a transaction in Snowflake."""
    store = place.open(wait_limit=10)
    files = ARTIFACT.rows([{"run_id": 1, "step": 0, "path": "a"}])
    for _ in range(2):
        with pytest.raises(StorageError, match="no more"):
            SqlStore(FailingAtRuns(store)).upsert(files, databases.runs(1))
        assert (len(store.read(ARTIFACT)), len(store.read(RUN))) == (0, 0)
    store.upsert(files, databases.runs(1))
    assert (len(store.read(ARTIFACT)), len(store.read(RUN))) == (1, 1)


@pytest.mark.slow
def test_a_column_of_json_is_a_variant_that_sql_looks_into(place) -> None:
    """Names need no quotes but where they are reserved."""
    store = place.open(wait_limit=10)
    store.upsert(RUN.rows([{"id": 1, "raw": {"job": {"id": 7}}, "trigger": {"cause": "x"}}]))
    found = place.sql(
        'SELECT id, raw:job:id::NUMBER, "TRIGGER":cause::VARCHAR FROM {dbt_cloud_run}'
    )
    assert found == [(1, 7, "x")]
    types = {name: kind for name, kind, *_ in place.sql("DESCRIBE TABLE {dbt_cloud_run}")}
    assert (types["RAW"], types["LOADED_AT"]) == ("VARIANT", "TIMESTAMP_TZ(9)")
