"""Clocks and deadlines."""

import time

import pytest

from dbt_trigger_dagster.dbt_cloud.clock import Deadline, SystemClock
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudStoppedError


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
    clock.sleep(0.001)
    assert before + 0.001 <= clock.monotonic() <= time.monotonic()


def test_a_clock_that_is_stopped_lets_nobody_sleep_until_it_is_restarted() -> None:
    """Whoever waits for nothing is told so at once."""
    clock = SystemClock()
    clock.stop()
    with pytest.raises(DbtCloudStoppedError):
        clock.sleep(3600)
    clock.restart()
    clock.sleep(0)


def test_a_deadline_can_end_with_its_clock_and_others_do_not() -> None:
    """What is asked for on the way out, a cancel for example, still has its time."""
    clock = SystemClock()
    ends, stays = Deadline.when_stopped(clock), Deadline.after(60, clock)
    assert not ends.is_over
    clock.stop()
    assert ends.is_over
    assert stays.remaining() > 50
    clock.restart()
    assert not ends.is_over
