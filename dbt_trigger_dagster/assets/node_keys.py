"""What nodes of dbt are called in Dagster: as dagster-dbt calls them, so that both can be used.

Nodes are the records of `read_manifest`, by their ids.
"""

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

import dagster as dg

from dbt_trigger_dagster.storage.node_statuses import TESTS

Node = Mapping[str, Any]
Nodes = Mapping[str, Node]

_ASSETS = frozenset(["model", "seed", "snapshot", "source"])
_PLACE = ("database", "schema", "alias")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")


def is_asset(node: Node) -> bool:
    """Whether a node is something in the warehouse."""
    return node["resource_type"] in _ASSETS and node["materialization"] != "ephemeral"


def is_test(node: Node) -> bool:
    """Whether a node is a data test or a unit test."""
    return node["resource_type"] in TESTS


def asset_key(node: Node) -> dg.AssetKey:
    """The key of a model, seed, snapshot or source."""
    named = dagster_meta(node).get("asset_key")
    if isinstance(named, str) and named:
        return dg.AssetKey(named)
    if isinstance(named, list) and named:
        return dg.AssetKey([str(part) for part in named])
    name = str(node["name"])
    if node["resource_type"] == "source":
        return dg.AssetKey([str(node["source_name"]), name])
    if node["version"]:
        return dg.AssetKey(str(node["alias"]))
    schema = config_of(node).get("schema")
    return dg.AssetKey(name if schema is None else [str(schema), name])


def check_key(test: Node, nodes: Nodes) -> dg.AssetCheckKey | None:
    """The check that a test is; None for a test of several nodes that names none of them."""
    tested = nodes.get(_tested(test, nodes) or "")
    if tested is None:
        return None
    return dg.AssetCheckKey(asset_key(tested), as_name(str(test["name"])))


def _tested(test: Node, nodes: Nodes) -> str | None:
    ref = dagster_meta(test).get("ref")
    if isinstance(ref, Mapping):
        wanted = (ref.get("name"), ref.get("package") or test["package_name"], ref.get("version"))
        return next(
            (
                unique_id
                for unique_id, node in nodes.items()
                if (node["name"], node["package_name"], node["version"]) == wanted
            ),
            None,
        )
    if test["resource_type"] == "test" and len(set(test["depends_on"])) == 1:
        return str(test["depends_on"][0])
    attached: str | None = test["attached_node"]
    return attached


def parents(node: Node, nodes: Nodes) -> list[dg.AssetKey]:
    """What a node is built from; what is in no warehouse stands for its own parents."""
    found: dict[dg.AssetKey, None] = {}
    waiting = deque(node["depends_on"])
    seen = set()
    while waiting:
        unique_id = waiting.popleft()
        if unique_id in nodes and unique_id not in seen:
            seen.add(unique_id)
            parent = nodes[unique_id]
            if is_asset(parent):
                found[asset_key(parent)] = None
            else:
                waiting.extend(parent["depends_on"])
    return list(found)


def table_name(node: Node) -> str | None:
    """Where a node is in the warehouse, its parts divided by dots."""
    return ".".join(str(node[part]) for part in _PLACE if node[part]) or None


def as_name(text: str) -> str:
    """A text as Dagster's names are: dbt is not that strict."""
    return _NOT_IN_NAMES.sub("_", text)


def config_of(node: Node) -> Mapping[str, Any]:
    """A node's config in dbt."""
    return _mapping(node["raw"].get("config"))


def dagster_meta(node: Node) -> Mapping[str, Any]:
    """What a dbt project says of a node to Dagster: ``meta.dagster``."""
    meta = _mapping(config_of(node).get("meta")) or _mapping(node["raw"].get("meta"))
    return _mapping(meta.get("dagster"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
