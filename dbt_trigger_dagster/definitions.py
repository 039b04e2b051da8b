"""The code location: one dbt Cloud job, or those of a file, set up by environment variables.

Without ``DBT_TRIGGER_JOBS`` nothing is read when this is imported; the variables count when a run
starts. With it, the file that it names is read.
"""

import dagster as dg

from dbt_trigger_dagster.assets.graph import build_dbt_cloud_job_assets
from dbt_trigger_dagster.assets.schedule import build_dbt_cloud_schedule
from dbt_trigger_dagster.component.account import PLACES, account_resources
from dbt_trigger_dagster.component.code_location import STORAGE, WORKSPACE, read_jobs_file
from dbt_trigger_dagster.component.storage import storage_resources
from dbt_trigger_dagster.monitor.sensor import build_dbt_cloud_monitor

JOB_ID = "DBT_CLOUD_JOB_ID"
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


def _definitions() -> dg.Definitions:
    jobs_file = read_jobs_file()
    found = _one_job() if jobs_file is None else jobs_file.build_definitions()
    # The steps of a job come one after another and wait for the network: a process for each would
    # only cost seconds.
    return dg.Definitions.merge(found, dg.Definitions(executor=dg.in_process_executor))


defs = _definitions()
