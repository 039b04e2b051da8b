"""A dbt project's models, seeds, snapshots and sources as external assets, its tests as checks.

They are declared by a manifest that is on this machine: without a request, and without dbt. What
somebody writes in a dbt project cannot break the code location: what Dagster does not take is left
out.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from dbt_trigger_dagster.artifacts.stored_manifests import Project, find_projects
from dbt_trigger_dagster.assets.dagster_run import newest_evaluation
from dbt_trigger_dagster.assets.node_keys import (
    Node,
    Nodes,
    as_name,
    asset_key,
    check_key,
    config_of,
    dagster_meta,
    is_asset,
    is_test,
    parents,
    table_name,
)

UNIQUE_ID = "dagster_dbt/unique_id"
"""The metadata that names the node of an asset or a check."""

_SOURCE = "source"
_NAME = re.compile(r"[A-Za-z0-9_]+")
_TAG = re.compile(r"([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_KIND = re.compile(r"[A-Za-z0-9_.-]{1,50}")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")

_logger = logging.getLogger(__name__)


def build_dbt_cloud_model_assets(
    *, manifest: str | Path, sources: bool = True
) -> list[dg.AssetSpec | dg.AssetsDefinition]:
    """External assets for what a dbt project builds and reads, and checks for its tests.

    Their keys are dagster-dbt's. A landed run reports what it did with them where
    ``emit_node_events`` is set.

    Args:
        manifest: The path of a manifest.json; or of a folder of stored artifacts,
            ``<root>/<account id>/<job id>`` for those of one job: then the newest manifest below it
            counts, of each dbt project. There may be none yet.
        sources: Whether sources are assets too; without it, models still depend on them. Leave
            them out where your own assets have their keys.

    Returns:
        What goes into the assets of your definitions.

    Raises:
        ValueError: The manifest is not there, or is none.
    """
    projects = find_projects(manifest)
    specs: dict[dg.AssetKey, dg.AssetSpec] = {}
    for project, node in _in_the_warehouse(projects, sources=sources):
        key = asset_key(node)
        if key not in specs:
            specs[key] = _spec(key, node, project)
        elif node["resource_type"] != _SOURCE:
            _warn_of_same_key(key, specs[key].metadata[UNIQUE_ID], node["unique_id"])
    return [*specs.values(), *(checks for project in projects for checks in _checks(project))]


def _in_the_warehouse(
    projects: Sequence[Project], *, sources: bool
) -> Iterator[tuple[Project, Node]]:
    """What becomes an asset; sources come last, for one may be what another project builds."""
    nodes = [
        (project, node)
        for project in projects
        for node in project.manifest.nodes.values()
        if is_asset(node)
    ]
    yield from (pair for pair in nodes if pair[1]["resource_type"] != _SOURCE)
    if sources:
        yield from (pair for pair in nodes if pair[1]["resource_type"] == _SOURCE)


def _warn_of_same_key(key: dg.AssetKey, first: str, second: str) -> None:
    _logger.warning(
        "%s has the asset key %s of %s, and is left out: set meta.dagster.asset_key of one of them "
        "in dbt.",
        second,
        key.to_user_string(),
        first,
    )


def _spec(key: dg.AssetKey, node: Node, project: Project) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=[parent for parent in parents(node, project.manifest.nodes) if parent != key],
        description=node["description"] or f"dbt {node['resource_type']} {node['name']}",
        metadata=_metadata(node, project.adapter),
        group_name=_group(node),
        code_version=node["checksum"],
        owners=list(_owners(node)),
        tags={tag: "" for tag in map(str, node["tags"]) if _TAG.fullmatch(tag)},
        kinds={"dbt", *_KIND.findall(project.adapter)[:1]},
    )


def _metadata(node: Node, adapter: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {UNIQUE_ID: node["unique_id"]}
    if name := table_name(node):
        metadata["dagster/table_name"] = name
    if adapter:
        metadata["dagster/storage_kind"] = adapter
    if materialization := config_of(node).get("materialized"):
        metadata["dagster-dbt/materialization_type"] = str(materialization)
    if node["columns"]:
        metadata["dagster/column_schema"] = dg.TableSchema(
            [
                dg.TableColumn(
                    str(column["name"]),
                    str(column.get("data_type") or "?"),
                    description=column.get("description"),
                )
                for column in node["columns"]
                if column.get("name")
            ]
        )
    return metadata


def _group(node: Node) -> str | None:
    named = dagster_meta(node).get("group") or node["group_name"]
    return as_name(str(named)) if named else None


def _owners(node: Node) -> Iterator[str]:
    """Dagster's own notation; who has no e-mail address is a team."""
    named = dagster_meta(node).get("owners")
    for owner in named if isinstance(named, list) else str(node["owner"] or "").split(","):
        if name := str(owner).strip().removeprefix("team:"):
            yield name if _EMAIL.fullmatch(name) else f"team:{name}"


def _checks(project: Project) -> list[dg.AssetsDefinition]:
    """The project's tests, as checks of one op."""
    nodes = project.manifest.nodes
    found: dict[str, dg.AssetCheckSpec] = {}
    for test in filter(is_test, nodes.values()):
        spec = _check_spec(test, nodes)
        if spec is not None and _NAME.fullmatch(spec.get_python_identifier()):
            found.setdefault(spec.get_python_identifier(), spec)
    name = as_name(f"dbt_tests_of_{project.name}") if project.name else "dbt_tests"
    return [_told_again(name, list(found.values()))] if found else []


def _check_spec(test: Node, nodes: Nodes) -> dg.AssetCheckSpec | None:
    key = check_key(test, nodes)
    if key is None:
        return None
    return dg.AssetCheckSpec(
        key.name,
        asset=key.asset_key,
        description=test["description"] or None,
        additional_deps=[each for each in parents(test, nodes) if each != key.asset_key],
        metadata={UNIQUE_ID: test["unique_id"]},
        blocking=(test["severity"] or "error") == "error",
    )


def _told_again(name: str, specs: Sequence[dg.AssetCheckSpec]) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(
        name=name,
        specs=specs,
        can_subset=True,
        description="Tells again what the tests said when they last ran. They run in dbt Cloud: "
        "materialize the job's trigger_response to run them.",
    )
    def dbt_tests(context: dg.AssetCheckExecutionContext) -> Iterable[dg.AssetCheckResult]:
        for key in context.selected_asset_check_keys:
            newest = newest_evaluation(context.instance, key)
            if newest is None:
                context.log.info("No landed run has reported of %s.", key.to_user_string())
            else:
                yield dg.AssetCheckResult(
                    asset_key=key.asset_key,
                    check_name=key.name,
                    passed=newest.passed,
                    severity=newest.severity,
                    description=newest.description,
                    metadata=newest.metadata,
                )

    return dbt_tests
