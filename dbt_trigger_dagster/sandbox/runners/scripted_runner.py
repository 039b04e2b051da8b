"""Runs that follow a script: no dbt, no thread and no file for each of them."""

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.sandbox.account.artifacts import MadeUpArtifacts
from dbt_trigger_dagster.sandbox.account.errors import SandboxError
from dbt_trigger_dagster.sandbox.account.jobs import SandboxJob
from dbt_trigger_dagster.sandbox.account.logs import (
    COMMAND_FAILED,
    first_line,
    read_tail,
    with_failure,
)
from dbt_trigger_dagster.sandbox.account.runner import CLOSING, Outcome
from dbt_trigger_dagster.sandbox.account.runs import (
    CLONE_STEP,
    DEPS_COMMAND,
    DOCS_COMMAND,
    FRESHNESS_COMMAND,
    FailedCommand,
    Run,
    invocation_name,
)
from dbt_trigger_dagster.sandbox.account.scheduler import cancelled_by_user, timed_out
from dbt_trigger_dagster.sandbox.account.scripts import Script, ScriptOutcome, ScriptStep
from dbt_trigger_dagster.sandbox.account.timestamps import stopped_clock


@dataclass(frozen=True)
class Ending:
    """How a run ends before its script would have it.

    Attributes:
        outcome: Instead of the script's; ``None`` keeps that.
        finished_at: When; ``None`` is now.
    """

    outcome: ScriptOutcome | None = None
    finished_at: datetime | None = None


class ScriptedRunner:
    """Executes the script of a run, or else of its job."""

    def __init__(self) -> None:
        self._started: Counter[int] = Counter()
        self._endings: dict[int, asyncio.Future[Ending]] = {}

    async def execute(self, run: Run) -> Outcome:
        """Play the script."""
        script = self._script_of(run)
        self._begin(run, script)
        ending = await self._ending(run, script.seconds) if script.seconds else Ending()
        script = replace(script, outcome=ending.outcome or script.outcome)
        return self._end(run, script, ending.finished_at)

    def replay(self, run: Run, finished_at: datetime) -> None:
        """Let a run have been played in the past."""
        script = self._script_of(run)
        clock = run.clock
        started_at = finished_at - timedelta(seconds=script.seconds)
        run.clock = stopped_clock(started_at)
        run.trigger = replace(run.trigger, created_at=started_at)
        run.dequeue()
        self._begin(run, script)
        run.clock = stopped_clock(finished_at)
        outcome = self._end(run, script, finished_at)
        run.finish(outcome.status, outcome.message)
        run.clock = clock

    def finish(self, run: Run, ending: Ending) -> None:
        """Let a run end before its script would have it.

        Raises:
            SandboxError: It is not in flight, or follows no script.
        """
        if run.id not in self._endings:
            raise SandboxError(f"Run {run.id} is not a scripted run in flight.")
        self._endings[run.id].set_result(ending)

    async def _ending(self, run: Run, seconds: float) -> Ending:
        ending = self._endings[run.id] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait([ending], timeout=seconds)
            return ending.result() if ending.done() else Ending()
        finally:
            del self._endings[run.id]

    def _script_of(self, run: Run) -> Script:
        return run.script or self._next_script(run.job)

    def _begin(self, run: Run, script: Script) -> None:
        run.begin()
        run.commit = run.trigger.request.git_sha or _commit_of(run.job)
        if script.steps:
            for step in script.steps:
                self._begin_step(run, step)
            return
        run.checked_out(run.begin_step(CLONE_STEP), run.commit)
        run.create_profile("duckdb")
        for command in commands_until_the_first(run):
            self._begin_step(run, ScriptStep(invocation_name(command)))

    def _begin_step(
        self, run: Run, scripted: ScriptStep, started_at: datetime | None = None
    ) -> None:
        moment = started_at or run.clock()
        for earlier in run.steps:
            if earlier.finished_at is None:
                earlier.finish(RunStatus.SUCCESS, moment)
        logs = scripted.logs or first_line(moment)
        step = run.begin_step(scripted.name, logs, logs, started_at=moment)
        if scripted.artifacts:
            run.artifacts[step.index] = MadeUpArtifacts(scripted.artifacts)

    def _end(self, run: Run, script: Script, finished_at: datetime | None) -> Outcome:
        end = finished_at or run.clock()
        # Some seconds before the run, as far as it has any.
        end_of_steps = end - min(CLOSING, (end - (run.started_at or end)) / 2)
        if script.outcome == "success" and not script.steps:
            for command in commands_after_the_first(run):
                self._begin_step(run, ScriptStep(invocation_name(command)), end_of_steps)
        if script.artifacts:
            run.artifacts[len(run.steps)] = MadeUpArtifacts(script.artifacts)
        if script.outcome != "cancelled" and run.artifacts:
            run.save_artifacts(script.artifact_lag)
        outcome = self._outcome(run, script)
        step = run.steps[-1]
        if outcome.status == RunStatus.ERROR:
            step.logs = step.debug_logs = with_failure(read_tail(step.logs))
        step.finish(outcome.status, end_of_steps)
        return replace(outcome, finished_at=finished_at)

    def _next_script(self, job: SandboxJob) -> Script:
        scripts = (job.script,) if isinstance(job.script, Script) else job.script or (Script(),)
        position = min(self._started[job.id], len(scripts) - 1)
        self._started[job.id] += 1
        return scripts[position]

    def _outcome(self, run: Run, script: Script) -> Outcome:
        if script.outcome == "success":
            return Outcome(RunStatus.SUCCESS, script.status_message)
        if script.outcome == "error":
            command, *skipped = run.commands or (DEPS_COMMAND,)
            run.failed_command = FailedCommand(command, tuple(skipped), has_run_results=True)
            return Outcome(RunStatus.ERROR, script.status_message or COMMAND_FAILED)
        usual = cancelled_by_user() if script.outcome == "cancelled" else timed_out(run)
        return Outcome(usual.status, script.status_message or usual.message)


def commands_until_the_first(run: Run) -> tuple[str, ...]:
    """Return the commands that a run begins with, up to the first of those it is asked for."""
    freshness = (FRESHNESS_COMMAND,) if run.generates_sources else ()
    return (DEPS_COMMAND, *freshness, *run.commands[:1])


def commands_after_the_first(run: Run) -> tuple[str, ...]:
    """Return the commands that follow unless that one fails."""
    return (*run.commands[1:], *((DOCS_COMMAND,) if run.generates_docs else ()))


def _commit_of(job: SandboxJob) -> str:
    return hashlib.sha1(f"{job.id} {job.name}".encode(), usedforsecurity=False).hexdigest()
