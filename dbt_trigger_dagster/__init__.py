"""Run dbt Cloud jobs from Dagster: trigger once, wait under a policy, keep everything."""

from dbt_trigger_dagster.api import Download
from dbt_trigger_dagster.assets import build_dbt_cloud_job_assets
from dbt_trigger_dagster.client import DbtCloudClient
from dbt_trigger_dagster.errors import (
    DbtCloudAuthError,
    DbtCloudError,
    DbtCloudJobNameError,
    DbtCloudNotFoundError,
    DbtCloudPayloadError,
    DbtCloudRateLimitError,
    DbtCloudRequestError,
    DbtCloudResponseError,
    DbtCloudRunCancelledError,
    DbtCloudRunError,
    DbtCloudRunFailedError,
    DbtCloudRunTimeoutError,
    DbtCloudStoppedError,
    DbtCloudWaitTimeoutError,
    StorageError,
)
from dbt_trigger_dagster.io_managers import DbtCloudTableIOManager
from dbt_trigger_dagster.models import Job, Run, RunStatus, RunStep
from dbt_trigger_dagster.op_configs import DbtCloudRunConfig, TriggerResponseConfig
from dbt_trigger_dagster.parameters import JobFilter, RunFilter, TriggerRequest
from dbt_trigger_dagster.resources import DbtCloudArtifactStore, DbtCloudResource
from dbt_trigger_dagster.sensors import build_dbt_cloud_monitor
from dbt_trigger_dagster.version import __version__

__all__ = [
    "DbtCloudArtifactStore",
    "DbtCloudAuthError",
    "DbtCloudClient",
    "DbtCloudError",
    "DbtCloudJobNameError",
    "DbtCloudNotFoundError",
    "DbtCloudPayloadError",
    "DbtCloudRateLimitError",
    "DbtCloudRequestError",
    "DbtCloudResource",
    "DbtCloudResponseError",
    "DbtCloudRunCancelledError",
    "DbtCloudRunConfig",
    "DbtCloudRunError",
    "DbtCloudRunFailedError",
    "DbtCloudRunTimeoutError",
    "DbtCloudStoppedError",
    "DbtCloudTableIOManager",
    "DbtCloudWaitTimeoutError",
    "Download",
    "Job",
    "JobFilter",
    "Run",
    "RunFilter",
    "RunStatus",
    "RunStep",
    "StorageError",
    "TriggerRequest",
    "TriggerResponseConfig",
    "__version__",
    "build_dbt_cloud_job_assets",
    "build_dbt_cloud_monitor",
]
