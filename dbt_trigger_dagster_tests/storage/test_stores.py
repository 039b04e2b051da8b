"""What every store of tables must do: a DuckDB file, a SQLite file, a real PostgreSQL."""

import dataclasses
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import Existing
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, TABLES, TRIGGER
from dbt_trigger_dagster.storage.view import View
from dbt_trigger_dagster.storage.views import VIEWS
from dbt_trigger_dagster_tests.databases import (
    EmptySchema,
    in_processes,
    runs,
    write_and_die,
    write_many,
)
from dbt_trigger_dagster_tests.payloads import run_payload

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=timezone.utc)
KILLED = 9


@pytest.fixture
def store(place: EmptySchema) -> SqlStore:
    """A store of it."""
    return place.open(wait_limit=10)


def ids(store: SqlStore, **equal: Any) -> list[int]:
    """The runs that are there."""
    return sorted(store.read(RUN, **equal).columns["id"])


def comparable(rows: Rows) -> list[dict[str, Any]]:
    """Rows by their keys, with JSON as what it says: a database may write it in another way."""
    as_json = [column.name for column in rows.table.columns if column.kind is Kind.JSON]
    found = [
        {**row, **{name: row[name] and json.loads(row[name]) for name in as_json}} for row in rows
    ]
    return sorted(
        found, key=lambda row: [(row[name] is None, row[name]) for name in rows.table.primary_key]
    )


def skip_on(place: EmptySchema, kind: str, reason: str) -> None:
    """Skip a test that a kind of database cannot take."""
    if place.kind == kind:
        pytest.skip(reason)


# What is written and read


def test_rows_come_back_as_they_were_written(store) -> None:
    """Values, types, nulls and the order of the columns."""
    payload = run_payload(10, id=1, status_message="größe", retrying_run_id=70_403_103_922_125)
    rows = RUN.rows([RUN.record(payload), {"id": 2, "account_id": 101}]).filled(loaded_at=NOON)
    store.upsert(rows)
    found = store.read(RUN)
    assert list(found.columns) == [column.name for column in RUN.columns]
    assert comparable(found) == comparable(rows)
    assert {value.tzinfo for value in found.columns["loaded_at"]} == {timezone.utc}


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_of_column_survives_a_round_trip(store, kind) -> None:
    """Null and not null, to the last bit and microsecond; of the type that it was."""
    values = {
        Kind.INTEGER: [2**63 - 1, 1 - 2**63],
        Kind.BOOLEAN: [False, True],
        Kind.TEXT: ["", "'\"\\ \n\t\x7f 🦆 " + "x" * 100_000],
        Kind.JSON: [{"a": [1, 2.5, True, None, "ü"]}, "10"],
        Kind.TIMESTAMP: ["2026-01-02 03:04:05.678901+00:00", "1970-01-01T00:00:00Z"],
        Kind.SECONDS: ["24:00:36", "00:00:00"],
        Kind.NUMBER: [0.1 + 0.2, -1e-300],
    }[kind]
    columns = (Column("key", Kind.INTEGER, "The key"), Column("value", kind, "A value"))
    table = Table("t", "A table", columns, ("key",), ())
    rows = table.rows({"key": key, "value": value} for key, value in enumerate([*values, None]))
    store.upsert(rows)
    found = store.read(table)
    assert comparable(found) == comparable(rows)
    assert set(map(type, found.columns["value"])) == set(map(type, rows.columns["value"]))
    assert [value is None for value in rows.columns["value"]] == [False, False, True]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_that_was_never_written_is_empty(store, table) -> None:
    """With all its columns; nothing is found in it either."""
    assert store.read(table) == table.rows([])
    key = table.columns[0].name
    assert store.look_up(table, "asset_key", key=key, values=[1]) == {}
    assert store.newest(table, [key], by=key, limit=1) == []


def test_a_row_replaces_the_one_with_the_same_key(store) -> None:
    """A run that is landed twice is one row, the later one, with its nulls."""
    store.upsert(runs(1, 2, href="old"))
    store.upsert(runs(2, 3, dagster_run_id="second"))
    found = {row["id"]: (row["dagster_run_id"], row["href"]) for row in store.read(RUN)}
    assert found == {1: ("first", "old"), 2: ("second", None), 3: ("second", None)}


