"""The code location: one dbt Cloud job, or those of a file, set up by environment variables.

Without ``DBT_TRIGGER_JOBS`` nothing is read when this is imported; the variables count when a run
starts. With it, the file that it names is read.
"""

import os
from pathlib import Path

import dagster as dg
from pydantic import Field

from dbt_trigger_dagster.assets.graph import build_dbt_cloud_job_assets
from dbt_trigger_dagster.assets.schedule import build_dbt_cloud_schedule
from dbt_trigger_dagster.component.account import PLACES, Workspace, account_resources
from dbt_trigger_dagster.component.component import DbtCloudJobsComponent
from dbt_trigger_dagster.component.monitor import MonitorSettings
from dbt_trigger_dagster.component.storage import Storage, storage_resources
from dbt_trigger_dagster.component.yaml_sections import read_section
from dbt_trigger_dagster.monitor.sensor import build_dbt_cloud_monitor

JOB_ID = "DBT_CLOUD_JOB_ID"
WORKSPACE = Workspace()
STORAGE = Storage()
WHERE_TO_FIND = {
    WORKSPACE.access_url_env: PLACES["access_url"],
    WORKSPACE.account_id_env: PLACES["account_id"],
    WORKSPACE.token_env: PLACES["token"],
    JOB_ID: PLACES["job_id"],
}
"""The variables that a run needs, and where their values are found."""


def _one_job() -> dg.Definitions:
    """The job that `DBT_CLOUD_JOB_ID` names."""
    assets = build_dbt_cloud_job_assets(job_id=dg.EnvVar.int(JOB_ID), group_name="dbt_cloud")
    daily = build_dbt_cloud_schedule(assets, cron_schedule="0 6 * * *", name="dbt_cloud_daily")
    return dg.Definitions(
        assets=assets,
        schedules=[daily],
        sensors=[build_dbt_cloud_monitor(assets)],
        resources={**account_resources(WORKSPACE, JOB_ID), **storage_resources(STORAGE)},
    )


class _Jobs(DbtCloudJobsComponent):
    """A file of jobs; what it does not say of account and storage, the environment does."""

    workspace: Workspace = WORKSPACE
    storage: Storage = Field(default={}, validate_default=True)  # paths begin beside the file
    monitor: MonitorSettings = MonitorSettings()


def _definitions() -> dg.Definitions:
    file = os.environ.get("DBT_TRIGGER_JOBS")
    found = read_section(_Jobs, Path(file)).build_definitions() if file else _one_job()
    # The steps of a job come one after another and wait for the network: a process for each would
    # only cost seconds.
    return dg.Definitions.merge(found, dg.Definitions(executor=dg.in_process_executor))


defs = _definitions()
