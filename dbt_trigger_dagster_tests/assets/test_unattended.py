"""What a Dagster run says of a dbt run that it leaves alone, and by what it is found."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._cli import cli

from dbt_trigger_dagster import build_dbt_cloud_monitor
from dbt_trigger_dagster.assets.job import JOB_ID_TAG, RUN_ID_TAG, STATUS_TAG
from dbt_trigger_dagster.assets.run_tags import run_tags, tag_with_runs
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster_tests.graphs import (
    BROKEN,
    GOOD,
    SLOW,
    Project,
    a_project,
)
from dbt_trigger_dagster_tests.instances import an_instance
from dbt_trigger_dagster_tests.payloads import run_payload

NOT_WAITING = {"ops": {"dbt_cloud_run": {"config": {"wait_for_result": False}}}}
LEAVING = {"ops": {"dbt_cloud_run": {"config": {"max_wait_time": 0.2, "on_timeout": "leave"}}}}


def tags_of(project: Project, result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """The tags of a Dagster run by which people find it."""
    run = project.instance.get_run_by_id(result.run_id)
    assert run is not None
    return {name: text for name, text in run.tags.items() if name.startswith("dbt_cloud/")}


@pytest.mark.parametrize(("script", "status"), [(GOOD, "Success"), (BROKEN, "Error")])
def test_a_dagster_run_is_found_by_its_dbt_run(tmp_path: Path, script: Any, status: str) -> None:
    """By the job, the run and how it ended; and its own tags that are nobody's business hide."""
    with a_project(tmp_path, script) as project:
        result = project.materialize()
        (dbt_run,) = project.dbt_runs()
        assert tags_of(project, result) == {
            JOB_ID_TAG: str(project.job_id),
            RUN_ID_TAG: str(dbt_run["id"]),
            STATUS_TAG: status,
        }
        (found,) = project.instance.get_runs(
            dg.RunsFilter(tags={"dbt_cloud/run_id": str(dbt_run["id"])})
        )
        assert found.run_id == result.run_id
        shown = [name for name in found.tags if not name.startswith((".dagster/", "dagster/"))]
        assert sorted(shown) == ["dbt_cloud/job_id", "dbt_cloud/run_id", "dbt_cloud/status"]


def test_a_dagster_run_that_waits_for_nothing_names_its_dbt_run_too(tmp_path: Path) -> None:
    """From the moment at which it is known; and no status, which would stay as it was then."""
    with a_project(tmp_path, SLOW) as project:
        result = project.materialize(run={"wait_for_result": False})
        (dbt_run,) = project.dbt_runs()
        assert tags_of(project, result) == {
            JOB_ID_TAG: str(project.job_id),
            RUN_ID_TAG: str(dbt_run["id"]),
        }


def test_of_several_runs_that_on_which_they_agree_is_a_tag() -> None:
    """A landing of many is found by its job."""
    runs = [Run.from_payload(run_payload(status, id=status)) for status in (10, 20)]
    assert run_tags(runs) == {JOB_ID_TAG: str(runs[0].job_id)}
    assert run_tags([]) == {}
    good, running = (Run.from_payload(run_payload(status, id=1)) for status in (10, 3))
    assert run_tags([good, good])[STATUS_TAG] == "Success"
    assert STATUS_TAG not in run_tags([good, running])


@pytest.mark.parametrize(
    ("inherited", "status", "told"),
    [("Error", 3, "Not known"), ("Error", 10, "Success"), (None, 3, None)],
)
def test_the_status_of_the_run_before_does_not_stay(
    inherited: str | None, status: int, told: str | None
) -> None:
    """A Dagster run that re-executes another has its tags from the start."""
    run = Run.from_payload(run_payload(status))

    @dg.asset
    def tagging(context: dg.AssetExecutionContext) -> None:
        tag_with_runs(context, [run])

    with an_instance() as instance:
        tags = {} if inherited is None else {STATUS_TAG: inherited}
        result = dg.materialize([tagging], instance=instance, tags=tags)
        found = instance.get_run_by_id(result.run_id)
        assert found is not None
        assert found.tags.get(STATUS_TAG) == told
        assert found.tags[RUN_ID_TAG] == str(run.run_id)


def test_the_status_of_another_jobs_run_does_not_stay() -> None:
    """A Dagster run may run one job after another; the second one's run is in flight."""
    ended, running = (Run.from_payload(run_payload(status, id=status)) for status in (10, 3))

    @dg.asset
    def tagging(context: dg.AssetExecutionContext) -> None:
        tag_with_runs(context, [ended])
        tag_with_runs(context, [running])

    with an_instance() as instance:
        result = dg.materialize([tagging], instance=instance)
        found = instance.get_run_by_id(result.run_id)
        assert found is not None
        assert (found.tags[RUN_ID_TAG], found.tags[STATUS_TAG]) == ("3", "Not known")


def said_by(project: Project, *arguments: str) -> str:
    """What Dagster's command line says that does something with the package's code location."""
    done = CliRunner().invoke(cli, [*arguments, "-m", "dbt_trigger_dagster.definitions"])
    assert done.exit_code == 0, done.output
    return done.output


def executed(project: Project, config: dict[str, Any]) -> str:
    """What it says of a run."""
    file = project.folder / "config.yaml"
    file.write_text(json.dumps(config))
    return said_by(project, "job", "execute", "-j", "dbt_cloud_job", "-c", str(file))


@pytest.mark.filterwarnings("ignore:Function `.*_command` is superseded")  # Dagster's own
def test_a_monitor_that_is_off_is_told_where_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With how to switch it on; and where it is on, that it is."""
    with a_project(tmp_path, SLOW) as project:
        monkeypatch.setenv("DAGSTER_HOME", str(project.home))
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)
        assert "The monitor dbt_cloud_monitor is off" in executed(project, NOT_WAITING)
        said = executed(project, LEAVING)
        assert "dagster sensor start dbt_cloud_monitor" in said
        said_by(project, "sensor", "start", "dbt_cloud_monitor")
        assert "The monitor dbt_cloud_monitor lands the run" in executed(project, NOT_WAITING)


def test_where_no_code_location_is_known_nothing_is_claimed(tmp_path: Path) -> None:
    """A script materializes the assets; whether a monitor is on is for it to know."""
    with a_project(tmp_path, SLOW) as project:
        build_dbt_cloud_monitor(project.assets())
        result = project.materialize(run={"wait_for_result": False})
        assert any("where it is on" in line for line in project.logs(result))
