"""The tables' IO manager: what a materialization writes, and which rows an asset gets."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap

from dbt_trigger_dagster import DbtCloudTableIOManager, StorageError
from dbt_trigger_dagster.assets.io_manager import (
    ALL_ROWS,
    LATEST_ROWS,
    ROWS_IF_ANY,
    ROWS_KEY,
    TABLE_KEY,
)
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, TABLES, TRIGGER, run_rows
from dbt_trigger_dagster_tests.clocks import HANGS_AFTER
from dbt_trigger_dagster_tests.graphs import (
    GOOD,
    Place,
    a_project,
    materialize_again_and_again,
)
from dbt_trigger_dagster_tests.instances import an_instance
from dbt_trigger_dagster_tests.processes import fork_server


def rows_of(*run_ids: int, table: Table = RUN, **payload: Any) -> pd.DataFrame:
    """Rows of runs, before the IO manager has completed them."""
    runs = [Run.from_payload({"id": run_id, "status": 10, **payload}) for run_id in run_ids]
    return run_rows(table, runs).frame()


def an_asset(
    name: str, rows: Callable[[], pd.DataFrame], *, table: str | None = RUN.name, **arguments: Any
) -> dg.AssetsDefinition:
    """An asset that writes rows to a table."""
    metadata = {} if table is None else {TABLE_KEY: table}

    @dg.asset(name=name, metadata=metadata, io_manager_key="tables", **arguments)
    def source() -> Any:
        """Writes rows."""
        return rows()

    return source


def a_reader(
    of: str, got: list[Any], rows: str | None = None, name: str = "reader"
) -> dg.AssetsDefinition:
    """An asset that notes the ids of the rows that it gets."""
    metadata = {} if rows is None else {ROWS_KEY: rows}

    @dg.asset(
        name=name,
        ins={"frame": dg.AssetIn(key=of.split("/"), metadata=metadata)},
        io_manager_key="nowhere",
    )
    def reader(frame: Any) -> None:
        """Reads rows."""
        got.append(frame["id"].tolist())

    return reader


class Nowhere(dg.IOManager):
    """Keeps nothing."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Keep nothing."""

    def load_input(self, context: dg.InputContext) -> None:
        """Give nothing."""


class Tables:
    """An IO manager on a database of its own, and a Dagster instance that remembers."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.database = folder / "cloud.duckdb"
        self.manager = DbtCloudTableIOManager(database=str(self.database))
        self.instance = instance

    def run(
        self, assets: Sequence[dg.AssetsDefinition], *selection: str, raises: bool = True
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets, or those that are selected."""
        return dg.materialize(
            assets,
            selection=selection or None,
            resources={"tables": self.manager, "nowhere": Nowhere()},
            instance=self.instance,
            raise_on_error=raises,
        )

    def query(self, statement: str) -> list[Any]:
        """What the database says, without any of our code."""
        with duckdb.connect(self.database, read_only=True) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def tables(tmp_path: Path) -> Any:
    """An IO manager of its own."""
    with an_instance() as instance:
        yield Tables(tmp_path, instance)


def error_of(result: dg.ExecuteInProcessResult, node: str) -> str:
    """What a step that failed while it loaded its input said, with the causes."""
    kept = result.failure_data_for_node(node)
    assert kept is not None
    assert kept.error is not None
    return kept.error.to_string()


# Writing


def test_a_materialization_adds_its_rows_and_changes_no_other(tables: Tables) -> None:
    """A row with the same primary key is replaced; all others stay as they were."""
    tables.run([an_asset("runs", lambda: rows_of(1, 2))])
    before = tables.query("FROM dbt_cloud_run WHERE id = 1")
    result = tables.run([an_asset("runs", lambda: rows_of(2, 3, status_humanized="Anew"))])
    assert tables.query("SELECT id, status_humanized FROM dbt_cloud_run ORDER BY id") == [
        (1, None),
        (2, "Anew"),
        (3, "Anew"),
    ]
    assert tables.query("FROM dbt_cloud_run WHERE id = 1") == before
    written_by = tables.query("SELECT id, dagster_run_id FROM dbt_cloud_run")
    assert sorted(row[0] for row in written_by if row[1] == result.run_id) == [2, 3]


def test_every_row_says_who_wrote_it_and_when(tables: Tables) -> None:
    """The asset, the Dagster run and the moment, beside the whole payload."""
    result = tables.run([an_asset("runs", lambda: rows_of(1), key_prefix="nightly")])
    ((asset_key, run_id, recent, raw),) = tables.query(
        "SELECT asset_key, dagster_run_id, now() - loaded_at < INTERVAL 5 MINUTE, raw "
        "FROM dbt_cloud_run"
    )
    assert (asset_key, run_id, recent) == ("nightly/runs", result.run_id, True)
    assert json.loads(raw) == {"id": 1, "status": 10}


