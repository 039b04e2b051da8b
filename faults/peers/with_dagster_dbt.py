"""dagster-dbt: the client of its dbt Cloud workspace."""

import os
import sys

from dagster_dbt.cloud_v2 import DbtCloudCredentials, DbtCloudWorkspace

workspace = DbtCloudWorkspace(
    credentials=DbtCloudCredentials(
        account_id=int(os.environ["DBT_CLOUD_ACCOUNT_ID"]),
        token=os.environ["DBT_CLOUD_TOKEN"],
        access_url=os.environ["DBT_CLOUD_ACCESS_URL"],
    ),
    project_id=1,  # a trigger asks for neither
    environment_id=1,
)
run = workspace.get_client().trigger_job_run(int(os.environ["DBT_CLOUD_JOB_ID"]))
sys.stdout.write(f"{run['id']}\n")
