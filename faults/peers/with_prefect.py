"""prefect-dbt: its task, in a flow."""

import asyncio
import os
import sys
from typing import Any

from prefect import flow  # type: ignore[import-not-found]  # in an environment of its own
from prefect_dbt.cloud import DbtCloudCredentials  # type: ignore[import-not-found]  # as above
from prefect_dbt.cloud.jobs import (  # type: ignore[import-not-found]  # as above
    trigger_dbt_cloud_job_run,
)


@flow  # type: ignore[untyped-decorator]  # as above
async def trigger() -> Any:
    """Trigger the job."""
    credentials = DbtCloudCredentials(
        api_key=os.environ["DBT_CLOUD_TOKEN"],
        account_id=int(os.environ["DBT_CLOUD_ACCOUNT_ID"]),
        domain=os.environ["PEER_HOST"],
    )
    return await trigger_dbt_cloud_job_run(
        dbt_cloud_credentials=credentials, job_id=int(os.environ["DBT_CLOUD_JOB_ID"])
    )


sys.stdout.write(f"{asyncio.run(trigger())['id']}\n")
