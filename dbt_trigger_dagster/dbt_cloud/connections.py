"""Connections whose answers come in time.

The timeout of a socket holds for each read of it, so an answer that drips would keep its reader for
hours. Here the head of an answer has to arrive within the timeout as a whole, and nothing is read
after the deadline of the request, whichever layer reads.
"""

import contextlib
import http.client
import io
import math
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, cast

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from dbt_trigger_dagster.dbt_cloud.clock import Deadline

_LOOK = 0.25
"""Seconds after which a read that gets nothing looks whether the deadline has come early."""

_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def reading_until(deadline: Deadline | None) -> Iterator[None]:
    """Give the answers to requests that are sent in this block a deadline.

    The layers between here and the connection know none that they could hand on.
    """
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def use_for(pools: PoolManager) -> None:
    """Let urllib3 make these connections, for one host or for a proxy."""
    pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class _Reader(io.RawIOBase):
    """Reads a socket within its timeout and the deadline."""

    def __init__(self, sock: Any, deadline: Deadline | None) -> None:
        super().__init__()
        self._sock = sock
        self._holder = sock.makefile("rb", buffering=0)  # a socket that is held stays open
        self._deadline = deadline
        self._timeout: float = sock.gettimeout() or math.inf
        self._head_until: float | None = time.monotonic() + self._timeout

    def head_is_over(self) -> None:
        """From now on the timeout is for each read."""
        self._head_until = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        until = self._head_until or time.monotonic() + self._timeout
        while True:
            self._sock.settimeout(min(_LOOK, self._seconds_left(until)))
            with contextlib.suppress(TimeoutError):
                return cast("int", self._sock.recv_into(buffer))

    def close(self) -> None:
        self._holder.close()
        super().close()

    def _seconds_left(self, until: float) -> float:
        """Seconds that a read may still take.

        Raises:
            TimeoutError: None.
        """
        seconds = until - time.monotonic()
        if self._deadline is not None:
            seconds = min(seconds, self._deadline.remaining())
        if seconds <= 0:
            raise TimeoutError("timed out: the answer did not end in time")
        return seconds


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self._reader = _Reader(sock, _deadline.get())
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        self._reader.head_is_over()


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
