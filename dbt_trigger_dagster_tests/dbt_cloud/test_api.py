"""Asking one account: paths, envelopes, pages, repetitions, downloads."""

import hashlib
import io
import itertools
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from typing_extensions import Buffer

from dbt_trigger_dagster.dbt_cloud.api import AccountApi, data_as
from dbt_trigger_dagster.dbt_cloud.clock import Deadline, SystemClock
from dbt_trigger_dagster.dbt_cloud.downloads import into
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudNotFoundError,
    DbtCloudPayloadError,
    DbtCloudRateLimitError,
    DbtCloudRequestError,
    DbtCloudResponseError,
)
from dbt_trigger_dagster.dbt_cloud.responses import CHUNK_SIZE
from dbt_trigger_dagster.dbt_cloud.retries import (
    RetryPolicy,
    is_transient,
    was_never_sent,
)
from dbt_trigger_dagster.dbt_cloud.transport import Transport
from dbt_trigger_dagster_tests.clocks import FakeClock
from dbt_trigger_dagster_tests.payloads import (
    ACCESS_URL,
    ACCOUNT_ID,
    ACCOUNT_URL,
    TOKEN,
    envelope,
    refusal,
)
from dbt_trigger_dagster_tests.servers import Drip, Reply, reply, serving

LIST_URL = f"{ACCOUNT_URL}things/"


def _account(clock: FakeClock, access_url: str = ACCESS_URL) -> AccountApi:
    transport = Transport(
        access_url=access_url, token=TOKEN, request_timeout=5, user_agent="dbt_trigger_dagster/test"
    )
    return AccountApi(transport, ACCOUNT_ID, RetryPolicy(clock=clock))


@pytest.fixture
def account(clock) -> Iterator[AccountApi]:
    """The API of the test's account."""
    made = _account(clock)
    yield made
    made.close()


def _pages_of(total: int, *, says_total: bool = True) -> Any:
    """A list of numbers as dbt Cloud would give it, page by page."""

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        query = parse_qs(urlsplit(request.url or "").query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        page = list(range(total))[offset : offset + limit]
        body = envelope(page, total=total if says_total else None)
        return 200, {}, json.dumps(body)

    return answer


def _offsets(api: responses.RequestsMock) -> list[str]:
    return [parse_qs(urlsplit(call.request.url or "").query)["offset"][0] for call in api.calls]


def test_a_path_is_below_the_account(account, api) -> None:
    """And the data is what the reader makes of it."""
    api.get(f"{ACCOUNT_URL}things/7/", json=envelope({"id": "7"}))
    assert account._ask("GET", "things/7/", read=data_as(lambda data: int(data["id"]))) == 7


@pytest.mark.parametrize("data", [None, "text", [], {}, {"id": None}, {"id": "x"}])
def test_data_that_cannot_be_read_is_a_payload_error(account, api, data) -> None:
    """The answer was good and its content was not; it says which request it was."""
    api.get(f"{ACCOUNT_URL}things/7/", json=envelope(data))
    with pytest.raises(DbtCloudPayloadError, match="GET things/7/ was answered with data"):
        account._ask("GET", "things/7/", read=data_as(lambda found: int(found["id"])))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_get_is_repeated_after_a_refusal_that_passes(account, api, status) -> None:
    """Until there is an answer."""
    api.get(LIST_URL, status=status, body="<html>")
    api.get(LIST_URL, json=envelope(1))
    assert account._ask("GET", "things/", read=data_as(int)) == 1
    assert len(account.retry_policy.clock.pauses) == 1


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("reset"),
        requests.ReadTimeout("slow"),
        requests.ConnectTimeout("slow"),
        requests.exceptions.ChunkedEncodingError("cut"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_get_is_repeated_after_a_lost_answer(account, api, error) -> None:
    """Asking twice does no harm."""
    api.get(LIST_URL, body=error)
    api.get(LIST_URL, json=envelope(1))
    assert account._ask("GET", "things/", read=data_as(int)) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 422])
