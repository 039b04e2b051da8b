"""The code location: one dbt Cloud job, set up by environment variables.

Nothing is read when this is imported; the variables count when a run starts.
"""

import os

import dagster as dg

from dbt_trigger_dagster.assets import build_dbt_cloud_job_assets
from dbt_trigger_dagster.io_managers import DbtCloudTableIOManager
from dbt_trigger_dagster.resources import DbtCloudArtifactStore, DbtCloudResource
from dbt_trigger_dagster.sensors import build_dbt_cloud_monitor

WHERE_TO_FIND = {
    "DBT_CLOUD_ACCESS_URL": "your account's own host: Account settings, Account information, "
    "Access URL",
    "DBT_CLOUD_ACCOUNT_ID": "the number in the address of your dbt Cloud account's pages, after "
    "/accounts/ or /deploy/",
    "DBT_CLOUD_TOKEN": "a service token with the permission Job Runner or Job Admin: Account "
    "settings, Service tokens",
    "DBT_CLOUD_JOB_ID": "the number of the job, after /jobs/ in the address of its page",
}
"""The variables that a run needs, and where their values are found."""


def _account_settings() -> dict[str, str]:
    """The variables of `WHERE_TO_FIND` that are set.

    Raises:
        ValueError: One that the account needs is not set; the message names all that are not, and
            says where to find each. The job may also be named in a run's config.
    """
    missing = [name for name in WHERE_TO_FIND if not os.environ.get(name)]
    if set(missing) - {"DBT_CLOUD_JOB_ID"}:
        lines = [f"{name}: {WHERE_TO_FIND[name]}" for name in missing]
        raise ValueError("\n".join(["These environment variables are not set.", *lines]))
    return {name: os.environ[name] for name in WHERE_TO_FIND if name not in missing}


@dg.resource(description="The dbt Cloud account that environment variables name")
def dbt_cloud(_context: dg.InitResourceContext) -> DbtCloudResource:
    """The account."""
    settings = _account_settings()
    account_id = settings["DBT_CLOUD_ACCOUNT_ID"]
    if not account_id.isdecimal():
        raise ValueError(
            f"DBT_CLOUD_ACCOUNT_ID {account_id!r} is not a number: it is "
            f"{WHERE_TO_FIND['DBT_CLOUD_ACCOUNT_ID']}."
        )
    return DbtCloudResource(
        account_id=int(account_id),
        token=settings["DBT_CLOUD_TOKEN"],
        access_url=settings["DBT_CLOUD_ACCESS_URL"],
    )


@dg.io_manager(description="The DuckDB file that DBT_TRIGGER_DATABASE names")
def dbt_cloud_tables(context: dg.InitResourceContext) -> DbtCloudTableIOManager:
    """The tables."""
    database = os.environ.get("DBT_TRIGGER_DATABASE")
    tables = DbtCloudTableIOManager(database=database) if database else DbtCloudTableIOManager()
    tables.setup_for_execution(context)
    return tables


@dg.resource(description="The folder that DBT_TRIGGER_ARTIFACTS names")
def dbt_cloud_artifacts(_context: dg.InitResourceContext) -> DbtCloudArtifactStore:
    """The artifacts' store."""
    root = os.environ.get("DBT_TRIGGER_ARTIFACTS")
    return DbtCloudArtifactStore(root=root) if root else DbtCloudArtifactStore()


job_assets = build_dbt_cloud_job_assets(
    job_id=dg.EnvVar.int("DBT_CLOUD_JOB_ID"), group_name="dbt_cloud"
)

dbt_cloud_job = dg.define_asset_job(
    "dbt_cloud_job",
    selection=dg.AssetSelection.assets(*job_assets),
    description="Triggers the dbt Cloud job, waits for it and keeps what it leaves",
    # The steps come one after another and wait for the network: a process for each would only
    # cost seconds.
    executor_def=dg.in_process_executor,
)

dbt_cloud_daily = dg.ScheduleDefinition(
    name="dbt_cloud_daily",
    job=dbt_cloud_job,
    cron_schedule="0 6 * * *",
    description="Runs dbt_cloud_job every day at 06:00 UTC, once it is switched on",
    default_status=dg.DefaultScheduleStatus.STOPPED,
)

dbt_cloud_monitor = build_dbt_cloud_monitor(job_assets)

defs = dg.Definitions(
    assets=job_assets,
    jobs=[dbt_cloud_job],
    schedules=[dbt_cloud_daily],
    sensors=[dbt_cloud_monitor],
    resources={
        "dbt_cloud": dbt_cloud,
        "dbt_cloud_tables": dbt_cloud_tables,
        "dbt_cloud_artifacts": dbt_cloud_artifacts,
    },
    executor=dg.in_process_executor,
)
