"""Runs, triggers and steps as the API writes them, with every null and derived field."""

import re
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.sandbox.account.cloud import Cloud
from dbt_trigger_dagster.sandbox.account.logs import (
    as_debug_logs,
    as_logs,
    read_tail,
    read_whole,
    truncated,
)
from dbt_trigger_dagster.sandbox.account.runs import Run, Step
from dbt_trigger_dagster.sandbox.account.timestamps import as_duration, as_run_timestamp, humanized
from dbt_trigger_dagster.sandbox.api.job_payloads import environment_payload, nested_job_payload
from dbt_trigger_dagster.sandbox.pages.addresses import run_address

# What the answer to a trigger brings along without being asked for.
RELATED_TO_NEW_RUNS = frozenset({"trigger", "job"})

_STATUS_COLORS = {
    RunStatus.SUCCESS: "#55973a",
    RunStatus.ERROR: "#bc4437",
    RunStatus.CANCELLED: "#6c757d",
}
_INVOCATION = re.compile(r"Invoke dbt with `(.*)`", re.DOTALL)


def run_payload(cloud: Cloud, run: Run, base_url: str, related: Collection[str]) -> dict[str, Any]:
    """Return a run.

    Args:
        cloud: The account.
        run: The run.
        base_url: The address under which the client reached the sandbox, ending in a slash.
        related: What else was asked for, by the names that ``include_related`` takes.
    """
    return {
        **_identity(cloud, run, base_url),
        **_outcome(cloud, run),
        **_timestamps(run),
        **_durations(run),
        **_related(cloud, run, related),
    }


def _identity(cloud: Cloud, run: Run, base_url: str) -> dict[str, Any]:
    return {
        "id": run.id,
        "trigger_id": run.trigger.id,
        "account_id": cloud.account_id,
        "environment_id": run.job.environment_id,
        "project_id": run.job.project_id,
        "job_definition_id": run.job.id,
        "job_id": run.job.id,
        "dbt_version": run_dbt_version(cloud, run),
        "git_branch": run.branch if run.started_at else None,
        "git_sha": run.commit,
        "retrying_run_id": run.retry_of.id if run.retry_of else None,
        "deferring_run_id": None,
        "owner_thread_id": None,
        "executed_by_thread_id": f"dbt-run-{run.id}-sandbox" if run.started_at else None,
        "href": f"{base_url.rstrip('/')}{run_address(cloud.account_id, run)}",
    }


def run_dbt_version(cloud: Cloud, run: Run) -> str:
    """Return the version of dbt that a run reports."""
    return run.trigger.request.dbt_version_override or cloud.dbt_version


def _outcome(cloud: Cloud, run: Run) -> dict[str, Any]:
    blocker = cloud.blocker_of(run)
    obstacle = cloud.retry_obstacle(run)
    saved = run.artifacts_saved_at is not None
    return {
        "status": run.status,
        "status_humanized": run.status.name.capitalize(),
        "status_message": run.status_message,
        "in_progress": run.in_progress,
        "is_complete": not run.in_progress,
        "is_success": run.status == RunStatus.SUCCESS,
        "is_error": run.status == RunStatus.ERROR,
        "is_cancelled": run.status == RunStatus.CANCELLED,
        "is_running": None,
        "blocked_by": [blocker.id] if blocker else [],
        "can_retry": obstacle is None,
        "retry_not_supported_reason": obstacle,
        "artifacts_saved": saved,
        "artifact_s3_path": f"prod/runs/{run.id}/artifacts/target" if saved else None,
        "has_docs_generated": has_docs_generated(run),
        "has_sources_generated": has_sources_generated(run),
        "notifications_sent": False,
        "used_repo_cache": None,
    }


def has_docs_generated(run: Run) -> bool:
    """Whether a run left a catalog."""
    return run.artifacts_saved_at is not None and run.has_artifact("catalog.json")


def has_sources_generated(run: Run) -> bool:
    """Whether a run left the freshness of its sources."""
    return run.artifacts_saved_at is not None and run.has_artifact("sources.json")


