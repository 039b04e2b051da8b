"""Worker seconds for each dbt run: trigger and leave it to the monitor, or wait in the op.

Whole ``dagster asset materialize`` processes, as Dagster's run workers are. A run that is left
costs one that ends at once and its share of one that lands a batch of 50. The wait costs as long
as the dbt run takes; leaving costs the same whatever that is.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.interpreters import ROOT, ServedSandbox, clean_environment, python, served_sandbox
from benchmarks.report import Result
from benchmarks.rounds import seconds_of
from dbt_trigger_dagster_tests.harness import Place

_SECONDS = 20
_ARTIFACTS = 3
_ARTIFACT_SIZE = 1000
_BATCH = 50
_ROUNDS = 3
_GOAL = 0.25


def measure() -> list[Result]:
    """Run workers of both kinds, in turns."""
    with (
        served_sandbox("distinct", _ARTIFACTS, _ARTIFACT_SIZE, seconds=_SECONDS) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        workers = _Workers(server, Place(Path(folder)))
        workers.land(server.add_old_runs(1))  # fills caches
        waited, left, landed = _Cost(), _Cost(), _Cost()
        for _ in range(_ROUNDS):
            waited += workers.wait()
            left += workers.leave()
            landed += workers.land(server.add_old_runs(_BATCH))
    leaving = left + landed / _BATCH
    return [
        _result("wall", waited.wall, leaving.wall),
        Result(
            "  CPU seconds",
            f"{leaving.cpu / _ROUNDS:.2f} left and landed, {waited.cpu / _ROUNDS:.2f} waited for",
        ),
    ]


def _result(what: str, waited: float, leaving: float) -> Result:
    ratio = leaving / waited
    return Result(
        f"worker seconds ({what}) for a dbt run of {_SECONDS} s: left / waited for",
        f"{ratio:.2f} ({leaving / _ROUNDS:.1f} s / {waited / _ROUNDS:.1f} s)",
        f"<= {_GOAL}",
        ratio <= _GOAL,
    )


@dataclass(frozen=True)
class _Cost:
    """Seconds of workers."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: "_Cost") -> "_Cost":
        return _Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __truediv__(self, share: int) -> "_Cost":
        return _Cost(self.wall / share, self.cpu / share)


@dataclass(frozen=True)
class _Workers:
    server: ServedSandbox
    place: Place

    def wait(self) -> _Cost:
        """Trigger, wait and land."""
        return self._materialize("*", {})

    def leave(self) -> _Cost:
        """Trigger and leave; the dbt run is out of the way before the next one is triggered."""
        cost = self._materialize("*", {"wait_for_result": False})
        with self.server.client() as client:
            (run,) = (run for run in client.list_runs(order_by="-id") if not run.is_over)
            client.cancel_run(run.run_id)
        return cost

    def land(self, run_ids: Sequence[int]) -> _Cost:
        """Land runs as the monitor has them landed."""
        return self._materialize("run_result,artifacts", {"run_ids": list(run_ids)})

    def _materialize(self, selection: str, config: dict[str, Any]) -> _Cost:
        run_config = json.dumps({"ops": {"dbt_cloud_run": {"config": config}}})
        what = ("--select", selection, "--config-json", run_config)
        where = ("-m", "dbt_trigger_dagster.definitions", "--working-directory", str(ROOT))
        before = _cpu_of_children()
        wall = seconds_of(
            lambda: python(
                *("-m", "dagster", "asset", "materialize", *what, *where),
                cwd=self.place.folder,
                environment=clean_environment(**self.place.variables(self.server)),
            )
        )
        return _Cost(wall, _cpu_of_children() - before)


def _cpu_of_children() -> float:
    """Processor time of the processes that have ended; the server is still there."""
    times = os.times()
    return times.children_user + times.children_system
