"""HTTP to one dbt Cloud host: its address, the token, and one pooled session.

It sends each request once; repeating is not decided here. The token stands in the Authorization
header and nowhere else. Only this module and ``answers`` know requests.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.adapters import HTTPAdapter

from dbt_trigger_dagster.answers import Answer, as_request_error, as_response_error
from dbt_trigger_dagster.errors import DbtCloudRequestError
from dbt_trigger_dagster.timing import Deadline

POOL_SIZE = 64
"""Most connections that are kept open."""

_FIRST_REFUSAL = 300
_HOST = re.compile(r"[\w.:-]+")


def normalize_access_url(access_url: str) -> str:
    """The address of an account's dbt Cloud, as ``https://host``.

    A bare host gets ``https://``; trailing slashes are dropped.

    Raises:
        ValueError: It is not the address of a host, or plain http to a host that is not loopback.
    """
    text = access_url.strip()
    if "@" in text:
        raise ValueError("access_url is the host alone, without a user or a password before it.")
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), ""
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host):
        raise ValueError(
            f"access_url {access_url!r} is not the address of a host; copy it from dbt Cloud: "
            "Account settings, Account information, Access URL."
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            f"access_url is the host alone, without a path: {parts.scheme}://{parts.netloc}"
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError(
            f"access_url {access_url!r} would send the token unencrypted: use "
            f"https://{parts.netloc} (http is for loopback addresses only)."
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class TokenAuth(requests.auth.AuthBase):
    """Puts the token into a request.

    As an auth object, not a session header: requests then ignores ``~/.netrc``.

    Raises:
        ValueError: The token is empty or cannot stand in a header; it is not quoted.
    """

    def __init__(self, token: str) -> None:
        self._token = token.strip()
        if not self._token:
            raise ValueError("token is empty; create a service token in dbt Cloud.")
        if not (self._token.isascii() and self._token.isprintable() and " " not in self._token):
            raise ValueError("token has blanks or characters that no dbt Cloud token has.")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header to a request that is about to leave."""
        request.headers["Authorization"] = f"Token {self._token}"
        return request


class _Session(requests.Session):
    """A session whose redirects carry the token within the host, and no other credentials.

    The base class would put what ``~/.netrc`` has for the host in place of the token.
    """

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Drop the token where a redirect leads to another host."""
        before, after = response.request.url, prepared_request.url
        if self.should_strip_auth(before, after):  # type: ignore[no-untyped-call]  # its stub has none
            prepared_request.headers.pop("Authorization", None)


class Transport:
    """Sends requests to one dbt Cloud host.

    Args:
        access_url: The host, in any form that `normalize_access_url` takes.
        token: A service token or a personal access token.
        request_timeout: Seconds to wait for a connection, and for each piece of an answer.
        user_agent: How we introduce ourselves.

    Raises:
        ValueError: The address or the token cannot be used.
    """

    def __init__(
        self, *, access_url: str, token: str, request_timeout: float, user_agent: str
    ) -> None:
        self.access_url = normalize_access_url(access_url)
        self._request_timeout = request_timeout
        self._session = _Session()
        self._session.auth = TokenAuth(token)
        self._session.headers["User-Agent"] = user_agent
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=POOL_SIZE))

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
        follow_redirects: bool = False,
    ) -> Iterator[Answer]:
        """Send a request once; the answer can be read inside the ``with`` block.

        Raises:
            DbtCloudRequestError: No answer came.
            DbtCloudResponseError: The answer is a refusal.
        """
        asked = f"{method} {path}"
        with as_request_error(asked):
            response = self._session.request(
                method,
                self.access_url + path,
                params=query,
                json=body,
                headers=headers,
                timeout=self._timeout(asked, deadline),
                allow_redirects=follow_redirects,
                stream=True,
            )
        with response:
            answer = Answer(response, asked, deadline)
            if response.status_code >= _FIRST_REFUSAL:
                raise as_response_error(response, asked, answer)
            yield answer

    def _timeout(self, asked: str, deadline: Deadline | None) -> float:
        if deadline is None:
            return self._request_timeout
        remaining = deadline.remaining()
        if not remaining:
            raise DbtCloudRequestError(f"{asked}: no time was left.", may_have_been_sent=False)
        return min(self._request_timeout, remaining)