def test_no_rows_make_an_empty_table_of_the_declared_types(tables: Tables) -> None:
    """So that a query on it works before the first run has artifacts."""
    result = tables.run([an_asset("files", lambda: ARTIFACT.frame([]), table=ARTIFACT.name)])
    assert result.success
    names = [row[0] for row in tables.query("DESCRIBE dbt_cloud_artifact")]
    assert names == [column.name for column in ARTIFACT.columns]
    assert tables.query("FROM dbt_cloud_artifact") == []


def files_of(*paths: str | None) -> pd.DataFrame:
    """Rows of artifacts, likewise."""
    return ARTIFACT.frame([{"run_id": 1, "step": 0, "path": path} for path in paths])


def preview_of(result: dg.ExecuteInProcessResult, name: str) -> list[Any]:
    """The rows that Dagster shows of what an asset has written."""
    (event,) = result.asset_materializations_for_node(name)
    preview = event.metadata["preview"]
    assert isinstance(preview, dg.TableMetadataValue)
    return [record.data for record in preview.records]


def test_the_materialization_tells_rows_and_relation(tables: Tables) -> None:
    """What Dagster shows at the asset, beside the columns of its definition."""
    files = an_asset("files", lambda: files_of(*"abcdefgh"), table=ARTIFACT.name)
    result = tables.run([files])
    (event,) = result.asset_materializations_for_node("files")
    assert event.metadata["dagster/row_count"].value == 8
    relation = event.metadata["dagster/relation_identifier"].value
    assert relation == "cloud.main.dbt_cloud_artifact"
    assert [row["path"] for row in preview_of(result, "files")] == ["a", "b", "c"]


def test_a_preview_holds_short_text_and_nulls_alone(tables: Tables) -> None:
    """A NaN is no JSON, so the UI could not read the event; and nothing in it is rendered."""
    files = an_asset("files", lambda: files_of(None, "x" * 1000), table=ARTIFACT.name)
    null, long = json.loads(json.dumps(preview_of(tables.run([files]), "files"), allow_nan=False))
    assert null == {"step": "0", "path": None, "size_bytes": None}
    assert len(long["path"]) == 300


def test_the_tables_can_be_kept_in_a_schema(tmp_path: Path) -> None:
    """It is made when missing, and nothing goes into another."""
    database = tmp_path / "warehouse.duckdb"
    manager = DbtCloudTableIOManager(database=str(database), schema="cloud")
    result = dg.materialize([an_asset("runs", lambda: rows_of(1))], resources={"tables": manager})
    (event,) = result.asset_materializations_for_node("runs")
    assert event.metadata["dagster/relation_identifier"].value == "warehouse.cloud.dbt_cloud_run"
    with duckdb.connect(database, read_only=True) as connection:
        found = connection.execute("SELECT table_schema, table_name FROM information_schema.tables")
        kept = found.fetchall()
    assert {schema for schema, _ in kept} == {"cloud"}
    assert {name for _, name in kept} >= set(TABLES)


def test_views_like_other_packages_tables_are_made_where_they_are_wanted(tmp_path: Path) -> None:
    """Before the first rows; in a schema of their own, named after the tables' and the package."""
    database = tmp_path / "warehouse.duckdb"
    manager = DbtCloudTableIOManager(
        database=str(database), schema="cloud", compatible_views=["elementary"]
    )
    dg.materialize([an_asset("runs", lambda: rows_of(1))], resources={"tables": manager})
    with duckdb.connect(database, read_only=True) as connection:
        found = connection.execute(
            "SELECT table_name FROM information_schema.tables "
            "WHERE table_schema = 'cloud_elementary' ORDER BY table_name"
        ).fetchall()
    assert [name for (name,) in found] == [
        "dbt_invocations",
        "dbt_run_results",
        "dbt_source_freshness_results",
    ]


def test_a_package_whose_tables_are_not_known_is_refused_by_name() -> None:
    """With those that are."""
    with pytest.raises(ValueError, match="'re_data' is none of dbt_artifacts, elementary"):
        DbtCloudTableIOManager(database="x.duckdb", compatible_views=["re_data"])


