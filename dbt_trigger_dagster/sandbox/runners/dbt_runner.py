"""Executes a run's commands with real dbt Core, step by step as dbt Cloud does."""

import asyncio
import os
import shlex
from pathlib import Path

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.sandbox.account.artifacts import FolderArtifacts
from dbt_trigger_dagster.sandbox.account.errors import SandboxError
from dbt_trigger_dagster.sandbox.account.logs import COMMAND_FAILED, first_line
from dbt_trigger_dagster.sandbox.account.runner import CLOSING, Outcome
from dbt_trigger_dagster.sandbox.account.runs import (
    CLONE_STEP,
    DEPS_COMMAND,
    DOCS_COMMAND,
    FRESHNESS_COMMAND,
    PROFILE_STEP,
    RETRY_COMMAND,
    FailedCommand,
    Run,
    Step,
    invocation_name,
)
from dbt_trigger_dagster.sandbox.runners.dbt_process import DbtProcess, dbt_process
from dbt_trigger_dagster.sandbox.runners.dbt_project import DbtProject
from dbt_trigger_dagster.sandbox.runners.run_folder import RunFolder

_COMMAND_FAILED = Outcome(RunStatus.ERROR, COMMAND_FAILED)


class DbtRunner:
    """Executes runs of a dbt project."""

    def __init__(self, project: DbtProject, data_folder: Path, account_id: int) -> None:
        self._project = project
        self._data_folder = data_folder.resolve()
        self._account_id = account_id

    async def execute(self, run: Run) -> Outcome:
        """Execute all steps, until one fails that may not."""
        run_folder = RunFolder(self._data_folder, run, self._project)
        try:
            return await _Execution(run_folder, self._account_id).execute()
        finally:
            if run.artifacts:
                run.save_artifacts()
            await asyncio.to_thread(run_folder.discard)


class _Execution:
    def __init__(self, run_folder: RunFolder, account_id: int) -> None:
        self._run_folder = run_folder
        self._run = run_folder.run
        self._environment = _environment(run_folder, account_id)

    async def execute(self) -> Outcome:
        self._run_folder.folder.mkdir(parents=True)
        self._run.begin()
        await self._clone()
        failure = self._create_profile() or await self._execute_with_dbt()
        await asyncio.sleep(CLOSING.total_seconds())
        return failure or Outcome(RunStatus.SUCCESS)

    async def _clone(self) -> None:
        step = self._run.begin_step(CLONE_STEP)
        await asyncio.to_thread(self._run_folder.copy_project)
        commit = await asyncio.to_thread(self._run_folder.content_hash)
        self._run.checked_out(step, commit)

    def _create_profile(self) -> Outcome | None:
        try:
            adapter = self._run_folder.write_profile()
        except SandboxError as error:
            step = self._run.begin_step(PROFILE_STEP, f"{error}\n", f"{error}\n")
            step.finish(RunStatus.ERROR)
            return Outcome(RunStatus.ERROR, str(error))
        self._run.create_profile(adapter)
        return None

    async def _execute_with_dbt(self) -> Outcome | None:
        async with dbt_process(self._run_folder.project, self._environment) as dbt:
            return await self._execute_commands(dbt)

    async def _execute_commands(self, dbt: DbtProcess) -> Outcome | None:
        if not await self._invoke(dbt, DEPS_COMMAND):
            return _COMMAND_FAILED
        if self._run.generates_sources:
            await self._invoke(dbt, FRESHNESS_COMMAND)
        commands = self._run.commands
        for position, command in enumerate(commands):
            if not await self._invoke(dbt, command):
                self._note_failure(command, commands[position + 1 :])
                return _COMMAND_FAILED
        if self._run.generates_docs:
            await self._invoke(dbt, DOCS_COMMAND)
        return None

    async def _invoke(self, dbt: DbtProcess, command: str) -> bool:
        """Execute a command as the run's next step, and tell whether it succeeded."""
        step = self._begin_dbt_step(command)
        try:
            succeeded = await self._execute_command(dbt, command, step)
        finally:
            snapshot = await asyncio.to_thread(self._run_folder.snapshot_target, step.index)
            if snapshot:
                self._run.artifacts[step.index] = FolderArtifacts(snapshot)
        if not succeeded:
            self._note_in_logs(step)
        step.finish(RunStatus.SUCCESS if succeeded else RunStatus.ERROR)
        return succeeded

    def _note_in_logs(self, step: Step) -> None:
        for log in (step.logs, step.debug_logs):
            if isinstance(log, Path):
                with log.open("a") as file:
                    file.write(f"{COMMAND_FAILED}\n")

    def _begin_dbt_step(self, command: str) -> Step:
        folder = self._run_folder.step_folder(len(self._run.steps) + 1)
        folder.mkdir(parents=True)
        logs = folder / "stdout.log"
        logs.write_text(first_line(self._run.clock()))
        return self._run.begin_step(invocation_name(command), logs, folder / "dbt.log")

    async def _execute_command(self, dbt: DbtProcess, command: str, step: Step) -> bool:
        folder = self._run_folder.step_folder(step.index)
        output = folder / "stdout.log"
        try:
            arguments = self._arguments(command)
        except ValueError as error:
            output.write_text(f"{error}\n")
            return False
        return await dbt.run(arguments, folder, output) == 0

    def _arguments(self, command: str) -> list[str]:
        """Split a command into what dbt is to be called with.

        Raises:
            ValueError: It is no dbt command.
        """
        program, *arguments = shlex.split(command) or [""]
        if program != "dbt":
            raise ValueError(f"Only dbt commands can be run, and this is none: {command}")
        retried = self._run.retry_of and self._run.retry_of.failed_command
        if command == RETRY_COMMAND and retried and retried.state:
            arguments += ["--state", str(retried.state)]
        return arguments

    def _note_failure(self, command: str, skipped: tuple[str, ...]) -> None:
        step = self._run.steps[-1]
        state = self._run_folder.step_folder(step.index) / "target"
        results = state / "run_results.json"
        # An older file is what an earlier command left.
        has_results = results.exists() and results.stat().st_mtime >= step.started_at.timestamp()
        self._run.failed_command = FailedCommand(command, skipped, has_results, state)


