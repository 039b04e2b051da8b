"""Finds manifests on this machine: a file, or the newest ones below a folder of stored artifacts.

They are read at once, not as a stream: who loads a code location has the memory and no time.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbt_trigger_dagster.artifacts.json_stream import BrokenFileError, read_sections
from dbt_trigger_dagster.artifacts.manifest import MANIFEST, Manifest, as_manifest

_RUNS = ("", "*/", "*/*/", "[0-9]*/*/*/")
"""Where runs' folders are below a run's, a job's, an account's and the root folder.

An account's folder is its id: what is published under ``latest`` beside it is no run.
"""

_SUFFIX = Path(MANIFEST).suffix
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Project:
    """A dbt project, as a manifest has it.

    Attributes:
        name: dbt's name of it; empty where the manifest does not say.
        adapter: The kind of its warehouse, such as ``snowflake``; likewise.
        manifest: Its nodes.
    """

    name: str
    adapter: str
    manifest: Manifest


def find_projects(place: str | Path) -> list[Project]:
    """The project of a manifest's file, or each project of which a folder has manifests.

    Args:
        place: The file, or a folder of stored artifacts: of all of them, of an account, a job or a
            run. Of each project, the newest run's manifest counts; what cannot be read of them is
            warned of and passed over.

    Returns:
        The projects; none where a folder has no manifest yet, or is not there yet.

    Raises:
        ValueError: It is a URL, or a file that is not there or no manifest.
    """
    if "://" in str(place):
        raise ValueError(
            f"manifest {str(place)!r} is a URL, and nothing is asked over the network here: give "
            "the path of a manifest.json, or of a folder of stored artifacts."
        )
    path = Path(place).expanduser()
    if path.is_file():
        return [_read(path)]
    if path.suffix == _SUFFIX:
        raise ValueError(f"manifest {str(place)!r} is not there.")
    found = _newest_in(path)
    if not found:
        _logger.warning("%s has no manifest yet: there are no assets of models.", path)
    return found


def _newest_in(folder: Path) -> list[Project]:
    found: dict[str, Project] = {}
    for file in _newest_of_jobs(folder):
        try:
            if _name_in(file) not in found:
                project = _read(file)
                found[project.name] = project
        except (ValueError, OSError) as error:
            _logger.warning("A stored manifest is passed over: %s", error)
    return list(found.values())


def _newest_of_jobs(folder: Path) -> list[Path]:
    """The manifest of each job's newest run, newest first: ids of runs only grow."""
    for runs in _RUNS:
        jobs: dict[Path, list[Path]] = defaultdict(list)
        for file in folder.glob(runs + MANIFEST):
            jobs[file.parent.parent].append(file)
        if jobs:
            return sorted((max(files, key=_run_id) for files in jobs.values()), key=_run_id)[::-1]
    return []


def _run_id(file: Path) -> int:
    name = file.parent.name
    return int(name) if name.isdecimal() else -1


def _name_in(file: Path) -> str:
    """A manifest's project; dbt writes it at the beginning, so that hardly anything is read."""
    try:
        elements = read_sections(lambda: file.open("rb"), ["metadata"])
        return next((str(value) for _, key, value in elements if key == "project_name"), "")
    except BrokenFileError:
        return ""


def _read(file: Path) -> Project:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} is no manifest: {error}.") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{file} is no manifest: it is no JSON object.")  # noqa: TRY004  # of a file
    metadata = content.get("metadata")
    said: Mapping[str, Any] = metadata if isinstance(metadata, Mapping) else {}
    return Project(
        name=str(said.get("project_name") or ""),
        adapter=str(said.get("adapter_type") or ""),
        manifest=as_manifest(content),
    )
