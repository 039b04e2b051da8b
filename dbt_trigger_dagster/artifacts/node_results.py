"""What happened to every node of every step of a run, from the files that its steps left.

Executed or only compiled is told by each command's own run_results.json, never by the run's listed
one alone, which is the last step's. What files do not tell, logs do. A file that cannot be read
costs what only it says, and one warning; never a row that is known from elsewhere.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dbt_trigger_dagster.artifacts.catalog import CATALOG, read_catalog, with_types
from dbt_trigger_dagster.artifacts.critical_path import find_timing
from dbt_trigger_dagster.artifacts.json_stream import BrokenFileError
from dbt_trigger_dagster.artifacts.manifest import MANIFEST, Manifest, read_manifest
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN
from dbt_trigger_dagster.artifacts.run_files import FileReader, RunFiles, without_nulls
from dbt_trigger_dagster.artifacts.run_results import Invocation
from dbt_trigger_dagster.artifacts.run_steps import (
    dbt_steps_of,
    step_records,
    unreadable_steps,
)
from dbt_trigger_dagster.artifacts.step_results import (
    Records,
    StepReader,
    StepResults,
    with_place,
)
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.record_file import RecordFile

_OF_THE_MANIFEST = (
    "resource_type",
    "name",
    "package_name",
    "relation_name",
    "database",
    "schema",
    "alias",
    "materialization",
    "attached_node",
    "column_name",
    "severity",
    "owner",
    "tags",
)
"""Columns of a result that the manifest knows better, or alone."""

_PROJECTS_OWN = frozenset(["model", "seed", "snapshot", "test"])
"""Kinds of nodes that stand in the manifest of the project that they ran in."""


@dataclass
class NodeResults:
    """Records of a run's tables, by column names.

    Attributes:
        run: The run.
        steps: Of `RUN_STEP`, with what only the files say of the steps.
        results: Of `NODE_RESULT`, by step and ``unique_id``.
        freshness: Of `SOURCE_FRESHNESS`, likewise.
        nodes: Of `NODE`, by ``unique_id``.
        warnings: What could not be read, each naming its file, or its run and steps.
    """

    run: Run
    steps: list[dict[str, Any]] = field(default_factory=list)
    results: RecordFile[tuple[int, str]] = field(default_factory=RecordFile)
    freshness: RecordFile[tuple[int, str]] = field(default_factory=RecordFile)
    nodes: Records = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of_steps(cls, run: Run) -> "NodeResults":
        """What the run itself says of its steps."""
        return cls(run, steps=step_records(run), warnings=unreadable_steps(run))


def collect_node_results(run: Run, files: RunFiles) -> NodeResults:
    """Read what a run's steps left.

    Args:
        run: The run, when it is over, with its steps.
        files: Its stored artifacts.
    """
    found = NodeResults.of_steps(run)
    steps = dbt_steps_of(run)
    reader = FileReader(run.run_id, files, list(steps), found.warnings)
    manifest = _newest_manifest(run, reader)
    step_reader = StepReader(reader, manifest.nodes)
    for row in found.steps:
        if row["step"] in steps:
            step = step_reader.read(row["step"], steps[row["step"]])
            row.update(_of_the_invocation(step.invocation))
            _add_results(found, row, step, manifest, files)
            for unique_id, record in step.freshness.items():
                of_the_row = {**_ids(run, row), "invocation_id": row["invocation_id"]}
                found.freshness[row["step"], unique_id] = {**record, **of_the_row}
    found.nodes = _nodes(manifest, reader, found.results)
    return found


def _of_the_invocation(invocation: Invocation) -> dict[str, Any]:
    """What a step's row says of the command."""
    return {
        "invocation_id": invocation.invocation_id or None,
        "dbt_version": invocation.dbt_version or None,
        "invocation_started_at": invocation.started_at or None,
        "args": dict(invocation.args) or None,
    }


def _ids(run: Run, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "account_id": run.account_id,
        "run_id": run.run_id,
        "job_id": run.job_id,
        "step": row["step"],
    }


def _add_results(
    found: NodeResults,
    row: dict[str, Any],
    step: StepResults,
    manifest: Manifest,
    files: RunFiles,
) -> None:
    """A step's results with what they have from their run, their step and the manifest."""
    critical_path = _add_timing(row, step, manifest) if step.executed else ()
    of_the_row = {
        **_ids(found.run, row),
        "invocation_id": row["invocation_id"],
        "executed": step.executed,
    }
    for unique_id, record in step.results.items():
        node = manifest.nodes.get(unique_id, {})
        facts = {name: node.get(name) for name in _OF_THE_MANIFEST}
        found.results[row["step"], unique_id] = {
            **with_place(record),
            **without_nulls(facts),
            **of_the_row,
            "on_critical_path": unique_id in critical_path,
            "compiled_code_path": _compiled_code(files, node.get("compiled_path")),
        }


def _compiled_code(files: RunFiles, path: Any) -> str | None:
    """Where a node's compiled code is stored; dbt names it in its target folder."""
    if not isinstance(path, str):
        return None
    _, found, inside = path.replace("\\", "/").partition("compiled/")
    return files.uri(OF_THE_RUN, found + inside) if found else None


def _add_timing(row: dict[str, Any], step: StepResults, manifest: Manifest) -> Collection[str]:
    """Work out once what decided how long a step took; the nodes of its critical path."""
    depends_on = {name: node["depends_on"] for name, node in manifest.nodes.items()}
    timing = find_timing(step.results.values(), depends_on)
    if timing is None:
        return ()
    row.update(
        critical_path_seconds=timing.critical_path_seconds,
        busy_seconds=timing.busy_seconds,
        peak_concurrency=timing.peak_concurrency,
        average_concurrency=timing.average_concurrency,
    )
    return frozenset(timing.critical_path)


def _newest_manifest(run: Run, reader: FileReader) -> Manifest:
    """The run's newest manifest that can be read; of broken ones, the one with most nodes."""
    best = Manifest()
    for step, open_file in reader.newest(MANIFEST):
        manifest = read_manifest(
            open_file,
            account_id=run.account_id,
            job_id=run.job_id,
            manifest_run_id=run.run_id,
        )
        if not manifest.error:
            return manifest
        reader.warn(step, MANIFEST, manifest.error)
        best = max(best, manifest, key=lambda each: len(each.nodes))
    return best


def _nodes(manifest: Manifest, reader: FileReader, results: Iterable[tuple[int, str]]) -> Records:
    """The project's nodes; none from a manifest that is broken or of another project."""
    ours = {name for _, name in results if name.partition(".")[0] in _PROJECTS_OWN}
    if manifest.nodes and ours and ours.isdisjoint(manifest.nodes):
        reader.warn(OF_THE_RUN, MANIFEST, "it knows none of the nodes that the run had")
        return {}
    if manifest.error:
        return {}
    _add_catalog(reader, manifest)
    return manifest.nodes


def _add_catalog(reader: FileReader, manifest: Manifest) -> None:
    for step, open_file in reader.newest(CATALOG):
        try:
            for relation in read_catalog(open_file):
                if node := manifest.nodes.get(relation.unique_id):
                    manifest.nodes[relation.unique_id] = {
                        **node,
                        "row_count": relation.row_count,
                        "bytes": relation.size_bytes,
                        "columns": with_types(node["columns"], relation.types),
                    }
        except BrokenFileError as error:
            reader.warn(step, CATALOG, str(error))
        return