def test_of_rows_with_one_key_the_last_counts(store) -> None:
    """A run that is handed over twice in one write is one row."""
    store.upsert(RUN.rows([{"id": 1, "href": "old"}, {"id": 2}, {"id": 1, "href": "new"}]))
    rows = store.read(RUN)
    assert dict(zip(rows.columns["id"], rows.columns["href"], strict=True)) == {1: "new", 2: None}


def test_a_key_of_several_columns_is_compared_as_a_whole(store) -> None:
    """The same path of another step is another file."""
    keys = [(1, 0, "manifest.json"), (1, 4, "manifest.json"), (2, 0, "manifest.json")]
    names = ("run_id", "step", "path")
    rows = [dict(zip(names, key, strict=True)) for key in keys]
    store.upsert(ARTIFACT.rows(row | {"uri": "old"} for row in rows))
    store.upsert(ARTIFACT.rows([rows[1] | {"uri": "new"}]))
    found = {(row["run_id"], row["step"]): row["uri"] for row in store.read(ARTIFACT)}
    assert found == {(1, 0): "old", (1, 4): "new", (2, 0): "old"}


def test_runs_of_two_accounts_may_have_one_id(store) -> None:
    """Both stay; a look tells them apart."""
    for account_id in (1, 2):
        store.upsert(RUN.rows([{"account_id": account_id, "id": 5, "href": f"of {account_id}"}]))
    assert sorted(store.read(RUN).columns["href"]) == ["of 1", "of 2"]
    for account_id in (1, 2):
        found = store.look_up(RUN, "href", key="id", values=[5], account_id=account_id)
        assert found == {5: f"of {account_id}"}


def test_history_survives_everything_that_is_written_later(place, store) -> None:
    """Also in another table, and through another store object; no rows change nothing."""
    store.upsert(runs(*range(100)))
    for run_id in range(100, 105):
        place.open().upsert(runs(run_id))
    store.upsert(runs())
    store.upsert(TRIGGER.rows([TRIGGER.record(run_payload(id=1))]))
    assert ids(store) == list(range(105))


def test_rows_are_read_by_the_values_of_columns(store) -> None:
    """All that are given have to match; a quote in a value is a value."""
    store.upsert(runs(1, dagster_run_id="it's"), runs(2, 3, dagster_run_id="second", cause="x"))
    assert ids(store, dagster_run_id="it's") == [1]
    assert ids(store, dagster_run_id="second", cause="x") == [2, 3]
    assert ids(store, dagster_run_id="second", cause="other") == []
    assert ids(store, dagster_run_id="' OR true --") == []
    assert ids(store, dagster_run_id="a NUL\0") == []


def test_rows_are_read_by_several_numbers(store) -> None:
    """Any of them, beside what else has to match."""
    store.upsert(runs(1, 2, 3, 4, dagster_run_id="first"), runs(5, dagster_run_id="second"))
    assert ids(store, id=[2, 4, 5, 2**62]) == [2, 4, 5]
    assert ids(store, id=[2, 4, 5], dagster_run_id="first") == [2, 4]
    assert ids(store, id=[]) == []


def test_one_column_is_looked_up_by_numbers(store) -> None:
    """Of the rows that are there."""
    store.upsert(runs(1, 2, 3, dagster_run_id="first"))
    store.upsert(runs(3, dagster_run_id="second"))
    found = store.look_up(RUN, "dagster_run_id", key="id", values={3, 1, 2**62})
    assert found == {1: "first", 3: "second"}
    assert store.look_up(RUN, "dagster_run_id", key="id", values=[]) == {}


def test_the_newest_rows_come_first_with_what_is_wanted_of_them(store) -> None:
    """So many of them, of the rows that have one value, or one of several texts; null is old."""
    store.upsert(runs(1, 3), runs(2, dagster_run_id="second"))
    store.upsert(runs(4, dagster_run_id="third", created_at=NOON))
    either = {"dagster_run_id": ["first", "second"]}
    found = store.newest(RUN, ["status", "id"], by="id", limit=2, **either)
    assert found == [{"id": 3, "status": 10}, {"id": 2, "status": 10}]
    assert store.newest(RUN, ["id"], by="id", limit=9, dagster_run_id="third") == [{"id": 4}]
    assert store.newest(RUN, ["created_at"], by="created_at", limit=1) == [{"created_at": NOON}]


