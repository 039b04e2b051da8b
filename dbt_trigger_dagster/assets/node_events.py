"""What a landed run did with each node, as events of the assets and checks that stand for them.

Nodes that were only compiled have no event, and tests that were skipped have none. Metadata have
dagster-dbt's names.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from dbt_trigger_dagster.artifacts.node_results import NodeResults
from dbt_trigger_dagster.assets.dagster_run import newest_metadata
from dbt_trigger_dagster.assets.node_keys import (
    Node,
    Nodes,
    asset_key,
    check_key,
    is_asset,
    is_test,
    parents,
    table_name,
)
from dbt_trigger_dagster.dbt_cloud.models import Run, parse_timestamp
from dbt_trigger_dagster.storage.node_statuses import GOOD, NOT_RUN, is_executed

NodeEvent = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation

COMPLETED_AT = "dagster_dbt/completed_at_timestamp"

_BUILT = frozenset(["success", "warn"])
_LONGEST_MESSAGE = 2000


def node_events(run: Run, found: NodeResults) -> Iterator[NodeEvent]:
    """The events of a run.

    Args:
        run: The run.
        found: What happened to its nodes; without its manifest, there are no events.
    """
    ends = {step["step"]: step["finished_at"] for step in found.steps}
    for row in filter(is_executed, found.results.values()):
        if row["unique_id"] in found.nodes:
            at = _end_of(row) or _moment(ends.get(row["step"]))
            yield from _events(row, found.nodes, _metadata(run, row, at))


def unreported(instance: dg.DagsterInstance, events: Iterable[NodeEvent]) -> Iterator[NodeEvent]:
    """Those that are news, in the order in which nodes ended.

    A run may be landed twice, and after runs that came later: what is not newer is left out.

    So nothing downstream runs again for what was built once, and an asset's newest event is of its
    newest build.
    """
    each = sorted(events, key=lambda event: _completed_at(event.metadata) or 0)
    keys = dict.fromkeys(key for key in map(_judged, each) if key is not None)
    known = newest_metadata(instance, list(keys))
    for event in each:
        key = _judged(event)
        reported = None if key is None else _completed_at(known.get(key, {}))
        completed = _completed_at(event.metadata)
        if reported is None or completed is None or completed > reported:
            yield event


def _judged(event: NodeEvent) -> dg.AssetKey | dg.AssetCheckKey | None:
    """What has a state of which an event is the newest; an observation is only told."""
    if isinstance(event, dg.AssetCheckEvaluation):
        return dg.AssetCheckKey(event.asset_key, event.check_name)
    return event.asset_key if isinstance(event, dg.AssetMaterialization) else None


def _completed_at(metadata: Mapping[str, dg.MetadataValue[Any]]) -> float | None:
    found = metadata.get(COMPLETED_AT)
    return found.value if isinstance(found, dg.TimestampMetadataValue) else None


def _end_of(row: Mapping[str, Any]) -> datetime | None:
    return _moment(row.get("execute_completed_at")) or _moment(row.get("compile_completed_at"))


def _moment(value: Any) -> datetime | None:
    return parse_timestamp(value) if isinstance(value, str) else value


def _events(
    row: Mapping[str, Any], nodes: Nodes, metadata: Mapping[str, Any]
) -> Iterator[NodeEvent]:
    node = nodes[row["unique_id"]]
    status = str(row["status"])
    if is_test(node) and status not in NOT_RUN:
        yield from _evaluations(row, nodes, metadata)
    elif is_asset(node) and status in _BUILT:
        yield dg.AssetMaterialization(asset_key(node), metadata={**metadata, **_table(node)})
    elif is_asset(node):
        yield dg.AssetObservation(asset_key(node), description=_message(row), metadata=metadata)


def _evaluations(
    row: Mapping[str, Any], nodes: Nodes, metadata: Mapping[str, Any]
) -> Iterator[NodeEvent]:
    """A test's evaluation; of a test that is no check, its parents are told."""
    test = nodes[row["unique_id"]]
    if row.get("failures") is not None:
        metadata = {**metadata, "dagster_dbt/failed_row_count": row["failures"]}
    key = check_key(test, nodes)
    if key is None:
        for parent in parents(test, nodes):
            yield dg.AssetObservation(parent, description=_message(row), metadata=metadata)
        return
    is_warning = row["status"] == "warn"
    yield dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=row["status"] in GOOD,
        severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
        description=_message(row),
        metadata=metadata,
    )


def _message(row: Mapping[str, Any]) -> str | None:
    message = row.get("message")
    return str(message)[:_LONGEST_MESSAGE] if message else None


def _metadata(run: Run, row: Mapping[str, Any], at: datetime | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"unique_id": row["unique_id"], "status": str(row["status"])}
    if at is not None:
        metadata[COMPLETED_AT] = dg.MetadataValue.timestamp(at)
    if row["invocation_id"]:
        metadata["invocation_id"] = row["invocation_id"]
    if row.get("execution_time") is not None:
        metadata["execution_duration"] = float(row["execution_time"])
    if run.href.startswith(("https://", "http://")):
        metadata["run_url"] = dg.MetadataValue.url(run.href)
    return metadata


def _table(node: Node) -> dict[str, Any]:
    """What is known of a table that was built."""
    found = {"dagster/table_name": table_name(node), "dagster/row_count": node.get("row_count")}
    return {name: value for name, value in found.items() if value is not None}
