"""Who tells what happened to the corpus's nodes: this package, dagster-dbt or OpenLineage.

All get the same files: the run_results.json and manifest.json of each step, and we its log as well.
What is true is what the scenarios say, which was written by hand. `make truth` prints the score.
"""

import dataclasses
import fnmatch
import json
import logging
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dbt_trigger_dagster.artifacts.node_results import NodeResults
from dbt_trigger_dagster.assets.node_events import NodeEvent, node_events
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster_tests.corpus.make_corpus import RUNS, known_of
from dbt_trigger_dagster_tests.corpus.recorded import read_run
from dbt_trigger_dagster_tests.corpus.scenarios import SCENARIOS, Command, Scenario

Claims = dict[str, str]
"""What is said of nodes, by their ids: a test passed, warned or failed, or a table was built."""

FIRST = 4
"""The step of a run's first command."""

_TABLES = ("model.", "seed.", "snapshot.")
_TESTS = ("test.", "unit_test.")
_OF_TESTS = {"pass": "passed", "warn": "warned", "fail": "failed", "error": "failed"}
_UNFINISHED = {"started"}
_EPHEMERAL = {"model.orders.scaled"}
"""In no warehouse, so nobody could tell of it."""


@dataclass(frozen=True)
class Step:
    """One command of a run.

    Attributes:
        command: It.
        run: The run as the API says it.
        found: What we know of the run, as far as it is of this step.
        results: The step's run_results.json; None where it left none.
        manifest: Its manifest.json, likewise.
    """

    command: Command
    run: Mapping[str, Any]
    found: NodeResults
    results: Mapping[str, Any] | None
    manifest: Mapping[str, Any] | None


def steps() -> Iterator[Step]:
    """All commands of the corpus that tell of nodes."""
    for scenario in SCENARIOS:
        yield from _steps_of(scenario)


def _steps_of(scenario: Scenario) -> Iterator[Step]:
    found = read_run(scenario)
    with zipfile.ZipFile(RUNS / f"{scenario.name}.zip") as archive:

        def read(name: str) -> Any:
            return json.loads(archive.read(name)) if name in archive.namelist() else None

        for step, command in enumerate(scenario.commands, FIRST):
            rows = {key: row for key, row in found.results.items() if row["step"] == step}
            if command.known:
                yield Step(
                    command,
                    read("run.json"),
                    dataclasses.replace(found, results=rows),
                    read(f"steps/{step}/run_results.json"),
                    read(f"steps/{step}/manifest.json"),
                )


def truth_of(command: Command) -> Claims:
    """What is true of a command's nodes, by patterns of their ids; empty where nothing ran."""
    return {
        pattern: _true_of(pattern, status) if command.executed else ""
        for pattern, status in known_of(command.known).items()
        if pattern.startswith((*_TABLES, *_TESTS))
        and status not in _UNFINISHED
        and pattern not in _EPHEMERAL
    }


def _true_of(pattern: str, status: str) -> str:
    if pattern.startswith(_TESTS):
        return _OF_TESTS.get(status, "")
    return "built" if status == "success" else "not built"


def ours(step: Step) -> Claims:
    """By this package's events."""
    return _claims_of(node_events(Run.from_payload(step.run), step.found))


def dagster_dbts(step: Step) -> Claims:
    """By the events that dagster-dbt makes of a dbt Cloud run."""
    from dagster_dbt.cloud_v2.run_handler import (  # noqa: PLC0415  # only in an environment of its own
        DbtCloudJobRunResults,
    )

    if step.results is None or step.manifest is None:
        return {}
    made = DbtCloudJobRunResults(run_id=step.run["id"], run_results=step.results)
    return _claims_of(made.to_default_asset_events(Workspace(step.run), step.manifest))


class Workspace:
    """All that dagster-dbt asks dbt Cloud for here."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        self._run = run

    def get_run_details(self, run_id: int) -> Mapping[str, Any]:
        """The run, whose page the events name."""
        del run_id
        return self._run


def _claims_of(events: Iterator[NodeEvent]) -> Claims:
    return {str(event.metadata["unique_id"].value): _claim_of(event) for event in events}


def _claim_of(event: NodeEvent) -> str:
    if isinstance(event, dg.AssetCheckEvaluation):
        is_warning = event.severity is dg.AssetCheckSeverity.WARN
        return "passed" if event.passed else "warned" if is_warning else "failed"
    return "built" if isinstance(event, dg.AssetMaterialization) else "not built"


def openlineages(step: Step) -> Claims:
    """By the events of OpenLineage's processor, which Airflow's provider calls."""
    from openlineage.common.provider.dbt import (  # noqa: PLC0415  # only in an environment of its own
        DbtCloudArtifactProcessor,
    )

    if step.results is None or step.manifest is None:
        return {}
    nodes = step.manifest["nodes"]
    parents = {name: node.get("depends_on", {}).get("nodes", []) for name, node in nodes.items()}
    events = DbtCloudArtifactProcessor(
        producer="truth",
        job_namespace="truth",
        manifest={**step.manifest, "parent_map": parents},
        run_result=step.results,
        profile={"type": "duckdb", "name": "orders", "details": {"path": "orders"}},
        catalog=None,
    ).parse()
    claims: Claims = {}
    names = {node["name"]: name for name, node in nodes.items() if name.startswith("test.")}
    for event in [*events.completes, *events.fails]:
        about = event.job.facets["dbt_node"].unique_id
        for each in event.inputs:
            for assertion in _assertions_of(each):
                claims[names[assertion.name]] = _asserted(assertion)
        if event.job.facets["jobType"].jobType != "TEST":
            claims[about] = "built" if event in events.completes else "not built"
    return claims


def _assertions_of(dataset: Any) -> list[Any]:
    facet = (getattr(dataset, "inputFacets", None) or {}).get("dataQualityAssertions")
    return facet.assertions if facet is not None else []


def _asserted(assertion: Any) -> str:
    if assertion.success:
        return "passed"
    return "warned" if assertion.severity == "warn" else "failed"


BUILDERS: dict[str, Callable[[Step], Claims]] = {
    "this package": ours,
    "dagster-dbt": dagster_dbts,
    "OpenLineage": openlineages,
}
"""Who makes claims."""


def score(builder: Callable[[Step], Claims]) -> Counter[str]:
    """How many nodes a builder tells right, wrong or not at all; at how many steps it raises."""
    counts = Counter[str]()
    for step in steps():
        try:
            claims = builder(step)
        except (KeyError, TypeError, ValueError):
            counts["raises"] += 1
            claims = {}
        for pattern, true in truth_of(step.command).items():
            said = next((c for name, c in claims.items() if fnmatch.fnmatch(name, pattern)), "")
            counts["right" if said == true else "wrong" if said else "missing"] += 1
    return counts


def main() -> None:
    """Print the table that the document has."""
    logging.disable()
    lines = ["| | right | wrong | missing | steps it fails at |", "|---|---|---|---|---|"]
    for name, builder in BUILDERS.items():
        counts = score(builder)
        cells = [str(counts[what]) for what in ("right", "wrong", "missing", "raises")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
