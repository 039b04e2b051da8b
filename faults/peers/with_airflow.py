"""Airflow's dbt Cloud provider: its hook, with a connection from the environment."""

import json
import os
import sys

os.environ["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] = json.dumps(
    {
        "conn_type": "dbt_cloud",
        "host": os.environ["PEER_HOST"],
        "login": os.environ["DBT_CLOUD_ACCOUNT_ID"],
        "password": os.environ["DBT_CLOUD_TOKEN"],
    }
)

from airflow.providers.dbt.cloud.hooks.dbt import (  # type: ignore[import-not-found]  # in an environment of its own
    DbtCloudHook,
)

answer = DbtCloudHook().trigger_job_run(
    job_id=int(os.environ["DBT_CLOUD_JOB_ID"]), cause="Triggered by Airflow"
)
sys.stdout.write(f"{answer.json()['data']['id']}\n")
