"""Dates each answer by the account's clock, which need not be this machine's."""

from email.utils import format_datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dbt_trigger_dagster.sandbox.account.timestamps import Clock


class DateHeader:
    """Sends the header ``Date``, as every real server does."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and date its answer."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(self._clock(), usegmt=True).encode()
                message["headers"] = [*message["headers"], (b"date", date)]
            await send(message)

        await self._app(scope, receive, dated)
