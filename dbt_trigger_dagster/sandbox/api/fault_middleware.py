"""Makes faults happen to requests, outside of everything else, as a network would."""

import asyncio

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dbt_trigger_dagster.sandbox.account.faults import Fault, FaultBoard, RecordedRequest
from dbt_trigger_dagster.sandbox.api.connections import transport_of


class FaultMiddleware:
    """Records each request to the API, and hits those that a fault is meant for."""

    def __init__(self, app: ASGIApp, board: FaultBoard, stopping: asyncio.Event) -> None:
        self._app = app
        self._board = board
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, hit or unharmed."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        fault = self._board.record(_recorded(scope))
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.kind == "hang":
            await self._hang(fault, scope, receive, send)
        elif fault.kind == "truncate":
            await self._app(scope, receive, _TruncatingSend(scope, receive, send))
        else:
            if fault.when == "after":
                await self._app(scope, receive, _discard)
            await _fail(fault, scope, receive, send)

    async def _hang(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.when == "before":
            await self._pause(fault.seconds)
            if transport_of(scope) is not None:  # a client that gave up must not be served late
                await self._app(scope, receive, send)
            else:
                await _disconnected(receive)
            return

        async def late_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._pause(fault.seconds)
            await send(message)

        await self._app(scope, receive, late_send)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except asyncio.TimeoutError:
            return


class _TruncatingSend:
    """Sends the headers and half of the first chunk of a body, then closes the connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._closed = False

    async def __call__(self, message: Message) -> None:
        if self._closed:
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        half = message["body"][: len(message["body"]) // 2]
        await self._send({"type": "http.response.body", "body": half, "more_body": True})
        self._closed = True
        if transport := transport_of(self._scope):
            transport.close()
            await _disconnected(self._receive)


def _recorded(scope: Scope) -> RecordedRequest:
    query = scope["query_string"].decode("latin-1")
    return RecordedRequest(scope["method"], scope["path"], query, scope["client"][1])


async def _discard(_: Message) -> None:
    """Lose an answer."""


async def _fail(fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    if fault.kind == "status":
        await _error_response(fault)(scope, receive, send)
    elif transport := transport_of(scope):
        transport.abort()
        await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    # To return before the server has noticed would make it complain that there was no answer.
    while (await receive())["type"] != "http.disconnect":
        pass


def _error_response(fault: Fault) -> Response:
    headers = dict(fault.headers)
    if isinstance(fault.body, str):
        return Response(
            fault.body, status_code=fault.status, headers=headers, media_type="text/html"
        )
    return JSONResponse(fault.body, status_code=fault.status, headers=headers)