def test_open_runs_are_those_that_were_triggered_and_are_not_held_as_they_ended(store) -> None:
    """Of one account, from one time to another, above an id, lowest first, so many."""

    def open_runs(**changes: Any) -> list[int]:
        wanted = {"since": NOON, "until": NOON, "after": 0, "limit": 100, **changes}
        return store.open_runs(TRIGGER, RUN, **{"account_id": 101, **wanted})

    assert open_runs() == []
    triggered = [{"account_id": 101, "id": run_id} for run_id in (5, 4, 3, 2, 1)]
    store.upsert(TRIGGER.rows(triggered).filled(loaded_at=NOON))
    store.upsert(TRIGGER.rows([{"account_id": 102, "id": 6}]).filled(loaded_at=NOON))
    assert open_runs() == [1, 2, 3, 4, 5]
    store.upsert(runs(1, status=10), runs(2, status=3), runs(3, status=30))
    store.upsert(runs(4, status=20, account_id=102))
    assert open_runs() == [2, 4, 5]
    assert open_runs(after=2) == [4, 5]
    assert open_runs(limit=2) == [2, 4]
    assert open_runs(account_id=102) == [6]
    moment = timedelta(microseconds=1)
    assert open_runs(since=NOON + moment, until=NOON + moment) == []
    assert open_runs(since=NOON - moment, until=NOON - moment) == []


@pytest.mark.parametrize(
    "value",
    [
        "a\0b",
        "\ud83d half a pair",
        {"a\0b": ["c\0d", "\\u0000", "\\\\\0"]},
        {"half": "\udc00", "\ud800": 1},
        json.loads('{"huge": 1e400, "large": 123456789012345678901234567890}'),
        {"deep": json.loads("[" * 500 + "]" * 500)},
        float("nan"),
    ],
    ids=["NUL", "surrogate", "NUL in JSON", "surrogate in JSON", "1e400", "deep", "NaN"],
)
def test_whatever_a_payload_has_in_it_is_kept(store, value) -> None:
    """In the columns and in raw; where the database has no place for a NUL, a sign stands there."""
    record = {"id": 1, "account_id": 101, "raw": value, "href": value, "job": value}
    store.upsert(RUN.rows([record]), RUN.rows([{"id": 2, "raw": {}}]))
    assert ids(store) == [1, 2]
    (row,) = store.read(RUN, id=1)
    expected = next(iter(RUN.rows([record])))
    kept = store._database.as_parameter("\0")
    written = [expected["href"] and expected["href"].replace("\0", kept)]
    assert [row["href"]] == written
    shown = json.dumps(json.loads(expected["raw"])).replace("\\u0000", json.dumps(kept)[1:-1])
    if "\\u0000" not in str(value):  # where that very text is told from the character
        assert json.loads(row["raw"]) == json.loads(shown)
    else:
        assert json.loads(row["raw"])[f"a{kept}b"] == [f"c{kept}d", "\\u0000", f"\\\\{kept}"]


def test_many_rows_with_long_payloads_are_one_write(store) -> None:
    """More than travels at once."""
    store.upsert(runs(*range(40), raw={"text": "x" * 100_000}))
    assert ids(store) == list(range(40))
    raw = map(json.loads, store.read(RUN).columns["raw"])
    assert [len(each["text"]) for each in raw] == [100_000] * 40


# What is there already


def test_a_good_place_passes_the_check_and_gets_the_tables(place, store) -> None:
    """Without a row, as often as it is checked."""
    for _ in range(2):
        store.check(TABLES.values())
    for table in TABLES.values():
        assert place.sql(f"SELECT * FROM {{{table.name}}}") == []  # noqa: S608  # a name of ours
        assert store.read(table) == table.rows([])


