"""Runs and their steps, as the sandbox knows them: what happened, and when."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.sandbox.account.artifacts import StepArtifacts
from dbt_trigger_dagster.sandbox.account.jobs import RUN_DURATION_LIMIT_SECONDS, SandboxJob
from dbt_trigger_dagster.sandbox.account.logs import clone_log
from dbt_trigger_dagster.sandbox.account.scripts import Script
from dbt_trigger_dagster.sandbox.account.timestamps import Clock, utc_now
from dbt_trigger_dagster.sandbox.account.trigger_requests import TriggerRequest

IN_PROGRESS = frozenset({RunStatus.QUEUED, RunStatus.STARTING, RunStatus.RUNNING})
BRANCH = "main"
CLONE_STEP = "Clone git repository"
PROFILE_STEP = "Create profile from connection"
DEPS_COMMAND = "dbt deps"
DOCS_COMMAND = "dbt docs generate"
FRESHNESS_COMMAND = "dbt source freshness"
RETRY_COMMAND = "dbt retry"


def invocation_name(command: str) -> str:
    """Return the name of the step that invokes a dbt command."""
    return f"Invoke dbt with `{command}`"


@dataclass(eq=False, slots=True)
class Step:
    """One step of a run.

    Attributes:
        id: The step's id.
        run_id: The run's id.
        index: The step's position in the run, from 1.
        name: What it does.
        logs: High-level logs, as text or as the file that holds them.
        debug_logs: Full logs, likewise.
        status: How far it got.
        started_at: When it began.
        finished_at: When it ended.
        clock: The account's clock.
    """

    id: int
    run_id: int
    index: int
    name: str
    started_at: datetime
    logs: Path | str = ""
    debug_logs: Path | str = ""
    status: RunStatus = RunStatus.RUNNING
    finished_at: datetime | None = None
    clock: Clock = field(default=utc_now, repr=False)

    def finish(self, status: RunStatus, finished_at: datetime | None = None) -> None:
        """End the step, now or at another moment."""
        self.status = status
        self.finished_at = finished_at or self.clock()


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why a run exists.

    Attributes:
        id: The trigger's id.
        request: What was asked for.
        cause_category: ``api`` or ``rerun``.
        created_at: When it was asked for.
    """

    id: int
    request: TriggerRequest
    cause_category: str
    created_at: datetime


@dataclass(frozen=True)
class FailedCommand:
    """Where a run failed, and how it could go on.

    Attributes:
        command: The dbt command that failed.
        skipped: The commands that were to follow.
        has_run_results: Whether dbt left the results that a retry begins with.
        state: The folder of those results, where dbt ran.
    """

    command: str
    skipped: tuple[str, ...]
    has_run_results: bool
    state: Path | None = None


