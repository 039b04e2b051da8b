"""Signals, whichever thread gets them, and whoever handles them meanwhile."""

import itertools
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

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


def test_signals_are_held_back_where_threads_cannot_leave_them(
    heard: list[int], monkeypatch
) -> None:
    """Windows has no masks."""
    monkeypatch.delattr(signal, "pthread_sigmask")
    with held_back():
        signal.raise_signal(signal.SIGTERM)
        assert heard == []
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


@pytest.fixture
def interrupting(heard: list[int]) -> list[int]:
    """The signals that have interrupted what the surroundings did."""

    def interrupt(number: int, _: object) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    for number in SIGNALS:
        signal.signal(number, interrupt)
    return heard


def _raise_all() -> None:
    for number in SIGNALS:
        signal.raise_signal(number)


def test_an_interrupt_keeps_no_other_signal_that_was_held_back(interrupting: list[int]) -> None:
    """Whoever handles the first raises; the other is handled as well."""
    with pytest.raises(KeyboardInterrupt), held_back():
        _raise_all()
    assert sorted(interrupting) == sorted(SIGNALS)


def _handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


def _ends_with_a_signal_at(moment: int, number: int) -> bool:
    """Send a signal at a moment of a block's end; whether there are so many."""
    moments = itertools.count(1)

    def send(_: object, event: str, __: object) -> None:
        if event in {"call", "c_return"} and next(moments) == moment:
            signal.raise_signal(number)

    block = handled_by(dict.fromkeys(SIGNALS, signal.SIG_IGN))
    block.__enter__()
    with suppress(KeyboardInterrupt):
        try:
            sys.setprofile(send)
            block.__exit__(None, None, None)
        finally:
            sys.setprofile(None)
    return next(moments) > moment


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.usefixtures("interrupting")
def test_all_handlers_are_put_back_where_an_interrupt_comes_meanwhile(number: int) -> None:
    """It comes while the first of them is put back: the others are put back nevertheless."""
    outside, moment = _handlers(), 1
    while _ends_with_a_signal_at(moment, number):
        assert _handlers() == outside, moment
        moment += 1
    assert moment > len(SIGNALS)


def test_another_thread_holds_nothing_back(heard: list[int]) -> None:
    """It handles no signals."""

    def work() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [signal.SIGINT]
