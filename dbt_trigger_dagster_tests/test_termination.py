"""Telling a person's wish to stop from the end of a worker."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from dbt_trigger_dagster.termination import Termination, undisturbed

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of its own."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def a_dagster_run(instance: dg.DagsterInstance, status: DagsterRunStatus) -> str:
    """The id of a Dagster run that the instance knows."""
    return instance.add_run(dg.DagsterRun(job_name="nightly", status=status)).run_id


def test_ctrl_c_is_a_persons_wish(instance: dg.DagsterInstance, noted: list[int]) -> None:
    """It is noted, and whoever handled it before handles it still."""
    termination = Termination(instance, a_dagster_run(instance, DagsterRunStatus.STARTED))
    with termination.watched():
        assert not termination.is_wanted()
        send(signal.SIGINT)
        assert termination.is_wanted()
    assert noted == [signal.SIGINT]
    assert termination.is_wanted()


def test_the_end_of_a_worker_is_not(instance: dg.DagsterInstance, noted: list[int]) -> None:
    """A bare SIGTERM says nothing of the run."""
    termination = Termination(instance, a_dagster_run(instance, DagsterRunStatus.STARTED))
    with termination.watched():
        send(signal.SIGTERM)
        assert not termination.is_wanted()
    assert noted == [signal.SIGTERM]


@pytest.mark.parametrize("status", [DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED])
def test_terminate_in_the_ui_is_a_persons_wish(
    instance: dg.DagsterInstance, status: DagsterRunStatus
) -> None:
    """Dagster stores it before it sends the signal."""
    assert Termination(instance, a_dagster_run(instance, status)).is_wanted()


@pytest.mark.parametrize(
    "status",
    [
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
        DagsterRunStatus.SUCCESS,
        DagsterRunStatus.FAILURE,
    ],
)
def test_no_other_status_is(instance: dg.DagsterInstance, status: DagsterRunStatus) -> None:
    """Least of all a run that goes on."""
    assert not Termination(instance, a_dagster_run(instance, status)).is_wanted()


def test_a_run_that_is_not_stored_was_not_terminated(instance: dg.DagsterInstance) -> None:
    """It may have been deleted in the meantime."""
    assert not Termination(instance, "unknown").is_wanted()


def test_a_ctrl_c_before_the_watch_does_not_count(
    instance: dg.DagsterInstance, noted: list[int]
) -> None:
    """It was meant for something else, which went on."""
    termination = Termination(instance, a_dagster_run(instance, DagsterRunStatus.STARTED))
    send(signal.SIGINT)
    with termination.watched():
        assert not termination.is_wanted()


def test_the_handlers_are_put_back(instance: dg.DagsterInstance, noted: list[int]) -> None:
    """After a watch and after an undisturbed time, and also when they end in an error."""
    before = handlers()
    for block in (Termination(instance, "x").watched(), undisturbed()):
        with contextlib.suppress(KeyError), block:
            assert handlers() != before
            raise KeyError
        assert handlers() == before


def test_an_undisturbed_time_lets_no_signal_through(noted: list[int]) -> None:
    """A second Ctrl-C must not break off the request that cancels the dbt run."""
    with undisturbed():
        for number in SIGNALS:
            send(number)
    assert noted == []
    send(signal.SIGINT)
    assert noted == [signal.SIGINT]


def test_a_handler_that_python_did_not_set_is_left_out(
    instance: dg.DagsterInstance, noted: list[int]
) -> None:
    """A process that ignores Ctrl-C still notes it, and goes on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    termination = Termination(instance, "x")
    with termination.watched():
        send(signal.SIGINT)
        assert termination.is_wanted()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_can_watch_without_signals(
    instance: dg.DagsterInstance, noted: list[int]
) -> None:
    """Only the main thread may set handlers; elsewhere the stored status alone counts."""
    before = handlers()
    wanted: list[bool] = []
    run_id = a_dagster_run(instance, DagsterRunStatus.CANCELING)

    def watch() -> None:
        termination = Termination(instance, run_id)
        with termination.watched(), undisturbed():
            assert handlers() == before
            wanted.append(termination.is_wanted())

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    assert wanted == [True]
