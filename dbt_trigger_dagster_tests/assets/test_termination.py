"""A person's wish to stop, the end of a worker, and what becomes of dbt Cloud's runs."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from dbt_trigger_dagster.assets.dagster_run import Interruption
from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.assets.termination import (
    ANSWER_WAIT,
    CANCEL_DEADLINE,
    Termination,
    ignoring_signals,
    start_run,
)
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError, DbtCloudRequestError
from dbt_trigger_dagster.dbt_cloud.interrupts import SIGNALS, handled_by
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.dbt_cloud.parameters import TriggerRequest
from dbt_trigger_dagster.dbt_cloud.trigger import Triggered
from dbt_trigger_dagster.sandbox import Fault
from dbt_trigger_dagster_tests.clocks import FakeClock, until
from dbt_trigger_dagster_tests.graphs import (
    GOOD,
    SLOW,
    a_project,
    failed_ops,
    failure_of,
    sent,
    triggers,
)
from dbt_trigger_dagster_tests.interrupts import another_thread_gets
from dbt_trigger_dagster_tests.servers import Drip, Received, Silence, serving

LOG = logging.getLogger("step")


class AnotherError(Exception):
    """Nothing that a guard knows."""


@pytest.fixture
def noted() -> Iterator[list[int]]:
    """The signals that the surroundings got, in place of what they would do."""
    numbers: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda number, _frame: numbers.append(number))
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers() -> list[object]:
    """Who handles the signals now."""
    return [signal.getsignal(number) for number in SIGNALS]


def send(number: int) -> None:
    """Send this process a signal; its handler has run when this returns."""
    os.kill(os.getpid(), number)
    signal.sigtimedwait([], 0)


def a_dagster_run(instance: dg.DagsterInstance, status: DagsterRunStatus) -> str:
    """The id of a Dagster run that the instance knows."""
    return instance.add_run(dg.DagsterRun(job_name="nightly", status=status)).run_id


def a_termination(
    instance: dg.DagsterInstance,
    status: DagsterRunStatus = DagsterRunStatus.STARTED,
    *,
    cancel: bool = True,
) -> Termination:
    """Of a Dagster run in a status."""
    return Termination(instance, a_dagster_run(instance, status), cancel=cancel, log=LOG)


def a_run(run_id: int, **payload: Any) -> Run:
    """A run as the API gives it."""
    return Run.from_payload({"id": run_id, "status": 1, "job_id": 9, **payload})


# Whose wish it is


def test_ctrl_c_is_a_persons_wish(instance, noted: list[int], client: DbtCloudClient) -> None:
    """It is noted, and whoever handled it before handles it still."""
    termination = a_termination(instance)
    assert termination.why() is Interruption.DRAINED
    with pytest.raises(dg.Failure) as caught, termination.guarded(client):
        send(signal.SIGINT)
    assert caught.value.allow_retries is False
    assert noted == [signal.SIGINT]
    assert termination.why() is Interruption.CTRL_C


def test_the_end_of_a_worker_is_not(instance, noted: list[int], client: DbtCloudClient) -> None:
    """A bare SIGTERM says nothing of the run: the step ends with the interrupt."""
    termination = a_termination(instance)
    with pytest.raises(dg.DagsterExecutionInterruptedError), termination.guarded(client):
        send(signal.SIGTERM)
    assert termination.why() is Interruption.DRAINED
    assert noted == [signal.SIGTERM]


@pytest.mark.parametrize("status", [DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED])
def test_terminate_in_the_ui_is_a_persons_wish(instance, status: DagsterRunStatus) -> None:
    """Dagster stores it before it sends the signal."""
    assert a_termination(instance, status).why() is Interruption.TERMINATED


@pytest.mark.parametrize(
    "status",
    [
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
        DagsterRunStatus.SUCCESS,
        DagsterRunStatus.FAILURE,
    ],
)
def test_no_other_status_is(instance, status: DagsterRunStatus) -> None:
    """Least of all a run that goes on."""
    assert not a_termination(instance, status).why().is_a_wish


def test_a_run_that_is_not_stored_was_not_terminated(instance) -> None:
    """It may have been deleted in the meantime."""
    assert Termination(instance, "unknown", cancel=True, log=LOG).why() is Interruption.DRAINED


def test_a_database_that_is_down_hides_no_interrupt(
    client: DbtCloudClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can say whose wish it was: then it is nobody's, and that is told."""
    gone: Any = None
    termination = Termination(gone, "unknown", cancel=True, log=LOG)
    interrupt = dg.DagsterExecutionInterruptedError()
    with pytest.raises(dg.DagsterExecutionInterruptedError) as caught, termination.guarded(client):
        raise interrupt
    assert caught.value is interrupt
    assert "Dagster cannot say" in caplog.text