def test_the_full_name_of_a_table_is_the_one_that_the_database_uses(place, store) -> None:
    """It stands in Dagster's UI, for people to copy."""
    store.upsert(runs(1))
    _, schema, table = store.relation(RUN).split(".")
    assert (schema, table.lower()) == (place.schema, "dbt_cloud_run")
    assert place.sql("SELECT count(*) FROM {dbt_cloud_run}") == [(1,)]


def test_a_column_that_a_newer_version_declares_is_added_to_an_old_table(place, store) -> None:
    """Old rows have null in it; nothing else of them changes."""
    old = Table("dbt_cloud_run", "Old", RUN.columns[:5] + RUN.columns[-2:], RUN.primary_key, ())
    store.upsert(old.rows([{"id": 1, "account_id": 101, "raw": {}}]))
    assert store.read(RUN).columns["status"] == [None]
    assert store.look_up(RUN, "href", key="id", values=[1]) == {}
    assert store.newest(RUN, ["id", "status"], by="id", limit=1) == [{"id": 1, "status": None}]
    store.upsert(runs(2))
    rows = store.read(RUN)
    assert rows.columns["account_id"] == [101, 101]
    found = zip(rows.columns["id"], rows.columns["status"], strict=True)
    assert dict(found) == {1: None, 2: 10}


class Behind:
    """A database that looks at tables as they were a while ago.

    Args:
        store: A store of the database, as it is now.
        names: The tables.
    """

    def __init__(self, store: SqlStore, *names: str) -> None:
        self._database = store._database
        with self._database.connect() as connection:
            self._there = dict(self._database.look(connection, names))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def look(self, connection: Any, names: Sequence[str]) -> dict[str, Existing]:
        """What `Database.look` has found then."""
        del connection
        return {name: self._there[name] for name in names if name in self._there}


def test_a_column_that_somebody_else_has_added_meanwhile_is_taken_as_it_is(place, store) -> None:
    """Two code locations of a new version look at an old table at the same moment."""
    skip_on(place, "sqlite", "who adds a column has begun a write, and nobody else can")
    old = Table("dbt_cloud_run", "Old", RUN.columns[:5] + RUN.columns[-2:], RUN.primary_key, ())
    store.upsert(old.rows([{"id": 1, "account_id": 101, "raw": {}}]))
    behind = Behind(store, "dbt_cloud_run")
    store.upsert(runs(2))
    SqlStore(behind).upsert(runs(3))
    assert ids(store) == [1, 2, 3]


def old_columns(table: Table) -> tuple[Column, ...]:
    """The key and the payload, which every version had."""
    return tuple(each for each in table.columns if each.name in {*table.primary_key, "raw"})


def test_all_that_newer_versions_have_appears_in_an_old_database(place, store) -> None:
    """Columns of all tables, tables and views; rows stay."""
    kept = [
        Table(table.name, "Old", old_columns(table), table.primary_key, ())
        for table in (TRIGGER, RUN, NODE_RESULT)
    ]
    values = {"id": 1, "account_id": 101, "run_id": 1, "step": 4, "unique_id": "model.orders"}
    store.upsert(*(table.rows([{**values, "raw": {}}]) for table in kept))
    store.check(TABLES.values(), VIEWS)
    assert {table.name: len(store.read(table)) for table in TABLES.values()} == {
        **dict.fromkeys(TABLES, 0),
        **{table.name: 1 for table in kept},
    }
    for table in TABLES.values():
        names = ", ".join(column.name for column in table.columns)
        place.sql(f"SELECT {names} FROM {{{table.name}}}")  # noqa: S608  # names of ours
    assert place.sql("SELECT run_id FROM {dbt_cloud_run_overview}") == [(1,)]


def test_columns_that_users_have_added_survive(place, store) -> None:
    """A note on a run is not ours to drop."""
    skip_on(place, "databricks", "Databricks adds no column with a default")
    store.upsert(runs(1, 2))
    place.sql("ALTER TABLE {dbt_cloud_run} ADD COLUMN note VARCHAR(9) DEFAULT 'none'")
    place.sql("UPDATE {dbt_cloud_run} SET note = 'mine' WHERE true")
    store.upsert(runs(3))
    assert place.sql("SELECT id, note FROM {dbt_cloud_run} ORDER BY id") == [
        (1, "mine"),
        (2, "mine"),
        (3, "none"),
    ]
    assert list(store.read(RUN).columns) == [column.name for column in RUN.columns]