def test_a_refusal_that_stays_is_not_repeated(account, api, status) -> None:
    """One request, no pause, and what dbt Cloud said."""
    api.get(LIST_URL, status=status, json=refusal(status, "Because."))
    with pytest.raises(DbtCloudResponseError, match=f"{status}: Because."):
        account._ask("GET", "things/", read=data_as(int))
    assert len(api.calls) == 1
    assert account.retry_policy.clock.pauses == []


def test_a_body_that_breaks_off_is_asked_for_again(clock) -> None:
    """The length that was announced has to arrive."""
    answers = iter([reply(200, b'{"data":', missing=3), reply(200, b'{"data": 1}')])
    with serving(lambda _: next(answers)) as server:
        assert _account(clock, server.url)._ask("GET", "things/", read=data_as(int)) == 1


def test_retry_after_is_obeyed(account, api) -> None:
    """To the second, without jitter."""
    api.get(LIST_URL, status=503, headers={"Retry-After": "42"})
    api.get(LIST_URL, json=envelope(1))
    account._ask("GET", "things/", read=data_as(int))
    assert account.retry_policy.clock.pauses == [42]


def test_a_rate_limit_waits_for_the_cool_down(account, api) -> None:
    """Five minutes, as documented, when the answer names no time."""
    api.get(LIST_URL, status=429)
    api.get(LIST_URL, json=envelope(1))
    account._ask("GET", "things/", read=data_as(int))
    assert account.retry_policy.clock.pauses == [300]


def test_a_rate_limit_does_not_wait_beyond_the_deadline(account, api, clock) -> None:
    """Whoever waits for a run polls again later by itself."""
    api.get(LIST_URL, status=429)
    with pytest.raises(DbtCloudRateLimitError):
        account.with_options(deadline=Deadline.after(60, clock))._ask(
            "GET", "things/", read=data_as(int)
        )
    assert clock.pauses == []


def test_the_caller_decides_when_a_post_is_repeated(account, api) -> None:
    """A body is sent as JSON, each time anew."""
    api.post(LIST_URL, status=500)
    with pytest.raises(DbtCloudResponseError):
        account._ask("POST", "things/", read=data_as(int), retryable=was_never_sent, body={"a": 1})
    api.post(LIST_URL, json=envelope(1))
    assert (
        account._ask("POST", "things/", read=data_as(int), retryable=is_transient, body={"a": 1})
        == 1
    )
    assert [call.request.body for call in api.calls] == [b'{"a": 1}'] * 2


@pytest.mark.parametrize(
    ("total", "offsets"),
    [(0, ["0"]), (1, ["0"]), (3, ["0"]), (4, ["0", "3"]), (7, ["0", "3", "6"])],
)
def test_a_list_is_read_page_by_page_to_its_end(account, api, total, offsets) -> None:
    """Where the total is known, no request more than needed."""
    api.add_callback("GET", LIST_URL, callback=_pages_of(total))
    assert list(account._pages("things/", {}, read=int, page_size=3)) == list(range(total))
    assert _offsets(api) == offsets


def test_a_list_that_names_no_total_ends_at_an_empty_page(account, api) -> None:
    """A short page is no end: a server may give fewer than it was asked for."""
    api.add_callback("GET", LIST_URL, callback=_pages_of(7, says_total=False))
    assert list(account._pages("things/", {}, read=int, page_size=3)) == list(range(7))
    assert _offsets(api) == ["0", "3", "6", "7"]


@pytest.mark.parametrize(
    "extra",
    [
        None,
        [],
        "x",
        {},
        {"pagination": None},
        {"pagination": "x"},
        {"pagination": {"total_count": "1"}},
    ],
)
def test_an_odd_total_is_as_good_as_none(account, api, extra) -> None:
    """What surrounds the data may change; the data still arrives."""
    api.get(LIST_URL, json=envelope([1]) | {"extra": extra})
    api.get(LIST_URL, json=envelope([]) | {"extra": extra})
    assert list(account._pages("things/", {}, read=int)) == [1]


