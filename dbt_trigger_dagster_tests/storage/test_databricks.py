"""What is special about Databricks: what it is told, what is sent at a commit, who is in the way.

Nothing was run there: what is sent is compared with files, and Spark parses it.
"""

import json
import sys
from typing import Any

import pytest

from dbt_trigger_dagster.storage.databricks import Databricks
from dbt_trigger_dagster.storage.databricks_session import Session, is_momentary
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import RUN, TABLES
from dbt_trigger_dagster_tests import databricks_statements, emulators
from dbt_trigger_dagster_tests.databases import EmptySchema
from dbt_trigger_dagster_tests.databricks_statements import (
    FOLDER,
    RUNS,
    SCENARIOS,
    STEPS,
    URL,
    Recorder,
    ServerOperationError,
    as_text,
    described,
    recorded,
    some_runs,
    some_steps,
    store_of,
)

RUN_TABLE = "`main`.`dbt`.`dbt_cloud_run`"
CONFLICT = "[DELTA_CONCURRENT_APPEND.ROW_LEVEL_CHANGES] Somebody else. SQLSTATE: 2D521"


@pytest.fixture
def driver(monkeypatch) -> Recorder:
    """What stands in for the driver: it need not be installed."""
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, "databricks.sql", recorder)
    return recorder


@pytest.fixture
def place(spark) -> EmptySchema:
    """An empty schema of what stands in for Databricks."""
    return emulators.a_schema_of_databricks(spark)


@pytest.fixture
def store(driver: Recorder) -> SqlStore:
    """A store whose tables are there."""
    made = store_of(wait_limit=10)
    made.check([RUNS, STEPS])
    driver.sent.clear()
    return made


@pytest.mark.parametrize(
    ("url", "settings", "expected"),
    [
        (
            "databricks://token:sesame%40@acme.example?http_path=/sql/1&catalog=main&schema=dbt",
            {},
            {
                "access_token": "sesame@",
                "server_hostname": "acme.example",
                "http_path": "/sql/1",
                "catalog": "main",
                "schema": "dbt",
            },
        ),
        (
            "databricks://acme.example?http_path=/sql/1",
            {"password": "sesame", "connection": {"_socket_timeout": 60}},
            {"access_token": "sesame", "_socket_timeout": 60},
        ),
        (
            "databricks://token:sesame@acme.example",
            {"user": "token", "password": "wrong", "connection": {"http_path": "/sql/2"}},
            {"access_token": "sesame", "http_path": "/sql/2"},
        ),
    ],
)
def test_the_driver_is_told_what_the_settings_say(driver, url, settings, expected) -> None:
    """The URL counts first; no secret is in an error."""
    driver.refusals.append(("DESCRIBE", "nobody is there"))
    driver.found["SELECT current_catalog"] = [("main", "default")]
    store = open_store(url, **settings)
    with pytest.raises(StorageError, match="Databricks cannot be used: nobody is there") as caught:
        store.check(TABLES.values())
    assert driver.told.items() >= expected.items()
    assert "sesame" not in str(caught.value) + repr(store)


def test_without_a_token_it_is_the_drivers_own_way(driver) -> None:
    """Such as a sign-in in a browser, or what `connection` names."""
    url = "databricks://acme.example?http_path=/sql/1&catalog=main&schema=dbt"
    open_store(url, connection={"auth_type": "azure-oauth"}).read(RUN)
    assert driver.told == {
        "user_agent_entry": "dbt_trigger_dagster",
        "enable_telemetry": False,
        "server_hostname": "acme.example",
        "http_path": "/sql/1",
        "catalog": "main",
        "schema": "dbt",
        "auth_type": "azure-oauth",
    }


@pytest.mark.parametrize(
    ("url", "settings", "message"),
    [
        ("databricks://token:sesame@host", {}, "has no http_path: give databricks://token"),
        ("databricks://?http_path=/sql/1", {"password": "sesame"}, "has no server_hostname"),
        ("databricks://sesame@host?http_path=/sql/1", {}, "takes no user"),
        ("databricks://host?http_path=/sql/1", {"user": "sesame"}, "takes no user"),
        ("databricks://token:sesame@host:port", {}, "cannot be read: give databricks://token"),
        ("databricks://token:p@sesame@host?http_path=/sql/1", {}, "In a password, write"),
    ],
)
def test_a_url_that_lacks_something_says_what_and_no_secret(url, settings, message) -> None:
    """A token may stand where it is not read."""
    with pytest.raises(StorageError, match=message) as caught:
        open_store(url, **settings)
    assert "sesame" not in f"{caught.value}{caught.value!r}"
    assert caught.value.__context__ is None


