"""Asking the API of one account: paths, envelopes, pages, and repetitions where they do no harm."""

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError, DbtCloudPayloadError, SettingError
from dbt_trigger_dagster.dbt_cloud.responses import Answer
from dbt_trigger_dagster.dbt_cloud.retries import RetryPolicy, is_transient
from dbt_trigger_dagster.dbt_cloud.transport import Transport

T = TypeVar("T")

PAGE_SIZE = 100
"""Most objects that the API lists in one answer."""

_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_PAGES = (".html", ".htm")


def check_account(account_id: int) -> None:
    """Refuse what cannot be an account's id.

    Raises:
        SettingError: It is none.
    """
    if account_id <= 0:
        raise SettingError("account_id", f"{account_id} is not the id of a dbt Cloud account.")


def check_requests(timeout: float, max_retries: int, retry_delay: float) -> None:
    """Refuse a request policy that cannot be kept.

    Raises:
        SettingError: A setting is out of its range.
    """
    if not 0 < timeout < math.inf:
        raise SettingError("request_timeout", f"{timeout} must be more than 0 seconds.")
    if max_retries < 0:
        raise SettingError("request_max_retries", f"{max_retries} must be 0 or more.")
    if not 0 <= retry_delay < math.inf:
        raise SettingError("request_retry_delay", f"{retry_delay} must be 0 or more seconds.")


@dataclass(frozen=True)
class Download:
    """What is known of a file once all its bytes have arrived."""

    size_bytes: int
    sha256: str
    content_type: str | None
    headers: Mapping[str, str]


@dataclass(frozen=True)
class AccountApi:
    """The API of one account.

    Attributes:
        transport: How requests are sent.
        account_id: Which account.
        retry_policy: When requests are repeated.
        deadline: When to give up, repetitions and pages included.
    """

    transport: Transport
    account_id: int
    retry_policy: RetryPolicy
    deadline: Deadline | None = None

    def get(
        self,
        path: str,
        *,
        read: Callable[[Any], T],
        query: Mapping[str, str] | None = None,
    ) -> T:
        """What ``read`` makes of the data at a path below the account's."""
        envelope = self._ask("GET", path, query=query)
        return _read(envelope["data"], read, f"GET {path}")

    def post(
        self,
        path: str,
        *,
        read: Callable[[Any], T],
        retryable: Callable[[DbtCloudError], bool],
        body: Mapping[str, Any] | None = None,
    ) -> T:
        """The same for a request with effects; the caller says when it may be sent again."""
        envelope = self._ask("POST", path, body=body, retryable=retryable)
        return _read(envelope["data"], read, f"POST {path}")

    def pages(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        read: Callable[[Any], T],
        page_size: int = PAGE_SIZE,
        offset: int = 0,
    ) -> Iterator[T]:
        """Everything in a list from an offset on: a request for each page, when it is needed."""
        while True:
            page_query = {**query, "limit": str(page_size), "offset": str(offset)}
            envelope = self._ask("GET", path, query=page_query)
            page = _read(envelope["data"], list, f"GET {path}")
            for payload in page:
                yield _read(payload, read, f"GET {path}")
            offset += len(page)
            total = _total_count(envelope)
            if not page or (total is not None and offset >= total):
                return

    def download(
        self,
        path: str,
        keep: Callable[[Iterator[bytes]], object],
        *,
        query: Mapping[str, str] | None = None,
    ) -> Download:
        """Stream the bytes at a path to whoever keeps them.

        Args:
            path: Below the account's.
            keep: Gets the chunks of the body and reads them all; each attempt calls it anew, and
                an error comes out of the chunks where the attempt breaks off.
            query: The request's query.
        """

        def attempt() -> Download:
            with self.transport.open_file(
                self._account_path + path, query=query, deadline=self.deadline
            ) as answer:
                return _pass_on(answer, keep, path)

        return self.retry_policy.call(attempt, deadline=self.deadline)

    @property
    def _account_path(self) -> str:
        return f"/api/v2/accounts/{self.account_id}/"

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        retryable: Callable[[DbtCloudError], bool] = is_transient,
    ) -> Mapping[str, Any]:
        def attempt() -> Mapping[str, Any]:
            with self.transport.open(
                method, self._account_path + path, query=query, body=body, deadline=self.deadline
            ) as answer:
                return answer.envelope()

        return self.retry_policy.call(attempt, retryable=retryable, deadline=self.deadline)


def _total_count(envelope: Mapping[str, Any]) -> int | None:
    """How many objects a list has in all, where the answer says so."""
    extra = envelope.get("extra")
    pagination = extra.get("pagination") if isinstance(extra, Mapping) else None
    total = pagination.get("total_count") if isinstance(pagination, Mapping) else None
    return total if isinstance(total, int) else None


def _read(payload: Any, read: Callable[[Any], T], asked: str) -> T:
    try:
        return read(payload)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DbtCloudPayloadError(
            f"{asked} was answered with data that cannot be read: {error!r}."
        ) from error


def _pass_on(answer: Answer, keep: Callable[[Iterator[bytes]], object], path: str) -> Download:
    digest = hashlib.sha256()
    size_bytes = 0

    def chunks() -> Iterator[bytes]:
        nonlocal size_bytes
        for chunk in answer.chunks():
            if not size_bytes:
                _check_is_no_page(chunk, path)
            digest.update(chunk)
            size_bytes += len(chunk)
            yield chunk

    keep(chunks())
    return Download(
        size_bytes=size_bytes,
        sha256=digest.hexdigest(),
        content_type=answer.headers.get("Content-Type"),
        headers=dict(answer.headers),
    )


def into(target: BinaryIO) -> Callable[[Iterator[bytes]], None]:
    """Keeps chunks in a file that can seek; each attempt starts the file anew."""

    def keep(chunks: Iterator[bytes]) -> None:
        try:
            for chunk in chunks:
                write_all(chunk, target)
        except DbtCloudError:
            target.seek(0)
            target.truncate()
            raise

    return keep


def write_all(chunk: bytes, target: BinaryIO) -> None:
    """A file without a buffer may take less than it is given: give it the rest."""
    written = target.write(chunk)
    while written < len(chunk):
        written += target.write(chunk[written:])


def _check_is_no_page(beginning: bytes, path: str) -> None:
    """Refuse the page of a login or a proxy in the place of a file.

    Told by its beginning: which content types dbt Cloud declares is not documented.
    """
    if not path.endswith(_PAGES) and _PAGE.match(beginning):
        raise DbtCloudPayloadError(
            f"GET {path} was answered with a web page instead of the file. Check access_url, and "
            "what stands between here and dbt Cloud."
        )
