"""A monitor of somebody's project, its ticks, and a daemon that launches what they request."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg

from dbt_trigger_dagster import DbtCloudTableIOManager, build_dbt_cloud_monitor
from dbt_trigger_dagster.assets.job import RUN_RESULT, graphs_in
from dbt_trigger_dagster.monitor.tick import Monitor
from dbt_trigger_dagster.sandbox import SandboxJob, Script
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.graphs import Project, a_project
from dbt_trigger_dagster_tests.harness import ask

NAME = "dbt_cloud_monitor"
RUN_KEY = "dagster/run_key"


def trigger_by_hand(project: Project, cause: str = "by hand", *, job: int = 0) -> int:
    """Trigger a job as somebody else does, without any of our code; the run's id."""
    path = f"jobs/{project.sandbox.jobs[job].id}/run/"
    run_id: int = ask(project.sandbox, path, "POST", json={"cause": cause})["id"]
    return run_id


def settle(project: Project) -> None:
    """Wait until no run of dbt Cloud's is in flight."""
    in_flight = {"status__in": "[1, 2, 3]"}
    until(lambda: not ask(project.sandbox, "runs/", params=in_flight), "all runs are over")


@dataclasses.dataclass
class Watch:
    """A monitor, switched on.

    Attributes:
        project: What it watches.
        assets: The assets that it was built for.
        monitor: Its ticks, with a clock of their own.
        cursor: What the last tick left.
        ahead: How far the monitor's clock is ahead of dbt Cloud's.
    """

    project: Project
    assets: Sequence[dg.AssetsDefinition]
    arguments: Mapping[str, Any]
    cursor: str | None = None
    ahead: timedelta = timedelta(0)

    @property
    def sensor(self) -> dg.SensorDefinition:
        """As users build it."""
        return build_dbt_cloud_monitor(self.assets, **self.arguments)

    @property
    def definitions(self) -> dg.Definitions:
        """The code location: users add the sensor, and nothing else."""
        return dg.Definitions(
            assets=self.assets, sensors=[self.sensor], resources=self.project.resources()
        )

    @property
    def monitor(self) -> Monitor:
        """The same with a clock that the test moves."""
        seconds = self.arguments.get("lookback", 3600)
        return Monitor(
            name=NAME,
            graphs=tuple(graphs_in(self.assets, RUN_RESULT)),
            include_external_runs=self.arguments.get("include_external_runs", False),
            settle=timedelta(seconds=self.arguments["settle_seconds"]),
            lookback=timedelta(seconds=seconds),
            batch_size=self.arguments.get("batch_size", 50),
            raise_on_failed_run=self.arguments.get("raise_on_failed_run"),
            start=self.arguments.get("start"),
            now=lambda: datetime.now(timezone.utc) + self.ahead,
            pages=self.arguments.get("pages", 10),
        )

    def look(self) -> dg.SensorResult:
        """One tick whose cursor is lost, as in a crash."""
        with self.project.account().build_client() as client:
            return self.monitor.tick(
                client,
                DbtCloudTableIOManager(database=str(self.project.database)),
                self.project.instance,
                cursor=self.cursor,
                log=logging.getLogger(NAME),
            )

    def tick(self) -> list[dg.RunRequest]:
        """One tick; what it requests."""
        result = self.look()
        self.cursor = result.cursor
        return list(result.run_requests or ())

    def launch(self, wanted: Iterable[dg.RunRequest]) -> list[dg.ExecuteInProcessResult]:
        """Run what was requested, as Dagster's daemon does: one run for each run key."""
        return [
            self.execute(request)
            for request in wanted
            if not self.project.instance.get_runs(
                dg.RunsFilter(tags={RUN_KEY: str(request.run_key)})
            )
        ]

    def execute(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Run one landing."""
        return self.definitions.resolve_job_def(f"{NAME}_landing").execute_in_process(
            run_config=request.run_config,
            asset_selection=request.asset_selection,
            tags={**request.tags, RUN_KEY: str(request.run_key)},
            instance=self.project.instance,
            raise_on_error=False,
        )

    def create(self, request: dg.RunRequest) -> dg.DagsterRun:
        """A landing that is launched and has not begun."""
        return self.project.instance.create_run_for_job(
            self.definitions.resolve_job_def(f"{NAME}_landing"),
            run_config=dict(request.run_config),
            tags={**request.tags, RUN_KEY: str(request.run_key)},
            asset_selection=frozenset(request.asset_selection or ()),
        )

    def kill(self, request: dg.RunRequest) -> None:
        """A landing whose process dies before it has written anything."""
        run = self.create(request)
        self.project.instance.report_run_failed(run, "The process was killed.")


def run_ids_of(request: dg.RunRequest) -> list[int]:
    """The dbt Cloud runs that a request is to land."""
    ((_, op),) = request.run_config["ops"].items()
    found: list[int] = op["config"]["run_ids"]
    return found


@contextmanager
def a_watch(
    folder: Path,
    *scripts: Script,
    jobs: Iterable[SandboxJob] | None = None,
    graphs: Sequence[Mapping[str, Any]] = ({},),
    **arguments: Any,
) -> Iterator[Watch]:
    """A project whose monitor has had its first tick; runs are due at once."""
    with a_project(folder, *scripts, jobs=jobs) as project:
        assets = [each for graph in graphs for each in project.assets(**graph)]
        watch = Watch(project, assets, {"settle_seconds": 0.0, **arguments})
        assert watch.tick() == []
        yield watch
