"""The ``dagster`` command line as people use it: real processes, real signals, real files."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._cli import cli

from dbt_trigger_dagster.definitions import defs
from dbt_trigger_dagster.sandbox import Fault
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.graphs import (
    SLOW,
    Project,
    a_project,
    dagster,
    end_of,
    sent,
    triggers,
)
from dbt_trigger_dagster_tests.processes import DagsterCommand

ROOT = Path(__file__).parent.parent
CODE_LOCATION = ("-m", "dbt_trigger_dagster.definitions")
MATERIALIZE = ("asset", "materialize", "--select", "*", *CODE_LOCATION)
TOKEN = "dbtc_Qq7-very-unusual-token"


def places_with(text: str, folder: Path) -> list[str]:
    """The files below a folder that hold a text, in whatever form."""
    needles = (text.encode(), text.encode("utf-16-le"))
    return [
        str(file)
        for file in folder.rglob("*")
        if file.is_file() and any(needle in file.read_bytes() for needle in needles)
    ]


def test_the_token_is_in_no_event_of_a_run_that_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A literal token in a resource, and dbt Cloud's refusal of it, in a Dagster home."""
    with (
        a_project(tmp_path) as project,
        dg.DagsterInstance.local_temp(str(project.home)) as instance,
    ):
        result = dg.materialize(
            project.assets(),
            resources=project.resources(token=TOKEN),
            instance=instance,
            raise_on_error=False,
        )
        assert not result.success
        assert places_with(result.run_id, project.folder)
        events = "".join(map(repr, instance.all_logs(result.run_id)))
        assert "401" in events
        assert TOKEN not in events
        assert TOKEN not in repr(result.dagster_run)
    # Dagster's own snapshots of a job have the text of literal settings; the code location's
    # resources have none.
    snapshot = repr(defs.get_repository_def().get_all_jobs()[0].get_job_snapshot())
    assert "dbt_cloud_tables" in snapshot
    monkeypatch.setenv("DBT_CLOUD_TOKEN", TOKEN)
    again = repr(defs.get_repository_def().get_all_jobs()[0].get_job_snapshot())
    assert TOKEN not in again


# Signals


def as_a_person(project: Project, config: dict[str, Any]) -> Any:
    """Materialize the assets with a command."""
    return dagster(project, *MATERIALIZE, config=config)


def at_once(project: Project, config: dict[str, Any]) -> DagsterCommand:
    """The same in a process that need not start Python first."""
    variables = {**os.environ, **project.environment(), "DAGSTER_HOME": str(project.home)}
    arguments = [*MATERIALIZE, "--config-json", json.dumps(config)]
    return DagsterCommand(arguments, project.folder, variables)


@contextmanager
def waiting(
    folder: Path,
    start: Callable[..., Any] = at_once,
    *,
    config: dict[str, Any] | None = None,
    fault: Fault | None = None,
) -> Iterator[tuple[Project, Any]]:
    """A command whose dbt run is in flight."""
    with a_project(folder, SLOW) as project:
        if fault is not None:
            project.sandbox.inject(fault)
        process = start(project, {"ops": {"dbt_cloud_run": {"config": config or {}}}})
        try:
            if fault is None:
                until(lambda: sent(project.sandbox, "GET"), "the step waits for the dbt run")
            else:
                until(lambda: triggers(project.sandbox), "the job is triggered")
                until(project.dbt_runs, "the dbt run has started")
            yield project, process
        finally:
            process.kill()
            process.wait()


def status_of(project: Project) -> str:
    """The status of the one dbt run."""
    (dbt_run,) = project.dbt_runs()
    return str(dbt_run["status_humanized"])


def test_ctrl_c_cancels_the_dbt_run(tmp_path: Path) -> None:
    """A person gives it up, so it need not go on."""
    with waiting(tmp_path, as_a_person) as (project, process):
        process.send_signal(signal.SIGINT)
        _, output = end_of(process)
        assert status_of(project) == "Cancelled"
        (dbt_run,) = project.dbt_runs()
        assert f"dbt Cloud run {dbt_run['id']} is cancelled: {dbt_run['href']}" in output


def test_ctrl_c_can_leave_the_dbt_run(tmp_path: Path) -> None:
    """With cancel_on_termination false; the log says that it goes on."""
    config = {"cancel_on_termination": False}
    with waiting(tmp_path, config=config) as (project, process):
        process.send_signal(signal.SIGINT)
        _, output = end_of(process)
        assert status_of(project) == "Running"
        (dbt_run,) = project.dbt_runs()
        assert f"dbt Cloud run {dbt_run['id']} goes on: {dbt_run['href']}" in output
        assert sent(project.sandbox, "POST", "/cancel/") == []


def test_a_worker_that_is_drained_leaves_the_dbt_run(tmp_path: Path) -> None:
    """A bare SIGTERM is nobody's wish to stop the dbt run."""
    with waiting(tmp_path) as (project, process):
        process.send_signal(signal.SIGTERM)
        _, output = end_of(process)
        assert status_of(project) == "Running"
        (dbt_run,) = project.dbt_runs()
        assert f"dbt Cloud run {dbt_run['id']} goes on: {dbt_run['href']}" in output
        assert sent(project.sandbox, "POST", "/cancel/") == []


def test_terminate_in_the_ui_cancels_the_dbt_run(tmp_path: Path) -> None:
    """Dagster notes the wish, then sends the same SIGTERM."""
    with waiting(tmp_path) as (project, process):
        with dg.DagsterInstance.from_config(str(project.home)) as instance:
            (run,) = instance.get_runs()
            instance.report_run_canceling(run)
        process.send_signal(signal.SIGTERM)
        end_of(process)
        assert status_of(project) == "Cancelled"


def test_ctrl_c_cancels_a_run_whose_trigger_is_under_way(tmp_path: Path) -> None:
    """The answer is waited for, because without it nobody knows which run to cancel."""
    fault = Fault("hang", method="POST", path="*/run/", when="after", seconds=2)
    with waiting(tmp_path, fault=fault) as (project, process):
        process.send_signal(signal.SIGINT)
        end_of(process)
        assert status_of(project) == "Cancelled"
        assert triggers(project.sandbox) == 1


# A checkout


def test_the_workspace_loads_from_a_checkout_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code that is loaded is the checkout's own: here one whose job has another name.

    Dagster loads it in a process of its own.
    """
    ignored = shutil.ignore_patterns("__pycache__", "sandbox")
    shutil.copytree(ROOT / "dbt_trigger_dagster", tmp_path / "dbt_trigger_dagster", ignore=ignored)
    shutil.copy(ROOT / "workspace.yaml", tmp_path)
    schedules = tmp_path / "dbt_trigger_dagster" / "assets" / "schedule.py"
    schedules.write_text(schedules.read_text().replace('"dbt_cloud_job"', '"of_the_checkout"'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    done = CliRunner().invoke(cli, ["job", "list", "-w", "workspace.yaml"])
    assert done.exit_code == 0, done.output
    assert "Job: of_the_checkout" in done.output
