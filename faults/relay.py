"""A server in front of a sandbox that does to its answers what is wanted, over real sockets."""

import contextlib
import http.client
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from dbt_trigger_dagster_tests.harness import Account
from dbt_trigger_dagster_tests.servers import Answer, Received, Reply, Server, reply, serving

_HOP = frozenset(["connection", "content-length", "host", "transfer-encoding", "accept-encoding"])


@dataclass(frozen=True)
class Original:
    """What the sandbox answers.

    Attributes:
        status: The status.
        headers: The headers, names in lower case.
        body: The body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def with_body(self, body: bytes) -> Reply:
        """The same with another body."""
        return reply(self.status, body, headers=self.headers)


Spoil = Callable[[Received, Original], Answer | None]
"""What becomes of an answer; None for what the sandbox says."""


@contextlib.contextmanager
def relaying(account: Account, spoil: Spoil) -> Iterator[Server]:
    """Relay requests to a sandbox, with its own token, whatever token they have."""

    def respond(received: Received) -> Answer:
        original = _ask(account, received)
        return spoil(received, original) or original.with_body(original.body)

    with serving(respond) as server:
        yield server


def _ask(account: Account, received: Received) -> Original:
    address = urlsplit(account.access_url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    headers = {name: value for name, value in received.headers.items() if name not in _HOP}
    headers["authorization"] = f"Token {account.token}"
    with contextlib.closing(connection):
        connection.request(received.method, received.target, received.body or None, headers)
        answer = connection.getresponse()
        kept = {name.lower(): value for name, value in answer.getheaders()}
        return Original(
            answer.status,
            {name: value for name, value in kept.items() if name not in _HOP},
            answer.read(),
        )
