"""How far a request has got, and one watchdog that ends those whose time is over.

The timeout of a socket holds for each read of it, so an answer that drips would keep its reader for
hours. The watchdog hangs up instead: on a tunnel, an encryption or the head of an answer that is
not there within the request timeout, on a body whose next piece takes many times as long, and on
whatever is not over at the deadline. A name server or a host that does not answer cannot be hung up
on: connections are made aside, by threads that nobody has to wait for.
"""

import contextlib
import functools
import logging
import math
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, cast

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection

from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.connecting import Connecting
from dbt_trigger_dagster.dbt_cloud.interrupts import held_back

PIECE_TIMEOUTS = 20
"""How many request timeouts each piece of a body may take, however large the body is."""

_LOOK = 0.2
"""Seconds between two looks of the watchdog."""

_current: ContextVar["Exchange"] = ContextVar("exchange")

# It logs a header that it cannot parse with all that the answer said there.
logging.getLogger("urllib3.connection").addFilter(lambda _: _current.get(None) is None)


class Exchange:
    """One request and its answer.

    Args:
        deadline: When to end it.

    Attributes:
        may_have_been_sent: False where it is known that nothing has left: the connection was not
            made, with its tunnel and its encryption.
        was_ended: Whether the watchdog has hung up; what is read from then on may be anything.
    """

    def __init__(self, deadline: Deadline | None) -> None:
        self.may_have_been_sent = True
        self.was_ended = False
        self._deadline = deadline
        self._next_until: float | None = None
        self._timeout = math.inf
        self._unencrypted: socket.socket | None = None
        self._sock: Any = None
        self._hang_up: Callable[[], object] = lambda: None

    def made_aside(self, connect: Callable[[], socket.socket]) -> socket.socket:
        """A connection; it is given up at the deadline, and by whoever is interrupted.

        Args:
            connect: Looks the host up, and connects to it; each takes its time.

        Raises:
            TimeoutError: The time is over.
        """
        making = Connecting(connect)
        self._hang_up = making.give_up
        try:
            making.start()
            return making.sock()
        except BaseException:
            making.give_up()
            raise

    def connects_over(self, sock: socket.socket, timeout: float) -> None:
        """There is a connection; its tunnel and its encryption have to be made in time."""
        # A copy: the encryption takes the socket's place long before it is made.
        copy = socket.fromfd(sock.fileno(), sock.family, sock.type)
        self._unencrypted = copy
        # Not both ways: TLS would take the socket for one that has yet to be connected.
        self._hang_up = lambda: _shut(copy, socket.SHUT_RD)
        self._next_until = time.monotonic() + timeout

    def leaves(self, connection: HTTPConnection) -> None:
        """The connection is made; the head of the answer has to come in time.

        Raises:
            TimeoutError: The time is over already; nothing may be sent.
        """
        self.end_if_over()
        if self.was_ended:
            raise TimeoutError
        self._sock = connection.sock
        self._hang_up = lambda: _shut(self._sock, socket.SHUT_RDWR)
        self.may_have_been_sent = True
        self._timeout = cast("float", connection.timeout)
        self._next_until = time.monotonic() + self._timeout
        self.close()

    def is_answered_by(self, response: BaseHTTPResponse) -> None:
        """The head has come; the body comes in pieces."""
        self.expects_a_piece()

        def hang_up() -> None:
            if response.connection is not None:  # it would be free for others
                _shut(self._sock, socket.SHUT_RDWR)

        self._hang_up = hang_up

    def expects_a_piece(self) -> None:
        """The next piece of the body has to come in time, or its end."""
        self._next_until = time.monotonic() + PIECE_TIMEOUTS * self._timeout

    def has_a_piece(self) -> None:
        """It has come; whoever uses it takes a time of their own."""
        self._next_until = None

    def end_if_over(self) -> None:
        """Hang up, now and at each later look, where the time is over."""
        late = self._next_until is not None and time.monotonic() >= self._next_until
        if late or (self._deadline is not None and self._deadline.is_over):
            self.was_ended = True
            with contextlib.suppress(AttributeError, OSError):  # all has been read
                self._hang_up()

    def close(self) -> None:
        """Give back what was needed while the connection was made."""
        if self._unencrypted is not None:
            self._unencrypted.close()


