"""A Dagster run that is terminated between its two steps leaves no dbt run behind."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster import DbtCloudRunConfig
from dbt_trigger_dagster.sandbox import Fault
from dbt_trigger_dagster_tests.graphs import GOOD, SLOW, sent, until
from dbt_trigger_dagster_tests.monitors import Watch, a_watch, settle


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """A monitor of a job whose runs go on until they are cancelled."""
    with a_watch(tmp_path, SLOW) as watch:
        yield watch


def terminate(watch: Watch, result: dg.ExecuteInProcessResult) -> dg.DagsterRun:
    """Let a Dagster run end as it does when a person terminates it."""
    run = watch.project.instance.get_run_by_id(result.run_id)
    assert run is not None
    watch.project.instance.report_run_canceled(run)
    return run


def triggered(watch: Watch) -> dg.ExecuteInProcessResult:
    """A Dagster run that has triggered the job, and whose next step has not begun."""
    return watch.project.materialize(selection=["trigger_response"])


def statuses(watch: Watch) -> list[str]:
    """How dbt Cloud's runs are."""
    return [run["status_humanized"] for run in watch.project.dbt_runs()]


def cancels(watch: Watch) -> int:
    """How often dbt Cloud was asked to cancel a run."""
    return len(sent(watch.project.sandbox, "POST", "/cancel/"))


def said_afterwards(watch: Watch, result: dg.ExecuteInProcessResult) -> list[str]:
    """What the monitor wrote into the log of the Dagster run."""
    events = [entry.dagster_event for entry in watch.project.instance.all_logs(result.run_id)]
    messages = [str(event.message) for event in events if event is not None]
    return [message for message in messages if "terminated before it waited" in message]


def test_a_run_that_nobody_came_to_wait_for_is_cancelled(watch: Watch) -> None:
    """Once; and the Dagster run's own log says so."""
    result = triggered(watch)
    terminate(watch, result)
    watch.tick()
    until(lambda: statuses(watch) == ["Cancelled"], "the dbt run is cancelled")
    watch.tick()
    assert cancels(watch) == 1
    (run_id,) = watch.project.run_ids("dbt_cloud_trigger")
    told = said_afterwards(watch, result)
    assert len(told) == 1
    assert f"dbt Cloud run {run_id} is cancelled" in told[0]


def test_a_run_that_is_not_terminated_is_left_alone(watch: Watch) -> None:
    """Its waiting step may begin at any moment."""
    triggered(watch)
    watch.tick()
    assert cancels(watch) == 0


def test_a_run_whose_waiting_step_had_begun_is_that_steps_business(watch: Watch) -> None:
    """It has cancelled the dbt run, or was told not to wait."""
    terminate(watch, watch.project.materialize(run={"wait_for_result": False}))
    watch.tick()
    assert cancels(watch) == 0


@pytest.mark.parametrize(
    ("config", "default", "expected"),
    [({}, True, 1), ({}, False, 0), ({"cancel_on_termination": True}, False, 1)],
)
def test_cancel_on_termination_counts_as_in_the_step(
    tmp_path: Path, config: dict[str, Any], *, default: bool, expected: int
) -> None:
    """From the run's config, and without it from the graph's own defaults."""
    defaults = DbtCloudRunConfig(cancel_on_termination=default)
    with a_watch(tmp_path, SLOW, graphs=[{"run_defaults": defaults}]) as watch:
        result = dg.materialize(
            watch.assets,
            resources=watch.project.resources(),
            instance=watch.project.instance,
            selection=dg.AssetSelection.assets("trigger_response"),
            run_config={"ops": {"trigger_response": {"config": {}}}},
        )
        run = watch.project.instance.get_run_by_id(result.run_id)
        assert run is not None
        launched = dg.DagsterRun(
            job_name=run.job_name, run_config={"ops": {"dbt_cloud_run": {"config": config}}}
        )
        watch.project.instance.add_run(launched)
        for record in watch.project.instance.all_logs(result.run_id):
            if record.dagster_event and record.dagster_event.is_step_materialization:
                watch.project.instance.report_dagster_event(record.dagster_event, launched.run_id)
        watch.project.instance.report_run_canceled(launched)
        watch.tick()
        assert cancels(watch) == expected


def test_a_run_that_is_over_needs_no_cancel(tmp_path: Path) -> None:
    """It is landed like any other."""
    with a_watch(tmp_path, GOOD) as watch:
        result = triggered(watch)
        settle(watch.project)
        terminate(watch, result)
        assert len(watch.tick()) == 1
        assert cancels(watch) == 0


def test_a_cancel_that_fails_is_told_and_tried_again(watch: Watch) -> None:
    """The tick goes on, and so does the next one."""
    result = triggered(watch)
    terminate(watch, result)
    watch.project.sandbox.inject(Fault(path="*/cancel/", status=403))
    watch.tick()
    assert "could not be cancelled" in said_afterwards(watch, result)[0]
    watch.tick()
    until(lambda: statuses(watch) == ["Cancelled"], "the dbt run is cancelled")


def test_a_termination_long_ago_is_not_looked_at(watch: Watch) -> None:
    """Who switches a monitor on does not expect it to end what runs."""
    terminate(watch, triggered(watch))
    watch.cursor = None
    watch.ahead = timedelta(hours=1)
    watch.tick()
    assert cancels(watch) == 0
