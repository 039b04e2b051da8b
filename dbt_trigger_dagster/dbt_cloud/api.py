"""Asking the API of one account: paths, envelopes, pages, and repetitions where they do no harm."""

import copy
import dataclasses
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import Self

from dbt_trigger_dagster.dbt_cloud.clock import Cancellation, Clock, Deadline
from dbt_trigger_dagster.dbt_cloud.downloads import Download, pass_on
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError, DbtCloudPayloadError, SettingError
from dbt_trigger_dagster.dbt_cloud.retries import RetryPolicy, is_transient
from dbt_trigger_dagster.dbt_cloud.transport import Transport

T = TypeVar("T")

PAGE_SIZE = 100
"""Most objects that the API lists in one answer."""

ANSWER_TIMEOUTS = 4
"""How many request timeouts a JSON answer may take in all."""

LISTING_TIMEOUTS = 60
"""How many request timeouts the pages of a list may take in all."""


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


class AccountApi:
    """The API of one account, and the rules by which it is asked.

    Args:
        transport: How requests are sent.
        account_id: Which account.
        retry_policy: When requests are repeated.
    """

    def __init__(self, transport: Transport, account_id: int, retry_policy: RetryPolicy) -> None:
        self.account_id = account_id
        self.retry_policy = retry_policy
        self._transport = transport
        self._deadline: Deadline | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    @property
    def access_url(self) -> str:
        """The account's host, as ``https://host``."""
        return self._transport.access_url

    @property
    def clock(self) -> Clock:
        """What pauses are slept on."""
        return self.retry_policy.clock

    @property
    def cancellation(self) -> Cancellation:
        """Ends the pauses between requests; a request is ended by a deadline alone."""
        return self.retry_policy.cancellation

    def until_cancelled(self, seconds: float = math.inf) -> Deadline:
        """The moment of the cancellation, or the one so many seconds ahead, whichever is first."""
        return Deadline.until_cancelled(self.cancellation, self.clock, after=seconds)

    def sleep(self, seconds: float) -> None:
        """Pause for so many seconds.

        Raises:
            DbtCloudCancelledError: `cancellation` has come.
        """
        self.clock.sleep(seconds, self.cancellation)

    def with_options(
        self,
        *,
        deadline: Deadline | None = None,
        max_retries: int | None = None,
        cancellation: Cancellation | None = None,
    ) -> Self:
        """A copy of this client, on the same connections, whose requests go by other rules.

        What is None stays as it is.

        Args:
            deadline: When to give up, repetitions and pages included.
            max_retries: How often a request is repeated at most.
            cancellation: What ends the pauses.
        """
        client = copy.copy(self)
        client.retry_policy = dataclasses.replace(
            self.retry_policy,
            max_retries=self.retry_policy.max_retries if max_retries is None else max_retries,
            cancellation=cancellation or self.cancellation,
        )
        client._deadline = deadline or self._deadline  # noqa: SLF001  # it is a copy of ourselves
        return client

    def _pages(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        read: Callable[[Any], T],
        page_size: int = PAGE_SIZE,
        offset: int = 0,
    ) -> Iterator[T]:
        """Everything in a list from an offset on: a request for each page, when it is needed.

        What cannot be read is left out, and told.
        """
        asked = f"GET {path}"
        left = LISTING_TIMEOUTS * self._transport.request_timeout
        before: list[Any] = []
        while True:
            began = self.clock.monotonic()
            page_query = {**query, "limit": str(page_size), "offset": str(offset)}
            envelope = self._ask("GET", path, read=dict, query=page_query, within=left)
            left -= self.clock.monotonic() - began  # what the caller does takes its own time
            page = _read(envelope["data"], list, asked)
            if page and page == before:
                raise DbtCloudPayloadError(f"{asked} was answered with the same page twice.")
            yield from _readable(page, read, asked, self.retry_policy.log)
            before = page
            offset += len(page)
            total = _total_count(envelope)
            if not page or (total is not None and offset >= total):
                return

    def _download(
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
        retries = self.retry_policy.retries(deadline=self._deadline)
        while True:
            try:
                with self._transport.open(
                    "GET", self._path + path, query=query, deadline=self._deadline, is_file=True
                ) as response:
                    return pass_on(response, keep, path=path)
            except DbtCloudError as error:
                if not retries.pause_after(error):
                    raise

    def _ask(
        self,
        method: str,
        path: str,
        *,
        read: Callable[[Mapping[str, Any]], T],
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        retryable: Callable[[DbtCloudError], bool] = is_transient,
        within: float = math.inf,
    ) -> T:
        """What is made of an answer's envelope; each answer has to come within its time.

        Args:
            method: The request's method.
            path: Below the account's.
            read: Makes it of the envelope.
            query: The request's query.
            body: What is sent as JSON.
            retryable: After which errors the request may be sent again.
            within: Seconds for all repetitions together, beside our own deadline.
        """
        in_all = self._until(within)
        retries = self.retry_policy.retries(retryable=retryable, deadline=in_all)
        answer_time = ANSWER_TIMEOUTS * self._transport.request_timeout
        while True:
            try:
                with self._transport.open(
                    method,
                    self._path + path,
                    query=query,
                    body=body,
                    deadline=in_all.at_most(answer_time),
                ) as response:
                    return _read(response.envelope(), read, f"{method} {path}")
            except DbtCloudError as error:
                if not retries.pause_after(error):
                    raise

    def _until(self, seconds: float) -> Deadline:
        """Our own deadline, or the moment so many seconds ahead."""
        if self._deadline is None:
            return Deadline.after(seconds, self.clock)
        return self._deadline.at_most(seconds)

    @property
    def _path(self) -> str:
        return f"/api/v2/accounts/{self.account_id}/"


def _readable(
    page: list[Any], read: Callable[[Any], T], asked: str, log: logging.Logger
) -> Iterator[T]:
    """The elements of a page; one that cannot be read costs only itself, and is told."""
    unreadable: list[DbtCloudPayloadError] = []
    for payload in page:
        try:
            element = _read(payload, read, asked)
        except DbtCloudPayloadError as error:
            unreadable.append(error)
        else:
            yield element
    if unreadable:
        log.warning("%s %d of the list are left out.", unreadable[0], len(unreadable))


def data_as(read: Callable[[Any], T]) -> Callable[[Mapping[str, Any]], T]:
    """Reads the data of an envelope."""
    return lambda envelope: read(envelope["data"])


def _total_count(envelope: Mapping[str, Any]) -> int | None:
    """How many objects a list has in all, where the answer says so."""
    extra = envelope.get("extra")
    pagination = extra.get("pagination") if isinstance(extra, Mapping) else None
    total = pagination.get("total_count") if isinstance(pagination, Mapping) else None
    return total if isinstance(total, int) else None


def _read(payload: Any, read: Callable[[Any], T], asked: str) -> T:
    try:
        return read(payload)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise DbtCloudPayloadError(
            f"{asked} was answered with data that cannot be read: {error!r}."
        ) from error
