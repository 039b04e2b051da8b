"""Knows the TCP connection of each request, so that a fault can cut it."""

import asyncio
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Connections = dict[tuple[str, int], asyncio.Transport]
_STATE_KEY = "connections"


class TrackedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also notes each connection in the application's state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Note a connection that was opened."""
        super().connection_made(transport)
        if self.client is not None:
            self.app_state[_STATE_KEY][self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection that was closed."""
        super().connection_lost(exc)
        if self.client is not None:
            self.app_state[_STATE_KEY].pop(self.client, None)


def new_connection_state() -> dict[str, Connections]:
    """Return the application state that the protocol notes connections in."""
    return {_STATE_KEY: {}}


def transport_of(scope: Scope) -> asyncio.Transport | None:
    """Return the connection of a request, or ``None`` once it is closed."""
    connections = cast("Connections", cast("dict[str, Any]", scope["state"])[_STATE_KEY])
    return connections.get(tuple(scope["client"]))