def test_columns_in_another_order_are_filled_by_name(store) -> None:
    """The table's order does not count."""
    reversed_columns = Table("dbt_cloud_run", "Old", RUN.columns[::-1], RUN.primary_key, ())
    store.upsert(reversed_columns.rows([]))
    store.upsert(runs(1, git_branch="main"))
    (row,) = store.read(RUN)
    assert (row["id"], row["git_branch"]) == (1, "main")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "CREATE VIEW {dbt_cloud_run} AS SELECT 1 AS id",
            "(?i:dbt_cloud_run) was made by somebody",
        ),
        ("CREATE TABLE {dbt_cloud_run} (id DATE)", r"its column id is (?i:date) and not INTEGER"),
        ("CREATE TABLE {dbt_cloud_run} (href TIMESTAMP, id DATE)", "made by something else"),
        ("CREATE TABLE {dbt_cloud_run} (loaded_at VARCHAR(9))", "loaded_at is (?i:var|char)"),
        (
            """CREATE TABLE {dbt_cloud_run} (account_id INTEGER, id INTEGER, mine INTEGER NOT NULL,
            PRIMARY KEY (account_id, id))""",
            "(?i:not.null constraint)",
        ),
    ],
)
def test_a_table_that_would_refuse_rows_is_told_before_a_job_is_triggered(
    place, store, statement, message
) -> None:
    """The check does what the write will do; and what somebody else made is left alone."""
    if "PRIMARY KEY" in statement:
        skip_on(place, "databricks", "Spark without Delta keeps no key; see test_databricks.py")
    if place.kind == "databricks":  # Spark tells of a VARCHAR so
        message = message.replace("(?i:var|char)", "STRING")
    integer = store._database.types[Kind.INTEGER]
    place.sql(statement.replace("INTEGER,", f"{integer},"))
    before = place.sql("SELECT * FROM {dbt_cloud_run}")
    if place.kind == "bigquery":  # where text has another name
        message = message.replace("(?i:var|char)", "STRING and not TIMESTAMP")
    with pytest.raises(StorageError, match=message.replace("INTEGER", re.escape(integer))):
        store.check(TABLES.values())
    with pytest.raises(StorageError):
        store.upsert(ARTIFACT.rows([{"run_id": 1}]), runs(1))
    assert place.sql("SELECT * FROM {dbt_cloud_run}") == before
    assert len(store.read(ARTIFACT)) == 0


def test_a_table_whose_key_two_accounts_cannot_share_is_told_before_a_job_is_triggered(
    place, store
) -> None:
    """Made by hand, or by a tool that knows of one account: the second one's rows are refused."""
    if place.kind not in {"duckdb", "sqlite", "postgresql"}:
        pytest.skip("keys are not enforced here")
    integer = store._database.types[Kind.INTEGER]
    place.sql(
        f"CREATE TABLE {{dbt_cloud_run}} (account_id {integer}, id {integer} UNIQUE, "
        "PRIMARY KEY (account_id, id))"
    )
    with pytest.raises(StorageError, match=r"(?i:unique)"):
        store.check(TABLES.values())


def test_a_table_that_was_made_without_its_key_is_written_or_told(place, store) -> None:
    """As by a tool that copies rows and nothing else: some tables have none, others need it."""
    columns = ", ".join(
        f"{store._database.quote(column.name)} {store._database.types[column.kind]}"
        for column in RUN.columns
    )
    place.sql(f"CREATE TABLE {{dbt_cloud_run}} ({columns})")
    if not store._database.keeps_keys:
        store.upsert(runs(1))
        assert ids(store) == [1]
        return
    with pytest.raises(StorageError, match="without its PRIMARY KEY: add it, or name another"):
        store.check(TABLES.values())


RUNS_OF = View(
    "runs_of", "An account's runs; it's ours", "SELECT account_id, id FROM {dbt_cloud_run}"
)
COUNT = View(
    "run_count", "Runs of accounts", "SELECT account_id, count(*) AS n FROM {runs_of} GROUP BY 1"
)


