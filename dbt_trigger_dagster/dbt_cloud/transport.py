"""HTTP to one dbt Cloud host: its address, the token, and one pool of connections.

It sends each request once; repeating is not decided here. The token stands in the Authorization
header and nowhere else, and redirects are not followed, so it stays with its host. Only this module
and ``answers`` know requests and urllib3.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, ProxyManager

from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.connections import reading_until, use_for
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudRequestError, SettingError
from dbt_trigger_dagster.dbt_cloud.responses import Answer, as_request_error, as_response_error

POOL_SIZE = 64
"""Most connections that are kept open."""

_FIRST_REFUSAL = 300
_HOST = re.compile(r"[\w.:-]+")


def normalize_access_url(access_url: str) -> str:
    """The address of an account's dbt Cloud, as ``https://host``.

    A bare host gets ``https://``; trailing slashes are dropped.

    Raises:
        SettingError: It is not the address of a host, or plain http to a host that is not loopback.
    """
    text = access_url.strip()
    if "@" in text:
        raise SettingError(
            "access_url", "is the host alone, without a user or a password before it."
        )
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), ""
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host):
        raise SettingError(
            "access_url",
            f"{access_url!r} is not the address of a host; copy it from dbt Cloud: "
            "Account settings, Account information, Access URL.",
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingError(
            "access_url", f"is the host alone, without a path: {parts.scheme}://{parts.netloc}"
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingError(
            "access_url",
            f"{access_url!r} would send the token unencrypted: use "
            f"https://{parts.netloc} (http is for loopback addresses only).",
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
        SettingError: The token is empty or cannot stand in a header; it is not quoted.
    """

    def __init__(self, token: str) -> None:
        self.token = token.strip()
        if not self.token:
            raise SettingError("token", "is empty; create a service token in dbt Cloud.")
        if not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise SettingError("token", "has blanks or characters that no dbt Cloud token has.")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header to a request that is about to leave."""
        request.headers["Authorization"] = f"Token {self.token}"
        return request


@dataclass(frozen=True, repr=False)  # the token is in the headers
class _Files:
    """What asking one host for files takes, worked out once instead of for each request.

    Args:
        pool: The session's own connections to the host.
        headers: Of each request.
        base: What stands before a path: nothing, or the host's address where a proxy wants it.
    """

    pool: HTTPConnectionPool
    headers: Mapping[str, str]
    base: str

    def send(self, target: str, timeout: float) -> BaseHTTPResponse:
        """Ask once for the file at a path and query."""
        return self.pool.urlopen(
            "GET",
            self.base + target,
            headers=self.headers,
            timeout=timeout,
            retries=False,
            redirect=False,
            assert_same_host=False,  # the pool may be a proxy's
            preload_content=False,
            decode_content=False,
        )


class _Adapter(HTTPAdapter):
    """Requests' adapter with connections of ours, which it also hands out."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the connections that go straight to a host."""
        super().init_poolmanager(*arguments, **options)
        use_for(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Make those that go through a proxy; SOCKS has its own kind."""
        manager = super().proxy_manager_for(proxy, **options)
        if isinstance(manager, ProxyManager):
            use_for(manager)
        return manager

    def files(self, request: requests.PreparedRequest, environment: Mapping[str, Any]) -> _Files:
        """How to send many requests like this one, where and with what requests would send it."""
        proxies, verify, cert = (environment[name] for name in ("proxies", "verify", "cert"))
        pool = self.get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        self.cert_verify(pool, request.url, verify, cert)  # type: ignore[no-untyped-call]
        base = self.request_url(request, proxies).rstrip("/")
        return _Files(pool, dict(request.headers), base)  # type: ignore[arg-type]  # its stub has the base


class Transport:
    """Sends requests to one dbt Cloud host.

    Args:
        access_url: The host, in any form that `normalize_access_url` takes.
        token: A service token or a personal access token.
        request_timeout: Seconds to wait for a connection, and for each piece of an answer.
        user_agent: How we introduce ourselves.

    Raises:
        SettingError: The address or the token cannot be used.
    """

    def __init__(
        self, *, access_url: str, token: str, request_timeout: float, user_agent: str
    ) -> None:
        self.access_url = normalize_access_url(access_url)
        self._request_timeout = request_timeout
        self._auth = TokenAuth(token)
        self._session = requests.Session()
        self._session.auth = self._auth
        self._session.headers["User-Agent"] = user_agent
        self._adapter = _Adapter(pool_maxsize=POOL_SIZE)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._adapter)
        self._files: _Files | None = None

    def close(self) -> None:
        """Close all connections; whoever asks again opens new ones."""
        self._files = None  # its pool closes when nobody holds it any more
        self._session.close()

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        deadline: Deadline | None = None,
    ) -> Iterator[Answer]:
        """Send a request once; the answer can be read inside the ``with`` block.

        Raises:
            DbtCloudRequestError: No answer came.
            DbtCloudResponseError: The answer is a refusal.
        """
        asked = f"{method} {path}"
        with as_request_error(asked, self.access_url), reading_until(deadline):
            response = self._session.request(
                method,
                self.access_url + path,
                params=query,
                json=body,
                timeout=self._timeout(asked, deadline),
                allow_redirects=False,
                stream=True,
            )
        with self._good_answer(response.raw, asked) as answer:
            yield answer

    @contextmanager
    def open_file(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> Iterator[Answer]:
        """Ask for a file, on the same connections, with less work than `open` does.

        Raises:
            DbtCloudRequestError: No answer came.
            DbtCloudResponseError: The answer is a refusal.
        """
        asked = f"GET {path}"
        with as_request_error(asked, self.access_url), reading_until(deadline):
            timeout = self._timeout(asked, deadline)
            files = self._files = self._files or self._find_files()
            response = files.send(f"{path}?{urlencode(query)}" if query else path, timeout)
        with self._good_answer(response, asked) as answer:
            yield answer

    def _find_files(self) -> _Files:
        # "identity": then Content-Length is the file's own length, and it is checked.
        headers = {**self._session.headers, "Accept": "*/*", "Accept-Encoding": "identity"}
        url, auth = f"{self.access_url}/", self._session.auth
        request = requests.Request("GET", url, headers=headers, auth=auth).prepare()
        environment = self._session.merge_environment_settings(url, {}, None, None, None)
        return self._adapter.files(request, environment)

    def _timeout(self, asked: str, deadline: Deadline | None) -> float:
        if deadline is None:
            return self._request_timeout
        remaining = deadline.remaining()
        if not remaining:
            raise DbtCloudRequestError(f"{asked}: no time was left.", may_have_been_sent=False)
        return min(self._request_timeout, remaining)

    @contextmanager
    def _good_answer(self, response: BaseHTTPResponse, asked: str) -> Iterator[Answer]:
        try:
            answer = Answer(response, asked, token=self._auth.token)
            if answer.status_code >= _FIRST_REFUSAL:
                raise as_response_error(answer, asked)
            yield answer
        finally:
            response.close()  # ends the connection unless all was read: then it is in the pool
            response.release_conn()
