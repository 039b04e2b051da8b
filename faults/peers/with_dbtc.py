"""dbtc: its client, without waiting for the run."""

import os
import sys

from dbtc import dbtCloudClient  # type: ignore[import-not-found]  # in an environment of its own

client = dbtCloudClient(service_token=os.environ["DBT_CLOUD_TOKEN"], host=os.environ["PEER_HOST"])
answer = client.cloud.trigger_job(
    int(os.environ["DBT_CLOUD_ACCOUNT_ID"]),
    int(os.environ["DBT_CLOUD_JOB_ID"]),
    {"cause": "Triggered by dbtc"},
    should_poll=False,
)
sys.stdout.write(f"{answer['data']['id']}\n")