def _timestamps(run: Run) -> dict[str, Any]:
    updated_at = run.finished_at or run.started_at or run.dequeued_at or run.created_at
    last_seen_at = run.finished_at or (run.clock() if run.started_at else None)
    return {
        "created_at": as_run_timestamp(run.created_at),
        "updated_at": as_run_timestamp(updated_at),
        "dequeued_at": as_run_timestamp(run.dequeued_at),
        "started_at": as_run_timestamp(run.started_at),
        "finished_at": as_run_timestamp(run.finished_at),
        "last_checked_at": as_run_timestamp(last_seen_at),
        "last_heartbeat_at": as_run_timestamp(last_seen_at),
        "should_start_at": None,
    }


def _durations(run: Run) -> dict[str, Any]:
    now = run.clock()
    end = run.finished_at or now
    durations = {
        "duration": end - run.created_at,
        "queued_duration": (run.started_at or end) - run.created_at,
        "run_duration": end - run.started_at if run.started_at else timedelta(),
    }
    since_end = f"{humanized(now - run.finished_at)} ago" if run.finished_at else None
    return {
        **{name: as_duration(duration) for name, duration in durations.items()},
        **{f"{name}_humanized": humanized(duration) for name, duration in durations.items()},
        "created_at_humanized": f"{humanized(now - run.created_at)} ago",
        "finished_at_humanized": since_end or "0 minutes from now",
    }


def _related(cloud: Cloud, run: Run, related: Collection[str]) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "trigger": trigger_payload(run) if "trigger" in related else None,
        "job": nested_job_payload(cloud, run.job) if "job" in related else None,
        "environment": environment_payload(cloud, run.job) if "environment" in related else None,
        "run_steps": [],
    }
    if "run_steps" in related:
        whole = "debug_logs" in related
        payload["run_steps"] = [step_payload(cloud, step, whole_logs=whole) for step in run.steps]
    if "audit" in related:
        actor = {"id": None, "type": "service_token", "name": "sandbox"}
        payload["audit"] = {"trigger": {"actor": actor}, "cancellation": None}
    return payload


def trigger_payload(run: Run) -> dict[str, Any]:
    """Return a run's trigger."""
    trigger = run.trigger
    return {
        "id": trigger.id,
        **asdict(trigger.request),
        "git_branch": run.branch,  # dbt Cloud names one also where the request does not
        "cause_humanized": trigger.request.cause,
        "cause_category": trigger.cause_category,
        "job_definition_id": run.job.id,
        "job": None,
        "created_at": as_run_timestamp(trigger.created_at),
    }


def step_payload(cloud: Cloud, step: Step, *, whole_logs: bool) -> dict[str, Any]:
    """Return a step; the whole debug logs only if they were asked for."""
    duration = (step.finished_at or step.clock()) - step.started_at
    return {
        "id": step.id,
        "run_id": step.run_id,
        "account_id": cloud.account_id,
        "index": step.index,
        "name": step.name,
        "status": step.status,
        "status_humanized": step.status.name.capitalize(),
        "status_color": _STATUS_COLORS.get(step.status, "#0074d9"),
        **_step_logs(step, whole=whole_logs),
        **_step_timestamps(step.started_at, step.finished_at),
        "duration": as_duration(duration),
        "duration_humanized": humanized(duration),
        **_step_command(step),
    }


def _step_logs(step: Step, *, whole: bool) -> dict[str, Any]:
    tail = as_debug_logs(read_tail(step.debug_logs), step.started_at)
    debug_logs = as_debug_logs(read_whole(step.debug_logs), step.started_at) if whole else None
    return {
        "logs": as_logs(read_tail(step.logs)),
        "debug_logs": debug_logs,
        "truncated_debug_logs": truncated(tail),
        "log_location": "db",
        "log_path": None,
        "debug_log_path": None,
        "log_archive_type": "db_flushed",
    }


def _step_timestamps(started_at: datetime, finished_at: datetime | None) -> dict[str, Any]:
    return {
        "created_at": as_run_timestamp(started_at),
        "updated_at": as_run_timestamp(finished_at or started_at),
        "started_at": as_run_timestamp(started_at),
        "finished_at": as_run_timestamp(finished_at),
    }


def _step_command(step: Step) -> dict[str, Any]:
    invocation = _INVOCATION.fullmatch(step.name)
    if invocation is None:
        return {"run_step_command": None, "run_step_invocation": None}
    return {
        "run_step_command": {"run_step_id": step.id, "dbt_command": invocation[1]},
        "run_step_invocation": {"run_step_id": step.id, "run_id": step.run_id},
    }