def test_database_and_schema_arrive_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read when a run begins."""
    manager = DbtCloudTableIOManager(
        database=dg.EnvVar("TEST_DATABASE"), schema=dg.EnvVar("TEST_SCHEMA")
    )
    monkeypatch.setenv("TEST_DATABASE", f"duckdb:///{tmp_path}/by/name.duckdb")
    monkeypatch.setenv("TEST_SCHEMA", "cloud")
    dg.materialize([an_asset("runs", lambda: rows_of(1))], resources={"tables": manager})
    with duckdb.connect(tmp_path / "by" / "name.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM cloud.dbt_cloud_run").fetchall() == [(1,)]


@pytest.mark.parametrize("field", DbtCloudTableIOManager.model_fields.values())
def test_every_field_is_described(field: Any) -> None:
    """The UI shows the descriptions."""
    assert field.description


@pytest.mark.parametrize("database", ["mysql://host/db", "oracle://host/db"])
def test_a_database_of_another_kind_is_refused_by_name(database: str) -> None:
    """It must not become a DuckDB file of a strange name."""
    context = dg.build_init_resource_context()
    with pytest.raises(StorageError, match="not supported: give the path of a DuckDB file"):
        DbtCloudTableIOManager(database=database).setup_for_execution(context)


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://u:sesame@127.0.0.1:1/db",
        "postgresql://u:sesame@[half/db",
        "mysql://u:sesame@host/db",
        "x.duckdb",
    ],
)
@pytest.mark.parametrize("given", [dg.EnvVar, os.environ.__getitem__], ids=["variable", "value"])
def test_no_password_is_told_whatever_goes_wrong(
    database: str,
    given: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    """Not in a repr, the code location's snapshot, an event, an error or a log."""
    monkeypatch.setenv("TEST_DATABASE", database)
    monkeypatch.setenv("TEST_PASSWORD", "sesame")
    tables = DbtCloudTableIOManager(
        database=given("TEST_DATABASE"),
        password=given("TEST_PASSWORD"),
        connection={"sslpassword": given("TEST_PASSWORD")},
    )
    assets = [an_asset("runs", lambda: rows_of(1))]
    resources = {"tables": tables}
    repository = dg.Definitions(assets, resources=resources).get_repository_def()
    with an_instance() as instance:
        with pytest.raises(dg.DagsterResourceFunctionError) as caught:
            dg.materialize(assets, resources=resources, instance=instance)
        error = caught.value.user_exception
        assert isinstance(error, StorageError)
        (run,) = instance.get_runs()
        events = [dg.serialize_value(event) for event in instance.all_logs(run.run_id)]
    assert any(type(error).__name__ in event for event in events)
    told = [repr(tables), dg.serialize_value(RepositorySnap.from_def(repository)), *events]
    assert "sesame" not in "".join([*told, *capfd.readouterr()])


@pytest.mark.parametrize("table", [None, "orders", 7])
def test_an_asset_without_a_table_is_refused_when_it_is_written(tables: Tables, table: Any) -> None:
    """The error names the asset and the tables that there are; nothing is written."""
    result = tables.run([an_asset("orders", lambda: rows_of(1), table=table)], raises=False)
    error = error_of(result, "orders")
    assert "The asset orders has no table" in error
    assert '"dbt_trigger_dagster/table", one of dbt_cloud_trigger, dbt_cloud_run' in error
    assert tables.query("FROM dbt_cloud_run") == []


def test_an_asset_that_writes_two_tables_writes_both_or_none(tables: Tables) -> None:
    """Rows of several tables are one write, and the asset's own table is what Dagster shows."""
    both = [run_rows(RUN, [Run.from_payload({"id": 1})]), ARTIFACT.rows([{"run_id": 1}])]
    result = tables.run([an_asset("runs", lambda: both)])
    (event,) = result.asset_materializations_for_node("runs")
    assert event.metadata["dagster/row_count"].value == 1
    assert event.metadata["dagster/relation_identifier"].value == "cloud.main.dbt_cloud_run"
    assert tables.query("SELECT asset_key, run_id FROM dbt_cloud_artifact") == [("runs", 1)]
    spoiled = Rows(ARTIFACT, {**ARTIFACT.rows([{}]).columns, "size_bytes": ["many"]})
    rows = [run_rows(RUN, [Run.from_payload({"id": 2})]), spoiled]
    assert not tables.run([an_asset("runs", lambda: rows)], raises=False).success
    assert tables.query("SELECT id FROM dbt_cloud_run") == [(1,)]


def test_a_data_frame_without_some_columns_is_refused_by_their_names(tables: Tables) -> None:
    """An asset of a user's own may hand over what it likes."""
    frame = rows_of(1).drop(columns=["status", "href"])
    error = error_of(tables.run([an_asset("runs", lambda: frame)], raises=False), "runs")
    assert "The DataFrame for dbt_cloud_run has no column status, href" in error


