"""What can be set for each materialization: trigger, wait policy, artifact policy.

Field names and defaults are a contract with users.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import dagster as dg
from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from dbt_trigger_dagster.artifacts.paths import check_patterns
from dbt_trigger_dagster.dbt_cloud.errors import SettingError
from dbt_trigger_dagster.dbt_cloud.parameters import TriggerRequest
from dbt_trigger_dagster.dbt_cloud.transport import POOL_SIZE


class TriggerResponseConfig(dg.Config):
    """Which job is triggered, why, and what is different this time.

    The overrides have the names of dbt Cloud's API; those that are not set are not sent.
    """

    cause: str = Field(
        default="Triggered from Dagster",
        description="Why the job is triggered; shown in dbt Cloud. At most 255 "
        "characters, of which those that leave no room for the marker are cut (from about 208 on)",
    )
    job_id: int | None = Field(
        default=None, description="Run this job instead of the one that the asset is defined for"
    )
    job_name: str | None = Field(
        default=None,
        description="The same by the job's exact name; give job_id or job_name, not both",
    )
    git_sha: str | None = Field(
        default=None, description="Commit to check out; give git_sha or git_branch, not both"
    )
    git_branch: str | None = Field(default=None, description="Branch to check out")
    schema_override: str | None = Field(
        default=None, description="Schema to build in, instead of the target's"
    )
    dbt_version_override: str | None = Field(
        default=None, description="Version or release track of dbt, such as 1.9.0 or latest"
    )
    threads_override: int | None = Field(default=None, description="Number of dbt threads")
    target_name_override: str | None = Field(default=None, description="dbt's target.name")
    generate_docs_override: bool | None = Field(
        default=None, description="Whether docs are generated"
    )
    timeout_seconds_override: int | None = Field(
        default=None, description="Seconds after which dbt Cloud cancels the run"
    )
    steps_override: list[str] | None = Field(
        default=None, description="dbt commands to run, instead of the job's"
    )
    azure_pull_request_id: int | None = Field(
        default=None, description="Azure DevOps pull request that the run is for"
    )
    github_pull_request_id: int | None = Field(
        default=None, description="GitHub pull request that the run is for"
    )
    gitlab_merge_request_id: int | None = Field(
        default=None, description="GitLab merge request that the run is for"
    )
    non_native_pull_request_id: int | None = Field(
        default=None, description="Pull request of another git provider that the run is for"
    )

    @model_validator(mode="after")
    def _check(self) -> "TriggerResponseConfig":
        if self.job_id is not None and self.job_name is not None:
            raise ValueError("job_id and job_name are both set: give one of them.")
        if self.job_name is not None and not self.job_name.strip():
            raise SettingError(
                "job_name", "is empty: give the job's exact name, or leave it out for the asset's."
            )
        return self

    def as_request(self) -> TriggerRequest:
        """The request that triggers the job.

        Raises:
            SettingError: The cause is empty or too long, an override is out of its range, or two
                exclude each other.
        """
        if self.git_sha is not None and self.git_branch is not None:
            raise SettingError("git_branch", "and git_sha are both set: give one of them.")
        if self.threads_override is not None and self.threads_override < 1:
            raise SettingError("threads_override", f"is {self.threads_override}: give 1 or more.")
        if self.timeout_seconds_override is not None and self.timeout_seconds_override < 0:
            raise SettingError(
                "timeout_seconds_override",
                f"is {self.timeout_seconds_override}: give 0 or more.",
            )
        steps = self.steps_override
        if steps is not None and not (steps and all(step.strip() for step in steps)):
            raise SettingError(
                "steps_override",
                "lacks a dbt command: give at least one, none of them empty, or leave it out.",
            )
        return TriggerRequest(**self.model_dump(exclude={"job_id", "job_name"}))


_Policy = Literal["never", "always", "transient"]
_ONCE = {"true": "always", "false": "never"}


def _as_policy(value: Any) -> Any:
    """A policy, or true or false, which were the only values once."""
    policy = _ONCE.get(str(value).lower(), value)
    if policy not in get_args(_Policy):
        raise SettingError("retry_failed_run", f"is {value!r}: give never, always or transient.")
    return policy


if TYPE_CHECKING:
    RetryFailedRun = bool | _Policy  # what may be given; what is read is a policy
else:  # Dagster's config knows no word that may be true or false too: it lets any value come here
    _VALUES = {"type": ["boolean", "string"], "enum": [True, False, *get_args(_Policy)]}
    RetryFailedRun = Annotated[Any, BeforeValidator(_as_policy), WithJsonSchema(_VALUES)]


class DbtCloudRunConfig(dg.Config):
    """How long to wait for the run, what to do then, and which artifacts to keep."""

    wait_for_result: bool = Field(
        default=True,
        description="false: end at once and materialize nothing; the monitor lands the run when it "
        "is over",
    )
    max_wait_time: float | None = Field(
        default=3600, description="Seconds from the start of the wait; null waits for ever"
    )
    poll_interval: float = Field(
        default=10,
        description="Longest pause in seconds between two polls; the first polls come sooner: the "
        "pause is a tenth of the time waited so far, at least 1 s",
    )
    on_timeout: Literal["fail", "cancel", "leave"] = Field(
        default="fail",
        description='When max_wait_time is over: "fail": the step fails, the dbt run goes on, and '
        're-executing the step resumes waiting for it; "cancel": the dbt run is cancelled, then '
        'the step fails; "leave": the step succeeds without materializing, and the monitor lands '
        "the run",
    )
    cancel_on_termination: bool = Field(
        default=True,
        description="Terminate in Dagster, or Ctrl-C on the command line, cancels the dbt run; a "
        "worker that is drained or killed does not",
    )
    retry_failed_run: RetryFailedRun = Field(
        default="always",
        description="When this step is re-executed or retried by Dagster and the dbt run has ended "
        'in error: "always" (or true): dbt Cloud retries it from its point of failure, and the new '
        'run is followed; "transient": only where the error of every node that failed may heal by '
        'itself; "never" (or false): it is left as it is',
    )
    max_run_retries: int = Field(
        default=0,
        description="The same inside the step, without Dagster's help: so many retries at most of "
        "a run that fails while it is waited for, after pauses of 30 s, 1 min, 2 min and so on up "
        "to 10 min; all within max_wait_time",
    )
    raise_on_failed_run: bool = Field(
        default=True,
        description="A dbt run that ended in error, was cancelled or timed out fails the step, "
        "after its rows and artifacts are stored; nothing is materialized then",
    )
    run_ids: list[int] = Field(
        default=[],
        description="Follow these dbt Cloud runs instead of the one that trigger_response started",
    )
    store_artifacts: bool = Field(default=True, description="false: list nothing, download nothing")
    artifact_steps: Literal["last", "all"] = Field(
        default="last",
        description='"last": what dbt Cloud lists, which is of the last step, and what '
        'node_results needs; "all": also the well-known artifacts of each dbt step',
    )
    include_artifacts: list[str] = Field(
        default=["**"], description="Glob patterns of the artifact paths to store"
    )
    exclude_artifacts: list[str] = Field(
        default=[], description="Glob patterns of the artifact paths to leave out"
    )
    node_results: bool = Field(
        default=True,
        description="Tell what happened to each node of each step, from the files that the steps "
        "left: run_results.json of each dbt step (of dbt source freshness, sources.json) is "
        "fetched for it, one request a step; false: read nothing of them, fetch nothing for it",
    )
    emit_node_events: bool = Field(
        default=False,
        description="Report what happened to each node as an event of its own asset or check, "
        "which build_dbt_cloud_model_assets declares; it needs node_results",
    )
    max_parallel_downloads: int = Field(
        default=8, description=f"Artifacts downloaded at the same time, from 1 to {POOL_SIZE}"
    )

    @model_validator(mode="after")
    def _check(self) -> "DbtCloudRunConfig":
        if self.max_wait_time is not None and not 0 < self.max_wait_time < math.inf:
            raise SettingError(
                "max_wait_time",
                f"is {self.max_wait_time:g}: give more than 0 seconds, null to wait for ever, or "
                "wait_for_result: false not to wait.",
            )
        if not 0 < self.poll_interval < math.inf:
            raise SettingError(
                "poll_interval", f"is {self.poll_interval:g}: give more than 0 seconds."
            )
        if self.max_run_retries < 0:
            raise SettingError("max_run_retries", f"is {self.max_run_retries}: give 0 or more.")
        if not 1 <= self.max_parallel_downloads <= POOL_SIZE:
            raise SettingError(
                "max_parallel_downloads",
                f"is {self.max_parallel_downloads}: give 1 to {POOL_SIZE}.",
            )
        if self.emit_node_events and not (self.node_results and self.store_artifacts):
            raise SettingError(
                "emit_node_events",
                "is true: give node_results and store_artifacts as well.",
            )
        check_patterns([*self.include_artifacts, *self.exclude_artifacts])
        return self


def as_run_config(
    values: Mapping[str, Any], config_class: type[DbtCloudRunConfig] = DbtCloudRunConfig
) -> DbtCloudRunConfig:
    """The config of the step that will wait, read where the job is about to be triggered.

    So a wait policy that cannot be kept stops the Dagster run before a dbt run has started.

    Args:
        values: What the run's config sets.
        config_class: Of that step; it has the defaults.

    Raises:
        ValueError: A value is out of its range.
    """
    try:
        return config_class(**values)
    except ValidationError as error:
        raise ValueError(as_sentence(error)) from error


def check_is_followed(waiting: DbtCloudRunConfig) -> None:
    """Refuse to trigger a job where the step that waits is to follow other runs.

    Args:
        waiting: Of that step, in the same Dagster run.

    Raises:
        SettingError: It names runs.
    """
    if waiting.run_ids:
        raise SettingError(
            "run_ids",
            "is set, so nobody would follow the run that trigger_response starts: leave it out, "
            "or materialize the other assets without trigger_response.",
        )


def as_sentence(error: ValidationError) -> str:
    """What a config's own checks said, without pydantic's frame around it."""
    return " ".join(
        str(problem.get("ctx", {}).get("error") or f"{problem['loc']}: {problem['msg']}")
        for problem in error.errors()
    )
