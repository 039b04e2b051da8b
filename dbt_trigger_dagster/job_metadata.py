"""The job of a graph, as its assets' definition metadata names it: for people, and the monitor."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dagster as dg

JOB_ID_KEY = "dbt_trigger_dagster/job_id"
"""The job's number."""

JOB_NAME_KEY = "dbt_trigger_dagster/job_name"
"""The job's exact name, where it is known by that."""

_BY_VARIABLE = "_env"
"""What a key ends in whose value is the name of an environment variable."""


def job_metadata(
    job_id: "int | dg.EnvVar | None", job_name: "str | dg.EnvVar | None"
) -> dict[str, Any]:
    """The metadata that names a job; of an environment variable, its name and no value."""
    if job_id is not None:
        return _named(JOB_ID_KEY, job_id)
    return {} if job_name is None else _named(JOB_NAME_KEY, job_name)


def _named(key: str, value: Any) -> dict[str, Any]:
    variable = getattr(value, "env_var_name", None)
    return {key: value} if variable is None else {key + _BY_VARIABLE: variable}


def job_of(metadata: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """The number or the name of a graph's job, as far as it is set now; the environment is read.

    Raises:
        ValueError: A variable should hold the job's number and does not.
    """
    job_id = _value(metadata, JOB_ID_KEY)
    job_name = _value(metadata, JOB_NAME_KEY)
    if job_id is not None and not str(job_id).isdecimal():
        raise ValueError(
            f"{metadata[JOB_ID_KEY + _BY_VARIABLE]} is not the number of a job: it needs digits "
            "only."
        )
    return None if job_id is None else int(job_id), job_name


def _value(metadata: Mapping[str, Any], key: str) -> Any:
    """What a key says; None where it is not there, or its variable is unset or empty."""
    if key in metadata:
        return getattr(metadata[key], "value", metadata[key])
    variable = metadata.get(key + _BY_VARIABLE)
    return os.environ.get(getattr(variable, "value", variable) or "") or None
