"""What requests to dbt Cloud carry: the body of a trigger, the filters of a list."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbt_trigger_dagster.dbt_cloud.errors import SettingError

MAX_CAUSE_LENGTH = 255
"""Most characters that dbt Cloud keeps of a cause (apache/airflow#38896)."""


def _fields_that_are_set(value: Any) -> dict[str, Any]:
    """A dataclass as a dict without the fields that are None."""
    return {name: part for name, part in dataclasses.asdict(value).items() if part is not None}


@dataclass(frozen=True, kw_only=True)
class TriggerRequest:
    """The body of a request that triggers a job: a cause and overrides, in the API's names.

    Raises:
        SettingError: The cause is empty or longer than dbt Cloud keeps.
    """

    cause: str
    git_sha: str | None = None
    git_branch: str | None = None
    schema_override: str | None = None
    dbt_version_override: str | None = None
    threads_override: int | None = None
    target_name_override: str | None = None
    generate_docs_override: bool | None = None
    timeout_seconds_override: int | None = None
    steps_override: Sequence[str] | None = None
    azure_pull_request_id: int | None = None
    github_pull_request_id: int | None = None
    gitlab_merge_request_id: int | None = None
    non_native_pull_request_id: int | None = None

    def __post_init__(self) -> None:
        if not self.cause.strip():
            raise SettingError(
                "cause", "is empty; dbt Cloud requires one: say why the job is triggered."
            )
        if len(self.cause) > MAX_CAUSE_LENGTH:
            raise SettingError(
                "cause",
                f"has {len(self.cause)} characters and dbt Cloud keeps at most "
                f"{MAX_CAUSE_LENGTH}: shorten it.",
            )

    def as_body(self) -> dict[str, Any]:
        """The JSON body; overrides that are not set are not sent."""
        return _fields_that_are_set(self)


class _Filter:
    """Query parameters in the API's names; what is None is not sent."""

    def as_query(self) -> dict[str, str]:
        """The parameters as text; a list becomes one JSON list, as the API wants it."""
        return {name: _as_query_value(value) for name, value in _fields_that_are_set(self).items()}


def _as_query_value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence):
        value = [part.isoformat() if isinstance(part, datetime) else part for part in value]
    return json.dumps(value)


@dataclass(frozen=True, kw_only=True)
class RunFilter(_Filter):
    """Which runs to list, in the names of the API's query parameters."""

    job_definition_id: int | None = None
    project_id: int | None = None
    project_id__in: Sequence[int] | None = None
    environment_id: int | None = None
    status: int | None = None
    status__in: Sequence[int] | None = None
    created_at__range: tuple[datetime, datetime] | None = None
    finished_at__range: tuple[datetime, datetime] | None = None
    dbt_version: str | None = None
    dbt_version__in: Sequence[str] | None = None
    deferring_run_id: int | None = None
    has_docs_generated: bool | None = None
    has_sources_generated: bool | None = None
    id__gt: int | None = None
    pk: int | None = None
    pk__in: Sequence[int] | None = None
    state: int | str | None = None


@dataclass(frozen=True, kw_only=True)
class JobFilter(_Filter):
    """Which jobs to list, in the names of the API's query parameters."""

    name__icontains: str | None = None
    project_id: int | None = None
    project_id__in: Sequence[int] | None = None
    environment_id: int | None = None
    dbt_version__in: Sequence[str] | None = None
    triggers_schedule: bool | None = None
    is_fusion_ready: bool | None = None
    is_system: bool | None = None
    pk: int | None = None
    state: int | str | None = None
