"""A second code location, for a job of its own, with a monitor that does not wait to land runs."""

import dagster as dg

from dbt_trigger_dagster import (
    build_dbt_cloud_job_assets,
    build_dbt_cloud_monitor,
    definitions,
)

assets = build_dbt_cloud_job_assets(job_name="evening", key_prefix="evening")

defs = dg.Definitions(
    assets=assets,
    jobs=[dg.define_asset_job("dbt_cloud_job", executor_def=dg.in_process_executor)],
    sensors=[
        build_dbt_cloud_monitor(
            assets,
            settle_seconds=1,
            minimum_interval_seconds=1,
            default_status=dg.DefaultSensorStatus.RUNNING,
        )
    ],
    resources=definitions.defs.resources,
)
