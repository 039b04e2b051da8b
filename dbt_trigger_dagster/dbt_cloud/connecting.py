"""Connections that are made aside, so that nobody has to wait for them.

A name server or a host that does not answer cannot be hung up on, and keeps Python from handling
signals in the thread that asks it.
"""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable

from dbt_trigger_dagster.dbt_cloud.interrupts import LOOK_UP, held_back


class Connecting:
    """A connection that a thread of its own makes.

    Args:
        connect: Makes it.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._is_wanted = True
        self._handing_over = threading.Lock()
        self._outcome: queue.SimpleQueue[socket.socket | BaseException] = queue.SimpleQueue()

    def start(self) -> None:
        """Let the thread begin; whoever is interrupted here gives it up, as in a wait for it."""
        with held_back():
            threading.Thread(target=self._run, name="connection", daemon=True).start()

    def _run(self) -> None:
        outcome: socket.socket | BaseException
        try:
            outcome = self._connect()
        except BaseException as error:  # noqa: BLE001  # whoever waits gets it
            outcome = error
        with self._handing_over:
            if self._is_wanted:
                self._outcome.put(outcome)
            else:
                _close(outcome)

    def sock(self) -> socket.socket:
        """The connection, when it is made.

        Raises:
            TimeoutError: It was given up.
            BaseException: What went wrong.
        """
        while True:
            with contextlib.suppress(queue.Empty):
                outcome = self._outcome.get(timeout=LOOK_UP)
                if isinstance(outcome, BaseException):
                    raise outcome
                return outcome

    def give_up(self) -> None:
        """Let nobody wait for it any more; what comes of it is closed."""
        with self._handing_over:
            self._is_wanted = False
            with contextlib.suppress(queue.Empty):
                _close(self._outcome.get_nowait())
            self._outcome.put(TimeoutError())


def _close(outcome: socket.socket | BaseException) -> None:
    if isinstance(outcome, socket.socket):
        outcome.close()
