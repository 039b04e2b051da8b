"""The events of the corpus's nodes are dagster-dbt's own, wherever those are right."""

import importlib.util
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster.artifacts.manifest import as_manifest
from dbt_trigger_dagster.assets.node_events import NodeEvent, node_events
from dbt_trigger_dagster.assets.node_keys import asset_key, is_asset
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster_tests.corpus.make_corpus import RUNS
from dbt_trigger_dagster_tests.corpus.recorded import read_run
from dbt_trigger_dagster_tests.corpus.scenarios import SCENARIOS, Scenario
from dbt_trigger_dagster_tests.corpus.truth import Workspace

# It takes seconds to import, which only a process that runs these tests spends.
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dagster_dbt") is None,
    reason="dagster-dbt is in the extra dev: pip install '.[dev]'",
)

_RUN_RESULTS = "run_results.json"
_OURS_ALONE = {"unit_test"}
_NOT_RUN = {"skipped"}

Name = tuple[str, str, str, str]
"""Which event: its kind, its asset, its check, and dbt's invocation."""


def _commands(scenario: Scenario) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """run_results.json and manifest.json of each command that left both."""
    with zipfile.ZipFile(RUNS / f"{scenario.name}.zip") as archive:
        for name in archive.namelist():
            manifest = name.replace(_RUN_RESULTS, "manifest.json")
            if name.endswith(_RUN_RESULTS) and manifest in archive.namelist():
                yield json.loads(archive.read(name)), json.loads(archive.read(manifest))


def _run_of(scenario: Scenario) -> dict[str, Any]:
    with zipfile.ZipFile(RUNS / f"{scenario.name}.zip") as archive:
        found: dict[str, Any] = json.loads(archive.read("run.json"))
        return found


def _name_of(event: NodeEvent) -> Name:
    invocation = event.metadata.get("invocation_id")
    return (
        type(event).__name__,
        event.asset_key.to_user_string(),
        getattr(event, "check_name", ""),
        "" if invocation is None else str(invocation.value),
    )


def _theirs(scenario: Scenario) -> dict[Name, tuple[str, NodeEvent]]:
    """dagster-dbt's events, each with the command that it is of."""
    from dagster_dbt.cloud_v2.run_handler import DbtCloudJobRunResults  # noqa: PLC0415  # see above

    run, found = _run_of(scenario), {}
    for results, manifest in _commands(scenario):
        made = DbtCloudJobRunResults(run_id=run["id"], run_results=results)
        for event in made.to_default_asset_events(Workspace(run), manifest):
            found[_name_of(event)] = (results["args"]["which"], event)
    return found


def _ours(scenario: Scenario) -> dict[Name, NodeEvent]:
    run = Run.from_payload(_run_of(scenario))
    return {_name_of(event): event for event in node_events(run, read_run(scenario))}


def _said(event: NodeEvent) -> dict[str, Any]:
    return {name: value.value for name, value in event.metadata.items()}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_what_both_report_is_the_same(scenario: Scenario) -> None:
    """Passed or not, how severely, and every piece of metadata that dagster-dbt has."""
    ours, theirs = _ours(scenario), _theirs(scenario)
    for name in ours.keys() & theirs.keys():
        mine, other = ours[name], theirs[name][1]
        assert _said(other).items() <= _said(mine).items()
        if isinstance(other, dg.AssetCheckEvaluation):
            assert isinstance(mine, dg.AssetCheckEvaluation)
            assert (mine.passed, mine.severity) == (other.passed, other.severity)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_what_dagster_dbt_alone_reports_has_not_run(scenario: Scenario) -> None:
    """It takes what was only compiled for built, and a skipped test for a failed one."""
    executed = {command.text.split()[1]: command.executed for command in scenario.commands}
    executed |= {"generate": False}
    ours = _ours(scenario)
    for name, (command, event) in _theirs(scenario).items():
        if name not in ours:
            assert not executed.get(command, True) or _said(event)["status"] in _NOT_RUN


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_what_dagster_dbt_leaves_out_is_known(scenario: Scenario) -> None:
    """Unit tests, what failed or was skipped, and what only a killed command's log tells."""
    theirs = _theirs(scenario)
    sources = {command.source for command in scenario.commands}
    for name, event in _ours(scenario).items():
        if name not in theirs:
            is_of_a_unit_test = str(_said(event)["unique_id"]).partition(".")[0] in _OURS_ALONE
            assert is_of_a_unit_test or isinstance(event, dg.AssetObservation) or "log" in sources


def test_the_comparison_compares() -> None:
    """Over the corpus: dozens of events of both, and those that only dagster-dbt reports."""
    pairs = [(_ours(scenario), _theirs(scenario)) for scenario in SCENARIOS]
    assert sum(len(ours.keys() & theirs.keys()) for ours, theirs in pairs) >= 60
    assert sum(len(theirs.keys() - ours.keys()) for ours, theirs in pairs) >= 40
    assert sum(len(ours.keys() - theirs.keys()) for ours, theirs in pairs) >= 30


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_keys_are_dagster_dbts(scenario: Scenario) -> None:
    """Of every model, seed, snapshot and source of the corpus's projects."""
    from dagster_dbt import DagsterDbtTranslator  # noqa: PLC0415  # see above

    translator = DagsterDbtTranslator()
    for _, manifest in _commands(scenario):
        nodes = {**manifest["nodes"], **manifest["sources"]}
        for unique_id, node in as_manifest(manifest).nodes.items():
            if is_asset(node):
                assert asset_key(node) == translator.get_asset_key(nodes[unique_id])
