"""Answers of every kind, and the errors of requests, as values and errors of ours."""

import email.utils
import gzip
import html
import http.client
import json
import time
import traceback
import urllib.parse
import zlib
from collections.abc import Iterator

import pytest
import requests
import responses
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudAuthError,
    DbtCloudNotFoundError,
    DbtCloudPayloadError,
    DbtCloudRateLimitError,
    DbtCloudRequestError,
    DbtCloudResponseError,
)
from dbt_trigger_dagster.dbt_cloud.exchange import Exchange
from dbt_trigger_dagster.dbt_cloud.redaction import Redaction
from dbt_trigger_dagster.dbt_cloud.refusals import as_response_error, parse_retry_after
from dbt_trigger_dagster.dbt_cloud.responses import CHUNK_SIZE, Response, as_request_error
from dbt_trigger_dagster.dbt_cloud.retries import MAX_RETRY_AFTER, RetryPolicy
from dbt_trigger_dagster_tests.payloads import ACCESS_URL, TOKEN, envelope, refusal

HTML = b"<html>\n <body>Bad\n gateway</body></html>"


def _answered(
    status: int = 200,
    body: bytes | str = b"",
    headers: dict[str, str] | None = None,
) -> Response:
    with responses.RequestsMock() as mock:
        mock.get(ACCESS_URL, status=status, body=body, headers=headers)
        response = requests.get(ACCESS_URL, stream=True, timeout=1, allow_redirects=False)
    return Response(response.raw, "GET jobs/", Exchange(None), Redaction(TOKEN))


def _refusal(
    status: int,
    body: bytes | str = b"",
    headers: dict[str, str] | None = None,
    asked: str = "GET jobs/",
) -> DbtCloudResponseError:
    response = _answered(status, body, headers)
    response.asked = asked
    return as_response_error(response)


@pytest.mark.parametrize("may_have_been_sent", [True, False])
@pytest.mark.parametrize(
    "original",
    [
        requests.ConnectionError("something\nbroke"),
        requests.exceptions.InvalidURL("something\nbroke"),
        urllib3.exceptions.ProtocolError("something\nbroke"),
        http.client.BadStatusLine("something\nbroke"),
        OSError("Could not find a suitable TLS CA certificate bundle"),
        EOFError("Compressed file ended before the end-of-stream marker was reached"),
        zlib.error("Error -3 while decompressing data"),
        ValueError("read length must be non-negative or -1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_the_layers_below_raise_becomes_a_request_error(
    original, may_have_been_sent
) -> None:
    """Whether dbt Cloud may have acted is told by how far the request got, not by the error."""
    exchange = Exchange(None)
    exchange.may_have_been_sent = may_have_been_sent
    with (
        pytest.raises(DbtCloudRequestError) as caught,
        as_request_error("POST run/", exchange, Redaction(TOKEN), lambda _: " Check this."),
    ):
        raise original
    assert caught.value.may_have_been_sent is may_have_been_sent
    assert caught.value.__cause__ is original
    assert str(caught.value).startswith("POST run/ got no answer: ")
    assert str(caught.value).endswith("Check this.") is not may_have_been_sent
    assert "\n" not in str(caught.value)


def test_what_is_of_neither_passes_through() -> None:
    """Nothing else is taken for a network problem."""
    with pytest.raises(KeyError), as_request_error("GET jobs/", Exchange(None), Redaction(TOKEN)):
        raise KeyError


@pytest.mark.parametrize(
    ("status", "error_type"),
    [
        (302, DbtCloudResponseError),
        (400, DbtCloudResponseError),
        (401, DbtCloudAuthError),
        (403, DbtCloudAuthError),
        (404, DbtCloudNotFoundError),
        (405, DbtCloudResponseError),
        (429, DbtCloudRateLimitError),
        (500, DbtCloudResponseError),
        (503, DbtCloudResponseError),
        (599, DbtCloudResponseError),
    ],
)
def test_a_refusal_has_the_class_of_its_status(status, error_type) -> None:
    """Exactly that class: a 500 is no rate limit."""
    error = _refusal(status, json.dumps(refusal(status, "No.")))
    assert type(error) is error_type
    assert error.status_code == status


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (json.dumps(refusal(400, "Invalid token.")), "Invalid token."),
        (json.dumps(refusal(400, "Bad.", "'created_at__gte' was unexpected")), "Bad. 'created_at"),
        (
            json.dumps(refusal(400, "Bad.", {"status__in": "no list", "pk": "no"})),
            "Bad. status__in",
        ),
        (json.dumps(refusal(400, "Bad.", {"pk": ["no", "really"]})), "Bad. pk: no; really"),
        (json.dumps(refusal(400, "Bad.", ["first", "second"])), "Bad. first; second"),
        (json.dumps(refusal(400, "Two\nlines")), "Two lines"),
        (json.dumps({"detail": 'Method "GET" not allowed.'}), 'Method "GET" not allowed.'),
        (json.dumps({"detail": "Server error", "data": None}), "Server error"),
        (json.dumps({"status": {}, "data": "only data"}), "only data"),
        (json.dumps({"status": None, "detail": None}), '\'{"status": null'),
        (json.dumps({"status": "error"}), '\'{"status": "error"}\''),
        (json.dumps(["a", "list"]), '["a", "list"]'),
        ('"a text"', "'a text'"),
        ("null", "null"),
        (HTML, "'<html> <body>Bad gateway</body></html>'"),
        (b"", "(an empty body)."),
        (b" \r\n ", "(an empty body)."),
        (b'{"status": {"user_me', '\'{"status": {"user_me\''),
        (b"\xff\xfe\x00binary", "binary"),
        (b"[" * 100_000, "'[[["),
    ],
)
def test_any_body_of_a_refusal_becomes_one_line_with_the_status(body, said) -> None:
    """HTML, nothing, half of a JSON, another framework's error: the reader sees what it was."""
    message = str(_refusal(400, body))
    assert message.startswith("GET jobs/ was answered 400: ")
    assert said in message
    assert "\n" not in message