def test_a_value_that_its_column_cannot_hold_is_refused_by_the_columns_name(
    tables: Tables,
) -> None:
    """And nothing is written."""
    frame = rows_of(1).assign(status=["ten"])
    error = error_of(tables.run([an_asset("runs", lambda: frame)], raises=False), "runs")
    assert "The column status of the DataFrame cannot be read as 64-bit integer" in error


# Reading


def test_an_asset_gets_the_rows_of_its_own_run(tables: Tables) -> None:
    """Not those of runs before."""
    got: list[Any] = []
    tables.run([an_asset("runs", lambda: rows_of(1))])
    tables.run([an_asset("runs", lambda: rows_of(2, 3)), a_reader("runs", got)])
    assert [sorted(ids) for ids in got] == [[2, 3]]


def test_a_run_that_overlaps_another_keeps_to_its_own_rows(tables: Tables) -> None:
    """Although the other one has materialized the same asset in the meantime."""
    got: list[Any] = []

    @dg.asset(deps=["runs"], io_manager_key="nowhere")
    def meanwhile() -> None:
        """Another run comes and goes."""
        tables.run([an_asset("runs", lambda: rows_of(2))])

    @dg.asset(deps=["meanwhile"], io_manager_key="nowhere")
    def reader(runs: Any) -> None:
        """Reads rows."""
        got.append(runs["id"].tolist())

    tables.run([an_asset("runs", lambda: rows_of(1)), meanwhile, reader])
    assert got == [[1]]


def test_only_an_input_that_is_annotated_with_rows_gets_rows(tables: Tables) -> None:
    """Everybody else gets a DataFrame, whatever the annotation or with none."""
    got: list[type] = []

    @dg.asset(io_manager_key="nowhere")
    def ours(runs: Rows) -> None:
        """Reads rows."""
        got.append(type(runs))

    @dg.asset(io_manager_key="nowhere")
    def theirs(runs: pd.DataFrame) -> None:
        """Reads rows."""
        got.append(type(runs))

    @dg.asset(io_manager_key="nowhere")
    def anybodys(runs) -> None:  # type: ignore[no-untyped-def]  # that is the point
        """Reads rows."""
        got.append(type(runs))

    source = an_asset("runs", lambda: rows_of(1))
    tables.run([source])
    for reader in (ours, theirs, anybodys):
        tables.run([source, reader], reader.key.to_user_string())
    assert got == [Rows, pd.DataFrame, pd.DataFrame]


def test_an_asset_that_runs_alone_gets_the_latest_materialization(tables: Tables) -> None:
    """Where this run wrote none."""
    got: list[Any] = []
    for run_id in (1, 3, 2):
        tables.run([an_asset("runs", lambda run_id=run_id: rows_of(run_id))])
    tables.run([an_asset("runs", lambda: rows_of(9)), a_reader("runs", got)], "reader")
    assert got == [[2]]


def test_a_materialization_that_somebody_reports_has_no_rows_of_its_own(tables: Tables) -> None:
    """Those of the latest one that brought some count."""
    got: list[Any] = []
    tables.run([an_asset("runs", lambda: rows_of(1))])
    tables.instance.report_runless_asset_event(dg.AssetMaterialization("runs"))
    tables.run([an_asset("runs", lambda: rows_of(9)), a_reader("runs", got)], "reader")
    assert got == [[1]]


def test_an_asset_can_ask_for_the_whole_table(tables: Tables) -> None:
    """With the input metadata "rows": "all", also where this run wrote some."""
    got: list[Any] = []
    tables.run([an_asset("runs", lambda: rows_of(1))])
    tables.run([an_asset("runs", lambda: rows_of(2)), a_reader("runs", got, ALL_ROWS)])
    assert [sorted(ids) for ids in got] == [[1, 2]]


def test_what_is_read_has_the_declared_types(tables: Tables) -> None:
    """Every column, the empty ones too, so that code downstream meets no surprise."""
    frames: list[pd.DataFrame] = []

    @dg.asset(io_manager_key="nowhere")
    def reader(runs: Any) -> None:
        """Reads rows."""
        frames.append(runs)

    moment = "2026-01-02T03:04:05.678901Z"
    tables.run([an_asset("runs", lambda: rows_of(2**53 + 1, created_at=moment)), reader])
    (frame,) = frames
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == RUN.dtypes
    assert frame["id"].item() == 2**53 + 1
    assert frame["created_at"].item() == pd.Timestamp(moment)


