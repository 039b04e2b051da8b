"""A launch that is interrupted, in this process and with a real signal."""

import functools
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType

import dagster as dg
import pytest

from dbt_trigger_dagster.assets import termination
from dbt_trigger_dagster.assets.config import DbtCloudRunConfig
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.assets.termination import Termination
from dbt_trigger_dagster.assets.trigger_step import trigger
from dbt_trigger_dagster.dbt_cloud.parameters import TriggerRequest
from dbt_trigger_dagster.dbt_cloud.trigger import Intention
from dbt_trigger_dagster.sandbox import Fault
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.graphs import SLOW, Project, a_project, failure_of, triggers


@contextmanager
def interrupted_when_triggered(
    project: Project, before_it: Callable[[], None] | None
) -> Iterator[None]:
    """As Dagster interrupts a step, as soon as dbt Cloud has the request."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise dg.DagsterExecutionInterruptedError

    def wait_and_interrupt() -> None:
        until(lambda: triggers(project.sandbox), "the job is triggered")
        if before_it is not None:
            before_it()
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, interrupt)
    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGTERM, before)


def launched(project: Project, *, is_wanted: bool, request_timeout: float = 1) -> None:
    """Trigger the job for a step that is interrupted meanwhile."""
    run = project.instance.create_run_for_job(dg.GraphDefinition("nothing").to_job())
    terminate = functools.partial(project.instance.report_run_canceling, run)
    intention = Intention(run.run_id, datetime.now(timezone.utc), is_repeated=False)
    log = logging.getLogger("step")
    guard = Termination(project.instance, run.run_id, cancel=True, log=log)
    with (
        project.account(request_timeout=request_timeout).build_client() as client,
        interrupted_when_triggered(project, terminate if is_wanted else None),
    ):
        step = Step(client, DbtCloudRunConfig(), guard, log, lambda _: None, is_repeated=False)
        trigger(step, project.job_id, TriggerRequest(cause="Nightly"), intention, lambda _: None)


def test_a_terminated_launch_without_an_answer_is_not_repeated(tmp_path: Path) -> None:
    """Neither by us, with a second request, nor by a retry policy of Dagster's."""
    with a_project(tmp_path, SLOW) as project:
        project.sandbox.inject(Fault("hang", method="POST", seconds=600))
        with pytest.raises(dg.Failure) as caught:
            launched(project, is_wanted=True)
        assert caught.value.allow_retries is False
        assert triggers(project.sandbox) == 1
        assert project.dbt_runs() == []


def test_a_drained_launch_without_an_answer_ends_with_the_interrupt(tmp_path: Path) -> None:
    """Nobody wants the run to stop; whoever resumes it searches first."""
    with a_project(tmp_path, SLOW) as project:
        project.sandbox.inject(Fault("hang", method="POST", seconds=600))
        with pytest.raises(dg.DagsterExecutionInterruptedError):
            launched(project, is_wanted=False)
        assert triggers(project.sandbox) == 1


def test_a_terminated_launch_whose_answer_is_lost_still_finds_its_run_to_cancel(
    tmp_path: Path,
) -> None:
    """One search after the interrupt, without a pause, is enough for a run that is there."""
    with a_project(tmp_path, SLOW) as project:
        project.sandbox.inject(Fault("hang", method="POST", when="after", seconds=600))
        with pytest.raises(dg.Failure, match="is cancelled"):
            # Time enough for the search on any machine: only the trigger hangs.
            launched(project, is_wanted=True, request_timeout=8)
        assert triggers(project.sandbox) == 1
        until(lambda: [run["status"] for run in project.dbt_runs()] == [30], "the run is cancelled")


def terminate(project: Project) -> None:
    """As Dagster does: the wish is stored, and the step gets the signal now."""
    (run,) = project.instance.get_runs()
    project.instance.report_run_canceling(run)
    signal.raise_signal(signal.SIGTERM)


def check_that_its_run_is_cancelled(project: Project) -> None:
    """Launch the job by the op, which is terminated, and see what becomes of the dbt run."""
    result = project.materialize(selection=["trigger_response"])
    assert "is cancelled" in str(failure_of(result, "trigger_response").description)
    assert triggers(project.sandbox) == 1
    until(lambda: [run["status"] for run in project.dbt_runs()] == [30], "the run is cancelled")


def test_a_launch_that_is_terminated_right_after_its_answer_cancels_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer has been handed over; the thread that got it is still to be joined."""
    with a_project(tmp_path, SLOW) as project:

        class Joined(ThreadPoolExecutor):
            def __exit__(self, *_: object) -> None:
                self.shutdown()
                terminate(project)

        monkeypatch.setattr(termination, "ThreadPoolExecutor", Joined)
        check_that_its_run_is_cancelled(project)


def test_a_launch_that_is_terminated_while_its_run_is_announced_cancels_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would find it later: the tag by which one looks for it is not written."""
    with a_project(tmp_path, SLOW) as project:
        monkeypatch.setattr(project.instance, "add_run_tags", lambda *_: terminate(project))
        check_that_its_run_is_cancelled(project)
