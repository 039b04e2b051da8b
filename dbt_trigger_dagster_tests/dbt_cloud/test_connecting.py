"""Connections that nobody waits for any more are closed, whenever they are there."""

import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from dbt_trigger_dagster.dbt_cloud import exchange
from dbt_trigger_dagster.dbt_cloud.connecting import Connecting
from dbt_trigger_dagster.dbt_cloud.exchange import Exchange, watching


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """A connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


def _join() -> None:
    for thread in threading.enumerate():
        if thread.name == "connection":
            thread.join()


def _is_closed(sock: socket.socket) -> bool:
    return sock.fileno() == -1


def test_a_connection_that_is_given_up_before_it_is_there_is_closed(sock: socket.socket) -> None:
    """A name server answered at last."""
    is_over = threading.Event()

    def connect() -> socket.socket:
        is_over.wait()
        return sock

    connecting = Connecting(connect)
    connecting.start()
    connecting.give_up()
    with pytest.raises(TimeoutError):
        connecting.sock()
    is_over.set()
    _join()
    assert _is_closed(sock)


def test_a_connection_that_is_given_up_once_it_is_there_is_closed(sock: socket.socket) -> None:
    """Nobody has taken it."""
    connecting = Connecting(lambda: sock)
    connecting.start()
    _join()
    connecting.give_up()
    assert _is_closed(sock)
    with pytest.raises(TimeoutError):
        connecting.sock()


@pytest.fixture
def _interrupted(monkeypatch) -> None:
    """An interrupt comes while a thread is started."""
    start = threading.Thread.start

    def start_and_interrupt(thread: threading.Thread) -> None:
        start(thread)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(threading.Thread, "start", start_and_interrupt)


@pytest.mark.usefixtures("_interrupted")
def test_an_interrupt_while_the_thread_is_started_gives_the_connection_up(
    sock: socket.socket,
) -> None:
    """As one does that comes in the wait for it."""
    with pytest.raises(KeyboardInterrupt):
        Exchange(None).made_aside(lambda: sock)
    _join()
    assert _is_closed(sock)


@pytest.mark.usefixtures("_interrupted")
def test_an_interrupt_while_the_watchdog_is_started_leaves_nothing_to_watch(monkeypatch) -> None:
    """It would be looked at for ever."""
    watchdog = exchange._Watchdog()
    monkeypatch.setattr(exchange, "_watchdog", watchdog)
    with pytest.raises(KeyboardInterrupt), watching(None):
        pass
    assert watchdog._watched == set()