def _shut(sock: Any, how: int) -> None:
    """Hang up below the encryption, which stays in place.

    `ssl.SSLSocket.shutdown` takes it away first: what another thread writes then, the token with
    it, would leave in the clear.
    """
    # TLS within a proxy's TLS is no socket, but has one.
    socket.socket.shutdown(getattr(sock, "socket", sock), how)


class _Watchdog:
    def __init__(self) -> None:
        self._watched: set[Exchange] = set()
        # Not an Event, whose lock an interrupt may leave locked.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def watch(self, exchange: Exchange) -> None:
        self._watched.add(exchange)
        self._wakes.put(None)
        if self._thread is None or not self._thread.is_alive():  # a fork has no threads
            with held_back(), self._starting:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                    self._thread.start()

    def forget(self, exchange: Exchange) -> None:
        self._watched.discard(exchange)

    def _run(self) -> None:
        while True:
            self._wakes.get()
            while self._watched:
                time.sleep(_LOOK)
                for exchange in self._watched.copy():
                    exchange.end_if_over()
                with contextlib.suppress(queue.Empty):
                    while True:
                        self._wakes.get_nowait()  # whoever comes later is watched already


_watchdog = _Watchdog()


@contextlib.contextmanager
def watching(deadline: Deadline | None) -> Iterator[Exchange]:
    """An exchange that ends with the block, or before.

    The layers between here and the connection know nothing that they could hand it on with.
    """
    exchange = Exchange(deadline)
    token = _current.set(exchange)
    try:
        _watchdog.watch(exchange)
        yield exchange
    finally:
        _watchdog.forget(exchange)
        exchange.close()
        _current.reset(token)


class _Connection(HTTPConnection):
    """Tells the exchange that it is used for how far that has got."""

    def _new_conn(self) -> socket.socket:
        sock = _current.get().made_aside(super()._new_conn)
        _current.get().connects_over(sock, cast("float", self.timeout))
        return sock

    def connect(self) -> None:
        try:
            super().connect()
        except TimeoutError:  # an encryption has a clock of its own, which may be the first
            _current.get().end_if_over()
            raise

    def request(self, *arguments: Any, **options: Any) -> None:
        if self.sock is None:
            self.connect()
        _current.get().leaves(self)
        super().request(*arguments, **options)


@functools.cache
def _telling(kind: type[HTTPConnection]) -> type[HTTPConnection]:
    """The same kind of connection (with TLS, through SOCKS), one that tells."""
    return kind if issubclass(kind, _Connection) else type(kind.__name__, (_Connection, kind), {})


class ExchangeAdapter(HTTPAdapter):
    """Requests' adapter, for one host with one set of proxies and certificates.

    Its connections tell how far an exchange has got. What requests looks up anew for each request
    is the same for all of ours, and is looked up once: that is a quarter of a request's CPU time.
    """

    _pool: Any = None
    _pool_with_certificates: Any = None

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        """The connections to the host, or to a proxy on the way there."""
        _current.get().may_have_been_sent = False
        if self._pool is None:
            pool: Any = super().get_connection_with_tls_context(*arguments, **options)
            pool.ConnectionCls = _telling(pool.ConnectionCls)
            self._pool = pool
        return self._pool

    def cert_verify(self, conn: Any, *arguments: Any) -> None:
        """Hand the certificates to the connections, which keep them."""
        if conn is not self._pool_with_certificates:
            super().cert_verify(conn, *arguments)  # type: ignore[no-untyped-call]  # requests' own
            self._pool_with_certificates = conn

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """What stands in the request's first line."""
        return super().request_url(request, proxies) if proxies else request.path_url

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """An answer of which nothing but ``raw`` is wanted: no cookies, no encoding."""
        response = Response()
        response.request, response.raw = req, resp
        return response

    def close(self) -> None:
        """Close all connections; whoever asks again opens new ones."""
        super().close()
        self._pool = None
