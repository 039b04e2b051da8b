"""A real HTTP server on loopback that does to its connections what no mock can show."""

import contextlib
import email
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Received:
    """A request as it came.

    Attributes:
        method: Its method.
        target: Path and query, as on the wire.
        headers: Its headers, names in lower case.
        body: Its body.
        connection: Number of the connection, from 1.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True)
class Reply:
    """Bytes to send back.

    Attributes:
        raw: The bytes, head and all.
        closes: Whether the connection is closed after them without a word.
    """

    raw: bytes = b""
    closes: bool = False


@dataclass(frozen=True)
class Drip:
    """In place of a reply: a head, and then the body's bytes one by one; or all of it so.

    Attributes:
        raw: The bytes, head and all.
        pause: Seconds before each byte of the body.
        head_too: Whether the head drips as well.
    """

    raw: bytes
    pause: float
    head_too: bool = False


@dataclass(frozen=True)
class Flood:
    """In place of a reply: a head, and then the same bytes again and again, without an end.

    Attributes:
        head: The head.
        chunk: The bytes.
    """

    head: bytes
    chunk: bytes


class Reset:
    """In place of a reply: the connection is reset."""


class Silence:
    """In place of a reply: nothing, for as long as the server lives."""


def reply(
    status: int,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    missing: int = 0,
    closes: bool = False,
) -> Reply:
    """A reply in HTTP.

    Args:
        status: Its status.
        body: Its body.
        headers: Its headers, but for the length.
        missing: How many bytes more than the body has are announced.
        closes: Whether the connection is closed after it.
    """
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) + missing}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return Reply("\r\n".join([*lines, "", ""]).encode() + body, closes=closes or missing > 0)


Answer = Reply | Drip | Flood | Reset | Silence
Respond = Callable[[Received], Answer]


@dataclass
class Server:
    """What `serving` serves: where, and what came; `closed` counts connections that have ended."""

    port: int
    unasked: Drip | None = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    stopping: threading.Event = field(default_factory=threading.Event)
    sockets: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(respond: Respond, *, unasked: Drip | None = None) -> Iterator[Server]:
    """A server on a free port that answers what it is told to, request by request.

    Args:
        respond: Makes the answer to a request.
        unasked: What each connection gets instead, whatever it asks for.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(port=listener.getsockname()[1], unasked=unasked)
        threads: list[threading.Thread] = []
        acceptor = threading.Thread(target=_accept, args=(listener, server, respond, threads))
        acceptor.start()
        try:
            yield server
        finally:
            server.stopping.set()
            # Wakes accept(), which closing the listener alone does not.
            socket.create_connection(("127.0.0.1", server.port)).close()
            acceptor.join()
            for connection in server.sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _accept(
    listener: socket.socket, server: Server, respond: Respond, threads: list[threading.Thread]
) -> None:
    while True:
        connection, _ = listener.accept()
        if server.stopping.is_set():
            connection.close()
            return
        server.connections += 1
        server.sockets.append(connection)
        number = server.connections
        thread = threading.Thread(target=_serve, args=(connection, number, server, respond))
        threads.append(thread)
        thread.start()


def _serve(connection: socket.socket, number: int, server: Server, respond: Respond) -> None:
    _answer_all(connection, number, server, respond)
    server.closed.release()


def _answer_all(connection: socket.socket, number: int, server: Server, respond: Respond) -> None:
    with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
        if server.unasked is not None:
            _drip(connection, server.unasked, server.stopping)
            return
        while (received := _read_request(stream, number)) is not None:
            server.received.append(received)
            answer = respond(received)
            if isinstance(answer, Silence):
                server.stopping.wait()
                return
            if isinstance(answer, Reset):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                return
            if isinstance(answer, Drip):
                _drip(connection, answer, server.stopping)
                return
            if isinstance(answer, Flood):
                _flood(connection, answer, server.stopping)
                return
            connection.sendall(answer.raw)
            if answer.closes:
                return


def _drip(connection: socket.socket, answer: Drip, stopping: threading.Event) -> None:
    head, end, body = answer.raw.partition(b"\r\n\r\n")
    if not answer.head_too:
        connection.sendall(head + end)
    for byte in answer.raw if answer.head_too else body:
        if stopping.wait(answer.pause):
            return
        connection.sendall(bytes([byte]))


def _flood(connection: socket.socket, answer: Flood, stopping: threading.Event) -> None:
    connection.sendall(answer.head)
    while not stopping.is_set():
        connection.sendall(answer.chunk)


def _read_request(stream: BinaryIO, number: int) -> Received | None:
    first = stream.readline().decode("latin-1").split()
    if len(first) < 2:  # the end, or no HTTP
        return None
    head = b""
    while (line := stream.readline()) not in {b"\r\n", b""}:
        head += line
    headers = {name.lower(): value for name, value in email.message_from_bytes(head).items()}
    body = stream.read(int(headers.get("content-length", 0)))
    return Received(first[0], first[1], headers, body, number)
