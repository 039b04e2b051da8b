"""Signals, whichever thread gets them, and whoever handles them meanwhile."""

import signal
import threading
from collections.abc import Iterator

import pytest

from dbt_trigger_dagster.dbt_cloud.interrupts import SIGNALS, handled_by, held_back


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that the surroundings have handled."""
    numbers: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda number, _: numbers.append(number))
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_held_back_whichever_thread_gets_it(heard: list[int], number: int) -> None:
    """A thread is being started, and the signal goes to one that was there before."""
    now, is_sent = threading.Event(), threading.Event()

    def get() -> None:
        now.wait()
        signal.pthread_kill(threading.get_ident(), number)
        is_sent.set()

    other = threading.Thread(target=get)
    other.start()
    with held_back():
        now.set()
        is_sent.wait()
        assert heard == []
    assert heard == [number]
    other.join()


def _fail_after_a_signal() -> None:
    signal.raise_signal(signal.SIGTERM)
    raise RuntimeError


def test_a_signal_that_was_held_back_is_not_lost_to_an_error(heard: list[int]) -> None:
    """The threads cannot be started: the interrupt counts all the same."""
    with pytest.raises(RuntimeError), held_back():
        _fail_after_a_signal()
    assert heard == [signal.SIGTERM]


def test_threads_leave_signals_to_the_main_thread() -> None:
    """Those that are started while signals are held back; it is woken by them."""
    blocked: list[set[int]] = []
    with held_back():
        thread = threading.Thread(
            target=lambda: blocked.append({*signal.pthread_sigmask(signal.SIG_BLOCK, [])})
        )
        thread.start()
        thread.join()
    assert blocked[0] >= {*SIGNALS}
    assert not {*SIGNALS} & signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_all_handlers_are_put_back_where_an_interrupt_comes_meanwhile(heard: list[int]) -> None:
    """It comes while the first of them is put back: the others are put back nevertheless."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    outside = {number: signal.getsignal(number) for number in SIGNALS}
    with pytest.raises(KeyboardInterrupt), handled_by(dict.fromkeys(SIGNALS, interrupt)):
        signal.raise_signal(signal.SIGINT)
    assert {number: signal.getsignal(number) for number in SIGNALS} == outside


def test_another_thread_holds_nothing_back(heard: list[int]) -> None:
    """It handles no signals."""

    def work() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [signal.SIGINT]
