"""``dagster asset materialize`` of the whole graph against a bare graph of three empty assets.

Whole processes with the same arguments, the same in-process executor and the same temporary
Dagster instance. The dbt Cloud run takes no time, and has three small artifacts; the graph keeps
its tables and files as always. The server runs in another process.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.interpreters import ROOT, clean_environment, python, served_sandbox
from benchmarks.report import Result
from benchmarks.rounds import alternate, ratios, seconds_of
from dbt_trigger_dagster_tests.harness import Place

_ROUNDS = 7
_GOAL = 1.25
_ARTIFACTS = 3
_ARTIFACT_SIZE = 1000


def measure() -> list[Result]:
    """Materialize both graphs, in turns."""
    with (
        served_sandbox("distinct", _ARTIFACTS, _ARTIFACT_SIZE) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        place = Place(Path(folder))
        environment = clean_environment(**place.variables(server))
        ours = _materialize("dbt_trigger_dagster.definitions", Path(folder), environment)
        bare = _materialize("benchmarks.bare_graph", Path(folder), environment)
        alternate(1, ours, bare)  # fills caches
        ratio = ratios(*alternate(_ROUNDS, ours, bare))
        _check(place)
    return [
        Result(
            "dagster asset materialize, zero-length run / three empty assets",
            ratio.show(),
            f"<= {_GOAL}",
            ratio.median <= _GOAL,
        )
    ]


def _materialize(module: str, folder: Path, environment: dict[str, str]) -> Callable[[], float]:
    command = ("-m", "dagster", "asset", "materialize", "--select", "*")
    where = ("--module-name", module, "--working-directory", str(ROOT))
    return lambda: seconds_of(lambda: python(*command, *where, cwd=folder, environment=environment))


def _check(place: Place) -> None:
    stored = len(place.files())
    if stored != _ARTIFACTS * (_ROUNDS + 1):
        raise RuntimeError(f"{stored} artifacts are stored.")