def _environment(run_folder: RunFolder, account_id: int) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("DBT_CLOUD_")
    }
    return {
        **inherited,
        **_cloud_variables(run_folder.run, account_id),
        "DBT_ENV": "prod",
        "DBT_PROFILES_DIR": str(run_folder.profiles),
        "DBT_TARGET_PATH": run_folder.target.name,  # relative, as paths in logs are
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_USE_COLORS": "true",
        "DBT_USE_COLORS_FILE": "false",
        "DBT_VERSION_CHECK": "false",
        "PYTHONSAFEPATH": "1",  # a folder of the project must not hide a module of dbt's
    }


def _cloud_variables(run: Run, account_id: int) -> dict[str, str]:
    recorded = {
        "DBT_CLOUD_PROJECT_ID": str(run.job.project_id),
        "DBT_CLOUD_JOB_ID": str(run.job.id),
        "DBT_CLOUD_RUN_ID": str(run.id),
        "DBT_CLOUD_RUN_REASON": run.trigger.request.cause,
        "DBT_CLOUD_RUN_REASON_CATEGORY": _reason_category(run),
    }
    # dbt writes variables of this prefix, without it, into the metadata of its artifacts.
    in_metadata = {f"DBT_ENV_CUSTOM_ENV_{name}": value for name, value in recorded.items()}
    return {
        **recorded,
        **in_metadata,
        **_pull_request_variables(run),
        "DBT_CLOUD_ACCOUNT_ID": str(account_id),
        "DBT_CLOUD_ENVIRONMENT_ID": str(run.job.environment_id),
        "DBT_CLOUD_ENVIRONMENT_NAME": "Production",
        "DBT_CLOUD_ENVIRONMENT_TYPE": "deployment",
    }


def _reason_category(run: Run) -> str:
    request = run.trigger.request
    if request.github_pull_request_id:
        return "github_pull_request"
    if request.gitlab_merge_request_id:
        return "gitlab_merge_request"
    return "azure_pull_request" if request.azure_pull_request_id else "other"


def _pull_request_variables(run: Run) -> dict[str, str]:
    request = run.trigger.request
    pull_request_id = (
        request.github_pull_request_id
        or request.gitlab_merge_request_id
        or request.azure_pull_request_id
        or request.non_native_pull_request_id
    )
    variables = {"DBT_CLOUD_PR_ID": pull_request_id, "DBT_CLOUD_GIT_SHA": request.git_sha}
    return {name: str(value) for name, value in variables.items() if value}
