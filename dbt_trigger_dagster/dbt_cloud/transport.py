"""HTTP to one dbt Cloud host, on one pool of connections.

It sends each request once; repeating is not decided here. The token stands in the Authorization
header and nowhere else, and redirects are not followed, so it stays with its host. The
proxies and certificates of the environment count as requests has it, but for loopback addresses,
which are never asked for through a proxy.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests

from dbt_trigger_dagster.dbt_cloud.address import checked_token, is_loopback, normalize_access_url
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudPayloadError, DbtCloudRequestError
from dbt_trigger_dagster.dbt_cloud.exchange import ExchangeAdapter, watching
from dbt_trigger_dagster.dbt_cloud.redaction import Redaction
from dbt_trigger_dagster.dbt_cloud.refusals import as_response_error
from dbt_trigger_dagster.dbt_cloud.responses import Response, as_request_error

POOL_SIZE = 64
"""Most connections that are kept open."""

_OK, _PARTIAL, _FIRST_GOOD, _FIRST_REFUSAL = 200, 206, 200, 300
_PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Transport:
    """Sends requests to one dbt Cloud host.

    Args:
        access_url: The host, in any form that `normalize_access_url` takes.
        token: A service token or a personal access token.
        request_timeout: Seconds to wait for a connection, for its encryption, for the head of an
            answer, and for each read of its body; a MiB of it may take twenty times as long.
        user_agent: How we introduce ourselves.

    Raises:
        SettingError: The address or the token cannot be used.
    """

    def __init__(
        self, *, access_url: str, token: str, request_timeout: float, user_agent: str
    ) -> None:
        self.access_url = normalize_access_url(access_url)
        self.request_timeout = request_timeout
        token = checked_token(token)
        self._redaction = Redaction(token)
        self._adapter = ExchangeAdapter(pool_maxsize=POOL_SIZE)
        headers = {"Authorization": f"Token {token}", "User-Agent": user_agent, "Accept": "*/*"}
        # Not by a session, which would add a password from ~/.netrc.
        self._prepared = requests.Request("GET", f"{self.access_url}/", headers=headers).prepare()
        self._environment = _environment(self.access_url)

    def close(self) -> None:
        """Close all connections; whoever asks again opens new ones."""
        self._adapter.close()

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        deadline: Deadline | None = None,
        is_file: bool = False,
    ) -> Iterator[Response]:
        """Send a request once; the answer can be read inside the ``with`` block.

        Args:
            method: The request's method.
            path: Its path.
            query: Its query.
            body: What is sent as JSON.
            deadline: When the block's reading has to be over.
            is_file: Whether a file is asked for, not JSON: with nothing but status 200, and as it
                is, so that Content-Length is the file's own length, and is checked.

        Raises:
            DbtCloudRequestError: No answer came.
            DbtCloudResponseError: The answer is a refusal.
            DbtCloudPayloadError: It is neither that nor what was asked for.
        """
        asked = f"{method} {path}"
        timeout = self._timeout(asked, deadline)
        request = self._prepared.copy()
        request.prepare_method(method)
        request.prepare_url(self.access_url + path, query)
        request.prepare_body(None, None, body)
        request.headers["Accept-Encoding"] = "identity" if is_file else "gzip"
        with watching(deadline) as exchange:
            with as_request_error(asked, exchange, self._redaction, self._advice):
                # A session would look where a redirect leads, and keep cookies.
                raw = self._adapter.send(
                    request, stream=True, timeout=timeout, **self._environment
                ).raw
            try:
                exchange.is_answered_by(raw)
                response = Response(raw, asked, exchange, self._redaction)
                _check_status(response, is_file=is_file)
                yield response
            finally:
                raw.close()  # ends the connection unless all was read: then it is in the pool
                raw.release_conn()

    def _timeout(self, asked: str, deadline: Deadline | None) -> float:
        if deadline is None:
            return self.request_timeout
        remaining = deadline.remaining()
        if not remaining:
            raise DbtCloudRequestError(f"{asked}: no time was left.", may_have_been_sent=False)
        return min(self.request_timeout, remaining)

    def _advice(self, said: str) -> str:
        """What to check where no connection was made."""
        what = ["access_url and the network"]
        if self._environment["proxies"]:
            name = next(filter(os.environ.get, _PROXY_VARIABLES), "the system's settings")
            what.append(f"the proxy of {name} (NO_PROXY excepts hosts)")
        if bundle := next(filter(os.environ.get, _CA_VARIABLES), ""):
            what.append(f"the certificates in {bundle}")
        elif "certificate" in said.lower():
            what.append("REQUESTS_CA_BUNDLE, which names your own authority's certificates")
        return f" No connection to {self.access_url} was made: check {', '.join(what)}."


def _environment(access_url: str) -> dict[str, Any]:
    """The proxies and the certificates that requests takes from the environment for a host."""
    with requests.Session() as session:
        settings = session.merge_environment_settings(access_url, {}, None, None, None)
    if is_loopback(urlsplit(access_url).hostname or ""):
        settings["proxies"] = {}
    return {"proxies": settings["proxies"], "verify": settings["verify"], "cert": settings["cert"]}


def _check_status(response: Response, *, is_file: bool) -> None:
    status = response.status_code
    if status >= _FIRST_REFUSAL:
        raise as_response_error(response)
    if status < _FIRST_GOOD or status == _PARTIAL or (is_file and status != _OK):
        raise DbtCloudPayloadError(
            f"{response.asked} was answered {status}, which is not what was asked for."
        )
