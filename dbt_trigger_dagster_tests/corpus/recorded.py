"""The recorded runs, read: what tests compare, and what `make truth` scores without pytest."""

import json
import zipfile
from typing import Any, BinaryIO

from dbt_trigger_dagster.artifacts.node_results import NodeResults, collect_node_results
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster_tests.corpus.make_corpus import RUNS
from dbt_trigger_dagster_tests.corpus.scenarios import Scenario


class Files:
    """The files that a recorded run left."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = set(archive.namelist())

    def open(self, step: int, path: str) -> BinaryIO | None:
        """One of them; None where there is none."""
        name = f"steps/{step}/{path}"
        return self._archive.open(name) if name in self._names else None  # type: ignore[return-value]  # it reads bytes

    def uri(self, step: int, path: str) -> str | None:
        """They are in no store."""
        del step, path
        return None


def read_run(scenario: Scenario) -> NodeResults:
    """What the package makes of a recorded run."""
    return read_run_as(scenario)[1]


def read_run_as(scenario: Scenario, **changes: Any) -> tuple[Run, NodeResults]:
    """The same with the run, of which some fields are changed."""
    with zipfile.ZipFile(RUNS / f"{scenario.name}.zip") as archive:
        run = Run.from_payload({**json.loads(archive.read("run.json")), **changes})
        return run, collect_node_results(run, Files(archive))
