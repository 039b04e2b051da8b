"""HTTPS in front of the sandbox: most clients speak nothing else.

A self-signed certificate for loopback, made anew each time, and a relay of bytes.
"""

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_CHUNK = 65536


@dataclass(frozen=True)
class SecureAddress:
    """Where HTTPS is spoken.

    Attributes:
        host: Host and port.
        certificate: The file of the certificate that clients must trust.
    """

    host: str
    certificate: Path

    @property
    def trusted_by(self) -> dict[str, str]:
        """Variables with which clients trust the certificate: those of requests and of OpenSSL."""
        return dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(self.certificate))


@contextlib.contextmanager
def https_for(access_url: str, folder: Path) -> Iterator[SecureAddress]:
    """Speak HTTPS for a server that speaks HTTP; files go into the folder.

    Raises:
        OSError: There is no openssl.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = _make_certificate(folder)
    context.load_cert_chain(certificate, folder / "key.pem")
    target = urlsplit(access_url)
    running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
    relay = _Relay(str(target.hostname), int(target.port or 80))
    thread = threading.Thread(target=asyncio.run, args=(relay.serve(context, running),))
    thread.start()
    loop, stopping, port = running.result()
    try:
        yield SecureAddress(f"127.0.0.1:{port}", certificate)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()


def _make_certificate(folder: Path) -> Path:
    certificate = folder / "certificate.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    files = ("-keyout", str(folder / "key.pem"), "-out", str(certificate))
    subprocess.run(  # noqa: S603  # the command is ours
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files],  # noqa: S607  # wherever it is
        check=True,
        capture_output=True,
    )
    return certificate


@dataclass(frozen=True)
class _Relay:
    host: str
    port: int

    async def serve(
        self,
        context: ssl.SSLContext,
        running: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]]",
    ) -> None:
        stopping = asyncio.Event()
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        running.set_result((asyncio.get_running_loop(), stopping, port))
        await stopping.wait()
        server.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on until one side ends; then end the other in the same way."""
        far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        ways = [
            asyncio.create_task(_pass_on(reader, far_writer)),
            asyncio.create_task(_pass_on(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.transport.abort()
            far_writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