def test_a_driver_that_is_missing_is_named_with_how_to_get_it(monkeypatch) -> None:
    """An extra that nobody installed."""
    monkeypatch.setitem(sys.modules, "databricks.sql", None)
    with pytest.raises(StorageError, match=r"pip install 'dbt_trigger_dagster\[databricks\]'"):
        open_store(URL).check(TABLES.values())


def test_a_host_that_does_not_answer_is_told_without_the_token() -> None:
    """With the driver itself, where it is installed, and nobody at the other end."""
    pytest.importorskip("databricks.sql")
    others = {"_port": 1, "_retry_stop_after_attempts_count": 1}
    store = open_store(URL.replace("@host", "@127.0.0.1"), connection=others, wait_limit=0)
    with pytest.raises(StorageError, match=r"Databricks cannot be used: .*127\.0\.0\.1") as caught:
        store.check([RUNS])
    assert caught.value.is_momentary
    assert "sesame" not in str(caught.value)


def test_a_sign_in_that_fails_is_told_whatever_it_raises(driver, monkeypatch) -> None:
    """The driver itself raises bare exceptions there, and a credentials_provider anything."""

    def connect(**_: Any) -> None:
        raise Exception("Failed to get token: 401 no such client")  # noqa: TRY002  # as the driver does

    monkeypatch.setattr(driver, "connect", connect)
    with pytest.raises(StorageError, match="cannot be used: Failed to get token: 401") as caught:
        store_of().check([RUNS])
    assert not caught.value.is_momentary


def test_what_fails_in_a_transaction_without_the_driver_stays_as_it_is(driver) -> None:
    """It is a mistake in a program."""
    with pytest.raises(ZeroDivisionError), Databricks(URL).connect():
        _ = 1 / 0


@pytest.mark.slow
def test_a_token_that_is_refused_is_no_reason_to_try_again(spark) -> None:
    """It is told with the status, for the driver's own words say nothing."""
    with pytest.raises(StorageError, match=r"Databricks cannot be used: .*\(HTTP 403\)") as caught:
        open_store(spark.replace("sesame", "wrong")).read(RUN)
    assert not caught.value.is_momentary
    assert "wrong" not in str(caught.value)


def test_views_like_other_packages_tables_are_refused() -> None:
    """Before anything is made."""
    with pytest.raises(StorageError, match="no views like the tables of elementary in Databricks"):
        Databricks(URL).beside("elementary")


def test_names_may_have_anything_in_them() -> None:
    """The schema that is given counts before the URL's."""
    database = Databricks(URL, schema="o`dd schema")
    assert database.relation(RUNS) == "main.o`dd schema.dbt_cloud_run"
    assert database.name(RUNS) == "`main`.`o``dd schema`.`dbt_cloud_run`"


def test_the_sessions_own_catalog_and_schema_are_taken(driver) -> None:
    """Where nothing names them."""
    driver.found["SELECT current_catalog"] = [("workspace", "default")]
    store = open_store("databricks://token:t@host?http_path=/sql/1")
    store.read(RUNS)
    assert store.relation(RUNS) == "workspace.default.dbt_cloud_run"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_sent_is_what_the_file_says(scenario) -> None:
    """Write it anew with `python -m dbt_trigger_dagster_tests.databricks_statements`."""
    assert as_text(recorded(scenario)) == (FOLDER / f"{scenario}.sql").read_text()


def test_there_is_no_file_of_a_scenario_that_is_gone() -> None:
    """And one for each."""
    assert {path.stem for path in FOLDER.iterdir()} == set(SCENARIOS)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_spark_can_parse_what_is_sent(place, scenario) -> None:
    """The grammar is Databricks' own, but for what it has added."""
    for statement, _ in recorded(scenario):
        place.execute(f"-- parse only\n{statement}")
    with pytest.raises(Exception, match="PARSE_SYNTAX_ERROR"):
        place.execute("-- parse only\nMERGE INTO x USING y")


# What a commit sends