def test_pages_that_nobody_needs_are_not_fetched(account, api) -> None:
    """Ten thousand runs cost one request to whoever wants the newest."""
    api.add_callback("GET", LIST_URL, callback=_pages_of(10_000))
    found = account._pages("things/", {}, read=int)
    assert len(api.calls) == 0
    assert list(itertools.islice(found, 100)) == list(range(100))
    assert len(api.calls) == 1


def test_every_page_is_asked_for_with_the_whole_query(account, api) -> None:
    """The filter does not get lost on the way."""
    api.add_callback("GET", LIST_URL, callback=_pages_of(150))
    list(account._pages("things/", {"status": "10"}, read=int))
    queries = [parse_qs(urlsplit(call.request.url or "").query) for call in api.calls]
    assert queries == [
        {"status": ["10"], "limit": ["100"], "offset": ["0"]},
        {"status": ["10"], "limit": ["100"], "offset": ["100"]},
    ]


@pytest.mark.parametrize("data", [None, 5])
def test_a_list_that_is_none_is_a_payload_error(account, api, data) -> None:
    """Not an empty list: an outage is no lack of data."""
    api.get(LIST_URL, json=envelope(data))
    with pytest.raises(DbtCloudPayloadError):
        list(account._pages("things/", {}, read=int))


def test_a_download_gives_the_bytes_and_what_is_known_of_them(clock) -> None:
    """As sent, not as text."""
    body = bytes(range(256)) * 5000
    served = reply(200, body, headers={"Content-Type": "application/x-parquet"})
    target = io.BytesIO()
    with serving(lambda _: served) as server:
        download = _account(clock, server.url)._download("file", into(target))
    assert target.getvalue() == body
    assert download.size_bytes == len(body)
    assert download.sha256 == hashlib.sha256(body).hexdigest()
    assert download.content_type == "application/x-parquet"
    assert download.headers["Content-Length"] == str(len(body))


def test_an_empty_file_is_a_file(clock) -> None:
    """Zero bytes that were announced have all arrived."""
    with serving(lambda _: reply(200)) as server:
        assert _account(clock, server.url)._download("file", into(io.BytesIO())).size_bytes == 0


class _Reluctant(io.BytesIO):
    """Takes a thousand bytes at a time, as a file without a buffer may."""

    def write(self, data: Buffer) -> int:
        return super().write(memoryview(data)[:1000])


def test_a_file_that_takes_less_than_it_is_given_is_given_the_rest(clock) -> None:
    """Nothing is lost on a disk that is interrupted."""
    body = bytes(range(256)) * 50
    target = _Reluctant()
    with serving(lambda _: reply(200, body)) as server:
        _account(clock, server.url)._download("file", into(target))
    assert target.getvalue() == body


def test_a_download_that_breaks_off_starts_anew(clock) -> None:
    """Nothing of the first attempt is left, though it was longer than the file."""
    answers = iter(
        [reply(200, b"x" * 2 * CHUNK_SIZE, missing=1), reply(503), reply(200, b"the whole file")]
    )
    target = io.BytesIO()
    with serving(lambda _: next(answers)) as server:
        download = _account(clock, server.url)._download("file", into(target))
    assert target.getvalue() == b"the whole file"
    assert download.size_bytes == 14
    assert len(clock.pauses) == 2


def test_a_download_that_always_breaks_off_is_an_error(clock) -> None:
    """After as many attempts as the policy allows."""
    cut = reply(200, b"half", missing=4)
    with serving(lambda _: cut) as server, pytest.raises(DbtCloudRequestError):
        _account(clock, server.url)._download("file", into(io.BytesIO()))
    assert len(server.received) == 6


def test_a_download_of_what_is_not_there_is_not_repeated(clock) -> None:
    """Whether it may come later is for the caller to know."""
    with serving(lambda _: reply(404)) as server, pytest.raises(DbtCloudNotFoundError):
        _account(clock, server.url)._download("file", into(io.BytesIO()))
    assert len(server.received) == 1


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Sign in", b"\n  <html lang='en'>"])
def test_a_page_in_the_place_of_a_file_is_no_download(clock, page: bytes) -> None:
    """A login or a proxy says 200 too; an artifact that is a page itself is a file."""
    target = io.BytesIO()
    with serving(lambda _: reply(200, page)) as server:
        account = _account(clock, server.url)
        with pytest.raises(DbtCloudPayloadError, match=r"manifest\.json .* a web page"):
            account._download("manifest.json", into(target))
        assert target.getvalue() == b""
        assert account._download("index.html", into(target)).size_bytes == len(page)


