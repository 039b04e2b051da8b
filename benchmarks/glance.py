"""What is made for people to look at: the picture and the report of a run, and what Dagster stores.

The picture and the report are counted in this process's own CPU seconds, so that a busy machine
changes little. The bytes in Dagster's database are those of the second landing of a job: the first
one also stores what the job is.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.report import Result
from dbt_trigger_dagster.artifacts.report import report_html
from dbt_trigger_dagster.artifacts.spans import bars_of, spans_of
from dbt_trigger_dagster.artifacts.timeline import as_data_uri, timeline_svg
from dbt_trigger_dagster.sandbox import Sandbox, SandboxJob
from dbt_trigger_dagster_tests.assets.scripts import a_large_script
from dbt_trigger_dagster_tests.graphs import Project
from dbt_trigger_dagster_tests.harness import stored_bytes

_NODES = 2_000
_EVERY_FAILS = 40
_THREADS = 8
_LANDED = 500
_MOST_STORED = 150_000
_MOST_PICTURE = 49_000
_MOST_PICTURE_MS = 12.0
_START = datetime(2026, 11, 29, 6, tzinfo=timezone.utc)


def measure() -> list[Result]:
    """Draw, write, and land."""
    nodes = [_node(number) for number in range(_NODES)]
    step = {"step": 3, "name": "Invoke dbt with `dbt build`", "status": 20}
    steps = [{**step, "started_at": _at(0), "finished_at": _at(_NODES / _THREADS * 2)}]
    return [
        *_picture(steps, nodes),
        _report(steps, nodes),
        *(_landing(failed) for failed in (0, 20)),
    ]


def _at(seconds: float) -> datetime:
    """A moment of the run."""
    return _START + timedelta(seconds=seconds)


def _node(number: int) -> dict[str, Any]:
    """A row of `dbt_cloud_node_result`."""
    failed = number % _EVERY_FAILS == 0
    begin = number // _THREADS * 2 + number % 3 / 10
    return {
        "step": 3,
        "name": f"fct_orders_by_{number}",
        "unique_id": f"model.shop.fct_orders_by_{number}",
        "resource_type": "model",
        "status": "error" if failed else "success",
        "message": "Database Error: relation orders is not there" if failed else "OK",
        "executed": True,
        "execution_time": 1.5,
        "thread_id": f"Thread-{number % _THREADS + 1} (worker)",
        "on_critical_path": number % _THREADS == 0,
        "compile_started_at": _at(begin),
        "compile_completed_at": _at(begin + 0.1),
        "execute_started_at": _at(begin + 0.1),
        "execute_completed_at": _at(begin + 1.6),
    }


def _milliseconds(action: Callable[[], str]) -> tuple[float, str]:
    """The least CPU time of some tries, and what was made."""
    spent = []
    for _ in range(5):
        started = time.process_time()
        made = action()
        spent.append((time.process_time() - started) * 1000)
    return min(spent), made


def _picture(
    steps: Sequence[Mapping[str, Any]], nodes: Sequence[Mapping[str, Any]]
) -> list[Result]:
    bars = bars_of(nodes)
    spans = spans_of(steps, bars)
    spent, svg = _milliseconds(lambda: timeline_svg(spans, bars))
    size = len(svg.encode())
    return [
        Result(
            f"the picture of {_NODES:,} nodes",
            f"{size / 1000:.0f} KB; {len(as_data_uri(svg)) / 1000:.0f} KB as an address",
            f"<= {_MOST_PICTURE / 1000:g} KB",
            size <= _MOST_PICTURE,
        ),
        Result(
            "  to draw it",
            f"{spent:.0f} ms of CPU time",
            f"<= {_MOST_PICTURE_MS:g} ms",
            spent <= _MOST_PICTURE_MS,
        ),
    ]


def _report(steps: Sequence[Mapping[str, Any]], nodes: Sequence[Mapping[str, Any]]) -> Result:
    run = {"id": 7, "status": 20, "status_humanized": "Error", "job_name": "Shop nightly build"}
    spent, page = _milliseconds(lambda: "".join(report_html(run, steps, nodes)))
    size = len(page.encode()) / 1000
    return Result(f"the report of {_NODES:,} nodes", f"{size:.0f} KB, {spent:.0f} ms of CPU time")


def _landing(failed: int) -> Result:
    """Land a run twice; what the second time adds to Dagster's database."""
    script = a_large_script(_LANDED, failed)
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(jobs=[SandboxJob(name="nightly", script=script)]) as sandbox,
        dg.DagsterInstance.local_temp(folder) as instance,
    ):
        project = Project(Path(folder) / "project", sandbox, instance)
        sizes = []
        for _ in range(2):
            project.materialize()
            sizes.append(stored_bytes(Path(folder)))
    added = sizes[1] - sizes[0]
    return Result(
        f"Dagster's database: a landing of {_LANDED} nodes, {failed or 'none'} of them failed",
        f"{added / 1000:.0f} KB",
        f"<= {_MOST_STORED / 1000:g} KB",
        added <= _MOST_STORED,
    )