def test_nothing_is_written_before_all_of_it_is_known(driver, store) -> None:
    """A write that fails on the way has sent no row."""

    class FailingAtSteps:
        """A database that fails where steps are to be written."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store._database, name)

        def write(self, connection: Any, rows: Any) -> None:
            if rows.table is STEPS:
                raise StorageError("no more")
            store._database.write(connection, rows)

    with pytest.raises(StorageError, match="no more"):
        SqlStore(FailingAtSteps()).upsert(some_runs(1), some_steps("a"))
    assert driver.statements("MERGE") == []


def test_the_row_of_a_run_comes_after_what_belongs_to_it(driver, store) -> None:
    """Cut between the two, the run has not landed, and all is written again."""
    driver.refusals.append((f"MERGE INTO {RUN_TABLE} ", "[OUT_OF_LUCK] The warehouse is gone"))
    with pytest.raises(StorageError, match="The warehouse is gone"):
        store.upsert(some_runs(1), some_steps("a"))
    tables = [statement.split()[2] for statement in driver.statements("MERGE")]
    assert tables == [f"{RUN_TABLE[:-1]}_step`", RUN_TABLE]
    store.upsert(some_runs(1), some_steps("a"))
    assert [statement.split()[2] for statement in driver.statements("MERGE")] == tables * 2


def test_rows_that_are_too_many_for_one_statement_are_one_merge_all_the_same(driver, store) -> None:
    """They wait in a table, under the id of their write alone."""
    names = [f"step {number}" for number in range(5)]
    for _ in range(2):
        store.upsert(some_steps(*names, raw={"text": "x" * 600_000}))
    ids = [
        parameters["p1"]
        for statement, parameters in driver.sent
        if "dbt_cloud_incoming" in statement and not statement.startswith("DESCRIBE")
    ]
    assert len(driver.statements("MERGE")) == 2
    assert [ids.count(each) for each in dict.fromkeys(ids)] == [5, 5]  # 3 pieces, MERGE, DELETE


def test_batches_of_a_table_travel_together_up_to_a_megabyte(driver, store) -> None:
    """A few hundred rows at a time are made; a statement for each would take long."""
    names = [f"step {number:04}" for number in range(1500)]
    store.upsert(some_steps(*names))
    (merge,) = (each for each in driver.sent if each[0].startswith("MERGE"))
    assert [row["name"] for row in json.loads(merge[1]["p1"])] == names


def test_rows_that_are_merged_have_landed_whoever_takes_away_what_waited(driver, store) -> None:
    """Two writers may do it at once."""
    driver.refusals.append(("DELETE", CONFLICT))
    store.upsert(some_steps("a", "b", "c", raw={"text": "x" * 600_000}))
    assert (len(driver.statements("MERGE")), len(driver.statements("DELETE"))) == (1, 1)


# Others


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (CONFLICT, True),
        ("ConcurrentAppendException: Files were added to the root of the table", True),
        ("[DELTA_METADATA_CHANGED] MetadataChangedException: SQLSTATE: 2D521", True),
        ("[TABLE_OR_VIEW_ALREADY_EXISTS] Cannot create table SQLSTATE: 42P07", True),
        ("[TABLE_OR_VIEW_NOT_FOUND] SQLSTATE: 42P01", False),
        ("[PARSE_SYNTAX_ERROR] SQLSTATE: 42601", False),
    ],
)
def test_a_conflict_of_two_writers_is_momentary(message, expected) -> None:
    """By the names of https://docs.databricks.com/aws/en/error-messages, and the older ones."""
    assert is_momentary(ServerOperationError(message)) is expected


@pytest.mark.parametrize(
    ("code", "expected"), [(None, True), (503, True), (429, True), (401, False), (403, False)]
)
def test_a_request_that_was_not_answered_is_momentary(code, expected) -> None:
    """But for what is refused: a token that is wrong stays so."""

    class RequestError(ServerOperationError):
        """What the driver raises then."""

        context = {"http-code": code}  # noqa: RUF012  # as the driver has it

    assert is_momentary(RequestError("Error during request to server.")) is expected
    older = RequestError(f"Error during request to server. Received {code} - SO IT IS.")
    older.context = {}
    assert is_momentary(older) is expected


def test_tables_are_made_so_that_two_merges_conflict(driver) -> None:
    """With row-level concurrency, which takes deletion vectors, both could bring the same row."""
    store_of().check([RUNS, STEPS])
    made = driver.statements("CREATE TABLE")
    assert len(made) == 3
    assert all("'delta.enableDeletionVectors' = 'false'" in each for each in made)


