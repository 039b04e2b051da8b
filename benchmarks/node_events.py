"""A project of 2,000 models with 4,000 tests: its assets loaded, its events made and stored.

Load and build are counted in this process's own CPU seconds, so that a busy machine changes little.
The events of the models are stored by an op in Dagster's own SQLite storage, each with its own
transactions; most of that is Dagster's.
"""

import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import dagster as dg

from benchmarks.report import Result, not_measured
from dbt_trigger_dagster import build_dbt_cloud_model_assets
from dbt_trigger_dagster.artifacts.node_results import collect_node_results
from dbt_trigger_dagster.assets.node_events import NodeEvent, node_events
from dbt_trigger_dagster.dbt_cloud.models import Run

_MODELS = 2000
_TESTS_EACH = 2
_SQL = "select a.id, b.amount from a join b using (id) -- as long as people write it\n" * 50
_MOST_LOADING_SECONDS = 4.0
_RUN: dict[str, Any] = {
    "id": 7,
    "account_id": 1,
    "job_definition_id": 3,
    "status": 10,
    "href": "https://cloud.example.com/runs/7",
    "run_steps": [{"index": 4, "name": "Invoke dbt with `dbt build`", "status": 10, "logs": ""}],
}


def measure() -> list[Result]:
    """Write the project's artifacts, and use them in each way."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        size = _write(place)
        return [_loading(place, size), *_events(place)]


def _cpu_seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def _loading(place: Path, size: int) -> Result:
    def load() -> None:
        assets = build_dbt_cloud_model_assets(manifest=place)
        dg.Definitions(assets=assets).get_repository_def()

    seconds = min(_cpu_seconds(load) for _ in range(3))
    return Result(
        f"{_MODELS:,} models, {_MODELS * _TESTS_EACH:,} tests loaded as assets and checks",
        f"{seconds:.1f} CPU s, of a manifest of {size / 1e6:.0f} MB",
        f"<= {_MOST_LOADING_SECONDS:g} s",
        seconds <= _MOST_LOADING_SECONDS,
    )


def _events(place: Path) -> list[Result]:
    run = Run.from_payload(_RUN)
    found = collect_node_results(run, _Files(place))
    made: list[NodeEvent] = []
    built = min(_cpu_seconds(lambda: made.extend(node_events(run, found))) for _ in range(3))
    materializations = [each for each in made if isinstance(each, dg.AssetMaterialization)]
    stored = _storing(materializations[:_MODELS])
    return [
        Result(f"events of {len(found.results):,} nodes made", f"{built:.2f} CPU s"),
        _theirs(place),
        Result(
            f"events of {_MODELS:,} models stored in SQLite by an op",
            f"{stored[0]:.0f} s, {stored[1]:.0f} CPU s",
        ),
    ]


def _storing(events: Sequence[NodeEvent]) -> tuple[float, float]:
    """Seconds, and CPU seconds, above an op that has none."""

    def run(some: Sequence[NodeEvent]) -> tuple[float, float]:
        @dg.op
        def report() -> Iterator[Any]:
            yield from some
            yield dg.Output(None)

        @dg.job(executor_def=dg.in_process_executor, logger_defs={"quiet": _quiet})
        def reporting() -> None:
            report()

        with (
            tempfile.TemporaryDirectory() as folder,
            dg.DagsterInstance.local_temp(folder) as instance,
        ):
            clocks = time.perf_counter(), time.process_time()
            reporting.execute_in_process(
                instance=instance, run_config={"loggers": {"quiet": {"config": {}}}}
            )
            return time.perf_counter() - clocks[0], time.process_time() - clocks[1]

    base, all_of_them = run([]), run(events)
    return all_of_them[0] - base[0], all_of_them[1] - base[1]


@dg.logger
def _quiet(_context: dg.InitLoggerContext) -> logging.Logger:
    """Nobody reads it here."""
    log = logging.getLogger("benchmarks.quiet")
    log.setLevel(logging.CRITICAL)
    return log


def _theirs(place: Path) -> Result:
    what = "  by dagster-dbt's builder, of the same files"
    try:
        from dagster_dbt.cloud_v2.run_handler import (  # noqa: PLC0415  # it takes seconds, and may be missing
            DbtCloudJobRunResults,
        )
    except ImportError:
        return not_measured(what, "", "dagster-dbt is not installed")

    class Workspace:
        """All that it asks dbt Cloud for."""

        def get_run_details(self, run_id: int) -> dict[str, Any]:
            del run_id
            return _RUN

    results = json.loads((place / "run_results.json").read_text())
    manifest = json.loads((place / "manifest.json").read_text())
    made = DbtCloudJobRunResults(run_id=7, run_results=results)
    seconds = min(
        _cpu_seconds(lambda: list(made.to_default_asset_events(Workspace(), manifest)))
        for _ in range(3)
    )
    return Result(what, f"{seconds:.2f} CPU s")


class _Files:
    """The stored artifacts."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def open(self, step: int, path: str) -> BinaryIO | None:
        """Those of the one step."""
        file = self._place / path
        return file.open("rb") if step == 4 and file.exists() else None  # noqa: PLR2004  # its number

    def uri(self, step: int, path: str) -> str | None:
        """Nobody is told."""
        del step, path
        return None


