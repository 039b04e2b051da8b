"""Somebody's Dagster project that uses the package, an account for it, and what a run left."""

import dataclasses
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from dbt_trigger_dagster import (
    DbtCloudClient,
    DbtCloudResource,
    DbtCloudTableIOManager,
    build_dbt_cloud_job_assets,
)
from dbt_trigger_dagster.dbt_cloud.clock import Clock
from dbt_trigger_dagster.definitions import defs
from dbt_trigger_dagster.sandbox import Sandbox, SandboxJob, Script, ScriptStep
from dbt_trigger_dagster.storage.duckdb_file import _FORMAT
from dbt_trigger_dagster_tests.clocks import HANGS_AFTER, HurriedClock, until
from dbt_trigger_dagster_tests.harness import Place, dbt_runs, settings_of
from dbt_trigger_dagster_tests.instances import an_instance

ARTIFACTS = {"manifest.json": '{"nodes": {}}', "run_results.json": '{"results": []}'}
BROKEN_STEPS = (
    ScriptStep("Clone git repository", "Cloned."),
    ScriptStep("Invoke dbt with `dbt build`", "Running 3 models\n\nDatabase Error in model orders"),
)
BROKEN = Script(outcome="error", steps=BROKEN_STEPS, artifacts=ARTIFACTS)
GOOD = Script(artifacts=ARTIFACTS)
SLOW = Script(seconds=600)
LONG = Script(seconds=600, artifacts=ARTIFACTS)

LANDED = ("run_result", "artifacts", "node_results")
"""What the op that waits for a run brings."""

_RUNNING = 3
_open_files: dict[str, duckdb.DuckDBPyConnection] = {}


class HurriedAccount(DbtCloudResource):
    """An account whose clients pause for a moment at most."""

    def build_client(
        self, log: logging.Logger | None = None, clock: Clock | None = None
    ) -> DbtCloudClient:
        """A client for the account."""
        return super().build_client(log, clock or HurriedClock())


