"""Several calls at once, and an interrupt in the middle of them."""

import itertools
import multiprocessing
import queue
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from dbt_trigger_dagster.dbt_cloud.clock import Cancellation, SystemClock
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError
from dbt_trigger_dagster.dbt_cloud.parallel import Call, in_parallel
from dbt_trigger_dagster_tests.interrupts import another_thread_gets, interrupt_what_waits


def test_results_come_in_the_order_of_the_items() -> None:
    """Whichever call ends first."""
    last_has_run = threading.Event()

    def call(number: int) -> int:
        if number == 2:
            last_has_run.set()
        assert last_has_run.wait(60)
        return 10 * number

    assert in_parallel(call, [0, 1, 2], max_parallel=3, cancellation=Cancellation()) == [0, 10, 20]


@pytest.mark.parametrize("items", [[], [7]])
def test_no_item_and_a_single_one_need_no_thread(items: list[int]) -> None:
    """What interrupts the caller interrupts the call."""
    threads = in_parallel(
        lambda _: threading.get_ident(), items, max_parallel=8, cancellation=Cancellation()
    )
    assert threads == [threading.get_ident()] * len(items)


def test_no_more_calls_than_allowed_run_at_once() -> None:
    """Two of six, and in the end all."""
    lock = threading.Lock()
    running: list[int] = []
    most: list[int] = []

    def call(number: int) -> None:
        with lock:
            running.append(number)
            most.append(len(running))
        with lock:
            running.remove(number)

    in_parallel(call, range(6), max_parallel=2, cancellation=Cancellation())
    assert len(most) == 6
    assert max(most) <= 2


def test_an_interrupt_ends_pauses_and_leaves_what_has_not_begun() -> None:
    """One call sleeps out an hour, one fails: the others never begin, and nobody waits."""
    cancellation = Cancellation()
    sleeps = threading.Event()
    begun: list[int] = []
    stopped: list[int] = []

    def call(number: int) -> None:
        begun.append(number)
        if number == 0:
            sleeps.wait(60)
            raise KeyboardInterrupt
        sleeps.set()
        try:
            SystemClock().sleep(3600, cancellation)
        except DbtCloudCancelledError:
            stopped.append(number)
            raise

    with pytest.raises(KeyboardInterrupt):
        in_parallel(call, range(10), max_parallel=2, cancellation=cancellation)
    assert 1 in stopped
    assert len(begun) < 10


def test_calls_within_calls_are_all_ended_by_one_interrupt() -> None:
    """Those that end first do not let the others sleep on."""
    cancellation = Cancellation()
    begun = threading.Barrier(5, timeout=10)

    def sleep(number: int) -> None:
        begun.wait()
        SystemClock().sleep(3600, cancellation)

    def inner(group: int) -> list[None]:
        return in_parallel(sleep, [0, 1], max_parallel=2, cancellation=cancellation)

    def interrupt() -> None:
        begun.wait()
        interrupt_what_waits()

    person = threading.Thread(target=interrupt)
    person.start()
    with pytest.raises(KeyboardInterrupt):
        in_parallel(inner, [0, 1], max_parallel=2, cancellation=cancellation)
    person.join()
    assert cancellation.is_cancelled


class _DiskFullError(Exception):
    """Nothing that comes of an interrupt."""


def test_an_error_within_calls_within_calls_is_what_is_raised() -> None:
    """It is no interrupt: the others end as they would, and the step is not cancelled."""
    cancellation = Cancellation()
    begun = threading.Barrier(4, timeout=60)

    def call(number: int) -> None:
        begun.wait()
        if number == 3:
            raise _DiskFullError
        SystemClock().sleep(0.001, cancellation)

    def inner(group: int) -> list[None]:
        return in_parallel(
            call, [2 * group, 2 * group + 1], max_parallel=2, cancellation=cancellation
        )

    with pytest.raises(_DiskFullError):
        in_parallel(inner, [0, 1], max_parallel=2, cancellation=cancellation)
    assert not cancellation.is_cancelled


def test_a_signal_that_another_thread_has_got_ends_the_wait() -> None:
    """It wakes nobody: the calls would be waited for to their end."""
    cancellation = Cancellation()
    begun = threading.Event()
    cancelled: list[bool] = []

    def sleep(_: int) -> None:
        begun.set()
        cancelled.append(cancellation.wait(60))

    with (
        another_thread_gets(signal.SIGINT, wanted=begun),
        pytest.raises(KeyboardInterrupt),
    ):
        in_parallel(sleep, [0, 1], max_parallel=2, cancellation=cancellation)
    assert all(cancelled)


def test_a_call_may_find_a_queue_empty() -> None:
    """That it does is what it gives; the wait for it has a queue of its own."""
    with ThreadPoolExecutor(1) as executor, pytest.raises(queue.Empty):
        Call(executor, queue.SimpleQueue[None]().get_nowait).result(Cancellation())


def test_a_cancellation_ends_the_wait_where_the_calls_go_on() -> None:
    """An interrupt may be lost on its way to who waits; the cancellation is not."""
    cancellation, is_over = Cancellation(), threading.Event()
    with ThreadPoolExecutor(1) as executor:
        call = Call(executor, is_over.wait, 60)
        threading.Timer(0.05, cancellation.cancel).start()
        with pytest.raises(DbtCloudCancelledError):
            call.result(cancellation)
        assert not call.future.done()
        is_over.set()
    assert call.result(cancellation) is True


def _interrupted_at_each_moment() -> None:
    moment = 1
    while _is_interrupted_at(moment):
        moment += 1


def _is_interrupted_at(moment: int) -> bool:
    """Interrupt calls at a moment in which Python handles signals; whether there are so many."""
    moments = itertools.count(1)
    cancellation = Cancellation()

    def interrupt(_: object, event: str, __: object) -> None:
        if event in {"call", "c_return"} and next(moments) == moment:
            signal.raise_signal(signal.SIGINT)

    with suppress(KeyboardInterrupt):
        try:
            sys.setprofile(interrupt)
            in_parallel(
                lambda _: cancellation.wait(0.005),
                [0, 1],
                max_parallel=2,
                cancellation=cancellation,
            )
        finally:
            sys.setprofile(None)
    return next(moments) > moment


@pytest.mark.slow
def test_an_interrupt_at_any_moment_leaves_no_lock_locked() -> None:
    """Python's own future has one that it may leave so: then its thread waits for it for ever."""
    process = multiprocessing.get_context("spawn").Process(target=_interrupted_at_each_moment)
    process.start()
    process.join(300)
    is_hanging = process.is_alive()
    process.kill()
    process.join()
    assert not is_hanging
    assert process.exitcode == 0
