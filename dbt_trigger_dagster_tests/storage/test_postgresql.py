"""What is special about a PostgreSQL: roles, passwords, schemas, and connections that are lost."""

import dataclasses
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbt_trigger_dagster.storage.compatible_views import views_like
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import RUN, TABLES, TRIGGER
from dbt_trigger_dagster.storage.view import View
from dbt_trigger_dagster.storage.views import VIEWS
from dbt_trigger_dagster_tests.databases import (
    KEEPER,
    PASSWORD,
    EmptySchema,
    Struck,
    a_schema,
    as_libpq_takes_it,
    runs,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


@pytest.fixture
def place(cluster) -> EmptySchema:
    """An empty schema."""
    return a_schema(cluster)


@pytest.fixture
def store(place) -> SqlStore:
    """A store of it."""
    return place.open(wait_limit=10)


def ids(store: Any) -> list[int]:
    """The runs that are there."""
    return sorted(store.read(RUN).columns["id"])


@pytest.fixture
def keeper(place) -> str:
    """The URL of a user who is asked for a password, without it."""
    place.sql(
        f"DO $$ BEGIN CREATE ROLE {KEEPER} LOGIN PASSWORD '{PASSWORD}'; "
        "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    place.sql(f'GRANT ALL ON SCHEMA "{place.schema}" TO {KEEPER}')
    return place.url.replace("dagster@", f"{KEEPER}@")


# Connections


def _lose(place: EmptySchema, connection: Any) -> None:
    """End a connection on the server, and see that it is gone."""
    place.sql(f"SELECT pg_terminate_backend({connection.info.backend_pid})")
    connection.execute("SELECT 1")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_write_whose_connection_is_lost_is_sent_again(place, store, when) -> None:
    """Before the commit and after it, when nobody knows: the rows are there, once."""
    store.upsert(runs(1, 2))
    struck = Struck(store, when, lambda connection: _lose(place, connection))
    SqlStore(struck).upsert(runs(2, 3, dagster_run_id="second"))
    found = {row["id"]: row["dagster_run_id"] for row in store.read(RUN)}
    assert found == {1: "first", 2: "second", 3: "second"}


def test_a_connection_that_stays_lost_is_told_at_last(place, store) -> None:
    """With the database's name, and nothing changed."""
    store.upsert(runs(1))
    struck = Struck(store, "before", lambda connection: _lose(place, connection))
    with pytest.raises(StorageError, match="The database postgres cannot be used: terminating"):
        SqlStore(struck, wait_limit=0).upsert(runs(2))
    assert ids(store) == [1]


def test_a_table_that_somebody_holds_is_told_after_the_wait_limit(place, store) -> None:
    """A person who forgot a transaction in a console."""
    store.upsert(runs(1))
    with psycopg.connect(as_libpq_takes_it(place.url)) as other:
        other.execute(f'LOCK TABLE "{place.schema}".dbt_cloud_run')
        with pytest.raises(StorageError, match="has held a table for 0 s: see which one hangs"):
            place.open(wait_limit=0.1).upsert(runs(2))
    store.upsert(runs(2))
    assert ids(store) == [1, 2]


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    """At once, before a job is triggered."""
    store = open_store("postgresql://u:sesame@127.0.0.1:1/tables", password="sesame")
    with pytest.raises(StorageError, match="The database tables cannot be used: ") as caught:
        store.check(TABLES.values())
    error: BaseException | None = caught.value
    while error is not None:
        assert "sesame" not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__
    assert "sesame" not in repr(store) + store.relation(RUN)


@pytest.mark.parametrize("setting", ["DateStyle=German", "client_encoding=LATIN1"])
def test_what_a_server_writes_in_another_way_is_read_all_the_same(place, setting) -> None:
    """A user or a database may have such settings, and an environment."""
    store = open_store(place.url, schema=place.schema, connection={"options": f"-c {setting}"})
    rows = runs(1, cause="größe, 日本", created_at=NOON)
    store.upsert(rows)
    (row,) = store.read(RUN)
    assert (row["cause"], row["created_at"]) == ("größe, 日本", NOON)


@pytest.mark.parametrize("hosts", ["localhost,127.0.0.1:1", "127.0.0.1:1,localhost:1"])
def test_a_url_may_name_several_hosts(hosts) -> None:
    """As libpq takes them, the port left out or not: each is asked in turn."""
    store = open_store(f"postgresql://{hosts}/tables", connection={"sslmode": "disable"})
    with pytest.raises(StorageError, match="The database tables cannot be used: "):
        store.check(TABLES.values())


# Who may


def test_who_may_only_read_is_told_before_a_job_is_triggered(place, store) -> None:
    """And reads."""
    store.check(TABLES.values())
    store.upsert(runs(1))
    place.sql(
        "DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    place.sql(f'GRANT USAGE ON SCHEMA "{place.schema}" TO reader')
    place.sql(f'GRANT SELECT ON ALL TABLES IN SCHEMA "{place.schema}" TO reader')
    reader = open_store(place.url.replace("dagster@", "reader@"), schema=place.schema)
    for write in (lambda: reader.check(TABLES.values()), lambda: reader.upsert(runs(2))):
        with pytest.raises(StorageError, match="permission denied for table"):
            write()
    assert ids(reader) == [1]


def test_who_may_write_rows_needs_no_right_to_make_anything(place, store) -> None:
    """Where the tables are there already."""
    store.check(TABLES.values())
    place.sql(
        "DO $$ BEGIN CREATE ROLE writer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    place.sql(f'GRANT USAGE ON SCHEMA "{place.schema}" TO writer')
    place.sql(f'GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA "{place.schema}" TO writer')
    writer = open_store(place.url.replace("dagster@", "writer@"), schema=place.schema)
    writer.check(TABLES.values())
    writer.upsert(runs(1))
    assert ids(writer) == [1]


def test_a_password_is_given_in_the_url_or_beside_it_or_in_a_file(
    place, keeper, monkeypatch, tmp_path: Path
) -> None:
    """The URL counts first. The driver's own ways are the user's, too; no wrong one is shown."""
    quoted = "sesame%3Aof%40the%2Fcluster"
    settings: list[tuple[str, dict[str, Any]]] = [
        (keeper.replace("keeper@", f"keeper:{quoted}@"), {}),
        (f"{keeper}&password={quoted}", {}),
        (keeper.replace("keeper@", f"keeper:{quoted}@"), {"user": "nobody", "password": "wrong"}),
        (keeper, {"password": PASSWORD}),
        (keeper.replace("keeper@", ""), {"user": KEEPER, "password": PASSWORD}),
        (keeper, {"connection": {"password": PASSWORD, "application_name": "us"}}),
    ]
    for number, (url, others) in enumerate(settings):
        open_store(url, schema=place.schema, **others).upsert(runs(number))
    file = tmp_path / "pgpass"
    escaped = PASSWORD.replace(":", "\\:")
    file.write_text(f"*:*:*:keeper:{escaped}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    open_store(keeper, schema=place.schema).upsert(runs(6))
    assert ids(place.open()) == [0, 1, 2, 3, 4, 5, 6]
    with pytest.raises(StorageError, match="password authentication failed") as caught:
        open_store(keeper, password="wrong-sesame").check(TABLES.values())
    assert "wrong-sesame" not in f"{caught.value} {caught.value.__cause__}"


# Names


@pytest.mark.parametrize(
    "schema", ['odd "name"; --', "%s $1 {0}", "größe", "a.b", "x" * 63, "SELECT"]
)
def test_a_schema_may_be_called_anything(cluster, schema) -> None:
    """It is made where it is missing."""
    store = open_store(cluster, schema=schema)
    store.check(TABLES.values())
    store.upsert(runs(1))
    assert ids(store) == [1]
    assert store.relation(RUN) == f"postgres.{schema}.dbt_cloud_run"


@pytest.mark.parametrize("schema", ["x" * 64, "ü" * 32, "a\0b"])
def test_a_schema_that_postgresql_would_cut_is_refused(cluster, schema) -> None:
    """It would be another one."""
    with pytest.raises(StorageError, match="PostgreSQL takes no schema of the name"):
        open_store(cluster, schema=schema)


def test_a_schema_of_the_servers_own_is_refused(cluster) -> None:
    """Before a job is triggered."""
    with pytest.raises(StorageError, match="pg_mine"):
        open_store(cluster, schema="pg_mine").check(TABLES.values())


def test_a_schema_that_the_user_may_not_make_is_named_with_what_to_do(cluster, place) -> None:
    """Its own, or that of the views like a package's tables."""
    place.sql("CREATE ROLE guest LOGIN")
    place.sql(f'GRANT CREATE, USAGE ON SCHEMA "{place.schema}" TO guest')
    store = open_store(cluster.replace("dagster@", "guest@"), schema=place.schema)
    store.check([RUN])
    for missing, views in ((f"{place.schema}_elementary", views_like(["elementary"])), ("new", [])):
        schema = place.schema if views else missing
        with pytest.raises(StorageError) as caught:
            open_store(cluster.replace("dagster@", "guest@"), schema=schema).check(
                TABLES.values(), views
            )
        assert f"The schema {missing} is missing, and guest may not make it" in str(caught.value)
        assert f'CREATE SCHEMA "{missing}" AUTHORIZATION "guest"' in str(caught.value)


def test_without_a_schema_it_is_the_first_of_the_search_path(place) -> None:
    """Which the database or the user has set."""
    options = {"options": f'-c search_path="{place.schema.replace(" ", chr(92) + " ")}",public'}
    store = open_store(place.url, connection=options)
    store.upsert(runs(1))
    assert store.relation(RUN) == f"postgres.{place.schema}.dbt_cloud_run"
    assert ids(place.open()) == [1]

    def anew() -> Any:
        return open_store(place.url, connection=options)

    anew().upsert(TRIGGER.rows([{"account_id": 101, "id": 2}]).filled(loaded_at=NOON))
    assert ids(anew()) == [1]
    assert anew().look_up(RUN, "dagster_run_id", key="id", values=[1]) == {1: "first"}
    assert anew().newest(RUN, ["id"], by="id", limit=1) == [{"id": 1}]
    wanted = {"account_id": 101, "since": NOON, "until": NOON, "after": 0, "limit": 9}
    assert anew().open_runs(TRIGGER, RUN, **wanted) == [2]
    anew().check(TABLES.values(), VIEWS)
    with pytest.raises(StorageError, match=r"The search path of postgres has no schema: name one"):
        open_store(place.url, connection={"options": "-c search_path=none"}).check([RUN])


# Views

RUNS_OF = View("runs_of", "Runs of accounts", "SELECT account_id, id FROM {dbt_cloud_run}")
COUNT = View("run_count", "Their number", "SELECT count(account_id) AS n FROM {runs_of}")
VIEWS_OF_RUNS = [RUNS_OF, COUNT]


@pytest.fixture
def with_others(place, store) -> SqlStore:
    """A store whose views others may read, and have made a view of their own of."""
    store.check([RUN], VIEWS_OF_RUNS)
    place.sql("GRANT SELECT ON {runs_of} TO PUBLIC")
    place.sql("CREATE VIEW {theirs} AS SELECT id FROM {runs_of}")
    store.upsert(runs(1, 2))
    return store


def test_a_view_is_replaced_with_its_grants_and_under_what_others_made_of_it(
    place, with_others
) -> None:
    """A release has changed what it says, and added a column."""
    changed = dataclasses.replace(
        RUNS_OF, select="SELECT account_id, id + 10 AS id, href FROM {dbt_cloud_run}"
    )
    with_others.check([RUN], [changed, COUNT])
    assert place.sql("SELECT id FROM {theirs} ORDER BY id") == [(11,), (12,)]
    (granted,) = place.sql(
        "SELECT relacl::text FROM pg_class WHERE oid = to_regclass($${runs_of}$$)"
    )
    assert "{=r/" in granted[0] or ",=r/" in granted[0]


def test_a_view_that_cannot_be_remade_stops_nothing_and_is_told(place, with_others, caplog) -> None:
    """It has lost a column, and others' view is made of it: so it stays until theirs has gone."""
    changed = dataclasses.replace(RUNS_OF, select="SELECT account_id FROM {dbt_cloud_run}")
    with_others.check([RUN], [changed, COUNT])
    assert "The views stay as they are." in caplog.text
    assert "theirs depends on view" in caplog.text
    assert "Drop what was made of it, run this again, and make it anew." in caplog.text
    with_others.upsert(runs(3))
    assert place.sql("SELECT id FROM {theirs} ORDER BY id") == [(1,), (2,), (3,)]
    assert place.sql("SELECT n FROM {run_count}") == [(3,)]
    caplog.clear()
    place.sql("DROP VIEW {theirs}")
    with_others.check([RUN], [changed, COUNT])
    assert caplog.text == ""
    assert place.sql("SELECT * FROM {runs_of} LIMIT 1") == [(101,)]


# Types


def test_columns_are_typed_though_all_their_values_are_null(place, store) -> None:
    """Whoever reads the table with SQL can rely on the types from the first row on."""
    store.upsert(RUN.rows([{"id": 1, "raw": {"job": {"id": 7}}}]))
    found = place.sql(
        "SELECT pg_typeof(id), pg_typeof(can_retry), pg_typeof(finished_at), pg_typeof(job), "
        "pg_typeof(href), raw -> 'job' ->> 'id' FROM {dbt_cloud_run}"
    )
    types = ("bigint", "boolean", "timestamp with time zone", "jsonb", "text", "7")
    assert found == [types]
