"""Launches a run of a job: which job it is, and no run lost to an interrupt."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from dbt_trigger_dagster.client import DbtCloudClient
from dbt_trigger_dagster.errors import DbtCloudError, DbtCloudStoppedError
from dbt_trigger_dagster.failures import as_trigger_failure
from dbt_trigger_dagster.op_configs import TriggerResponseConfig
from dbt_trigger_dagster.parameters import TriggerRequest
from dbt_trigger_dagster.termination import Termination, start_run
from dbt_trigger_dagster.trigger import Intention, Triggered, trigger_once

if TYPE_CHECKING:
    from dbt_trigger_dagster.models import Run


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


@dataclass(frozen=True)
class Launch:
    """One step that triggers a job.

    Args:
        client: The account's client.
        intention: What the run is for.
        termination: Guards the step.
        log: Where it tells what happens.
    """

    client: DbtCloudClient
    intention: Intention
    termination: Termination
    log: logging.Logger

    def trigger(self, job_id: int, request: TriggerRequest) -> Triggered:
        """The run; an interrupt that comes while the request is under way loses none.

        Raises:
            dg.Failure: The job was not triggered, or nobody can tell.
        """
        runs: list[Run] = []
        with self.termination.guarded(self.client, runs):
            try:
                return start_run(
                    self.client,
                    lambda: trigger_once(
                        self.client, job_id, request, self.intention, log=self.log
                    ),
                    runs,
                    log=self.log,
                )
            except DbtCloudStoppedError:
                raise
            except DbtCloudError as error:
                raise as_trigger_failure(error) from error
