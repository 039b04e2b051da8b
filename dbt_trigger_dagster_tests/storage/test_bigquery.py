"""What is special about BigQuery: what it is told, what is billed, what is one job."""

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent import futures
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from dbt_trigger_dagster.storage.bigquery import BigQuery
from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import RUN, TABLES, TRIGGER
from dbt_trigger_dagster.storage.views import VIEWS
from dbt_trigger_dagster_tests import databases, emulators

URL = "bigquery://acme/dbt_cloud"
CONFLICT = "400 Transaction is aborted due to concurrent update against table acme:dbt_cloud.a"


GOES_ON = "goes on"


class GoogleError(Exception):
    """What all errors of the driver are here."""


class AuthError(Exception):
    """What the errors of Google's sign-in are here."""


class NotFoundError(GoogleError):
    """There is no such table."""


class Client:
    """What stands in the driver's place, which need not be installed.

    Each request has to say after how much silence it is given up: the driver waits for ever.

    Attributes:
        told: What each was made with.
        sent: The statements that were sent, with the names of their parameters.
        compiled: The statements of dry runs.
        errors: What the next statements raise.
        refusals: What the next looks for the dataset raise.
        kept: What the next attempts to drop a table raise.
        tables: What is there.
        expiration: After how many milliseconds a table is deleted by itself.
        loaded: What was loaded: the table, and the number of the write.
        dropped: The tables that were dropped.
        jobs: What a look for the last job finds: that it is not done yet, or its error; an
            exception is raised. Without any, there is no job.
    """

    told: dict[str, Any]
    sent: list[tuple[str, Sequence[str]]]
    compiled: list[str]
    errors: list[Exception]
    refusals: list[Exception]
    kept: list[Exception]
    tables: dict[str, Any]
    expiration: int | None = None
    loaded: list[tuple[str, int]]
    dropped: list[str]
    jobs: list[Any]
    job_id: str | None = None

    def __init__(self, **arguments: Any) -> None:
        if "nonsense" in arguments:
            raise TypeError("unexpected keyword argument 'nonsense'")
        self.told.update(arguments)
        self.project = arguments.get("project", "of-adc")
        self.location = arguments.get("location")

    @classmethod
    def from_service_account_json(cls, path: str, **arguments: Any) -> "Client":
        """A client of somebody whom a file names."""
        cls.told["path"] = path
        return cls(**arguments)

    def close(self) -> None:
        """Nothing is open."""

    def get_table(self, name: str, **patience: Any) -> Any:
        """A table that is there."""
        assert patience["timeout"]
        if name not in self.tables:
            raise NotFoundError(name)
        return self.tables[name]

    def get_dataset(self, name: str, **patience: Any) -> Any:
        """It is there."""
        assert patience["timeout"]
        if self.refusals:
            raise self.refusals.pop()
        self.told["dataset"] = name
        return SimpleNamespace(location="EU", default_table_expiration_ms=self.expiration)

    def create_table(self, table: Any, **patience: Any) -> None:
        """BigQuery would drop it, if we did not."""
        assert patience["timeout"]
        assert table.expires

    def load_table_from_json(self, rows: Sequence[Any], table: str, **patience: Any) -> Any:
        """Load nothing."""
        assert patience["timeout"]
        self.loaded += [(table, row["write"]) for row in rows]
        return SimpleNamespace(result=lambda **_: None)

    def delete_table(self, table: str, **patience: Any) -> None:
        """Drop nothing."""
        assert patience["timeout"]
        self.dropped.append(table)
        if self.kept:
            raise self.kept.pop()

    def query(
        self, statement: str, *, job_config: Any, location: str | None, **patience: Any
    ) -> Any:
        """Execute nothing."""
        assert patience["timeout"]
        self.told["ran at"] = location
        Client.job_id = patience["job_id"]
        if self.errors:
            raise self.errors.pop()
        if job_config.dry_run:
            self.compiled.append(statement)
        else:
            self.sent.append((statement, [name for name, *_ in job_config.query_parameters]))
        return SimpleNamespace(result=lambda **_: [])

    def get_job(self, job_id: str, *, location: str | None, **patience: Any) -> Any:
        """The last job; each look finds what is next."""
        assert patience["timeout"]
        assert (job_id, location) == (self.job_id, "EU")
        if not self.jobs:
            raise NotFoundError("404 Not found: Job")
        job = SimpleNamespace(error_result=None)

        def done(**_: Any) -> bool:
            found = self.jobs.pop(0)
            if isinstance(found, Exception):
                raise found
            job.error_result = found
            return found != GOES_ON

        job.done = done
        return job


