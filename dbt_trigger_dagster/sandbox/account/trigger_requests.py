"""What a run is asked to do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """What a run is asked to do, under the API's own names; ``None`` overrides nothing."""

    cause: str
    git_sha: str | None = None
    git_branch: str | None = None
    azure_pull_request_id: int | None = None
    github_pull_request_id: int | None = None
    gitlab_merge_request_id: int | None = None
    non_native_pull_request_id: int | None = None
    schema_override: str | None = None
    dbt_version_override: str | None = None
    threads_override: int | None = None
    target_name_override: str | None = None
    generate_docs_override: bool | None = None
    timeout_seconds_override: int | None = None
    steps_override: tuple[str, ...] | None = None