def test_a_long_body_is_cut() -> None:
    """A log line is not the place for a web page."""
    message = str(_refusal(502, b"x" * 10_000))
    assert "x" * 200 + "…" in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("status", "asked", "hint"),
    [
        (401, "GET jobs/", "access_url is not the account's own host"),
        (403, "GET jobs/", "check account_id"),
        (404, "GET jobs/1/", "The id is wrong, or the token has no permission"),
        (404, "GET /api/v2/accounts/1/runs/1/", "dbt Cloud has purged the run"),
        (404, "GET /api/v2/accounts/1/runs/1/artifacts/x.json", "has left no such file, or dbt"),
    ],
)
def test_a_hint_says_what_may_be_wrong(status, asked, hint) -> None:
    """Dbt Cloud says "Invalid token." to a good token on the wrong host."""
    message = str(_refusal(status, json.dumps(refusal(status, "No.")), asked=asked))
    assert message.startswith(f"{asked} was answered {status}: No. ")
    assert hint in message


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("Forbidden: Access denied", None),
        (
            "No.",
            {
                "account_id": 101,
                "user_id": 7,
                "is_service_token": True,
                "account_access_denied": True,
            },
        ),
    ],
)
def test_an_ip_restriction_is_told_as_one(message, data) -> None:
    """By what dbt Cloud says: the status is that of a wrong account too. Its data stay out."""
    told = str(_refusal(403, json.dumps(refusal(403, message, data))))
    assert told == (
        f"GET jobs/ was answered 403: {message} The account's IP restrictions do not let this "
        "machine in: dbt Cloud, Account settings, IP restrictions."
    )


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_says_where_to_and_does_not_advise_to_follow(status) -> None:
    """Whoever answers may be none of dbt Cloud's: the token is for the account's own host."""
    error = _refusal(status, b"moved", {"Location": "https://evil.example.com/api/"})
    assert str(error) == (
        f"GET jobs/ was answered {status}: moved to https://evil.example.com/api/. The token was "
        "not sent there. Check that access_url is what dbt Cloud shows: Account settings, Account "
        "information, Access URL."
    )


def test_a_redirect_does_not_say_what_signs_it() -> None:
    """Whoever has the signed address of a file has the file; errors end up in logs."""
    error = _refusal(302, headers={"Location": "https://store.example.com/key?signature=sesame"})
    assert "https://store.example.com/key." in str(error)
    assert "sesame" not in str(error)


