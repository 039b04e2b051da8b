"""Lands one run's node results, and prints the memory above idle and the CPU time that it took.

``python -m benchmarks.land_nodes HOW FOLDER [RUNS]``; the files are those of each run. HOW is
``duckdb`` or ``sqlite``: the whole landing of files that are stored, into such a database;
``read``: without writing and telling; ``bare``: the rows that ``sqlite`` has written, copied by the
two drivers alone into DuckDB, in one transaction; ``load``: json.load alone. Idle is the memory
when everything is imported and the database has been used.
"""

import json
import logging
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import dagster as dg
import duckdb

from benchmarks.download_one import memory
from dbt_trigger_dagster.artifacts.node_results import NodeResults, collect_node_results
from dbt_trigger_dagster.artifacts.node_rows import node_rows
from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.metadata import batch_metadata
from dbt_trigger_dagster.assets.outcome import Outcome
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.assets.run_report import store_report
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.columns import ROWS_AT_ONCE
from dbt_trigger_dagster.storage.database import quote
from dbt_trigger_dagster.storage.duckdb import DuckDB
from dbt_trigger_dagster.storage.node_tables import NODE, NODE_RESULT
from dbt_trigger_dagster.storage.tables import TABLES
from dbt_trigger_dagster.storage.views import VIEWS

_RUN = {
    "account_id": 1,
    "job_definition_id": 3,
    "status": 10,
    "run_steps": [{"index": 4, "name": "Invoke dbt with `dbt build`", "status": 10, "logs": ""}],
}
_FIRST_ID = 7


class _Files:
    """The files of a folder as those of a run."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def open(self, step: int, path: str) -> BinaryIO | None:
        file = self._place / path
        return file.open("rb") if step == 0 and file.exists() else None

    def uri(self, step: int, path: str) -> str | None:
        return str(self._place / path) if step == 0 else None


def main(how: str, place: Path, count: int) -> None:
    """Do it, and print."""
    kind = "duckdb" if how == "bare" else how
    tables = DbtCloudTableIOManager(database=f"{kind}:///{place}/{how}.db")
    if kind in {"duckdb", "sqlite"}:
        tables.store().check(TABLES.values(), VIEWS)
    idle, began = memory("VmRSS"), time.process_time()
    runs = [Run.from_payload({**_RUN, "id": _FIRST_ID + number}) for number in range(count)]
    kept = _WAYS[how](place, tables, runs)
    seconds, peak = time.process_time() - began, memory("VmHWM")
    sys.stdout.write(
        json.dumps({"bytes": peak - idle, "cpu": seconds, "kept": sys.getrefcount(kept)})
    )


def _load(place: Path, _: DbtCloudTableIOManager, __: Sequence[Run]) -> Any:
    return [
        json.loads((place / f"{name}.json").read_bytes()) for name in ("manifest", "run_results")
    ]


def _read(place: Path, _: DbtCloudTableIOManager, runs: Sequence[Run]) -> list[NodeResults]:
    read = [collect_node_results(run, _Files(place)) for run in runs]
    for found in read:
        if found.warnings or len(found.results) != len(found.nodes):
            raise RuntimeError(f"The files were not read: {found.warnings}")
    return read


def _land(place: Path, tables: DbtCloudTableIOManager, runs: Sequence[Run]) -> Any:
    """What a step does when the files are there, without Dagster's own part."""
    read, past = _read(place, tables, runs), tables.store()
    outcomes = [Outcome.of(run, found, past) for run, found in zip(runs, read, strict=True)]
    artifacts = DbtCloudArtifactStore(root=str(place / "artifacts"))
    for outcome in outcomes:
        store_report(outcome, [], artifacts, logging.getLogger(), past)
    metadata = batch_metadata(outcomes)
    rows = node_rows(read)
    tables.store_rows(dg.AssetKey("node_results"), "a run", rows, table=NODE_RESULT)
    return read, outcomes, metadata


def _bare(place: Path, _: DbtCloudTableIOManager, __: Sequence[Run]) -> Any:
    """What DuckDB takes for these rows, whoever writes them."""
    with (
        sqlite3.connect(place / "sqlite.db") as source,
        duckdb.connect(place / "bare.db") as target,
    ):
        target.execute("BEGIN")
        for table in (NODE, NODE_RESULT):
            names = ", ".join(quote(column.name) for column in table.columns)
            lists = ", ".join(f"unnest(?::{DuckDB.types[each.kind]}[])" for each in table.columns)
            rows = source.execute(f"SELECT {names} FROM {table.name}")  # noqa: S608  # names are ours
            while some := rows.fetchmany(ROWS_AT_ONCE):
                target.execute(
                    f"INSERT INTO {table.name} ({names}) SELECT {lists}",
                    [list(column) for column in zip(*some, strict=True)],
                )
        target.execute("COMMIT")
    return None


_WAYS: Mapping[str, Callable[[Path, DbtCloudTableIOManager, Sequence[Run]], Any]] = {
    "load": _load,
    "read": _read,
    "duckdb": _land,
    "sqlite": _land,
    "bare": _bare,
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else 1)