def test_a_ctrl_c_before_the_block_does_not_count(
    instance, noted: list[int], client: DbtCloudClient
) -> None:
    """It was meant for something else, which went on."""
    termination = a_termination(instance)
    send(signal.SIGINT)
    with termination.guarded(client):
        assert termination.why() is Interruption.DRAINED


# The block


def test_a_block_does_not_begin_where_a_person_has_wished_to_stop(
    instance, client: DbtCloudClient
) -> None:
    """Dagster retries a step whose output was being stored when it was interrupted."""
    termination = a_termination(instance, DagsterRunStatus.CANCELING)
    begun = []
    with pytest.raises(dg.Failure) as caught, termination.guarded(client):
        begun.append("the block")
    assert caught.value.allow_retries is False
    assert begun == []


def sleep_again_and_again(client: DbtCloudClient) -> None:
    """As a wait does."""
    for _ in range(5):
        client.sleep(1)


def test_an_interrupt_that_python_lost_ends_the_block_all_the_same(
    instance, noted: list[int], client: DbtCloudClient, clock: FakeClock
) -> None:
    """Its handler has raised into a callback of the garbage collector: nothing sleeps on."""
    clock.on_sleep = lambda _: send(signal.SIGTERM)
    guarded = a_termination(instance).guarded(client)
    with pytest.raises(dg.DagsterExecutionInterruptedError), guarded:
        sleep_again_and_again(client)
    assert clock.pauses == [1]


def test_other_errors_pass(instance, client: DbtCloudClient) -> None:
    """A guard is about interrupts alone."""
    with pytest.raises(AnotherError), a_termination(instance).guarded(client):
        raise AnotherError


def test_other_errors_pass_from_several_calls_at_once(instance, client: DbtCloudClient) -> None:
    """A full disk interrupts nobody."""

    def call(_: int) -> None:
        raise AnotherError

    with pytest.raises(AnotherError), a_termination(instance).guarded(client):
        in_parallel(call, [0, 1], max_parallel=2, cancellation=client.cancellation)


def test_the_handlers_are_put_back(instance, noted: list[int], client: DbtCloudClient) -> None:
    """After a block and after one that ignores signals, also when they end in an error."""
    before = handlers()
    for block in (a_termination(instance).guarded(client), ignoring_signals()):
        with contextlib.suppress(KeyError), block:
            assert handlers() != before
            raise KeyError
        assert handlers() == before


def test_a_block_that_ignores_signals_lets_no_signal_through(noted: list[int]) -> None:
    """A second Ctrl-C must not break off the request that cancels the dbt run."""
    with ignoring_signals():
        for number in SIGNALS:
            send(number)
    assert noted == []
    send(signal.SIGINT)
    assert noted == [signal.SIGINT]


def test_a_handler_that_python_did_not_set_is_left_out(
    instance, noted: list[int], client: DbtCloudClient
) -> None:
    """A process that ignores Ctrl-C still notes it, and goes on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    termination = a_termination(instance)
    with termination.guarded(client):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        send(signal.SIGINT)
    assert termination.why() is Interruption.CTRL_C
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_can_be_guarded_without_signals(
    instance, noted: list[int], client: DbtCloudClient
) -> None:
    """Only the main thread may set handlers; elsewhere the stored status alone counts."""
    before = handlers()
    seen: list[bool] = []

    def work() -> None:
        termination = a_termination(instance)
        with termination.guarded(client), ignoring_signals():
            seen.append(handlers() == before)
            seen.append(termination.why().is_a_wish)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True, False]


class _Losing:
    """An instance of Dagster's that loses an interrupt, as SQLAlchemy may while it reads."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def get_run_by_id(self, dagster_run_id: str) -> dg.DagsterRun | None:
        """Read, and be interrupted."""
        with contextlib.suppress(dg.DagsterExecutionInterruptedError):
            send(signal.SIGTERM)
        return self._instance.get_run_by_id(dagster_run_id)


