"""Databases that older versions made, kept as they left them: nothing is lost, nothing doubles."""

import gzip
import json
from pathlib import Path

import duckdb
import pytest

from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, TABLES, TRIGGER
from dbt_trigger_dagster.storage.views import VIEWS
from dbt_trigger_dagster_tests.storage import make_databases

DATABASES = Path(__file__).parent / "databases"


@pytest.fixture(params=sorted(DATABASES.glob("version_0.1.0*.gz")), ids=lambda file: file.name)
def path(request, tmp_path) -> Path:
    """A copy of a database that version 0.1.0 made: three runs with two artifacts each."""
    copy = tmp_path / "cloud.duckdb"
    copy.write_bytes(gzip.decompress(request.param.read_bytes()))
    return copy


def _dump(path: Path, table: str) -> list[dict[str, object]]:
    with duckdb.connect(path) as connection:
        found = connection.execute(f"FROM {table} ORDER BY ALL")  # names are ours
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_an_old_database_is_upgraded_with_nothing_lost(path) -> None:
    """Every value that stood there stands there; what is new is filled where it is known."""
    before = {name: _dump(path, name) for name in ("dbt_cloud_run", "dbt_cloud_artifact")}
    open_store(str(path)).check(TABLES.values(), VIEWS)
    for name, rows in before.items():
        after = _dump(path, name)
        assert [{key: row[key] for key in rows[0]} for row in after] == rows
        assert {row["account_id"] for row in after} == {101}
        assert set(after[0]) == {column.name for column in TABLES[name].columns}


def test_what_newer_versions_have_is_there_after_the_upgrade(path) -> None:
    """Tables and views that version 0.1.0 did not know."""
    open_store(str(path)).check(TABLES.values(), VIEWS)
    for name in (*TABLES, *(view.name for view in VIEWS)):
        _dump(path, name)
    (overview, *_) = _dump(path, "dbt_cloud_run_overview")
    assert overview["run_id"] in {row["id"] for row in _dump(path, "dbt_cloud_run")}


def test_what_an_older_duckdb_wrote_is_read_and_written_on(tmp_path) -> None:
    """Values of all kinds in all tables, by DuckDB 1.2."""
    path = tmp_path / "cloud.duckdb"
    path.write_bytes(gzip.decompress((DATABASES / "all_tables_duckdb_1.2.duckdb.gz").read_bytes()))
    before = {table.name: _dump(path, table.name) for table in TABLES.values()}
    store = open_store(str(path))
    store.check(TABLES.values(), VIEWS)
    for table in TABLES.values():
        found, made = (
            store.read(table).distinct(),
            table.rows(make_databases.rows(table)).distinct(),
        )
        names = before[table.name][0]
        assert {name: found.columns[name] for name in names} == {
            name: made.columns[name] for name in names
        }
        assert len(found) == 3
    store.upsert(
        *(table.rows([{**make_databases.rows(table)[1], "raw": {}}]) for table in TABLES.values())
    )
    assert {len(store.read(table)) for table in TABLES.values()} == {3}


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "written at once"])
def test_rows_that_are_landed_again_replace_the_old_ones(path, checked) -> None:
    """An artifact's key has an account now, which its old row did not have."""
    store = open_store(str(path))
    if checked:
        store.check(TABLES.values())
    old = store.read(ARTIFACT)
    assert len(old) == 6
    store.upsert(old.filled(account_id=101, content_type="new"))
    assert store.read(ARTIFACT).columns["content_type"] == ["new"] * 6


def test_an_old_database_is_read_before_anything_is_written(path) -> None:
    """The monitor looks first; what an old table lacks is null."""
    store = open_store(str(path))
    rows = store.read(RUN)
    assert rows.columns["job_name"] == [None] * 3
    (first, *_) = rows
    assert json.loads(first["raw"])["id"] == first["id"]
    run_ids = rows.columns["id"]
    found = store.look_up(TRIGGER, "asset_key", key="id", values=run_ids, account_id=101)
    assert found == dict.fromkeys(run_ids, "trigger_response")
    assert store.look_up(ARTIFACT, "uri", key="run_id", values=run_ids, account_id=101) == {}
