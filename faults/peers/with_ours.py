"""dbt_trigger_dagster: the asset trigger_response, with the code location's own settings."""

import os
import sys

import dagster as dg

from dbt_trigger_dagster import build_dbt_cloud_job_assets
from dbt_trigger_dagster.definitions import defs

result = dg.materialize(
    build_dbt_cloud_job_assets(job_id=int(os.environ["DBT_CLOUD_JOB_ID"])),
    resources=defs.resources,
    selection=["trigger_response"],
)
(event,) = result.asset_materializations_for_node("trigger_response")
sys.stdout.write(f"{event.metadata['dbt_cloud_run_id'].value}\n")
