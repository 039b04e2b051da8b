"""Which dbt Cloud job a graph runs, and how its assets' definition metadata names it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dbt_trigger_dagster.assets.config import TriggerResponseConfig
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient

JOB_ID_KEY = "dbt_trigger_dagster/job_id"
"""The job's number."""

JOB_NAME_KEY = "dbt_trigger_dagster/job_name"
"""The job's exact name, where it is known by that."""

TRIGGER_RESPONSE = "trigger_response"
"""The asset that triggers the job."""

DBT_CLOUD_RUN = "dbt_cloud_run"
"""The op that waits for the run and stores what it leaves."""

RUN_RESULT = "run_result"
"""The output with the runs' rows."""

ARTIFACTS = "artifacts"
"""The output with the artifacts' rows."""

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


@dataclass(frozen=True)
class JobReference:
    """Which job, as far as its definition says; by number, by a variable, or by exact name."""

    job_id: "int | dg.EnvVar | None"
    job_name: str | None

    def resolve(self, client: DbtCloudClient, config: TriggerResponseConfig) -> int:
        """The job's number, once the run's config and the environment have been asked.

        Raises:
            ValueError: Nobody names a job.
            DbtCloudError: The name cannot be looked up.
        """
        if config.job_id is not None:
            return config.job_id
        name = config.job_name or self.job_name
        if isinstance(name, dg.EnvVar):
            name = name.get_value()
        if name is not None:
            return client.find_job(name).job_id
        if self.job_id is None:
            raise ValueError(
                "No job is named: set job_id or job_name in the config of trigger_response, or in "
                "build_dbt_cloud_job_assets."
            )
        return self.job_id if type(self.job_id) is int else _job_id_of(self.job_id)


def _job_id_of(variable: Any) -> int:
    name = variable.env_var_name
    try:
        value = variable.get_value()
        if value:
            return int(value)
    except ValueError as error:
        raise ValueError(f"{name} is not the number of a job: it needs digits only.") from error
    raise ValueError(
        f"{name} is not set: it names the job, by the number after /jobs/ in the address of the "
        "job's page in dbt Cloud."
    )