def test_views_are_made_and_made_anew_where_a_release_changes_them(place, store) -> None:
    """Also where one is made of another; what has not changed is left alone."""
    for _ in range(2):
        store.check(TABLES.values(), [RUNS_OF, COUNT])
    store.upsert(runs(1, 2))
    assert place.sql("SELECT * FROM {run_count}") == [(101, 2)]
    changed = dataclasses.replace(RUNS_OF, select="SELECT 7 AS account_id FROM {dbt_cloud_run}")
    store.check(TABLES.values(), [changed, COUNT])
    assert place.sql("SELECT * FROM {run_count}") == [(7, 2)]
    place.sql("DROP VIEW {run_count}")
    store.check(TABLES.values(), [changed, COUNT])
    assert place.sql("SELECT * FROM {run_count}") == [(7, 2)]


@pytest.mark.parametrize("kind", ["VIEW", "TABLE"])
def test_what_somebody_else_made_with_the_name_of_a_view_is_told_and_left_alone(
    place, store, kind
) -> None:
    """It may be of the same columns."""
    place.sql(f"CREATE {kind} {{run_count}} AS SELECT 101 AS account_id, 5 AS n")
    with pytest.raises(StorageError, match=r"(?i:run_count) was made by somebody else"):
        store.check(TABLES.values(), [RUNS_OF, COUNT])
    assert place.sql("SELECT * FROM {run_count}") == [(101, 5)]


# All or nothing


def test_rows_of_several_tables_are_written_together_or_not_at_all(place, store) -> None:
    """A run's files are never there without the run."""
    skip_on(place, "snowflake", "it has no unique index; test_snowflake.py asks the same")
    skip_on(place, "databricks", "a table alone is all or nothing; test_databricks.py asks for it")
    store.upsert(runs(1), ARTIFACT.rows([{"run_id": 1, "step": 0, "path": "a"}]))
    assert (len(store.read(RUN)), len(store.read(ARTIFACT))) == (1, 1)
    place.sql("CREATE UNIQUE INDEX one_branch ON {dbt_cloud_run} (git_branch)")
    store.upsert(runs(2, git_branch="main"))
    files = ARTIFACT.rows([{"run_id": 3, "path": "a"}, {"run_id": 1, "path": "a", "uri": "new"}])
    with pytest.raises(StorageError, match=r"(?i:unique|duplicate)"):
        store.upsert(files, runs(3), runs(4, git_branch="main"))
    assert ids(store) == [1, 2]
    assert [(row["run_id"], row["uri"]) for row in store.read(ARTIFACT)] == [(1, None)]
    store.upsert(files, runs(3))
    assert (ids(store), len(store.read(ARTIFACT))) == ([1, 2, 3], 2)


@pytest.mark.parametrize(("when", "count"), [("before", 2), ("after", 500)])
def test_a_writer_that_is_killed_leaves_all_of_its_rows_or_none(place, store, when, count) -> None:
    """And no lock: the next writer does not wait."""
    skip_on(place, "snowflake", "fakesnow keeps the transaction of a client that is gone")
    store.upsert(runs(1, 2))
    place.sql("UPDATE {dbt_cloud_run} SET id = 0 WHERE id = 2")
    assert in_processes(write_and_die, [(place.url, place.schema, when)]) == [-KILLED]
    assert len(ids(store)) == count
    store.upsert(runs(1, 2, 1000))
    assert len(ids(store)) == (4 if when == "before" else 501)


def test_processes_that_write_at_once_all_land(place, store) -> None:
    """The first ones race for making the tables; rows that all of them write stay one each."""
    skip_on(place, "snowflake", "fakesnow's writers fail where Snowflake's wait for a lock")
    writers, writes = range(1, 9), 3
    arguments = [(place.url, place.schema, writer, writes) for writer in writers]
    assert in_processes(write_many, arguments) == [0] * len(writers)
    own = [writer * 1000 + number for writer in writers for number in range(writes)]
    assert ids(store) == [*range(1, 20), *own]
    assert sorted(store.read(TRIGGER).columns["id"]) == ids(store)
    shared = store.newest(RUN, ["dagster_run_id"], by="id", limit=99, id=7)
    assert len(shared) == 1