@pytest.mark.parametrize("rows", [None, LATEST_ROWS])
def test_an_asset_with_no_rows_yet_is_an_error_that_says_what_to_do(
    tables: Tables, rows: str | None
) -> None:
    """It names the asset and the table."""
    assets = [an_asset("runs", lambda: rows_of(1)), a_reader("runs", [], rows)]
    error = error_of(tables.run(assets, "reader", raises=False), "reader")
    assert "runs has no rows in cloud.main.dbt_cloud_run yet: materialize it first." in error


def test_no_rows_can_be_wanted(tables: Tables) -> None:
    """For an asset that can do without."""
    got: list[Any] = []
    assets = [an_asset("runs", lambda: rows_of(1)), a_reader("runs", got, ROWS_IF_ANY)]
    tables.run(assets, "reader")
    tables.run(assets)
    tables.run(assets, "reader")
    assert got == [[], [1], [1]]


def test_an_unknown_choice_of_rows_is_refused_with_the_known_ones(tables: Tables) -> None:
    """A typing error must not silently give the latest rows."""
    assets = [an_asset("runs", lambda: rows_of(1)), a_reader("runs", [], "newest")]
    error = error_of(tables.run(assets, raises=False), "reader")
    assert '\'newest\'; it can be "latest", "all" or "latest_if_any".' in error


def test_an_asset_without_a_table_is_refused_when_it_is_read(tables: Tables) -> None:
    """The error names the asset that was to be read."""
    assets = [an_asset("orders", lambda: rows_of(1), table=None), a_reader("orders", [])]
    error = error_of(tables.run(assets, "reader", raises=False), "reader")
    assert "The asset orders has no table" in error


def test_two_assets_of_one_table_in_one_run_are_kept_apart(tables: Tables) -> None:
    """All jobs share the tables; each asset's reader gets that asset's rows."""
    nightly: list[Any] = []
    hourly: list[Any] = []
    graph = [
        an_asset("runs", lambda: rows_of(1), key_prefix="nightly"),
        an_asset("runs", lambda: rows_of(2), key_prefix="hourly"),
        a_reader("nightly/runs", nightly, name="of_nightly"),
        a_reader("hourly/runs", hourly, name="of_hourly"),
    ]
    tables.run(graph)
    tables.run(graph, "of_nightly", "of_hourly")
    assert (nightly, hourly) == ([[1], [1]], [[2], [2]])


def test_trigger_and_run_rows_do_not_meet(tables: Tables) -> None:
    """The same run stands in two tables, with two assets."""
    tables.run(
        [
            an_asset("trigger", lambda: rows_of(1, table=TRIGGER), table=TRIGGER.name),
            an_asset("runs", lambda: rows_of(1)),
        ]
    )
    assert tables.query("SELECT asset_key FROM dbt_cloud_trigger") == [("trigger",)]
    assert tables.query("SELECT asset_key FROM dbt_cloud_run") == [("runs",)]


# Several processes


def test_two_processes_that_materialize_at_once_both_succeed(tmp_path: Path) -> None:
    """DuckDB lets one process in at a time; each waits for its turn, and no row is lost."""
    with a_project(tmp_path, GOOD) as project:
        with ProcessPoolExecutor(2, mp_context=fork_server()) as processes:
            outcomes = [
                processes.submit(materialize_again_and_again, project.environment(), 2)
                for _ in range(2)
            ]
            assert [outcome.result(timeout=HANGS_AFTER) for outcome in outcomes] == [[True] * 2] * 2
        expected = sorted(run["id"] for run in project.dbt_runs())
        assert len(expected) == 4
        place = Place(project.folder)
        assert place.run_ids() == place.run_ids("dbt_cloud_trigger") == expected
        assert len(place.rows("dbt_cloud_artifact")) == 8


def test_the_runs_that_a_table_holds_are_told_with_their_assets(tables: Tables) -> None:
    """Without a look at any other column."""
    assert tables.manager.rows_of_runs(RUN, []) == {}
    assert tables.manager.rows_of_runs(RUN, [1]) == {}
    tables.run([an_asset("one", lambda: rows_of(1, 2)), an_asset("two", lambda: rows_of(3))])
    assert tables.manager.rows_of_runs(RUN, {2, 3, 4}) == {2: "one", 3: "two"}
    assert tables.manager.rows_of_runs(TRIGGER, {2, 3, 4}) == {}


def test_outside_a_run_nothing_is_made(tmp_path: Path) -> None:
    """A sensor that uses the tables triggers nothing, so it need not wait for their writers."""
    manager = DbtCloudTableIOManager(database=str(tmp_path / "data" / "cloud.duckdb"))
    manager.setup_for_execution(dg.build_init_resource_context())
    assert list(tmp_path.iterdir()) == []