@pytest.fixture
def raising() -> Iterator[None]:
    """Signals are handled as Dagster does while a step works."""

    def interrupt(*_: object) -> None:
        raise dg.DagsterExecutionInterruptedError

    with handled_by(dict.fromkeys(SIGNALS, interrupt)):
        yield


@pytest.mark.usefixtures("raising")
def test_an_interrupt_that_is_lost_while_the_block_begins_keeps_it_from_beginning(
    instance, client: DbtCloudClient
) -> None:
    """The worker is to end; nobody sends the signal again but the one that kills."""
    losing: Any = _Losing(instance)
    dagster_run_id = a_dagster_run(instance, DagsterRunStatus.STARTED)
    termination = Termination(losing, dagster_run_id, cancel=True, log=LOG)
    begun = []
    with (
        pytest.raises(dg.DagsterExecutionInterruptedError),
        termination.guarded(client),
    ):
        begun.append("the block")
    assert begun == []


def _query() -> None:
    try:
        send(signal.SIGTERM)
    except dg.DagsterExecutionInterruptedError:
        raise RuntimeError("Query interrupted") from None


@pytest.mark.usefixtures("raising")
def test_an_interrupt_that_a_library_made_another_error_of_is_an_interrupt(
    instance, client: DbtCloudClient
) -> None:
    """DuckDB says that its query was interrupted, for one."""
    with (
        pytest.raises(dg.DagsterExecutionInterruptedError),
        a_termination(instance).guarded(client),
    ):
        _query()


# dbt Cloud's runs


def end_of_a_block(
    termination: Termination, client: DbtCloudClient, runs: list[Run]
) -> BaseException:
    """What an interrupt in a block about some runs ends with."""
    with pytest.raises((dg.Failure, dg.DagsterExecutionInterruptedError)) as caught:
        termination_block(termination, client, runs)
    return caught.value


def termination_block(termination: Termination, client: DbtCloudClient, runs: list[Run]) -> None:
    """A block that is interrupted; where it is terminated, so by the stored status."""
    with termination.guarded(client, runs):
        raise KeyboardInterrupt


def test_a_cancel_that_fails_never_hides_the_interrupt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with the run's page, and the other runs are cancelled all the same."""
    with a_project(tmp_path, SLOW) as project:
        project.materialize(run={"wait_for_result": False})
        (run_id,) = project.run_ids("dbt_cloud_trigger")
        with project.account().build_client() as client:
            over = a_run(1, status=10)
            runs = [a_run(4711, href="https://x/4711"), over, a_run(run_id)]
            termination = a_termination(project.instance, DagsterRunStatus.CANCELING)
            ended = end_of_a_block(termination, client, runs)
        assert isinstance(ended, dg.Failure)
        assert "4711 could not be cancelled" in caplog.text
        assert "https://x/4711" in caplog.text
        assert f"dbt Cloud run {run_id} is cancelled" in str(ended.description)
        assert "dbt Cloud run 1 " not in str(ended.description)
        assert len(sent(project.sandbox, "POST", "/cancel/")) == 2
        until(lambda: project.dbt_runs()[0]["status"] == 30, "the run is cancelled")


@pytest.mark.parametrize(
    "odd",
    [None, Fault(path="*/cancel/", status=400), Fault(path="*/cancel/", status=204)],
    ids=["a good answer", "400", "204"],
)
def test_what_became_of_a_run_is_told_by_a_look_at_it(tmp_path: Path, odd: Fault | None) -> None:
    """It ended while the step was terminated: nobody says that it was cancelled."""
    with a_project(tmp_path, GOOD) as project:
        project.materialize(run={"wait_for_result": False})
        (run_id,) = project.run_ids("dbt_cloud_trigger")
        if odd is not None:
            project.sandbox.inject(odd)
        with project.account().build_client() as client:
            termination = a_termination(project.instance, DagsterRunStatus.CANCELING)
            ended = end_of_a_block(termination, client, [a_run(run_id)])
        assert isinstance(ended, dg.Failure)
        assert f"dbt Cloud run {run_id} had ended before: Success" in str(ended.description)


