"""Accounts, projects, environments and jobs as the API writes them."""

from typing import Any

from dbt_trigger_dagster.sandbox.account.cloud import Cloud
from dbt_trigger_dagster.sandbox.account.jobs import RUN_DURATION_LIMIT_SECONDS, SandboxJob
from dbt_trigger_dagster.sandbox.account.timestamps import as_job_timestamp, as_nested_job_timestamp

_ACTIVE = 1
_CRON = "0 0 * * *"


def account_payload(cloud: Cloud) -> dict[str, Any]:
    """Return the account."""
    return {
        "id": cloud.account_id,
        "name": "Sandbox",
        "state": _ACTIVE,
        "plan": "enterprise",
        "run_slots": 1,
        "queue_limit": 50,
        "run_duration_limit_seconds": RUN_DURATION_LIMIT_SECONDS,
        "locked": False,
        "run_locked_until": None,
        "static_subdomain": None,
        **_dates(cloud),
    }


def project_payload(cloud: Cloud, project_id: int) -> dict[str, Any]:
    """Return a project."""
    return {
        "id": project_id,
        "account_id": cloud.account_id,
        "name": "Sandbox project",
        "description": "",
        "state": _ACTIVE,
        "connection_id": 1,
        "repository_id": 1,
        "dbt_project_subdirectory": None,
        **_dates(cloud),
    }


def environment_payload(cloud: Cloud, job: SandboxJob) -> dict[str, Any]:
    """Return the environment that a job runs in."""
    return {
        "id": job.environment_id,
        "account_id": cloud.account_id,
        "project_id": job.project_id,
        "name": "Production",
        "type": "deployment",
        "deployment_type": "production",
        "dbt_version": cloud.dbt_version,
        "use_custom_branch": False,
        "custom_branch": None,
        "state": _ACTIVE,
        **_dates(cloud),
    }


def job_payload(cloud: Cloud, job: SandboxJob) -> dict[str, Any]:
    """Return a job as the jobs endpoints do."""
    return {
        **_definition(cloud, job),
        "schedule": {
            "cron": _CRON,
            "date": {"type": "every_day"},
            "time": {"type": "at_exact_hours", "hours": [0]},
        },
        "generate_sources": job.run_generate_sources,
        "cron_humanized": "At 12:00 AM",
        "next_run": None,
        "next_run_humanized": None,
        **_dates(cloud),
    }


def nested_job_payload(cloud: Cloud, job: SandboxJob) -> dict[str, Any]:
    """Return a job as it stands in a run."""
    moment = as_nested_job_timestamp(cloud.created_at)
    return {
        **_definition(cloud, job),
        "schedule": {"cron": _CRON, "date": "every_day", "time": "at_exact_hours"},
        "created_at": moment,
        "updated_at": moment,
    }


def _definition(cloud: Cloud, job: SandboxJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "account_id": cloud.account_id,
        "project_id": job.project_id,
        "environment_id": job.environment_id,
        "name": job.name,
        "description": job.description,
        "dbt_version": None,
        "raw_dbt_version": None,
        "execute_steps": list(job.execute_steps),
        "generate_docs": job.generate_docs,
        "run_generate_sources": job.run_generate_sources,
        "settings": {"threads": job.threads, "target_name": job.target_name},
        "execution": {"timeout_seconds": job.timeout_seconds},
        "job_type": job.job_type,
        "state": _ACTIVE,
        **_unused_features(),
    }


def _unused_features() -> dict[str, Any]:
    return {
        "deactivated": False,
        "deferring_environment_id": None,
        "deferring_job_definition_id": None,
        "is_deferrable": False,
        "job_completion_trigger_condition": None,
        "lifecycle_webhooks": False,
        "lifecycle_webhooks_url": None,
        "run_compare_changes": False,
        "run_failure_count": 0,
        "triggers": {
            "github_webhook": False,
            "git_provider_webhook": None,
            "schedule": False,
            "on_merge": None,
        },
        "triggers_on_draft_pr": False,
    }


def _dates(cloud: Cloud) -> dict[str, str]:
    moment = as_job_timestamp(cloud.created_at)
    return {"created_at": moment, "updated_at": moment}