class OpenTables(DbtCloudTableIOManager):
    """Tables in a DuckDB file that stays open after the first run, until its project is over.

    To open one takes longer than all that a run of ours does with it, and as long as one is open
    a second connection is free.
    """

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Let the package make the file, and keep it open."""
        super().setup_for_execution(context)
        if context.run is not None and self.database not in _open_files:
            _open_files[self.database] = duckdb.connect(self.database, config=_FORMAT)


@dataclasses.dataclass(frozen=True)
class Project(Place):
    """A project of its own place, with an account in a sandbox."""

    sandbox: Sandbox
    instance: dg.DagsterInstance

    def opened(self) -> duckdb.DuckDBPyConnection:
        """The DuckDB file as the package opens it, for it may be open."""
        return duckdb.connect(self.database, config=_FORMAT)

    def change(self, statement: str) -> None:
        """What somebody else does to the tables."""
        with self.opened() as connection:
            connection.execute(statement)

    def spoil(self) -> None:
        """The DuckDB file is none any more."""
        self.close()
        self.database.write_text("This is no database." * 500)

    def close(self) -> None:
        """Let others have the DuckDB file."""
        if kept := _open_files.pop(str(self.database), None):
            kept.close()

    @property
    def job_id(self) -> int:
        """The account's first job."""
        return self.sandbox.jobs[0].id

    def account(self, **settings: Any) -> DbtCloudResource:
        """The account's resource, on which no pause is long."""
        usual = {"request_max_retries": 2, "request_retry_delay": 0}
        return HurriedAccount(**{**settings_of(self.sandbox), **usual, **settings})

    def resources(self, **account: Any) -> dict[str, Any]:
        """The three resources that the assets need."""
        return {
            **self.resources_for(self.account(**account)),
            "dbt_cloud_tables": OpenTables(database=str(self.database)),
        }

    def assets(self, **arguments: Any) -> list[dg.AssetsDefinition]:
        """The graph of the first job, or the one that the arguments name."""
        if not {"job_id", "job_name"} & arguments.keys():
            arguments["job_id"] = self.job_id
        return build_dbt_cloud_job_assets(**arguments)

    def materialize(
        self,
        *more: Any,
        assets: Sequence[Any] | None = None,
        selection: Sequence[str] | None = None,
        trigger: Mapping[str, Any] | None = None,
        run: Mapping[str, Any] | None = None,
        resources: Mapping[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materialize the graph, and more assets with it; a failed step does not raise.

        Args:
            more: Assets beside the graph.
            assets: Instead of the graph of the first job.
            selection: Names of the assets wanted; without it, all.
            trigger: Config of trigger_response.
            run: Config of dbt_cloud_run.
            resources: Resources that take the place of the project's own.
        """
        graph = list(self.assets() if assets is None else assets)
        ops: dict[str, Any] = {}
        wanted = set(selection or ("trigger_response", "dbt_cloud_run"))
        if assets is None and wanted & {*LANDED, "dbt_cloud_run"}:
            ops["dbt_cloud_run"] = {"config": {"poll_interval": 0.05, **(run or {})}}
        if trigger is not None:
            ops["trigger_response"] = {"config": dict(trigger)}
        return dg.materialize(
            [*graph, *more],
            resources={**self.resources(), **(resources or {})},
            run_config={"ops": ops},
            selection=None if selection is None else dg.AssetSelection.assets(*selection),
            instance=self.instance,
            raise_on_error=False,
        )

    def dbt_runs(self) -> list[dict[str, Any]]:
        """What dbt Cloud says of its runs, oldest first; asked without any of our code."""
        return dbt_runs(self.sandbox)

    def end_dbt_runs(self) -> list[int]:
        """End the dbt runs that are running, as their scripts say, before their time; their ids."""
        running = [run["id"] for run in self.dbt_runs() if run["status"] == _RUNNING]
        self.sandbox.finish(running)
        return running

    def logs(self, result: dg.ExecuteInProcessResult) -> list[str]:
        """What a run logged."""
        return [entry.user_message for entry in self.instance.all_logs(result.run_id)]

    def environment(self) -> dict[str, str]:
        """The variables with which the code location finds the account and the place."""
        return self.variables(self.sandbox)


@contextmanager
def a_project(
    folder: Path, *scripts: Script, jobs: Iterable[SandboxJob] | None = None, **sandbox: Any
) -> Iterator[Project]:
    """A project and a sandbox for it, whose one job "nightly" follows the scripts."""
    account = jobs or [SandboxJob(name="nightly", script=scripts or GOOD)]
    with (
        Sandbox(jobs=account, **sandbox) as cloud,
        an_instance() as instance,
    ):
        project = Project(folder, cloud, instance)
        with closing(project):
            yield project


@contextmanager
def ended(project: Project, when: Callable[[], Any]) -> Iterator[None]:
    """Meanwhile the dbt runs end, once a condition holds."""
    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(until, lambda: when() and project.end_dbt_runs(), "the dbt run can end")
        yield
        end.result()


def sent(sandbox: Sandbox, method: str, ending: str = "") -> list[str]:
    """Paths of the requests that the sandbox got by a method, those with an ending or all."""
    return [
        request.path
        for request in sandbox.requests
        if request.method == method and request.path.endswith(ending)
    ]


def triggers(sandbox: Sandbox) -> int:
    """How often a job was asked to run."""
    return len(sent(sandbox, "POST", "/run/"))


def failure_of(result: dg.ExecuteInProcessResult, op_name: str) -> dg.Failure:
    """The failure that a step ended with, as Dagster keeps it."""
    kept = result.failure_data_for_node(op_name)
    assert kept is not None, f"{op_name} did not fail"
    assert kept.user_failure_data is not None, kept.error
    return dg.Failure(kept.user_failure_data.description, dict(kept.user_failure_data.metadata))


def failed_ops(result: dg.ExecuteInProcessResult) -> list[str]:
    """The ops whose steps failed."""
    return [event.node_name for event in result.all_events if event.is_step_failure]


def materialized(result: dg.ExecuteInProcessResult) -> list[str]:
    """The assets that a run materialized, by name."""
    return [
        event.asset_key.to_user_string()
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    ]


def observed(result: dg.ExecuteInProcessResult) -> list[str]:
    """The assets that a run told of without materializing them, by name."""
    return [
        event.asset_key.to_user_string()
        for event in result.all_events
        if event.is_asset_observation and event.asset_key
    ]


def metadata_of(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    """The metadata of an asset's materialization, or observation; values as they were given."""
    node = "dbt_cloud_run" if name in LANDED else name
    found: list[dg.AssetMaterialization | dg.AssetObservation] = [
        *result.asset_materializations_for_node(node),
        *result.asset_observations_for_node(node),
    ]
    event = next(each for each in found if each.asset_key.to_user_string() == name)
    return {key: value.value for key, value in event.metadata.items()}


def evaluations_of(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """What the checks said at last, by their names."""
    return {
        each.check_name: each
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
        for each in [event.asset_check_evaluation_data]
    }


def dagster(
    project: Project,
    *arguments: str,
    config: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[str]":
    """Start the command line, as a person does, with the project's environment, and more of it."""
    options = ("--config-json", json.dumps(config)) if config else ()
    return subprocess.Popen(  # noqa: S603  # the command is ours
        [sys.executable, "-m", "dagster", *arguments, *options],
        cwd=project.folder,
        env={
            **os.environ,
            **project.environment(),
            "DAGSTER_HOME": str(project.home),
            **(environment or {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end_of(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a command; its exit code and all that it wrote."""
    try:
        output, _ = process.communicate(timeout=HANGS_AFTER)
    finally:
        process.kill()
        process.wait()
    return process.returncode, output


def code_location_job() -> dg.JobDefinition:
    """The code location's own job, for `dg.reconstructable`."""
    return defs.resolve_job_def("dbt_cloud_job")


# A process that has imported everything starts in no time.
_MULTIPROCESS = dg.multiprocess_executor.configured(
    {"start_method": {"forkserver": {"preload_modules": [__name__]}}}
)


def multiprocess_job() -> dg.JobDefinition:
    """The same graph in the multiprocess executor, for `dg.reconstructable`."""
    return dg.Definitions(
        assets=build_dbt_cloud_job_assets(job_id=dg.EnvVar.int("DBT_CLOUD_JOB_ID")),
        jobs=[dg.define_asset_job("many_processes", executor_def=_MULTIPROCESS)],
        resources=defs.resources,
    ).resolve_job_def("many_processes")


def materialize_again_and_again(environment: Mapping[str, str], times: int) -> list[bool]:
    """Materialize the code location's graph in this process; for a process of its own."""
    os.environ.update(environment)
    return [code_location_job().execute_in_process().success for _ in range(times)]