def _write(place: Path) -> int:
    """Write manifest.json and run_results.json; the manifest's bytes."""
    nodes = {node["unique_id"]: node for node in _nodes()}
    manifest = {
        "metadata": {"project_name": "shop", "adapter_type": "duckdb"},
        "nodes": nodes,
        "sources": {},
        "exposures": {},
        "metrics": {},
    }
    timing = [
        {
            "name": phase,
            "started_at": "2026-05-28T07:00:00.000000Z",
            "completed_at": "2026-05-28T07:00:01.000000Z",
        }
        for phase in ("compile", "execute")
    ]
    results = {
        "metadata": {
            "invocation_id": "0",
            "generated_at": "2026-05-28T07:00:02Z",
            "env": {"DBT_CLOUD_RUN_ID": "7"},
        },
        "args": {"which": "build"},
        "results": [
            {
                "unique_id": unique_id,
                "status": "pass" if unique_id.startswith("test.") else "success",
                "timing": timing,
                "thread_id": "Thread-1",
                "execution_time": 1.0,
                "adapter_response": {"rows_affected": 1},
                "message": "OK",
                "failures": 0,
                "compiled_code": _SQL,
            }
            for unique_id in nodes
        ],
    }
    (place / "run_results.json").write_text(json.dumps(results))
    return (place / "manifest.json").write_text(json.dumps(manifest))


def _nodes() -> Iterator[dict[str, Any]]:
    for number in range(_MODELS):
        name, unique_id = f"model_{number:04}", f"model.shop.model_{number:04}"
        parents = {f"model.shop.model_{each:04}" for each in (number // 2, number // 3)}
        yield _node(
            unique_id,
            name,
            sorted(parents - {unique_id}),
            columns={
                f"column_{each}": {
                    "name": f"column_{each}",
                    "data_type": "text",
                    "description": "What it means",
                }
                for each in range(15)
            },
        )
        for each in range(_TESTS_EACH):
            test = f"not_null_{name}_column_{each}"
            yield _node(
                f"test.shop.{test}.{number:06}{each}", test, [unique_id], attached_node=unique_id
            )


def _node(unique_id: str, name: str, parents: Sequence[str], **more: Any) -> dict[str, Any]:
    return {
        "unique_id": unique_id,
        "resource_type": unique_id.partition(".")[0],
        "name": name,
        "alias": name,
        "package_name": "shop",
        "original_file_path": f"models/{name}.sql",
        "database": "db",
        "schema": "main",
        "config": {"materialized": "table", "severity": "ERROR", "meta": {}, "tags": []},
        "tags": ["nightly"],
        "meta": {},
        "description": "What it is for",
        "raw_code": _SQL,
        "compiled_code": _SQL,
        "depends_on": {"nodes": list(parents), "macros": ["macro.dbt.x"]},
        "checksum": {"name": "sha256", "checksum": "0" * 64},
        **more,
    }
