"""Manifests of projects that tests make up."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def node(unique_id: str, **more: Any) -> dict[str, Any]:
    """A node of a manifest, as far as anybody reads it."""
    kind, package, *names = unique_id.split(".")
    return {
        "unique_id": unique_id,
        "resource_type": kind,
        "package_name": package,
        "name": names[-1] if kind in {"source", "unit_test"} else names[0],
        "config": {},
        **more,
    }


def manifest_of(*nodes: Mapping[str, Any], project: str = "shop", **more: Any) -> dict[str, Any]:
    """A manifest with some nodes, each in its section."""
    sections: dict[str, dict[str, Any]] = {"nodes": {}, "sources": {}, "unit_tests": {}}
    for each in nodes:
        kind = each["resource_type"]
        section = f"{kind}s" if kind in {"source", "unit_test"} else "nodes"
        sections[section][each["unique_id"]] = each
    metadata = {"project_name": project, "adapter_type": "duckdb"}
    return {"metadata": metadata, **sections, **more}


def stored(folder: Path, manifest: Mapping[str, Any] | str) -> Path:
    """Write a manifest into a folder, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "manifest.json"
    file.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return file