@pytest.mark.parametrize("cancel", [True, False])
def test_runs_that_are_not_to_be_cancelled_are_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, cancel: bool
) -> None:
    """Nobody wishes it, or cancel_on_termination is false: the log says that the run goes on."""
    status = DagsterRunStatus.STARTED if cancel else DagsterRunStatus.CANCELING
    with a_project(tmp_path) as project, project.account().build_client() as client:
        termination = a_termination(project.instance, status, cancel=cancel)
        runs = [a_run(1, href="https://x/1")]
        with contextlib.suppress(KeyboardInterrupt, dg.Failure):
            termination_block(termination, client, runs)
        assert "dbt Cloud run 1 goes on: https://x/1" in caplog.text
        assert project.sandbox.requests == []


def test_many_runs_share_the_time_to_be_cancelled(tmp_path: Path) -> None:
    """A worker is given half a minute to end: each run cannot have its own fifteen seconds."""
    clock = FakeClock()
    with a_project(tmp_path) as project:
        project.sandbox.inject(Fault(path="*/cancel/", status=503, count=None))
        with DbtCloudClient(
            account_id=project.sandbox.account_id,
            token=project.sandbox.token,
            access_url=project.sandbox.access_url,
            request_max_retries=1000,
            clock=clock,
        ) as client:
            begun = clock.now
            termination = a_termination(project.instance, DagsterRunStatus.CANCELING)
            runs = [a_run(number) for number in range(20)]
            ended = end_of_a_block(termination, client, runs)
        assert str(ended.description).count("could not be cancelled") == 20
        assert clock.now - begun < 2 * CANCEL_DEADLINE


# Starting a run


def test_a_run_that_is_started_is_what_the_guard_is_about(client: DbtCloudClient) -> None:
    """From the moment at which its answer is there."""
    runs: list[Run] = []
    triggered = Triggered(a_run(7), adopted=False)
    assert start_run(client, lambda _: triggered, runs, log=LOG) is triggered
    assert runs == [triggered.run]


@pytest.mark.parametrize("is_lost", [True, False])
def test_an_interrupt_waits_for_the_request_and_says_what_is_not_known(
    client: DbtCloudClient, caplog: pytest.LogCaptureFixture, *, is_lost: bool
) -> None:
    """A trigger whose answer is lost may have started the job; one that was never sent has not."""
    goes_on = threading.Event()

    def start(_: DbtCloudClient) -> Triggered:
        assert goes_on.wait(60)
        raise DbtCloudRequestError("No answer.", may_have_been_sent=is_lost)

    def interrupt(*_: Any) -> None:
        goes_on.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            start_run(client, start, [], log=LOG)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ("may have been started nevertheless" in caplog.text) is is_lost


def test_an_interrupt_that_another_thread_has_got_gives_up_an_answer_that_does_not_come(
    client: DbtCloudClient,
) -> None:
    """So it is too with one that comes right before the main thread waits: it wakes nobody."""
    sent_at: list[float] = []
    is_over, begun = threading.Event(), threading.Event()

    def start(_: DbtCloudClient) -> Triggered:
        sent_at.append(time.monotonic())
        begun.set()
        is_over.wait(60)
        raise DbtCloudRequestError("No answer.", may_have_been_sent=True)

    def interrupt(*_: object) -> None:
        is_over.set()
        raise KeyboardInterrupt

    with (
        handled_by({signal.SIGINT: interrupt}),
        another_thread_gets(signal.SIGINT, wanted=begun),
        pytest.raises(KeyboardInterrupt),
    ):
        start_run(client, start, [], log=LOG)
    assert time.monotonic() - sent_at[0] < 30