def test_a_write_that_another_one_was_in_the_way_of_is_sent_again(driver, store) -> None:
    """All of it."""
    driver.refusals.append(("MERGE", CONFLICT))
    store.upsert(some_runs(1))
    first, second = driver.statements("MERGE")
    assert first == second


@pytest.mark.parametrize("name", ["FIELD_ALREADY_EXISTS", "FIELDS_ALREADY_EXISTS"])
def test_a_column_that_somebody_else_has_added_meanwhile_is_taken_as_it_is(driver, name) -> None:
    """There is no ADD COLUMN IF NOT EXISTS."""
    driver.there[RUN_TABLE] = described("MANAGED", {"account_id": "bigint", "id": "bigint"})
    driver.refusals.append(("ALTER TABLE", f"[{name}] Cannot add column. SQLSTATE: 42710"))
    store_of().upsert(some_runs(1))
    assert len(driver.statements("MERGE")) == 1
    driver.refusals.append(("ALTER TABLE", "[PERMISSION_DENIED] Not yours"))
    with pytest.raises(StorageError, match="Not yours"):
        store_of().upsert(some_runs(1))


def test_a_write_that_does_not_compile_is_told_before_a_job_is_triggered(driver, store) -> None:
    """EXPLAIN raises nothing: what it finds says so."""
    driver.found["EXPLAIN MERGE"] = [("Error occurred during query planning: ",), ("[NO_WAY] x",)]
    with pytest.raises(StorageError, match=r"main\.dbt\.dbt_cloud_run cannot be .*\[NO_WAY\] x"):
        store.check([RUNS])


@pytest.mark.parametrize(
    ("column", "refuses"),
    [
        ({"nullable": False}, True),
        ({"nullable": False, "default": "'none'"}, False),
        ({"nullable": True}, False),
    ],
)
def test_a_column_that_refuses_our_rows_is_told(driver, store, column, refuses) -> None:
    """What compiles may fail all the same."""
    more = {"name": "Mine", "type": {"name": "string"}, **column}
    driver.there[RUN_TABLE]["columns"].append(more)
    if not refuses:
        store.check([RUNS])
        return
    with pytest.raises(StorageError, match="its column mine has a NOT NULL constraint"):
        store.check([RUNS])


def test_views_that_are_refused_keep_no_run_from_its_start(driver, store, caplog) -> None:
    """They are but a way to look at the tables."""
    driver.refusals.append(("CREATE OR REPLACE VIEW", "[PERMISSION_DENIED] No CREATE TABLE"))
    store.check([RUNS, STEPS], [databricks_statements.OVERVIEW])
    assert "The views stay as they are. [PERMISSION_DENIED] No CREATE TABLE" in caplog.text


@pytest.mark.slow
def test_what_waits_twice_is_merged_once(place, monkeypatch) -> None:
    """The driver sends a request again where the connection was lost before its answer."""
    send = Session._send

    def twice(session: Session, statement: str, parameters: Any = ()) -> Any:
        if statement.startswith("INSERT"):
            send(session, statement, parameters)
        return send(session, statement, parameters)

    monkeypatch.setattr(Session, "_send", twice)
    place.open().upsert(some_steps("a", "b", "c", raw={"text": "x" * 600_000}))
    assert place.sql("SELECT name FROM {dbt_cloud_run_step} ORDER BY name") == [
        ("a",),
        ("b",),
        ("c",),
    ]


@pytest.mark.slow
def test_a_row_of_twelve_megabytes_travels_as_one_parameter(place) -> None:
    """A row is never cut."""
    place.open().upsert(RUN.rows([{"account_id": 1, "id": 1, "raw": "x" * 12_000_000}]))
    assert place.sql("SELECT length(raw), right(raw, 2) FROM {dbt_cloud_run}") == [
        (12_000_002, 'x"')
    ]


@pytest.mark.slow
def test_sql_looks_into_a_column_of_json(place) -> None:
    """It is text; a reserved word needs no quotes."""
    place.open().upsert(RUN.rows([{"id": 1, "raw": {"job": {"id": 7}}, "trigger": {"a": "x"}}]))
    found = place.sql(
        "SELECT id, get_json_object(raw, '$.job.id'), trigger, typeof(loaded_at) "
        "FROM {dbt_cloud_run}"
    )
    assert found == [(1, "7", '{"a": "x"}', "timestamp")]
