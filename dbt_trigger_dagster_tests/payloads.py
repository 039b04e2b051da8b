"""Payloads of dbt Cloud's API, made up from the field tables of its documentation."""

from typing import Any

ACCOUNT_ID = 101
PROJECT_ID = 2001
JOB_ID = 3001
RUN_ID = 40_000_001
ACCESS_URL = "https://ab123.us1.dbt.com"
ACCOUNT_URL = f"{ACCESS_URL}/api/v2/accounts/{ACCOUNT_ID}/"
RUN_URL = f"{ACCOUNT_URL}runs/{RUN_ID}/"
TOKEN = "dbtc_a-token-that-opens-nothing"

RUN_FIELDS = [
    "id",
    "trigger_id",
    "account_id",
    "environment_id",
    "project_id",
    "job_definition_id",
    "status",
    "dbt_version",
    "git_branch",
    "git_sha",
    "status_message",
    "owner_thread_id",
    "executed_by_thread_id",
    "deferring_run_id",
    "artifacts_saved",
    "artifact_s3_path",
    "has_docs_generated",
    "has_sources_generated",
    "notifications_sent",
    "blocked_by",
    "created_at",
    "updated_at",
    "dequeued_at",
    "started_at",
    "finished_at",
    "last_checked_at",
    "last_heartbeat_at",
    "should_start_at",
    "trigger",
    "job",
    "environment",
    "run_steps",
    "deprecation",
    "status_humanized",
    "in_progress",
    "is_complete",
    "is_success",
    "is_error",
    "is_cancelled",
    "duration",
    "queued_duration",
    "run_duration",
    "duration_humanized",
    "queued_duration_humanized",
    "run_duration_humanized",
    "created_at_humanized",
    "finished_at_humanized",
    "retrying_run_id",
    "can_retry",
    "retry_not_supported_reason",
    "job_id",
    "is_running",
    "href",
    "used_repo_cache",
    "audit",
]
"""Every field that the API documents for a Run."""

_STATUS_NAMES = {1: "Queued", 2: "Starting", 3: "Running", 10: "Success", 20: "Error"}
_FIRST_FINAL_STATUS = 10


def envelope(data: Any, *, total: int | None = None) -> dict[str, Any]:
    """A good answer; with a total, that of a list."""
    body: dict[str, Any] = {
        "status": {
            "code": 200,
            "is_success": True,
            "user_message": "Success!",
            "developer_message": "",
        },
        "data": data,
    }
    if total is not None:
        body["extra"] = {"pagination": {"count": len(data), "total_count": total}}
    return body


def refusal(code: int, message: str, data: Any = None) -> dict[str, Any]:
    """A refusal in dbt Cloud's own envelope."""
    status = {
        "code": code,
        "is_success": False,
        "user_message": message,
        "developer_message": None,
    }
    return {"status": status, "data": data}


def trigger_payload(**changes: Any) -> dict[str, Any]:
    """A trigger as it stands inside a run."""
    payload: dict[str, Any] = {
        "id": 50_000_001,
        "cause": "Nightly",
        "cause_humanized": "Nightly",
        "cause_category": "api",
        "job_definition_id": JOB_ID,
        "job": None,
        "git_branch": "main",
        "git_sha": None,
        "steps_override": None,
        "created_at": "2026-01-02 03:04:04.900000+00:00",
    }
    return payload | changes


def step_payload(index: int, command: str, status: int = 10, **changes: Any) -> dict[str, Any]:
    """A step that invokes dbt."""
    payload: dict[str, Any] = {
        "id": 60_000_000 + index,
        "run_id": RUN_ID,
        "account_id": ACCOUNT_ID,
        "index": index,
        "status": status,
        "name": f"Invoke dbt with `{command}`",
        "logs": f"log of {command}",
    }
    return payload | changes


def run_payload(status: int = 10, **changes: Any) -> dict[str, Any]:
    """A run with every documented field, each of its documented type."""
    over = status >= _FIRST_FINAL_STATUS
    payload: dict[str, Any] = {
        "id": RUN_ID,
        "trigger_id": 50_000_001,
        "account_id": ACCOUNT_ID,
        "environment_id": 70_001,
        "project_id": PROJECT_ID,
        "job_definition_id": JOB_ID,
        "job_id": JOB_ID,
        "status": status,
        "status_humanized": _STATUS_NAMES.get(status, "Cancelled"),
        "status_message": None,
        "dbt_version": "compatible",
        "git_branch": "main",
        "git_sha": "0123456789abcdef0123456789abcdef01234567",
        "owner_thread_id": None,
        "executed_by_thread_id": "dbt-run-40000001-abcde",
        "deferring_run_id": None,
        "artifacts_saved": over,
        "artifact_s3_path": "prod/runs/40000001/artifacts/target",
        "has_docs_generated": False,
        "has_sources_generated": False,
        "notifications_sent": True,
        "blocked_by": [39_999_999],
        "created_at": "2026-01-02 03:04:05.000006+00:00",
        "updated_at": "2026-01-02 03:05:05+00:00",
        "dequeued_at": "2026-01-02 03:04:06.000007+00:00",
        "started_at": "2026-01-02 03:04:07.000008+00:00",
        "finished_at": "2026-01-02 03:05:05.000009+00:00" if over else None,
        "last_checked_at": None,
        "last_heartbeat_at": "2026-01-02 03:05:00.000010+00:00",
        "should_start_at": None,
        "trigger": trigger_payload(),
        "job": {"id": JOB_ID, "name": "Nightly build", "created_at": "2025-01-02T03:04:05.6Z"},
        "environment": None,
        "run_steps": [],
        "deprecation": None,
        "audit": None,
        "in_progress": not over,
        "is_running": None,
        "is_complete": over,
        "is_success": status == 10,
        "is_error": status == 20,
        "is_cancelled": status == 30,
        "duration": "00:01:00",
        "queued_duration": "00:00:02",
        "run_duration": "00:00:58",
        "duration_humanized": "1 minute",
        "queued_duration_humanized": "2 seconds",
        "run_duration_humanized": "58 seconds",
        "created_at_humanized": "1 minute ago",
        "finished_at_humanized": "0 minutes ago",
        "retrying_run_id": None,
        "can_retry": False,
        "retry_not_supported_reason": "RETRY_NOT_FAILED_RUN",
        "href": f"{ACCESS_URL}/deploy/{ACCOUNT_ID}/projects/{PROJECT_ID}/runs/{RUN_ID}/",
        "used_repo_cache": None,
    }
    return payload | changes


def job_payload(job_id: int = JOB_ID, name: str = "Nightly build") -> dict[str, Any]:
    """A job, with the few fields that this package reads."""
    return {"id": job_id, "name": name, "account_id": ACCOUNT_ID, "state": 1}
