"""Who may ask: the token of the account, and the account of the path."""

import secrets
from http import HTTPStatus

from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    SimpleUser,
)
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from dbt_trigger_dagster.sandbox.api.envelopes import MISSING_CREDENTIALS, bare_refusal


class TokenBackend(AuthenticationBackend):
    """Takes the account's one token, as ``Token …`` or ``Bearer …``."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        """Check the request's token.

        Raises:
            AuthenticationError: It is missing or wrong.
        """
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in {"token", "bearer"}:
            raise AuthenticationError(MISSING_CREDENTIALS)
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            raise AuthenticationError("Invalid token.")
        return AuthCredentials(), SimpleUser("service token")


class AccountScope:
    """Lets through only requests for the token's account."""

    def __init__(self, app: ASGIApp, account_id: int) -> None:
        self._app = app
        self._account_id = account_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        answer = self._app
        if scope["path_params"]["account_id"] != self._account_id:
            message = "Access denied: Token is not scoped to account."
            answer = bare_refusal(HTTPStatus.FORBIDDEN, message)
        await answer(scope, receive, send)
