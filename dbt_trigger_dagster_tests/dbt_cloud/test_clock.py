"""Clocks and deadlines."""

import signal
import threading
import time

import pytest

from dbt_trigger_dagster.dbt_cloud.clock import Cancellation, Deadline, SystemClock
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError
from dbt_trigger_dagster_tests.interrupts import another_thread_gets


def test_a_deadline_counts_down_to_zero_and_not_below(clock) -> None:
    """What remains can be given to a timeout or a pause, which are never negative."""
    deadline = Deadline.after(10, clock)
    clock.now += 4
    assert deadline.remaining() == 6
    clock.now += 100
    assert deadline.remaining() == 0


def test_a_deadline_is_over_at_its_moment_and_not_before(clock) -> None:
    """The last instant belongs to whoever waits."""
    deadline = Deadline.after(10, clock)
    clock.now += 9.999
    assert not deadline.is_over
    clock.now = deadline.at
    assert deadline.is_over


def test_a_deadline_of_no_time_is_over_at_once(clock) -> None:
    """Zero seconds is a limit, not the lack of one."""
    assert Deadline.after(0, clock).is_over


def test_the_system_clock_is_monotonic_and_its_sleep_lasts() -> None:
    """The one place that does sleep, for as short as can be told."""
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.001, Cancellation())
    assert before + 0.001 <= clock.monotonic() <= time.monotonic()


def test_a_cancellation_ends_the_pauses_of_all_who_share_it() -> None:
    """Those under way and those to come; whoever waits for nothing is told so at once."""
    cancellation = Cancellation()
    ended = []

    def sleep() -> None:
        with pytest.raises(DbtCloudCancelledError):
            SystemClock().sleep(3600, cancellation)
        ended.append(True)

    threads = [threading.Thread(target=sleep) for _ in range(3)]
    for thread in threads:
        thread.start()
    cancellation.cancel()
    for thread in threads:
        thread.join()
    assert ended == [True, True, True]
    with pytest.raises(DbtCloudCancelledError):
        SystemClock().sleep(3600, cancellation)


def test_a_signal_that_another_thread_has_got_ends_a_pause() -> None:
    """It wakes nobody: a rate limit's five minutes would be slept out."""
    began, wanted = time.monotonic(), threading.Event()
    wanted.set()
    with pytest.raises(KeyboardInterrupt), another_thread_gets(signal.SIGINT, wanted=wanted):
        SystemClock().sleep(3600, Cancellation())
    assert time.monotonic() - began < 60


def test_a_deadline_can_end_with_a_cancellation_and_others_do_not() -> None:
    """What is asked for on the way out, a cancel for example, still has its time."""
    clock, cancellation = SystemClock(), Cancellation()
    ends, stays = Deadline.until_cancelled(cancellation, clock), Deadline.after(60, clock)
    assert not ends.is_over
    cancellation.cancel()
    assert ends.is_over
    assert stays.remaining() > 50