@pytest.fixture
def client(monkeypatch) -> Iterator[type[Client]]:
    """The driver's client."""
    monkeypatch.setattr(Client, "expiration", None)
    for name in ("told", "tables"):
        monkeypatch.setattr(Client, name, {}, raising=False)
    for name in ("sent", "compiled", "errors", "refusals", "kept", "loaded", "dropped", "jobs"):
        monkeypatch.setattr(Client, name, [], raising=False)
    retry = SimpleNamespace(with_timeout=lambda _: None)
    modules = {
        "google.cloud.bigquery": SimpleNamespace(
            Client=Client,
            LoadJobConfig=SimpleNamespace,
            QueryJobConfig=SimpleNamespace,
            SchemaField=lambda *all_: all_,
            Table=lambda name, **others: SimpleNamespace(name=name, **others),
            ScalarQueryParameter=lambda *all_: all_,
            ArrayQueryParameter=lambda *all_: all_,
        ),
        "google.cloud.bigquery.retry": SimpleNamespace(
            DEFAULT_RETRY=retry, DEFAULT_JOB_RETRY=retry
        ),
        "google.api_core.exceptions": SimpleNamespace(
            GoogleAPIError=GoogleError, ClientError=GoogleError, NotFound=NotFoundError
        ),
        "google.auth.exceptions": SimpleNamespace(GoogleAuthError=AuthError),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return Client


def there(table: Table) -> Any:
    """A table as the API tells of it, in the API's names of types."""
    names = {**BigQuery.types, Kind.INTEGER: "INTEGER", Kind.SECONDS: "INTEGER"}
    names |= {Kind.BOOLEAN: "BOOLEAN", Kind.NUMBER: "FLOAT"}
    return SimpleNamespace(
        table_type="TABLE",
        location="EU",
        description=None,
        schema=[
            SimpleNamespace(
                name=column.name,
                field_type=names[column.kind],
                mode="NULLABLE",
                max_length=None,
                default_value_expression=None,
            )
            for column in table.columns
        ],
    )


@pytest.mark.parametrize(
    ("url", "settings", "expected"),
    [
        ("bigquery://acme/dbt", {}, {"project": "acme"}),
        ("bigquery:///dbt", {}, {}),
        ("bigquery://", {"schema": "dbt"}, {}),
        ("bigquery://acme/dbt?location=EU", {}, {"project": "acme", "location": "EU"}),
        ("bigquery:///dbt", {"connection": {"project": "acme"}}, {"project": "acme"}),
        ("bigquery:///dbt?credentials_path=/run/key.json", {}, {"path": "/run/key.json"}),
        (
            "bigquery:///dbt",
            {"connection": {"credentials_path": "k.json", "api_endpoint": "https://private"}},
            {"path": "k.json", "client_options": {"api_endpoint": "https://private"}},
        ),
    ],
)
def test_the_driver_is_told_what_the_settings_say(client, url, settings, expected) -> None:
    """What is left out, it finds by Google's own ways."""
    open_store(url, **settings).upsert(RUN.rows([{"id": 1}]))
    project = expected.get("project", "of-adc")
    assert client.told == {**expected, "dataset": f"{project}.dbt", "ran at": "EU"}
    (_, (merge, _)) = client.sent
    assert f"INTO `{project}.dbt.dbt_cloud_run`" in merge


def test_a_dataset_may_be_in_another_project_than_the_jobs(client) -> None:
    """Who pays for the jobs need not own the tables."""
    store = open_store("bigquery://payer", schema="owner.dbt")
    store.check([RUN])
    assert (client.told["project"], client.told["dataset"]) == ("payer", "owner.dbt")
    assert store.relation(RUN) == "owner.dbt.dbt_cloud_run"
    assert [statement.count("`owner.dbt.dbt_cloud_run`") for statement, _ in client.sent] == [1]


def test_a_dataset_whose_tables_go_by_themselves_is_refused(client, store) -> None:
    """Where there are none yet; those that are there may have been told to stay."""
    client.expiration = 86_400_000
    store.upsert(rows_of("a", 1))
    client.tables["acme.dbt_cloud.a"].schema[2:] = []
    store.upsert(rows_of("a", 1))
    with pytest.raises(StorageError, match="deleted by themselves after a time: name another"):
        store.upsert(rows_of("c", 1))


def test_a_service_that_cannot_be_reached_is_told_at_once_before_a_run(client, store) -> None:
    """With the rows of a run, it is waited for."""
    client.refusals += [ConnectionError("refused")] * 3
    with pytest.raises(StorageError, match="refused"):
        store.check([a_table("a")])
    assert len(client.refusals) == 2
    store.upsert(rows_of("a", 1))
    assert len(client.sent) == 1


@pytest.mark.parametrize(
    ("url", "settings", "message"),
    [
        ("bigquery://me:sesame@acme/dbt", {}, "takes no user and no password: it goes by Google's"),
        (URL, {"password": "sesame"}, "takes no user and no password"),
        ("bigquery://u:sesame@host:port/db", {}, "cannot be read: give bigquery://project/dataset"),
        ("bigquery:/u:sesame@host", {}, "cannot be read: give bigquery://project/dataset"),
        ("bigquery://acme?key=sesame", {}, r"needs a dataset: name one \(schema\), as in big"),
    ],
)
def test_settings_that_cannot_be_used_are_told_without_what_is_secret(
    url, settings, message
) -> None:
    """Before anything is sent."""
    with pytest.raises(StorageError, match=message) as caught:
        open_store(url, **settings)
    assert "sesame" not in f"{caught.value!r} {caught.value.__cause__}"
    assert caught.value.__context__ is None


def test_an_argument_that_the_client_does_not_know_is_told(client) -> None:
    """As the driver says it."""
    with pytest.raises(StorageError, match="cannot be made: unexpected keyword argument 'nons"):
        open_store(URL, connection={"nonsense": 1}).check(TABLES.values())


def test_views_like_other_packages_tables_are_refused() -> None:
    """Before anything is made."""
    with pytest.raises(StorageError, match="no views like the tables of elementary in BigQuery"):
        BigQuery(URL).beside("elementary")


def test_a_driver_that_is_missing_is_named_with_how_to_get_it(monkeypatch) -> None:
    """An extra that nobody installed."""
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", None)
    with pytest.raises(StorageError, match=r"pip install 'dbt_trigger_dagster\[bigquery\]'"):
        open_store(URL).check(TABLES.values())


def a_table(name: str) -> Table:
    """A table with a column of each kind that travels in its own way."""
    columns = (
        Column("key", Kind.INTEGER, "The key"),
        Column("name", Kind.TEXT, "Text"),
        Column("raw", Kind.JSON, "JSON"),
    )
    return Table(name, "A table", columns, ("key",))


MERGE = (
    "MERGE INTO `acme.dbt_cloud.{0}` AS kept USING (SELECT "
    "CAST(JSON_VALUE(r, '$.key') AS INT64) AS `key`, JSON_VALUE(r, '$.name') AS `name`, "
    "IF(JSON_VALUE(r, '$.raw') IS NULL, NULL, COALESCE("
    "SAFE.PARSE_JSON(JSON_VALUE(r, '$.raw'), wide_number_mode => 'round'), "
    "TO_JSON(JSON_VALUE(r, '$.raw')))) AS `raw` "
    "FROM UNNEST(@rows{1}) AS chunk, "
    "UNNEST(JSON_QUERY_ARRAY(PARSE_JSON(chunk, wide_number_mode => 'round'))) AS r) AS incoming "
    "ON kept.`key` = incoming.`key` "
    "WHEN MATCHED THEN UPDATE SET `name` = incoming.`name`, `raw` = incoming.`raw` "
    "WHEN NOT MATCHED THEN INSERT (`key`, `name`, `raw`) "
    "VALUES (incoming.`key`, incoming.`name`, incoming.`raw`)"
)


@pytest.fixture
def store(client) -> SqlStore:
    """A store in which two tables are there."""
    for name in "ab":
        client.tables[f"acme.dbt_cloud.{name}"] = there(a_table(name))
    made = open_store(URL, wait_limit=10)
    assert isinstance(made, SqlStore)
    return made


def rows_of(name: str, *keys: int) -> Rows:
    """Rows of one of them."""
    return a_table(name).rows({"key": key} for key in keys)


def test_rows_of_one_table_are_one_statement(client, store) -> None:
    """It waits for what others write, and runs where the dataset is."""
    store.upsert(rows_of("a", *range(1200)))
    assert client.sent == [(MERGE.format("a", 1), ["rows1"])]
    assert client.told["ran at"] == "EU"


def test_rows_of_several_tables_are_one_script(client, store) -> None:
    """So that nobody's session holds the tables where its writer is killed."""
    store.upsert(rows_of("b", 1), rows_of("a", 1))
    script = f"BEGIN TRANSACTION;\n{MERGE.format('a', 1)};\n{MERGE.format('b', 2)};\n"
    assert client.sent == [(f"{script}COMMIT TRANSACTION", ["rows1", "rows2"])]


def test_rows_that_may_have_the_keys_of_others_are_merged_after_them(client, store) -> None:
    """A MERGE refuses two rows for one; here the last counts."""
    store.upsert(rows_of("a", 1, 2), rows_of("a", 2, 3))
    ((script, names),) = client.sent
    assert script.count("MERGE INTO `acme.dbt_cloud.a`") == len(names) == 2


def test_a_check_of_tables_that_are_there_sends_nothing_but_dry_runs(client, store) -> None:
    """Which are not billed."""
    store.check([a_table("a"), a_table("b")])
    assert client.sent == []
    assert client.compiled == [MERGE.format("a", ""), MERGE.format("b", "")]


def test_the_columns_of_a_newer_version_are_added_at_once(client, store) -> None:
    """BigQuery takes so many changes of a table in a time, and not more."""
    client.tables["acme.dbt_cloud.a"].schema[1:] = []
    store.upsert(rows_of("a"))
    added = "ADD COLUMN IF NOT EXISTS `name` STRING, ADD COLUMN IF NOT EXISTS `raw` JSON"
    assert client.sent == [(f"ALTER TABLE `acme.dbt_cloud.a` {added}", [])]


def test_more_rows_than_a_request_takes_are_loaded_before(client, store) -> None:
    """Into a table that is gone afterwards; what merges them is one job still."""
    large = a_table("a").rows({"key": key, "name": "x" * 3_000_000} for key in range(4))
    store.upsert(large, rows_of("b", 1))
    (incoming,) = client.dropped
    assert incoming.startswith("acme.dbt_cloud.dbt_cloud_incoming_")
    assert {table for table, _ in client.loaded} == {incoming}
    assert [number for _, number in client.loaded] == [1, 1, 1, 1, 2]
    ((script, parameters),) = client.sent
    merges = (MERGE.format("a", 1), MERGE.format("b", 2))
    for number, merge in enumerate(merges, 1):
        there = f"(SELECT chunk FROM `{incoming}` WHERE write = {number})"  # noqa: S608  # ours
        assert merge.replace(f"UNNEST(@rows{number}) AS chunk", there) in script
    assert parameters == []


def test_rows_that_were_loaded_are_dropped_where_they_cannot_be_written(client, store) -> None:
    """Nobody would find them."""
    large = a_table("a").rows({"key": key, "name": "x" * 3_000_000} for key in range(4))
    client.errors.append(GoogleError("400 no"))
    with pytest.raises(StorageError, match="400 no"):
        store.upsert(large)
    assert {table for table, _ in client.loaded} == set(client.dropped)


@pytest.mark.parametrize("error", [AuthError("expired"), GoogleError("403"), ConnectionError("")])
def test_rows_that_were_loaded_and_cannot_be_dropped_are_left_to_bigquery(
    client, store, error
) -> None:
    """It drops them by itself after a day; what was written is written."""
    client.kept.append(error)
    store.upsert(a_table("a").rows({"key": key, "name": "x" * 3_000_000} for key in range(4)))
    assert (len(client.sent), client.kept) == (1, [])


@pytest.mark.parametrize(
    "error",
    [
        GoogleError(CONFLICT),
        GoogleError("400 Could not serialize access to table acme:x due to concurrent update"),
        ConnectionError("reset by peer"),
        type("ServiceUnavailable", (GoogleError,), {})("503"),
        type("Conflict", (GoogleError,), {})("409 Already Exists: Table acme:dbt_cloud.a"),
        type("Forbidden", (GoogleError,), {"errors": [{"reason": "rateLimitExceeded"}]})("403"),
    ],
    ids=["transaction", "statement", "connection", "service", "faster", "too often"],
)
def test_what_passes_by_itself_is_sent_again(client, store, error) -> None:
    """The same rows under the same keys are the same table."""
    client.errors.append(error)
    store.upsert(rows_of("a", 1))
    assert len(client.sent) == 1


def test_a_job_whose_answer_was_lost_is_not_sent_again_beside_itself(
    client, store, monkeypatch
) -> None:
    """Two jobs that only insert run side by side, and would leave the rows twice."""
    monkeypatch.setattr("dbt_trigger_dagster.storage.bigquery_session._PAUSE", 0)
    client.errors.append(type("RetryError", (GoogleError,), {})("Timeout of 10.0s exceeded"))
    client.jobs += [GOES_ON, GOES_ON, None]
    store.upsert(rows_of("a", 1))
    assert (client.sent, client.jobs) == ([], [])


def test_a_job_that_has_failed_is_sent_again(client, store) -> None:
    """It has left nothing."""
    client.errors.append(ConnectionError("reset by peer"))
    client.jobs += [{"reason": "backendError"}]
    store.upsert(rows_of("a", 1))
    assert (len(client.sent), client.jobs) == (1, [])


def test_a_job_of_which_nothing_is_known_is_told(client, store) -> None:
    """With its id, by which people find it."""
    client.errors += [GoogleError("never asked for"), ConnectionError("reset by peer")]
    client.jobs += [ConnectionError("refused")]
    message = r"job dbt_cloud_\w+ has written to acme\.dbt_cloud is not known: reset by peer"
    with pytest.raises(StorageError, match=message):
        store.upsert(rows_of("a", 1))
    assert len(client.errors) == 1


def test_what_does_not_pass_is_told_at_once(client, store) -> None:
    """With the dataset that it is about, in one line."""
    client.errors += [GoogleError("never asked for"), GoogleError("400 Syntax\nerror")]
    with pytest.raises(StorageError, match=r"dataset acme\.dbt_cloud cannot be used: 400 Syntax e"):
        store.upsert(rows_of("a", 1))
    assert len(client.errors) == 1


@pytest.mark.parametrize("is_told_by_the_driver", [False, True])
def test_a_certificate_that_nobody_trusts_is_told_at_once(
    client, store, is_told_by_the_driver
) -> None:
    """It is the same a moment later, also where the driver has tried it for a time."""
    error: Exception = requests.exceptions.SSLError("self-signed certificate")
    if is_told_by_the_driver:
        timeout = type("RetryError", (GoogleError,), {})("Timeout exceeded: self-signed")
        timeout.__cause__ = error
        error = timeout
    client.errors += [GoogleError("never asked for"), error]
    with pytest.raises(StorageError, match=r"acme\.dbt_cloud cannot be used: .*self-signed"):
        store.upsert(rows_of("a", 1))
    assert len(client.errors) == 1


def test_a_disk_that_is_full_is_no_matter_of_the_dataset(client) -> None:
    """The rows are read from files meanwhile."""
    with pytest.raises(OSError, match="No space left"), BigQuery(URL).connect():
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("error", [TimeoutError, futures.TimeoutError, requests.ReadTimeout])
def test_an_answer_that_does_not_come_is_waited_for_again(client, store, error) -> None:
    """Whichever part of the driver has waited for it."""
    client.errors.append(error())
    store.upsert(rows_of("a", 1))
    assert len(client.sent) == 1


@pytest.fixture
def place(bqemulator) -> databases.EmptySchema:
    """An empty dataset of the emulator."""
    return emulators.a_dataset(bqemulator)


@pytest.mark.slow
def test_a_dataset_that_is_missing_is_made(bqemulator) -> None:
    """Where the location says."""
    store = open_store(bqemulator, schema="not_there_yet", connection={"location": "EU"})
    store.check(TABLES.values(), VIEWS)
    store.upsert(databases.runs(1))
    assert store.read(RUN).columns["id"] == [1]
    assert store.relation(RUN) == "emulated.not_there_yet.dbt_cloud_run"


@pytest.mark.slow
def test_a_write_may_be_of_any_size(place) -> None:
    """Many long rows, and one that is longer than a request may be."""
    store = place.open(wait_limit=10)
    texts = dict.fromkeys(range(9), "ü" * 1000000) | {9: "x" * 12_000_000}
    rows = RUN.rows({"account_id": 1, "id": key, "href": text} for key, text in texts.items())
    store.upsert(rows, Rows(TRIGGER, TRIGGER.rows([{"account_id": 1, "id": 1}]).columns))
    assert store.look_up(RUN, "href", key="id", values=texts) == texts
    assert len(store.read(TRIGGER)) == 1
    tables = place.sql("SELECT table_name FROM {INFORMATION_SCHEMA}.TABLES")
    assert sorted(tables) == [("dbt_cloud_run",), ("dbt_cloud_trigger",)]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_write_whose_connection_is_lost_is_sent_again(place, when) -> None:
    """Whether or not it was committed."""

    def strike(_: Any) -> None:
        raise ConnectionError("lost")

    store = place.open(wait_limit=10)
    SqlStore(databases.Struck(store, when, strike)).upsert(databases.runs(1, 2))
    assert sorted(store.read(RUN).columns["id"]) == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("first", ["written", "failed", "never sent"])
def test_a_job_whose_answer_was_lost_is_found_by_its_name(place, monkeypatch, first) -> None:
    """It is sent again only where it has left nothing."""
    store = place.open(wait_limit=10)
    store.check([RUN])
    driver = pytest.importorskip("google.cloud.bigquery")
    query, sent = driver.Client.query, []

    def lose(client: Any, statement: str, **others: Any) -> Any:
        sent.append(statement)
        if len(sent) > 1:
            return query(client, statement, **others)
        if first != "never sent":
            query(client, statement if first == "written" else "SELECT ERROR('no')", **others)
        raise ConnectionError("lost")

    monkeypatch.setattr(driver.Client, "query", lose)
    store.upsert(databases.runs(1, 2))
    monkeypatch.undo()
    assert len(sent) == (1 if first == "written" else 2)
    assert sorted(store.read(RUN).columns["id"]) == [1, 2]


@pytest.mark.slow
def test_columns_are_of_types_that_sql_looks_into(place) -> None:
    """JSON by its fields."""
    store = place.open(wait_limit=10)
    store.upsert(RUN.rows([{"id": 1, "raw": {"job": {"id": 7}}}, {"id": 2, "job": None}]))
    found = place.sql("SELECT id, INT64(raw.job.id), job FROM {dbt_cloud_run} ORDER BY id")
    assert found == [(1, 7, None), (2, None, None)]
    with store._database.connect() as connection:
        table = connection.table(f"emulated.{place.schema}.dbt_cloud_run")
    types = {field.name: field.field_type for field in table.schema}
    assert (types["raw"], types["loaded_at"]) == ("JSON", "TIMESTAMP")


@pytest.mark.slow
def test_what_has_no_place_in_a_column_of_json_is_kept_as_text(place) -> None:
    """As what is nested deeper than BigQuery allows, which the emulator does not tell."""
    table = a_table("odd")
    store = place.open(wait_limit=10)
    store.check([table])
    with store._database.connect() as connection:
        chunk = json.dumps([{"key": 1, "raw": "{broken"}, {"key": 2, "raw": "[1]"}, {"key": 3}])
        connection.write(store._database._merge(table), [chunk], [(1,), (2,), (3,)])
        connection.execute("COMMIT")
    kept = store.read(table).columns
    assert dict(zip(kept["key"], kept["raw"], strict=True)) == {1: '"{broken"', 2: "[1]", 3: None}