def test_an_interrupt_that_is_lost_while_a_run_is_started_ends_the_wait(
    client: DbtCloudClient,
) -> None:
    """Its cancellation is not lost."""

    def start(by: DbtCloudClient) -> Triggered:
        client.cancellation.cancel()
        until(lambda: by._deadline and by._deadline.is_over, "its answer is given up")
        raise DbtCloudRequestError("No answer.", may_have_been_sent=True)

    with pytest.raises(DbtCloudCancelledError):
        start_run(client, start, [], log=LOG, answer_wait=0.1)


@pytest.mark.parametrize("hangs", [Silence(), Drip(b"HTTP/1.1 200 OK\r\n\r\n" * 999, 0.1)])
def test_an_interrupt_gives_up_an_answer_that_does_not_come(
    caplog: pytest.LogCaptureFixture, hangs: Silence | Drip
) -> None:
    """A trigger that hangs, or drips for an hour, would leave nothing but kill -9."""
    runs: list[Run] = []
    request = TriggerRequest(cause="Nightly")

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    def respond(_: Received) -> Silence | Drip:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        return hangs

    def start(client: DbtCloudClient) -> Triggered:
        return Triggered(client.trigger_run(1, request), adopted=False)

    before = signal.signal(signal.SIGALRM, interrupt)
    began = time.monotonic()
    try:
        with (
            serving(respond) as server,
            DbtCloudClient(
                account_id=1, token="token", access_url=server.url, request_timeout=3600
            ) as client,
            pytest.raises(KeyboardInterrupt),
        ):
            start_run(client, start, runs, log=LOG, answer_wait=0.2)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 30
    assert runs == []
    assert "may have been started nevertheless" in caplog.text
    assert ANSWER_WAIT == 15


# Whole steps


class Terminated(DbtCloudTableIOManager):
    """Its Dagster run is terminated while the first output is being stored."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Fail as Dagster does when a person terminates the run."""
        instance = context.step_context.instance
        run = instance.get_run_by_id(context.run_id)
        assert run is not None
        if run.status is DagsterRunStatus.STARTED:
            instance.report_run_canceling(run)
            raise dg.DagsterExecutionInterruptedError
        super().handle_output(context, obj)


def test_a_step_that_is_retried_after_it_was_terminated_does_nothing(tmp_path: Path) -> None:
    """Terminated while its output was stored, and retried by a policy: nothing is triggered."""
    with a_project(tmp_path, GOOD) as project:
        job = dg.Definitions(
            assets=project.assets(),
            resources={
                **project.resources(),
                "dbt_cloud_tables": Terminated(database=str(project.database)),
            },
            jobs=[dg.define_asset_job("eager", op_retry_policy=dg.RetryPolicy(max_retries=3))],
        ).resolve_job_def("eager")
        result = job.execute_in_process(instance=project.instance, raise_on_error=False)
        assert failed_ops(result) == ["trigger_response"]
        assert "terminated" in str(failure_of(result, "trigger_response").description)
        assert triggers(project.sandbox) == 1


class TerminatedDownloads(DbtCloudArtifactStore):
    """Its Dagster run is terminated when the artifacts are about to be stored."""

    def folder_of(self, run: Run) -> str:
        """Send the signal that Dagster sends, once the wish is stored."""
        with dg.DagsterInstance.get() as instance:
            for each in instance.get_runs():
                instance.report_run_canceling(each)
        os.kill(os.getpid(), signal.SIGTERM)
        return super().folder_of(run)


def test_a_step_that_is_terminated_in_its_downloads_is_not_retried(
    tmp_path: Path, monkeypatch
) -> None:
    """A retry policy of Dagster's would end in success what a person has given up."""
    with a_project(tmp_path, GOOD) as project:
        monkeypatch.setenv("DAGSTER_HOME", str(project.home))
        job = dg.Definitions(
            assets=project.assets(),
            resources={
                **project.resources(),
                "dbt_cloud_artifacts": TerminatedDownloads(root=str(project.artifacts)),
            },
            jobs=[dg.define_asset_job("eager", op_retry_policy=dg.RetryPolicy(max_retries=3))],
        ).resolve_job_def("eager")
        with dg.DagsterInstance.get() as instance:
            result = job.execute_in_process(instance=instance, raise_on_error=False)
        assert failed_ops(result) == ["dbt_cloud_run"]
        assert not [event for event in result.all_events if event.is_step_up_for_retry]
        assert project.files() == {}
