"""A Dagster run that is terminated between its two steps leaves no dbt run behind."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster import DbtCloudRunConfig, DbtCloudTableIOManager
from dbt_trigger_dagster.sandbox import Fault
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.graphs import GOOD, SLOW, sent
from dbt_trigger_dagster_tests.monitors import Watch, a_watch, settle


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """A monitor of a job whose runs go on until they are cancelled."""
    with a_watch(tmp_path, SLOW) as watch:
        yield watch


class Interrupted(DbtCloudTableIOManager):
    """Its Dagster run is ended by a person while the trigger's row is being written."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ARG002  # Dagster calls it so
        """Write nothing."""
        raise dg.DagsterExecutionInterruptedError


class InterruptedLater(DbtCloudTableIOManager):
    """The same when the waiting step has begun, and the trigger's row is being read for it."""

    def load_input(self, context: dg.InputContext) -> Any:  # noqa: ARG002  # as above
        """Read nothing."""
        raise dg.DagsterExecutionInterruptedError


def terminated(
    watch: Watch, by: type[DbtCloudTableIOManager] = Interrupted, **run: Any
) -> dg.DagsterRun:
    """A Dagster run that has triggered the job and is terminated before its next step waits."""
    project = watch.project
    before = {each.run_id for each in project.instance.get_runs()}
    tables = by(database=str(project.database))
    with contextlib.suppress(dg.DagsterExecutionInterruptedError):
        dg.materialize(
            watch.assets,
            resources={**project.resources(), "dbt_cloud_tables": tables},
            instance=project.instance,
            run_config={"ops": {"dbt_cloud_run": {"config": run}}},
            raise_on_error=False,
        )
    (ended,) = [each for each in project.instance.get_runs() if each.run_id not in before]
    project.instance.report_run_canceled(ended)
    return ended


def statuses(watch: Watch) -> list[str]:
    """How dbt Cloud's runs are."""
    return [run["status_humanized"] for run in watch.project.dbt_runs()]


def cancels(watch: Watch) -> int:
    """How often dbt Cloud was asked to cancel a run."""
    return len(sent(watch.project.sandbox, "POST", "/cancel/"))


def said_afterwards(watch: Watch, run: dg.DagsterRun) -> list[str]:
    """What the monitor wrote into the log of the Dagster run."""
    events = [entry.dagster_event for entry in watch.project.instance.all_logs(run.run_id)]
    messages = [str(event.message) for event in events if event is not None]
    return [message for message in messages if "terminated before it waited" in message]


def test_a_run_that_nobody_came_to_wait_for_is_cancelled(watch: Watch) -> None:
    """Once, although its row was never written; and the Dagster run's own log says so."""
    run = terminated(watch)
    assert watch.project.rows("dbt_cloud_trigger") == []
    watch.tick()
    until(lambda: statuses(watch) == ["Cancelled"], "the dbt run is cancelled")
    watch.tick()
    assert cancels(watch) == 1
    (dbt_run,) = watch.project.dbt_runs()
    (told,) = said_afterwards(watch, run)
    assert f"dbt Cloud run {dbt_run['id']} is cancelled" in told


def test_a_run_whose_waiting_step_had_begun_and_not_come_to_wait_is_cancelled(
    watch: Watch,
) -> None:
    """Dagster ended it while it loaded what the step begins with."""
    run = terminated(watch, InterruptedLater)
    watch.tick()
    until(lambda: statuses(watch) == ["Cancelled"], "the dbt run is cancelled")
    assert len(said_afterwards(watch, run)) == 1


def test_a_run_whose_waiting_step_has_failed_by_itself_is_that_steps_business(
    watch: Watch,
) -> None:
    """It has told what became of its dbt run, and a person ended the Dagster run later."""
    result = watch.project.materialize(run={"max_wait_time": 0.01})
    run = watch.project.instance.get_run_by_id(result.run_id)
    assert run is not None
    watch.project.instance.report_run_canceled(run)
    watch.tick()
    assert cancels(watch) == 0


