"""Lands one run's node results, and prints the memory above idle and the CPU time that it took.

``python -m benchmarks.land_nodes HOW FOLDER``; HOW is ``land``, ``read`` (without writing), or
``load``: json.load alone. Idle is the memory when everything is imported and DuckDB has been used.
"""

import json
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.download_one import memory
from dbt_trigger_dagster.artifacts.node_results import NodeResults, collect_node_results
from dbt_trigger_dagster.artifacts.node_rows import node_rows
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.node_tables import NODE
from dbt_trigger_dagster.storage.project_nodes import with_gone
from dbt_trigger_dagster.storage.store import Store, open_store
from dbt_trigger_dagster.storage.tables import TABLES
from dbt_trigger_dagster.storage.views import VIEWS

_RUN: dict[str, Any] = {
    "id": 7,
    "account_id": 1,
    "job_definition_id": 3,
    "status": 10,
    "run_steps": [{"index": 4, "name": "Invoke dbt with `dbt build`", "status": 10, "logs": ""}],
}


class _Files:
    """The files of a folder as those of a run."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def open(self, step: int, path: str) -> BinaryIO | None:
        file = self._place / path
        return file.open("rb") if step == 0 and file.exists() else None

    def uri(self, step: int, path: str) -> str | None:
        return str(self._place / path) if step == 0 else None


def main(how: str, place: Path) -> None:
    """Do it, and print."""
    store = open_store(str(place / f"{how}.duckdb"))
    store.check(TABLES.values(), VIEWS)
    idle, began = memory("VmRSS"), time.process_time()
    if how == "load":
        kept = [
            json.loads((place / name).read_bytes())
            for name in ("manifest.json", "run_results.json")
        ]
    else:
        kept = [_read(place)]
        if how == "land":
            _write(store, kept[0])
    seconds, peak = time.process_time() - began, memory("VmHWM")
    sys.stdout.write(json.dumps({"bytes": peak - idle, "cpu": seconds, "kept": len(kept)}))


def _read(place: Path) -> NodeResults:
    found = collect_node_results(Run.from_payload(_RUN), _Files(place))
    if found.warnings or len(found.results) != len(found.nodes):
        raise RuntimeError(f"The files were not read: {found.warnings}")
    return found


def _write(store: Store, found: NodeResults) -> None:
    now = datetime.now(timezone.utc)
    rows = [
        with_gone(store, each, now) if each.table is NODE else each for each in node_rows([found])
    ]
    store.upsert(*(each.filled(loaded_at=now) for each in rows))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