def test_retry_after_travels_with_the_refusal() -> None:
    """In seconds, whichever form it came in."""
    assert _refusal(429, headers={"Retry-After": "17"}).retry_after == 17
    assert _refusal(429).retry_after is None


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_retry_after_date_goes_by_the_clock_of_the_answer(hours) -> None:
    """Ours may be wrong by hours: it would wait for an hour, or not at all."""
    now = time.time() + 3600 * hours
    headers = {"Date": email.utils.formatdate(now, usegmt=True)}
    headers["Retry-After"] = email.utils.formatdate(now + 90, usegmt=True)
    assert _refusal(429, headers=headers).retry_after == 90
    headers["Date"] = "today"
    assert (_refusal(429, headers=headers).retry_after or 0) != 90


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), (None, None)],
)
def test_retry_after_in_seconds(value, seconds) -> None:
    """The common form."""
    assert parse_retry_after(value) == seconds


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "1e3", "Wed, 99 Foo 2026", "²"])
def test_a_retry_after_that_is_neither_is_as_good_as_none(value) -> None:
    """A header that nobody understands does not break a retry."""
    assert parse_retry_after(value) is None


@pytest.fixture
def new_york(monkeypatch) -> Iterator[None]:
    """The machine stands in another time zone."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_retry_after_as_a_date_is_the_time_until_then(zone) -> None:
    """The other form that HTTP allows; whatever the zone says, it is UTC."""
    in_90_seconds = email.utils.formatdate(time.time() + 90).replace("-0000", zone)
    assert 85 < (parse_retry_after(in_90_seconds) or 0) <= 90


def test_a_retry_after_date_in_the_past_means_now() -> None:
    """A pause is never negative."""
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@given(st.text())
def test_no_retry_after_crashes(value) -> None:
    """Headers come from whatever stands in front of dbt Cloud."""
    seconds = parse_retry_after(value)
    assert seconds is None or seconds >= 0


DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Wed", "Foo", ""]),
    st.integers(-1, 99),
    st.sampled_from(["Oct", "Feb", "Foo"]),
    st.integers(-1, 99999),
    *[st.integers(-1, 99)] * 3,
    st.sampled_from(["GMT", "-0000", "+9999", "-2359", "EST", ""]),
)


@given(DATES | st.integers().map(str) | st.floats().map(str) | st.text("0123456789", min_size=300))
def test_whatever_an_answer_asks_for_is_a_pause_that_ends(value) -> None:
    """Dates that are none, numbers that no float holds; never negative, never endless."""
    error = DbtCloudResponseError("No.", status_code=503, retry_after=parse_retry_after(value))
    assert 0 <= RetryPolicy().pause_after(error, 0) <= MAX_RETRY_AFTER


@pytest.mark.parametrize("form", [TOKEN, TOKEN.upper(), TOKEN.title(), TOKEN.swapcase()])
def test_nothing_that_comes_in_repeats_the_token(form) -> None:
    """Some servers do, in words, on a page or in a header; a cut leaves no half of it either."""
    told = [
        _refusal(401, json.dumps(refusal(401, f"Invalid: {form}."))),
        _refusal(401, json.dumps({"status": {}, "data": {"header": f"Token {form}"}})),
        _refusal(401, json.dumps({"status": {}, "data": {form: "odd"}})),
        _refusal(401, f"<p>{'x' * 185}{form}</p>"),
        _refusal(302, headers={"Location": f"https://example.com/{form}/"}),
    ]
    for body in (f"<p>{form}</p>", json.dumps([form]), json.dumps(refusal(200, form))):
        with pytest.raises(DbtCloudPayloadError) as caught:
            _answered(body=body).envelope()
        told.append(caught.value)
    data = {"href": f"https://x/?t={form}", "steps": [{"logs": [form]}], form: 1}
    answer = _answered(body=json.dumps({"data": data}), headers={"X-Echo": f"Token {form}"})
    told += [answer.headers, answer.envelope()]
    for what in told:
        assert TOKEN[5:15].lower() not in f"{what} {what!r}".lower()
    assert "Invalid: (the token)." in str(told[0])


@pytest.mark.parametrize(
    "error",
    [
        http.client.BadStatusLine(f"Token {TOKEN}"),
        requests.ConnectionError(urllib3.exceptions.ProtocolError(TOKEN)),
        ValueError(TOKEN.upper()),
    ],
)
def test_an_error_that_repeats_the_token_does_not_travel_along(error) -> None:
    """Dagster stores the causes of an error, and Python prints them."""
    with (
        pytest.raises(DbtCloudRequestError, match=r"\(the token\)") as caught,
        as_request_error("GET x", Exchange(None), Redaction(TOKEN)),
    ):
        raise error
    shown = "".join(traceback.format_exception(caught.value))
    assert TOKEN.lower() not in shown.lower()


@pytest.mark.usefixtures("an_end_to_waiting")
def test_an_error_of_any_length_is_told_at_once() -> None:
    """A host may answer with whatever it likes."""
    with (
        pytest.raises(DbtCloudRequestError, match="BadStatusLine: ///"),
        as_request_error("GET x", Exchange(None), Redaction(TOKEN)),
    ):
        raise http.client.BadStatusLine("/" * 1_000_000)


@pytest.mark.parametrize("token", ["dbtc_+/=&<%41\"'\\", TOKEN])
@pytest.mark.parametrize(
    "write",
    [
        str,
        json.dumps,
        html.escape,
        urllib.parse.quote,
        urllib.parse.quote_plus,
        lambda token: urllib.parse.quote(token, safe=""),
        lambda token: urllib.parse.quote(token, safe="").lower(),
        repr,
    ],
)
def test_a_token_is_found_as_others_write_it(token, write) -> None:
    """JSON within JSON, a link, a page, Python's words for an error."""
    assert Redaction(token).text(f"a {write(token)} b").replace('"', "").replace("'", "") == (
        "a (the token) b"
    )