def test_a_download_that_is_redirected_is_refused(clock) -> None:
    """Dbt Cloud documents no redirects of artifacts; the token and its host stay together."""
    with serving(lambda _: reply(200, b"the file")) as store:
        away = reply(302, headers={"Location": f"{store.url}/bucket/key?signature=sesame"})
        with serving(lambda _: away) as server, pytest.raises(DbtCloudResponseError) as caught:
            _account(clock, server.url)._download("file", into(io.BytesIO()))
    assert f"moved to {store.url}/bucket/key." in str(caught.value)
    assert (len(server.received), store.received) == (1, [])


@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_page_that_comes_in_pieces_is_no_download_either(clock, size: int) -> None:
    """Told by its first bytes, not by its first piece."""
    page = b"\xef\xbb\xbf\n<!DOCTYPE html><p>Sign in"
    pieces = [page[start : start + size] for start in range(0, len(page), size)]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with (
        serving(lambda _: Reply(head + chunked + b"0\r\n\r\n")) as server,
        pytest.raises(DbtCloudPayloadError, match="a web page"),
    ):
        _account(clock, server.url)._download("manifest.json", into(io.BytesIO()))


def test_a_file_without_a_length_is_a_file_whose_headers_say_so(clock) -> None:
    """It ends with the connection, which may as well have broken."""
    endless = Reply(b"HTTP/1.1 200 OK\r\n\r\nthe file", closes=True)
    target = io.BytesIO()
    with serving(lambda _: endless) as server:
        download = _account(clock, server.url)._download("file", into(target))
    assert target.getvalue() == b"the file"
    assert not {"Content-Length", "Transfer-Encoding"} & set(download.headers)


@pytest.mark.parametrize("head_too", [True, False])
def test_a_json_answer_that_drips_ends_by_itself(head_too) -> None:
    """After four request timeouts, where nobody has set a deadline."""
    clock = SystemClock()
    began = clock.monotonic()
    body = b'{"data": "' + b"x" * 10_000 + b'"}'
    drip = Drip(reply(200, body).raw, pause=0.1, head_too=head_too)
    with serving(lambda _: drip) as server:
        transport = Transport(
            access_url=server.url, token=TOKEN, request_timeout=0.5, user_agent="x"
        )
        account = AccountApi(transport, ACCOUNT_ID, RetryPolicy(max_retries=0))
        with pytest.raises(DbtCloudRequestError, match="did not end in time"):
            account._ask("POST", "run/", read=data_as(int), retryable=is_transient)
    assert clock.monotonic() - began < 10


def test_a_list_that_is_never_over_is_given_up(account, api, clock) -> None:
    """After sixty request timeouts of asking; what is done with its elements takes its own time."""

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        clock.now += 100
        offset = int(parse_qs(urlsplit(request.url or "").query)["offset"][0])
        return 200, {}, json.dumps(envelope([offset]))

    api.add_callback("GET", LIST_URL, callback=answer)
    found = []

    def take(element: int) -> None:
        clock.now += 1000
        found.append(element)

    with pytest.raises(DbtCloudRequestError, match="no time was left"):
        list(map(take, account._pages("things/", {}, read=int, page_size=1)))
    assert found == [0, 1, 2]


def test_a_list_that_ignores_the_offset_is_given_up(account, api) -> None:
    """Its first page would come again and again."""
    api.get(LIST_URL, json=envelope([1, 2]))
    found: list[int] = []
    with pytest.raises(DbtCloudPayloadError, match="the same page twice"):
        found.extend(account._pages("things/", {}, read=int, page_size=2))
    assert found == [1, 2]
    assert len(api.calls) == 2