@dataclass(eq=False, slots=True)
class Run:
    """A run of a job.

    Attributes:
        id: The run's id.
        job: The job, as it was when the run was triggered.
        trigger: Why the run exists.
        ids: Where its steps get their ids from.
        on_end: Told when the run is over.
        clock: The account's clock.
        retry_of: The failed run that this one retries.
        script: What it does instead of what its job does.
        status: How far it got.
        status_message: Why it ended so.
        steps: The steps that began.
        artifacts: What the steps left behind, by step index.
        artifacts_saved_at: When the artifacts can be had from.
        failed_command: Where it failed.
        commit: The commit that it checked out.
        dequeued_at: When its turn came.
        started_at: When its first step began.
        finished_at: When it ended.
    """

    id: int
    job: SandboxJob
    trigger: Trigger
    ids: Iterator[int] = field(repr=False)
    on_end: "Callable[[Run], None]" = field(repr=False)
    clock: Clock = field(default=utc_now, repr=False)
    retry_of: "Run | None" = None
    script: Script | None = None
    status: RunStatus = RunStatus.QUEUED
    status_message: str | None = None
    steps: list[Step] = field(default_factory=list)
    artifacts: dict[int, StepArtifacts] = field(default_factory=dict)
    artifacts_saved_at: datetime | None = None
    failed_command: FailedCommand | None = None
    commit: str | None = None
    dequeued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def created_at(self) -> datetime:
        """When it was triggered."""
        return self.trigger.created_at

    @property
    def in_progress(self) -> bool:
        """Whether the run is not over."""
        return self.status in IN_PROGRESS

    @property
    def branch(self) -> str:
        """The branch that it checks out."""
        return self.trigger.request.git_branch or BRANCH

    @property
    def commands(self) -> tuple[str, ...]:
        """The dbt commands that the run executes, without docs and source freshness."""
        if self.retry_of and self.retry_of.failed_command:
            return (RETRY_COMMAND, *self.retry_of.failed_command.skipped)
        override = self.trigger.request.steps_override
        return self.job.execute_steps if override is None else override

    @property
    def generates_docs(self) -> bool:
        """Whether the run ends in ``dbt docs generate``."""
        override = self.trigger.request.generate_docs_override
        return self.job.generate_docs if override is None else override

    @property
    def generates_sources(self) -> bool:
        """Whether the run begins with ``dbt source freshness``."""
        return self.job.run_generate_sources and not self.retry_of

    @property
    def target_name(self) -> str:
        """The name of dbt's target."""
        return self.trigger.request.target_name_override or self.job.target_name

    @property
    def timeout_seconds(self) -> int:
        """When the run is cancelled: the override or the job's limit, at most the account's."""
        override = self.trigger.request.timeout_seconds_override
        limit = override or self.job.timeout_seconds or RUN_DURATION_LIMIT_SECONDS
        return min(limit, RUN_DURATION_LIMIT_SECONDS)

    def dequeue(self) -> None:
        """Take the run from the queue."""
        self.status = RunStatus.STARTING
        self.dequeued_at = self.clock()

    def begin(self) -> None:
        """Begin to run."""
        self.status = RunStatus.RUNNING
        self.started_at = self.clock()

    def checked_out(self, step: Step, commit: str) -> None:
        """End the run's first step."""
        self.commit = commit
        step.logs = step.debug_logs = clone_log(self.id, self.branch, commit)
        step.finish(RunStatus.SUCCESS)

    def create_profile(self, connection: str) -> None:
        """Take the run's second step."""
        schema = self.trigger.request.schema_override
        overriding = f" (override schema to '{schema}')" if schema else ""
        name = f"{PROFILE_STEP} {connection}{overriding}"
        self.begin_step(name, f"{name}\n", f"{name}\n").finish(RunStatus.SUCCESS)

    def begin_step(
        self,
        name: str,
        logs: Path | str = "",
        debug_logs: Path | str = "",
        *,
        started_at: datetime | None = None,
    ) -> Step:
        """Begin the run's next step, now or at another moment."""
        index, moment = len(self.steps) + 1, started_at or self.clock()
        step = Step(
            next(self.ids), self.id, index, name, moment, logs, debug_logs, clock=self.clock
        )
        self.steps.append(step)
        return step

    def save_artifacts(self, lag_seconds: float = 0) -> None:
        """Let the artifacts be had, now or after a lag."""
        self.artifacts_saved_at = self.clock() + timedelta(seconds=lag_seconds)

    def finish(
        self, status: RunStatus, message: str | None, finished_at: datetime | None = None
    ) -> None:
        """End the run, and the step it was in, now or at another moment."""
        self.finished_at = finished_at or self.clock()
        for step in self.steps:
            if step.finished_at is None:
                step.finish(status, self.finished_at)
        self.status_message = message
        self.status = status
        self.on_end(self)

    def artifacts_at(self, index: int | None) -> StepArtifacts | None:
        """Return what can be had of a step now; ``None`` takes the last that left something."""
        if self.artifacts_saved_at is None or self.artifacts_saved_at > self.clock():
            return None
        if index is None:
            index = max(self.artifacts, default=0)
        return self.artifacts.get(index)

    def has_artifact(self, path: str) -> bool:
        """Whether the run's last step has an artifact."""
        last = self.artifacts.get(max(self.artifacts, default=0))
        return last is not None and last.find(path) is not None