@pytest.mark.parametrize("is_tagged", [True, False], ids=["in the UI", "in Python"])
def test_a_run_that_somebody_has_resumed_is_left_to_the_one_that_resumes_it(
    watch: Watch, *, is_tagged: bool
) -> None:
    """It may wait for the dbt run by now; `dg.execute_job` sets no tags."""
    run = terminated(watch)
    resumes = {"dagster/parent_run_id": run.run_id, "dagster/root_run_id": run.run_id}
    watch.project.instance.add_run(
        dg.DagsterRun(
            job_name=run.job_name,
            parent_run_id=run.run_id,
            root_run_id=run.run_id,
            tags=resumes if is_tagged else {},
        )
    )
    watch.tick()
    assert cancels(watch) == 0


def test_a_run_that_is_not_terminated_is_left_alone(watch: Watch) -> None:
    """Its waiting step may begin at any moment."""
    watch.project.materialize(selection=["trigger_response"])
    watch.tick()
    assert cancels(watch) == 0


def test_a_run_that_nobody_was_to_wait_for_is_left_alone(watch: Watch) -> None:
    """Who materializes the trigger alone does not want the dbt run to end with it."""
    result = watch.project.materialize(selection=["trigger_response"])
    run = watch.project.instance.get_run_by_id(result.run_id)
    assert run is not None
    watch.project.instance.report_run_canceled(run)
    watch.tick()
    assert cancels(watch) == 0


def test_a_run_whose_waiting_step_had_begun_is_that_steps_business(watch: Watch) -> None:
    """It has cancelled the dbt run, or was told not to wait."""
    result = watch.project.materialize(run={"wait_for_result": False})
    run = watch.project.instance.get_run_by_id(result.run_id)
    assert run is not None
    watch.project.instance.report_run_canceled(run)
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
        terminated(watch, **config)
        watch.tick()
        assert cancels(watch) == expected


def test_a_run_that_is_over_needs_no_cancel(tmp_path: Path) -> None:
    """It is landed like any other."""
    with a_watch(tmp_path, GOOD) as watch:
        terminated(watch)
        settle(watch.project)
        assert len(watch.tick()) == 1
        assert cancels(watch) == 0


def test_a_cancel_that_fails_is_told_and_tried_again(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the tick's log, not in that of the Dagster run; the next tick does it."""
    run = terminated(watch)
    watch.project.sandbox.inject(Fault(path="*/cancel/", status=403))
    watch.tick()
    assert "could not be cancelled" in caplog.text
    assert said_afterwards(watch, run) == []
    watch.tick()
    until(lambda: statuses(watch) == ["Cancelled"], "the dbt run is cancelled")


@pytest.mark.parametrize(("status", "body"), [(400, ""), (200, {"data": None})])
def test_what_became_of_a_run_is_told_by_a_look_at_it(
    watch: Watch, status: int, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Not by the answer to the request to cancel it, which may be odd where the run just ended."""
    run = terminated(watch)
    odd = Fault(path="*/cancel/", status=status, body=body, when="after")
    watch.project.sandbox.inject(odd)
    watch.tick()
    assert statuses(watch) == ["Cancelled"]
    (said,) = said_afterwards(watch, run)
    assert "is cancelled" in said
    assert "could not be cancelled" not in caplog.text


def test_a_run_that_dbt_cloud_does_not_know_is_nobodys(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another account's monitor sees the same Dagster runs."""
    terminated(watch)
    watch.project.sandbox.inject(Fault(path="*/runs/[0-9]*/", status=404, count=None))
    watch.tick()
    assert "could not be cancelled" not in caplog.text


def test_a_termination_that_was_dealt_with_is_not_looked_at_for_ever(watch: Watch) -> None:
    """Each look is a request."""
    terminated(watch)
    watch.tick()
    watch.tick()
    (run,) = watch.project.dbt_runs()
    watch.ahead = timedelta(minutes=25)
    watch.tick()  # once more, as nobody has looked for so long
    before = len(sent(watch.project.sandbox, "GET", f"/runs/{run['id']}/"))
    watch.tick()
    assert len(sent(watch.project.sandbox, "GET", f"/runs/{run['id']}/")) == before


def test_a_termination_long_ago_is_not_looked_at(watch: Watch) -> None:
    """Who switches a monitor on does not expect it to end what runs."""
    terminated(watch)
    watch.cursor = None
    watch.ahead = timedelta(hours=1)
    watch.tick()
    assert cancels(watch) == 0
