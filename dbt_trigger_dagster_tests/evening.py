"""A second code location, for a job of its own."""

import dagster as dg

from dbt_trigger_dagster import build_dbt_cloud_job_assets, definitions

defs = dg.Definitions(
    assets=build_dbt_cloud_job_assets(job_name="evening", key_prefix="evening"),
    jobs=[dg.define_asset_job("dbt_cloud_job", executor_def=dg.in_process_executor)],
    resources=definitions.defs.resources,
)
