"""The asset graph, as a project of its own would have it; settings come from the environment.

Impatient, so that a fault takes no longer than it must; everything else is the default.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from dbt_trigger_dagster import (
    DbtCloudArtifactStore,
    DbtCloudResource,
    DbtCloudTableIOManager,
    build_dbt_cloud_job_assets,
)

REQUEST_TIMEOUT = 1.0
"""Seconds after which a request that hangs is given up."""

MAX_RETRIES = 2
"""How often a request is repeated."""

_RETRY_DELAY = 0.05
_JOB = "nightly"
_RESUMES = {"dagster/is_resume_retry": "true"}


def job() -> dg.JobDefinition:
    """The graph as a job, for `dg.reconstructable`."""
    return dg.Definitions(
        assets=build_dbt_cloud_job_assets(job_id=dg.EnvVar.int("DBT_CLOUD_JOB_ID")),
        jobs=[dg.define_asset_job(_JOB, executor_def=dg.in_process_executor)],
        resources={
            "dbt_cloud": DbtCloudResource(
                account_id=dg.EnvVar.int("DBT_CLOUD_ACCOUNT_ID"),
                token=dg.EnvVar("DBT_CLOUD_TOKEN"),
                access_url=dg.EnvVar("DBT_CLOUD_ACCESS_URL"),
                request_timeout=REQUEST_TIMEOUT,
                request_max_retries=MAX_RETRIES,
                request_retry_delay=_RETRY_DELAY,
            ),
            "dbt_cloud_tables": DbtCloudTableIOManager(database=dg.EnvVar("DBT_TRIGGER_DATABASE")),
            "dbt_cloud_artifacts": DbtCloudArtifactStore(root=dg.EnvVar("DBT_TRIGGER_ARTIFACTS")),
        },
    ).resolve_job_def(_JOB)


def execute(
    instance: dg.DagsterInstance,
    *,
    wait: Mapping[str, Any] | None = None,
    resumes: str | None = None,
    log_level: str = "CRITICAL",
) -> dg.JobExecutionResult:
    """Execute the job; a step that fails does not raise.

    Args:
        instance: Where Dagster keeps its runs.
        wait: Config of dbt_cloud_run.
        resumes: The failed Dagster run that is resumed from its failure.
        log_level: From which on the log is printed.
    """
    again = None if resumes is None else dg.ReexecutionOptions.from_failure(resumes, instance)
    return dg.execute_job(
        dg.reconstructable(job),
        instance,
        run_config={
            "loggers": {"console": {"config": {"log_level": log_level}}},
            "ops": {"dbt_cloud_run": {"config": dict(wait or {})}},
        },
        tags=None if resumes is None else _RESUMES,
        reexecution_options=again,
    )


def what_failed(result: dg.JobExecutionResult) -> str:
    """What a Dagster run failed with, as its reader sees it; empty for one that did not."""
    for event in result.all_events:
        if event.is_step_failure:
            kept = event.step_failure_data.user_failure_data
            return str(kept.description if kept else event.step_failure_data.error_display_string)
    return "" if result.success else "failed without a failed step"
