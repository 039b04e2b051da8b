"""Run dbt Cloud jobs from Dagster: trigger once, wait under a policy, keep everything."""

from dbt_trigger_dagster.assets.config import DbtCloudRunConfig, TriggerResponseConfig
from dbt_trigger_dagster.assets.failing_nodes import FailingNode, failing_nodes
from dbt_trigger_dagster.assets.graph import build_dbt_cloud_job_assets
from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.model_assets import build_dbt_cloud_model_assets
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore, DbtCloudResource
from dbt_trigger_dagster.assets.retention import (
    DbtCloudRetentionConfig,
    build_dbt_cloud_retention,
)
from dbt_trigger_dagster.assets.schedule import build_dbt_cloud_schedule
from dbt_trigger_dagster.component.component import DbtCloudJobsComponent
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient, __version__
from dbt_trigger_dagster.dbt_cloud.downloads import Download
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudAuthError,
    DbtCloudCancelledError,
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
    DbtCloudSupersededError,
    DbtCloudWaitTimeoutError,
    SettingError,
)
from dbt_trigger_dagster.dbt_cloud.models import Job, Run, RunStatus, RunStep
from dbt_trigger_dagster.dbt_cloud.parameters import JobFilter, RunFilter, TriggerRequest
from dbt_trigger_dagster.monitor.sensor import build_dbt_cloud_monitor
from dbt_trigger_dagster.storage.errors import StorageError

__all__ = [
    "DbtCloudArtifactStore",
    "DbtCloudAuthError",
    "DbtCloudCancelledError",
    "DbtCloudClient",
    "DbtCloudError",
    "DbtCloudJobNameError",
    "DbtCloudJobsComponent",
    "DbtCloudNotFoundError",
    "DbtCloudPayloadError",
    "DbtCloudRateLimitError",
    "DbtCloudRequestError",
    "DbtCloudResource",
    "DbtCloudResponseError",
    "DbtCloudRetentionConfig",
    "DbtCloudRunCancelledError",
    "DbtCloudRunConfig",
    "DbtCloudRunError",
    "DbtCloudRunFailedError",
    "DbtCloudRunTimeoutError",
    "DbtCloudSupersededError",
    "DbtCloudTableIOManager",
    "DbtCloudWaitTimeoutError",
    "Download",
    "FailingNode",
    "Job",
    "JobFilter",
    "Run",
    "RunFilter",
    "RunStatus",
    "RunStep",
    "SettingError",
    "StorageError",
    "TriggerRequest",
    "TriggerResponseConfig",
    "__version__",
    "build_dbt_cloud_job_assets",
    "build_dbt_cloud_model_assets",
    "build_dbt_cloud_monitor",
    "build_dbt_cloud_retention",
    "build_dbt_cloud_schedule",
    "failing_nodes",
]
