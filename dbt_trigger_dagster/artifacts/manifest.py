"""What a manifest.json says of nodes: only what rows are made of, one node at a time."""

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from dbt_trigger_dagster.artifacts.json_stream import (
    BrokenFileError,
    Element,
    OpenFile,
    plain,
    read_sections,
)
from dbt_trigger_dagster.artifacts.run_results import named_by
from dbt_trigger_dagster.storage.record_file import RecordFile

MANIFEST = "manifest.json"

_SECTIONS = ("nodes", "sources", "unit_tests", "functions", "groups")
_COLUMN_FIELDS = ("name", "description", "data_type")


@dataclass
class Manifest:
    """What a manifest says, as far as it can be read.

    Attributes:
        nodes: Records of `NODE`'s columns by the nodes' ids. Beside those they have ``database``,
            ``schema``, ``alias``, ``version``, ``source_name``, ``attached_node``,
            ``column_name``, ``severity`` and ``compiled_path``.
        error: Why not all of it could be read; empty where it could.
    """

    nodes: MutableMapping[str, dict[str, Any]] = field(default_factory=dict)
    error: str = ""


def read_manifest(open_file: OpenFile, **of_the_run: Any) -> Manifest:
    """The nodes of a manifest of any size, their owners among what is said of them.

    Args:
        open_file: Opens the manifest.
        of_the_run: What else stands in each record.
    """
    return _manifest_of(read_sections(open_file, _SECTIONS), RecordFile(), of_the_run)


def as_manifest(content: Mapping[str, Any]) -> Manifest:
    """The same of a manifest that is parsed already, for those who have the memory and no time."""
    elements = (
        (section, unique_id, node)
        for section in _SECTIONS
        for unique_id, node in _mapping(content.get(section)).items()
    )
    return _manifest_of(elements, {}, {})


def _manifest_of(
    elements: Iterable[Element],
    nodes: MutableMapping[str, dict[str, Any]],
    of_the_run: Mapping[str, Any],
) -> Manifest:
    manifest = Manifest(nodes)
    owners: dict[str, str] = {}
    of_groups: dict[str, str] = {}
    try:
        for section, unique_id, node in elements:
            if not isinstance(node, Mapping) or not unique_id:
                continue
            if section == "groups":
                owners[str(node.get("name"))] = _owner_name(node.get("owner"))
            else:
                record = _record(unique_id, node)
                nodes[unique_id] = {**record, **of_the_run}
                if record["group_name"] and not record["owner"]:
                    of_groups[unique_id] = str(record["group_name"])
    except BrokenFileError as error:
        manifest.error = str(error)
    for unique_id, group in of_groups.items():  # groups stand behind the nodes
        if owner := owners.get(group):
            nodes[unique_id] = {**nodes[unique_id], "owner": owner}
    return manifest


def _record(unique_id: str, node: Mapping[str, Any]) -> dict[str, Any]:
    config = _mapping(node.get("config"))
    group = node.get("group") or config.get("group")
    checksum = node.get("checksum")
    record = {
        **named_by(unique_id),
        "original_file_path": node.get("original_file_path"),
        "relation_name": node.get("relation_name"),
        "source_name": node.get("source_name"),
        "database": node.get("database"),
        "schema": node.get("schema"),
        "alias": node.get("alias") or node.get("identifier"),
        "version": node.get("version"),
        "materialization": config.get("materialized"),
        "tags": _list(node.get("tags") or config.get("tags")),
        "owner": _owner(node, config) or None,
        "group_name": group,
        "description": node.get("description"),
        "depends_on": _parents(node),
        "columns": _columns(node.get("columns")),
        "checksum": checksum.get("checksum") if isinstance(checksum, Mapping) else checksum,
        "attached_node": node.get("attached_node") or _tested_by(unique_id, node),
        "column_name": node.get("column_name"),
        "severity": _severity(config.get("severity")),
        "compiled_path": node.get("compiled_path"),
        "raw": {"config": plain(dict(config)), "meta": plain(node.get("meta"))},
    }
    for name in ("resource_type", "name", "package_name"):
        record[name] = node.get(name) or record[name]
    return record


def _tested_by(unique_id: str, node: Mapping[str, Any]) -> str | None:
    """The model that a unit test is of; other nodes are attached to none."""
    tested = _parents(node)
    return tested[0] if tested and unique_id.startswith("unit_test.") else None


def _parents(node: Mapping[str, Any]) -> list[str]:
    """Ids of the nodes that one is built from."""
    parents = _list(_mapping(node.get("depends_on")).get("nodes"))
    return [parent for parent in parents if isinstance(parent, str)]


def _severity(severity: Any) -> str | None:
    return severity.lower() if isinstance(severity, str) else None


def _owner(node: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    for meta in (config.get("meta"), node.get("meta")):
        if found := _owner_name(_mapping(meta).get("owner")):
            return found
    return _owner_name(node.get("owner"))


def _owner_name(owner: Any) -> str:
    """An owner in words: people write a name, a list of names, or what groups have."""
    if isinstance(owner, Mapping):
        return _owner_name(owner.get("email") or owner.get("name"))
    if isinstance(owner, list):
        return ", ".join(filter(None, map(_owner_name, owner)))
    return str(owner or "")


def _columns(columns: Any) -> list[dict[str, Any]]:
    return [
        {name: column[name] for name in _COLUMN_FIELDS if column.get(name)}
        for column in _mapping(columns).values()
        if isinstance(column, Mapping)
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
