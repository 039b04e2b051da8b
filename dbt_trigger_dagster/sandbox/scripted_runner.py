"""Runs that follow a script: no dbt, no thread and no file for each of them."""

import asyncio
from collections import Counter

from dbt_trigger_dagster.models import RunStatus
from dbt_trigger_dagster.sandbox.artifacts import MadeUpArtifacts
from dbt_trigger_dagster.sandbox.jobs import SandboxJob
from dbt_trigger_dagster.sandbox.runner import Outcome
from dbt_trigger_dagster.sandbox.runs import (
    CLONE_STEP,
    DEPS_COMMAND,
    DOCS_COMMAND,
    FRESHNESS_COMMAND,
    FailedCommand,
    Run,
    invocation_name,
)
from dbt_trigger_dagster.sandbox.scheduler import cancelled_by_user, timed_out
from dbt_trigger_dagster.sandbox.scripts import Script, ScriptStep


class ScriptedRunner:
    """Executes the script of a run's job."""

    def __init__(self) -> None:
        self._started: Counter[int] = Counter()

    async def execute(self, run: Run) -> Outcome:
        """Play the script."""
        script = self._next_script(run.job)
        run.begin()
        self._begin_steps(run, script)
        if script.seconds:
            await asyncio.sleep(script.seconds)
        if script.outcome != "cancelled":
            run.save_artifacts(script.artifact_lag)
        return self._outcome(run, script)

    def _next_script(self, job: SandboxJob) -> Script:
        scripts = job.script if isinstance(job.script, tuple) else (job.script or Script(),)
        position = min(self._started[job.id], len(scripts) - 1)
        self._started[job.id] += 1
        return scripts[position]

    def _begin_steps(self, run: Run, script: Script) -> None:
        steps = script.steps or default_steps(run)
        for scripted in steps:
            step = run.begin_step(scripted.name, scripted.logs, scripted.logs)
            if scripted.artifacts:
                run.artifacts[step.index] = MadeUpArtifacts(scripted.artifacts)
            if step.index < len(steps):
                step.finish(RunStatus.SUCCESS)
        if script.artifacts or not run.artifacts:
            run.artifacts[len(steps)] = MadeUpArtifacts(script.artifacts)

    def _outcome(self, run: Run, script: Script) -> Outcome:
        if script.outcome == "success":
            return Outcome(RunStatus.SUCCESS, script.status_message)
        if script.outcome == "error":
            command, *skipped = run.commands or (DEPS_COMMAND,)
            run.failed_command = FailedCommand(command, tuple(skipped), has_run_results=True)
            return Outcome(RunStatus.ERROR, script.status_message or "dbt command failed")
        usual = cancelled_by_user() if script.outcome == "cancelled" else timed_out(run)
        return Outcome(usual.status, script.status_message or usual.message)


def default_steps(run: Run) -> tuple[ScriptStep, ...]:
    """Return the steps that dbt Cloud would make of a run's commands."""
    commands = (
        DEPS_COMMAND,
        *((FRESHNESS_COMMAND,) if run.generates_sources else ()),
        *run.commands,
        *((DOCS_COMMAND,) if run.generates_docs else ()),
    )
    names = (CLONE_STEP, "Create profile from connection duckdb", *map(invocation_name, commands))
    return tuple(ScriptStep(name) for name in names)
