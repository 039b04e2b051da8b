"""Reads the jobs of a sandbox from a YAML file, and says in one sentence what is wrong with it.

The file holds a list of jobs under the API's own names, each with a ``script`` if no dbt is to run.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from dbt_trigger_dagster.sandbox.account.errors import SandboxError
from dbt_trigger_dagster.sandbox.account.jobs import SandboxJob

_JOBS = TypeAdapter(Annotated[list[SandboxJob], Field(min_length=1)])
_NESTED = ("settings", "execution")


def read_jobs_file(file: Path) -> list[SandboxJob]:
    """Read a jobs file.

    Raises:
        SandboxError: The file cannot be read, or does not describe jobs.
    """
    try:
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise SandboxError(f"{file} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise SandboxError(f"{file} is not YAML: {' '.join(str(error).split())}.") from error
    flat = [_flat(job) for job in content] if isinstance(content, list) else content
    try:
        # As JSON, in which "strict" takes mappings for dataclasses, and True for no number.
        jobs = _JOBS.validate_json(json.dumps(flat, default=str), strict=True)
    except ValidationError as error:
        raise SandboxError(f"{file}: {_problem(flat, error)}.") from error
    ids = [job.id for job in jobs if job.id]
    if len(set(ids)) < len(ids):
        raise SandboxError(f"{file}: two jobs have the same id.")
    return jobs


def _flat(job: Any) -> Any:
    """Name what the API nests in a job by its path, as the fields of a job are named."""
    if not isinstance(job, dict):
        return job
    flat = dict(job)
    for name in _NESTED:
        if isinstance(flat.get(name), dict):
            flat |= {f"{name}.{key}": value for key, value in flat.pop(name).items()}
    return flat


def _problem(content: Any, error: ValidationError) -> str:
    # Of the alternatives that were tried for one value, the one that fitted furthest is meant.
    worst = max(
        error.errors(), key=lambda each: (len(each["loc"]), not each["type"].endswith("_type"))
    )
    message = worst["msg"][0].lower() + worst["msg"][1:]
    if worst["type"] == "unexpected_keyword_argument":
        message = "is no mapping" if worst["loc"][-1] in _NESTED else "is unknown"
    return f"{_place(content, worst)}: {message}"


def _place(content: Any, error: ErrorDetails) -> str:
    """Return where an error is, without the names of the types that were tried."""
    place = ["the file"]
    for part in error["loc"]:
        if isinstance(content, list) and isinstance(part, int):
            content = content[part]
            named = isinstance(content, dict) and content.get("name")
            kind = "job" if len(place) == 1 else "item"
            place.append(f"{kind} {named!r}" if named else f"{kind} {part + 1}")
        elif isinstance(content, dict) and (part in content or part == error["loc"][-1]):
            content = content.get(part)
            place.append(repr(part))
    return ", ".join(place[1:] or place)
