"""Who may ask: by the sandbox's own name, with the token of the account, for that account."""

import ipaddress
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

_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104  # compared, not bound


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_hosts(host: str) -> list[str]:
    """Return the names that the header ``Host`` may have, without the port.

    A page of another name, which its owner lets point to this machine, is refused by this. A
    server that listens on all addresses cannot know its names; what it serves needs the token.
    """
    if host in _ALL_ADDRESSES:
        return ["*"]
    name = f"[{host}]" if ":" in host else host
    return [name, "localhost"] if is_loopback(host) else [name]


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