def test_what_an_answer_says_steers_no_terminal() -> None:
    """And adds no line to a log."""
    error = _refusal(400, json.dumps(refusal(400, "a\x1b[2Ab\r\n2026 - dagster - INFO - c\u202e")))
    assert "400: ab 2026 - dagster - INFO - c\ufffd" in str(error)
    assert str(error).isprintable()


def test_a_good_envelope_is_read_whole() -> None:
    """Status, data and extra."""
    body = envelope([1, 2], total=2)
    assert _answered(body=json.dumps(body)).envelope() == body


def test_data_may_be_null() -> None:
    """It is up to the reader of the data whether that is good enough."""
    assert _answered(body='{"data": null}').envelope() == {"data": None}


def test_a_good_status_without_success_is_an_error_with_dbt_clouds_words() -> None:
    """Not "there is none": an empty list of artifacts would be taken for no artifacts."""
    body = json.dumps(refusal(200, "The run is being archived."))
    with pytest.raises(DbtCloudPayloadError, match=r"without success: The run is being archived\."):
        _answered(body=body).envelope()


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999", "-1e999"])
def test_a_number_that_is_infinite_is_none(number) -> None:
    """JSON has none; further on it would break a database, or int()."""
    answer = _answered(body=f'{{"data": [{number}, 1.5]}}')
    assert answer.envelope()["data"] == [None, 1.5]


@pytest.mark.parametrize(
    "body",
    [
        HTML,
        b"",
        b'{"status": {"code": 200}}',
        b'{"data": {"id": 1',
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"data": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_good_status_with_another_body_is_a_payload_error(body) -> None:
    """A host that is not dbt answers 200 as well; the message says so, in one line."""
    with pytest.raises(DbtCloudPayloadError, match=r"answered 200 .* Check access_url") as caught:
        _answered(body=body).envelope()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_body_arrives_in_chunks() -> None:
    """No chunk is larger than the limit, and together they are the body."""
    body = bytes(range(256)) * (CHUNK_SIZE // 100)
    chunks = list(_answered(body=body).chunks())
    assert b"".join(chunks) == body
    assert max(map(len, chunks)) <= CHUNK_SIZE
    assert len(chunks) > 1


@pytest.mark.parametrize("body", [b"", b"x" * 3 * CHUNK_SIZE])
def test_a_compressed_body_is_decoded(body) -> None:
    """Servers compress lists; they may be longer than a chunk once they are not."""
    headers = {"Content-Encoding": "gzip"}
    answer = _answered(body=gzip.compress(body), headers=headers)
    assert b"".join(answer.chunks()) == body


def test_whoever_uses_a_piece_of_a_body_takes_a_time_of_their_own() -> None:
    """A slow disk is no slow answer."""
    response = _answered(body=b"x" * (CHUNK_SIZE + 1))
    exchange = Exchange(None)
    response._exchange = exchange
    exchange._timeout = 0.0
    chunks = response.chunks()
    assert len(next(chunks)) == CHUNK_SIZE
    exchange.end_if_over()
    assert not exchange.was_ended
    exchange.expects_a_piece()
    exchange.end_if_over()
    assert exchange.was_ended


def test_headers_are_found_whatever_their_case() -> None:
    """As HTTP has it."""
    answer = _answered(headers={"X-Request-Id": "abc"})
    assert answer.headers["x-request-id"] == "abc"
