"""What the graph of one dbt Cloud job is, once: its job and the names of its parts.

The builder makes the value and carries it in the metadata of the assets; schedules and monitors
read it there. Of an environment variable it holds the name and never the value.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from dbt_trigger_dagster.assets.config import TriggerResponseConfig
from dbt_trigger_dagster.assets.dagster_run import carried, carrying
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.text import one_line

JOB_KEY = "dbt_cloud/job"
"""The definition metadata that names the job to people, and carries the `JobGraph`."""

TRIGGER_RESPONSE = "trigger_response"
"""The asset that triggers the job."""

DBT_CLOUD_RUN = "dbt_cloud_run"
"""The op that waits for the run and stores what it leaves."""

RUN_RESULT = "run_result"
"""The output with the runs' rows."""

ARTIFACTS = "artifacts"
"""The output with the artifacts' rows."""

NODE_RESULTS = "node_results"
"""The output with what happened to nodes and sources."""

GRAPHS_KEY = "dbt_cloud/jobs"
"""The definition metadata of a monitor that names its jobs, and carries their `JobGraph` values."""

JOB_ID_TAG = "dbt_cloud/job_id"
"""The tag of a Dagster run that names the dbt Cloud job that it is about."""

RUN_ID_TAG = "dbt_cloud/run_id"
"""The same for the dbt Cloud run."""

STATUS_TAG = "dbt_cloud/status"
"""The same for how the dbt Cloud run ended, where the Dagster run has seen it."""

RUN_ID_KEY = "dbt_cloud_run_id"
"""The metadata that names a dbt Cloud run: of materializations and of observations."""

JOB_ID_PLACE = "the number after /jobs/ in the address of the job's page in dbt Cloud"
"""Where a job's id is found."""


@dataclass(frozen=True)
class JobReference:
    """Which job, as far as a definition says: by id, by exact name, or by a variable for either."""

    job_id: "int | dg.EnvVar | None" = None
    job_name: "str | dg.EnvVar | None" = None

    def __str__(self) -> str:
        named = self.job_name if self.job_id is None else self.job_id
        variable = variable_of(named)
        if variable is not None:
            return f"the one that {variable} names"
        return "the one that the run's config names" if named is None else str(named)

    def in_words(self) -> str:
        """Which job, after the words "the job", in Markdown."""
        named = self.job_name if self.job_id is None else self.job_id
        variable = variable_of(named)
        if variable is not None:
            return f"that `{variable}` names"
        return "that the run's config names" if named is None else f"`{_without_ticks(named)}`"

    def known(self) -> "JobReference":
        """The same by what its variables hold now; one that is not set names nothing.

        Raises:
            ValueError: A variable should hold the job's id and does not.
        """
        by_id, by_name = variable_of(self.job_id), variable_of(self.job_name)
        return JobReference(
            self.job_id if by_id is None else _job_id_in(by_id),
            self.job_name if by_name is None else _value_of(by_name),
        )

    def resolve(self, client: DbtCloudClient, config: TriggerResponseConfig) -> int:
        """The job's id, once the run's config and the environment have been asked.

        Raises:
            ValueError: Nobody names a job.
            DbtCloudError: The name cannot be looked up.
        """
        if config.job_id is not None or config.job_name is not None:
            named = JobReference(config.job_id, config.job_name)
        else:
            named = self.known()
        if named.job_name is not None:
            return client.find_job(named.job_name).job_id
        if named.job_id is not None:
            return int(named.job_id)
        variable = variable_of(self.job_id) or variable_of(self.job_name)
        if variable is not None:
            raise ValueError(f"{variable} is not set: it names the job, by {JOB_ID_PLACE}.")
        raise ValueError(
            "No job is named: set job_id or job_name in the config of trigger_response, or in "
            "build_dbt_cloud_job_assets."
        )


def _without_ticks(named: object) -> str:
    return one_line(str(named)).replace("`", "'")


def variable_of(value: object) -> str | None:
    """The name of a variable, where a value is one; Dagster has a class for each type of them."""
    return getattr(value, "env_var_name", None)


def _value_of(variable: str) -> str | None:
    return os.environ.get(variable, "").strip() or None


def _job_id_in(variable: str) -> int | None:
    """The job's id that a variable holds; None where it is not set."""
    value = _value_of(variable)
    if value is not None and not value.isdecimal():
        raise ValueError(f"{variable} is not the id of a job: give {JOB_ID_PLACE}, digits only.")
    return None if value is None else int(value)


@dataclass(frozen=True)
class JobGraph:
    """The graph of one dbt Cloud job.

    Attributes:
        job: Which job.
        prefix: What stands before the keys of its assets and in the names of its ops.
        landed: The outputs of the op that lands runs.
        cancels_on_termination: Whether terminating a Dagster run cancels its dbt Cloud run, where
            the run's config does not say.
    """

    job: JobReference
    prefix: tuple[str, ...] = ()
    landed: tuple[str, ...] = (RUN_RESULT, ARTIFACTS, NODE_RESULTS)
    cancels_on_termination: bool = True

    def key(self, name: str) -> dg.AssetKey:
        """The key of one of its assets."""
        return dg.AssetKey([*self.prefix, name])

    def name(self, name: str) -> str:
        """What its op, job or schedule of a name is called."""
        return self.key(name).to_python_identifier()

    @property
    def trigger_response(self) -> str:
        """Asset key of the triggers, as the tables write it."""
        return self.key(TRIGGER_RESPONSE).to_user_string()

    @property
    def run_result(self) -> str:
        """Asset key of the runs' rows, as the tables write it."""
        return self.key(RUN_RESULT).to_user_string()

    @property
    def op_name(self) -> str:
        """The op that lands runs."""
        return self.name(DBT_CLOUD_RUN)

    @property
    def landed_keys(self) -> list[dg.AssetKey]:
        """The assets that the op which lands runs brings."""
        return [self.key(name) for name in self.landed]

    def known(self) -> "JobGraph":
        """The same with its job as the environment names it now.

        Raises:
            ValueError: A variable should hold the job's id and does not.
        """
        return replace(self, job=self.job.known())

    def metadata(self) -> dict[str, Any]:
        """What carries the graph in the metadata of its assets."""
        return {JOB_KEY: carrying(self, str(self.job))}


def graphs_in(assets: Iterable[Any], name: str) -> list[JobGraph]:
    """The graphs of which an asset is among some definitions; all else is passed over.

    Args:
        assets: What `build_dbt_cloud_job_assets` returned, and whatever else somebody has.
        name: The asset, such as `RUN_RESULT`.

    Raises:
        ValueError: The keys of a graph's assets were changed after they had been built.
    """
    found: dict[JobGraph, None] = {}
    for each in assets:
        if isinstance(each, dg.AssetsDefinition):
            for key, metadata in each.metadata_by_key.items():
                graph = carried(metadata.get(JOB_KEY))
                if isinstance(graph, JobGraph) and key.path[-1] == name:
                    check_key(graph, key, name)
                    found[graph] = None
    return list(found)


def check_key(graph: JobGraph, key: dg.AssetKey, name: str) -> None:
    """Refuse a key of one of a graph's assets that is not the one it was built with.

    Raises:
        ValueError: It was changed afterwards.
    """
    if key != graph.key(name):
        raise ValueError(
            f"The asset {graph.key(name).to_user_string()} was renamed to {key.to_user_string()}: "
            "give key_prefix to build_dbt_cloud_job_assets instead."
        )
