"""HTTP to one host: its address, the token's safety, timeouts, and connections as they are."""

import gzip
import logging
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import BaseHTTPResponse, HTTPSConnectionPool

from dbt_trigger_dagster.dbt_cloud.address import checked_token, normalize_access_url
from dbt_trigger_dagster.dbt_cloud.clock import Cancellation, Deadline, SystemClock
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudError,
    DbtCloudPayloadError,
    DbtCloudRequestError,
    DbtCloudResponseError,
)
from dbt_trigger_dagster.dbt_cloud.exchange import Exchange
from dbt_trigger_dagster.dbt_cloud.responses import CHUNK_SIZE, MAX_RATIO
from dbt_trigger_dagster.dbt_cloud.transport import Transport
from dbt_trigger_dagster_tests.interrupts import another_thread_gets
from dbt_trigger_dagster_tests.payloads import ACCESS_URL, TOKEN, envelope
from dbt_trigger_dagster_tests.servers import (
    Drip,
    Received,
    Reply,
    Reset,
    Respond,
    Server,
    Silence,
    free_port,
    reply,
    serving,
)
from faults.tls import https_for

GOOD = reply(200, b'{"data": 1}')

_LONGEST_QUEUE = 50


def _transport(
    access_url: str = ACCESS_URL, token: str = TOKEN, request_timeout: float = 5
) -> Transport:
    return Transport(
        access_url=access_url,
        token=token,
        request_timeout=request_timeout,
        user_agent="dbt_trigger_dagster/test",
    )


def _ask(transport: Transport, path: str = "/x", **options: object) -> bytes:
    with transport.open("GET", path, **options) as answer:  # type: ignore[arg-type]
        return b"".join(answer.chunks())


def _fetch(transport: Transport, path: str = "/x", **options: object) -> bytes:
    with transport.open("GET", path, is_file=True, **options) as answer:  # type: ignore[arg-type]
        return b"".join(answer.chunks())


both_ways = pytest.mark.parametrize("ask", [_ask, _fetch])
"""What is promised of a request, whichever way it goes."""


def _netrc(folder: Path, monkeypatch) -> None:
    """A ~/.netrc with a password for the loopback address."""
    file = folder / "netrc"
    file.write_text("machine 127.0.0.1 login joe password sesame\n")
    monkeypatch.setenv("NETRC", str(file))


@pytest.mark.parametrize(
    ("given_url", "normal"),
    [
        ("ab123.us1.dbt.com", "https://ab123.us1.dbt.com"),
        ("https://ab123.us1.dbt.com", "https://ab123.us1.dbt.com"),
        ("https://ab123.us1.dbt.com/", "https://ab123.us1.dbt.com"),
        ("https://ab123.us1.dbt.com///", "https://ab123.us1.dbt.com"),
        ("  https://ab123.us1.dbt.com \n", "https://ab123.us1.dbt.com"),
        ("HTTPS://AB123.us1.dbt.com", "https://AB123.us1.dbt.com"),
        ("dbt.example.com:8443", "https://dbt.example.com:8443"),
        ("http://127.0.0.1:8580", "http://127.0.0.1:8580"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://localhost:8580/", "http://localhost:8580"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://[::1]:8580", "http://[::1]:8580"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_an_access_url_is_brought_into_one_form(given_url, normal) -> None:
    """However people copy it; and the form itself stays as it is."""
    assert normalize_access_url(given_url) == normal
    assert normalize_access_url(normal) == normal


@pytest.mark.parametrize(
    "access_url",
    [
        "",
        "   ",
        "https://",
        "://",
        "ftp://ab123.us1.dbt.com",
        "file:///etc/passwd",
        "https://[::1",
        "https://two words.com",
        "two words",
        "https://host:port",
        "https://host:99999",
        "https://host\\path",
        "http://localhost\\.evil.example.com",
        "http://localhost%2f.evil.example.com",
        "https://<your host>",
    ],
)
def test_rubbish_is_no_access_url(access_url) -> None:
    """The message says where the right one stands."""
    with pytest.raises(ValueError, match="Account information, Access URL"):
        normalize_access_url(access_url)


@pytest.mark.parametrize(
    "path", ["/deploy/101/", "/api/v2", "?x=1", "/?x=1", "#top", "/#/accounts/101"]
)
def test_a_page_of_dbt_cloud_is_no_access_url(path) -> None:
    """Copied from the browser's address bar; the message gives the part that counts."""
    with pytest.raises(ValueError, match=r"is the host alone.*https://ab123.us1.dbt.com$"):
        normalize_access_url(f"https://ab123.us1.dbt.com{path}")


@pytest.mark.parametrize(
    "access_url",
    [
        "https://joe:sesame@ab123.us1.dbt.com",
        "https://:sesame@ab123.us1.dbt.com",
        "https://sesame@ab123.us1.dbt.com",
        "joe:sesame@ab123.us1.dbt.com",
        "ftp://joe:sesame@ab123.us1.dbt.com",
        "https://joe:sesame@[bad",
        "http://localhost:sesame@evil.example.com",
        "http://sesame@localhost",
        "http://localhost@sesame.example.com",
        "http://localhost\\@sesame.example.com",
        "http://localhost%40sesame@evil.example.com",
    ],
)
def test_an_access_url_with_a_password_is_refused_without_repeating_it(access_url) -> None:
    """Errors end up in logs."""
    with pytest.raises(ValueError, match="without a user or a password") as caught:
        normalize_access_url(access_url)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "ab123.us1.dbt.com",
        "10.0.0.1",
        "192.0.2.1",
        "[::2]",
        "0.0.0.0",  # noqa: S104  # nobody listens there
        "localhost.example.com",
        "127.0.0.1.nip.io",
        "xlocalhost",
        "128.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "[::ffff:10.0.0.1]",
    ],
)
def test_plain_http_is_for_loopback_addresses_only(host) -> None:
    """Anywhere else it would show the token to the network."""
    with pytest.raises(ValueError, match="unencrypted: use https://"):
        normalize_access_url(f"http://{host}")


@given(st.text(max_size=30))
def test_any_text_is_an_access_url_or_a_value_error(text) -> None:
    """Settings come from environments and files."""
    try:
        normal = normalize_access_url(text)
    except ValueError:
        return
    assert normalize_access_url(normal) == normal
    assert normal.startswith(("https://", "http://"))
    assert "@" not in normal


@pytest.mark.parametrize("token", ["", "  ", "\n"])
def test_an_empty_token_is_refused(token) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="token is empty"):
        checked_token(token)


@pytest.mark.parametrize(
    "token",
    [
        f"{TOKEN}\nX-Evil: 1",
        f"{TOKEN}\r\n{TOKEN}",
        f"{TOKEN} x",
        f"{TOKEN}\t1",
        f"{TOKEN}é",
        "\x00",
    ],
)
def test_a_token_that_cannot_stand_in_a_header_is_refused_without_being_quoted(token) -> None:
    """Not even in the traceback, where requests would print it."""
    with pytest.raises(ValueError, match="token has blanks or characters") as caught:
        checked_token(token)
    shown = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in shown
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_blanks_around_a_token_are_dropped() -> None:
    """A file that holds a token ends in a newline."""
    with serving(lambda _: GOOD) as server:
        _ask(_transport(server.url, f" {TOKEN}\n"))
    assert server.received[0].headers["authorization"] == f"Token {TOKEN}"


def test_the_token_and_our_name_are_in_every_request() -> None:
    """And the query and the body as given."""
    with serving(lambda _: GOOD) as server:
        transport = _transport(server.url)
        with transport.open("POST", "/run/", query={"a": "[1, 2]"}, body={"cause": "é"}) as answer:
            assert answer.envelope() == {"data": 1}
    (request,) = server.received
    assert request.headers["authorization"] == f"Token {TOKEN}"
    assert request.headers["user-agent"] == "dbt_trigger_dagster/test"
    assert (request.method, request.target) == ("POST", "/run/?a=%5B1%2C+2%5D")
    assert request.body == b'{"cause": "\\u00e9"}'


def test_a_file_is_asked_for_with_the_token_and_our_name() -> None:
    """As sent, not as text, and without compression, so that the length is the file's."""
    with serving(lambda _: reply(200, b"bytes")) as server:
        assert _fetch(_transport(server.url), "/a%20b", query={"step": "4 5"}) == b"bytes"
    (request,) = server.received
    assert (request.method, request.target) == ("GET", "/a%20b?step=4+5")
    assert request.headers["authorization"] == f"Token {TOKEN}"
    assert request.headers["user-agent"] == "dbt_trigger_dagster/test"
    assert request.headers["accept"] == "*/*"
    assert request.headers["accept-encoding"] == "identity"


def _every_trouble() -> dict[str, Respond | None]:
    return {
        "refused connection": None,
        "401": lambda _: reply(401, b'{"status": {"user_message": "Invalid token."}}'),
        "html": lambda _: reply(502, b"<html>"),
        "redirect": lambda _: reply(302, headers={"Location": "https://evil.example.com/"}),
        "reset": lambda _: Reset(),
        "truncated": lambda _: reply(200, b'{"data"', missing=10),
        "no http": lambda _: Reply(b"SSH-2.0-OpenSSH\r\n\r\n", closes=True),
    }


@both_ways
@pytest.mark.parametrize("trouble", _every_trouble())
def test_the_token_is_in_no_error_traceback_log_or_repr(ask, trouble, caplog) -> None:
    """Whatever goes wrong, at the most talkative log level."""
    caplog.set_level(logging.DEBUG)
    respond = _every_trouble()[trouble]
    with serving(respond or (lambda _: GOOD)) as server:
        url = server.url if respond else f"http://127.0.0.1:{free_port()}"
        transport = _transport(url)
        with pytest.raises(DbtCloudError) as caught:
            ask(transport)
    shown = [
        "".join(traceback.format_exception(caught.value)),
        caplog.text,
        repr(transport),
        repr(vars(transport)),
        repr(transport._prepared),
        repr(vars(caught.value)),
    ]
    assert [text for text in shown if TOKEN in text] == []


@both_ways
@pytest.mark.parametrize(
    "line", [f"Token {TOKEN}", f" {TOKEN}", f"X-{TOKEN}: 1", f"X: {TOKEN}", "X\x00"]
)
def test_a_head_that_repeats_the_token_tells_nobody(ask, line, caplog) -> None:
    """Whether it can be parsed or not: urllib3 would log what it cannot."""
    caplog.set_level(logging.DEBUG)
    head = f"HTTP/1.1 200 OK {TOKEN}\r\nX-First: 1\r\n{line}\r\nContent-Length: 1\r\n\r\n"
    with serving(lambda _: Reply(head.encode() + b"x", closes=True)) as server:
        assert ask(_transport(server.url)) == b"x"
    assert TOKEN not in caplog.text


@both_ways
def test_netrc_is_not_used(ask, tmp_path, monkeypatch) -> None:
    """Requests prefers what stands there to a header of ours, for the same host."""
    _netrc(tmp_path, monkeypatch)
    with serving(lambda _: GOOD) as server:
        ask(_transport(server.url))
    assert server.received[0].headers["authorization"] == f"Token {TOKEN}"


@both_ways
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_refusal(ask, status) -> None:
    """The token goes to no other host, and a POST that is redirected would become a GET."""
    with serving(lambda _: GOOD) as other:
        away = reply(status, headers={"Location": other.url})
        with serving(lambda _: away) as server, pytest.raises(DbtCloudResponseError) as caught:
            ask(_transport(server.url))
    assert caught.value.status_code == status
    assert other.url in str(caught.value)
    assert (len(server.received), other.received) == (1, [])


@both_ways
@pytest.mark.parametrize("location", ["http://[", "//", "\x01", "https://h:99999/", ""])
def test_a_redirect_to_nowhere_is_a_refusal_too(ask, location) -> None:
    """Nobody looks where it leads."""
    away = reply(302, headers={"Location": location})
    with serving(lambda _: away) as server, pytest.raises(DbtCloudResponseError) as caught:
        ask(_transport(server.url))
    assert caught.value.status_code == 302


@both_ways
@pytest.mark.parametrize("status", [101, 102, 103, 199, 206])
def test_a_status_that_nobody_asked_for_is_no_answer(ask, status) -> None:
    """After 103 Early Hints another answer follows, which is not taken for that to the next."""
    early = reply(status, headers={"Link": "</style.css>"})
    answers = iter([Reply(early.raw + reply(200, b"the first").raw), reply(200, b"the second")])
    with serving(lambda _: next(answers)) as server:
        transport = _transport(server.url)
        with pytest.raises(DbtCloudPayloadError, match=f"GET /x was answered {status}"):
            ask(transport)
        assert ask(transport) == b"the second"
    assert [request.connection for request in server.received] == [1, 2]


@both_ways
def test_a_server_that_says_to_go_on_is_listened_to_further(ask) -> None:
    """100 Continue is no answer, and the one that follows is."""
    both = Reply(b"HTTP/1.1 100 Continue\r\n\r\n" + reply(200, b"the answer").raw)
    with serving(lambda _: both) as server:
        assert ask(_transport(server.url)) == b"the answer"


@pytest.mark.parametrize("status", [201, 202, 203, 204, 226])
def test_a_file_comes_with_200_and_nothing_else(status) -> None:
    """An empty 204 is no empty file."""
    with (
        serving(lambda _: reply(status, b"" if status == 204 else b"x")) as server,
        pytest.raises(DbtCloudPayloadError, match=f"GET /x was answered {status}"),
    ):
        _fetch(_transport(server.url))


@both_ways
@pytest.mark.parametrize("size", [b"-1", b"-5", b"-fffffff", b"x", b"", b"f" * 40])
def test_a_chunk_of_a_size_that_is_none_is_a_broken_answer(ask, size) -> None:
    """A sentence, not a ValueError."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    odd = Reply(head + size + b"\r\nabcde\r\n0\r\n\r\n", closes=True)
    with (
        serving(lambda _: odd) as server,
        pytest.raises(DbtCloudRequestError, match="GET /x got no answer: "),
    ):
        ask(_transport(server.url))


@both_ways
@pytest.mark.parametrize("missing", [1, 8, 20])
def test_half_of_a_compressed_body_is_a_broken_answer(ask, missing) -> None:
    """Its length is right: of the half. An answer to a file may be compressed unasked."""
    cut = gzip.compress(b"x" * 1000)[:-missing]
    with (
        serving(lambda _: reply(200, cut, headers={"Content-Encoding": "gzip"})) as server,
        pytest.raises(DbtCloudRequestError, match="EOFError"),
    ):
        ask(_transport(server.url))


@both_ways
def test_a_compressed_body_without_a_byte_is_a_broken_answer(ask) -> None:
    """Without a length: the connection was cut. With one it is empty, as HTTP says."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
    with (
        serving(lambda _: Reply(head + b"\r\n", closes=True)) as server,
        pytest.raises(DbtCloudRequestError, match="EOFError"),
    ):
        ask(_transport(server.url))
    with serving(lambda _: Reply(head + b"Content-Length: 0\r\n\r\n")) as server:
        assert not ask(_transport(server.url))


@both_ways
def test_a_whole_compressed_body_is_unpacked_and_leaves_the_connection(ask) -> None:
    """Also where it is several of them, one after the other."""
    packed = gzip.compress(b"one ") + gzip.compress(b"two")
    with serving(lambda _: reply(200, packed, headers={"Content-Encoding": "gzip"})) as server:
        transport = _transport(server.url)
        assert [ask(transport), ask(transport)] == [b"one two"] * 2
    assert server.connections == 1


@both_ways
@pytest.mark.parametrize("encoding", ["", "identity", "Identity "])
def test_a_header_may_say_that_a_body_is_as_it_is(ask, encoding) -> None:
    """Also by saying nothing, as some gateways do that have unpacked it."""
    with serving(lambda _: reply(200, b"x", headers={"Content-Encoding": encoding})) as server:
        assert ask(_transport(server.url)) == b"x"


@both_ways
@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "rot13"])
def test_an_encoding_that_nobody_asked_for_is_no_answer(ask, encoding) -> None:
    """What cannot be unpacked is not kept as the file."""
    with (
        serving(lambda _: reply(200, b"x", headers={"Content-Encoding": encoding})) as server,
        pytest.raises(DbtCloudPayloadError, match=f"in an encoding: '{encoding}'"),
    ):
        ask(_transport(server.url))


@both_ways
def test_a_refused_connection_was_never_sent(ask) -> None:
    """Nobody listens, so nobody acted."""
    with pytest.raises(DbtCloudRequestError, match="refused") as caught:
        ask(_transport(f"http://127.0.0.1:{free_port()}"))
    assert not caught.value.may_have_been_sent


@both_ways
def test_an_unknown_host_was_never_sent(ask) -> None:
    """Reserved names resolve nowhere."""
    with pytest.raises(DbtCloudRequestError) as caught:
        ask(_transport("nowhere.invalid"))
    assert not caught.value.may_have_been_sent


@both_ways
@pytest.mark.parametrize(
    "answer",
    [
        Reset(),
        Reply(closes=True),
        Reply(b"HTTP/1.1 2", closes=True),
        Reply(b"no http at all\r\n\r\n", closes=True),
        reply(200, b'{"data": ', missing=5),
        Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", closes=True),
        reply(200, b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["reset", "closed", "half a status", "no http", "half a body", "half a chunk", "no gzip"],
)
def test_a_broken_answer_may_have_been_acted_on(ask, answer) -> None:
    """The request was out; what became of it is unknown. And it was sent once."""
    with serving(lambda _: answer) as server, pytest.raises(DbtCloudRequestError) as caught:
        ask(_transport(server.url))
    assert caught.value.may_have_been_sent
    assert len(server.received) == 1
    assert "\n" not in str(caught.value)


@both_ways
def test_a_refusal_whose_body_breaks_off_is_still_that_refusal(ask) -> None:
    """The status has arrived; it decides."""
    broken = reply(503, b"half of", missing=10)
    with serving(lambda _: broken) as server, pytest.raises(DbtCloudResponseError) as caught:
        ask(_transport(server.url))
    assert caught.value.status_code == 503
    assert "could not be read" in str(caught.value)


@both_ways
def test_a_request_that_is_not_answered_in_time_may_have_been_acted_on(ask) -> None:
    """The request timeout is an end, too."""
    with serving(lambda _: Silence()) as server, pytest.raises(DbtCloudRequestError) as caught:
        ask(_transport(server.url, request_timeout=0.05))
    assert caught.value.may_have_been_sent
    assert "timed out" in str(caught.value).lower()


@both_ways
def test_a_body_that_stops_coming_is_given_up_after_the_timeout(ask) -> None:
    """The head arrived, half of the body as well, and then nothing."""
    stalls = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    with serving(lambda _: stalls) as server, pytest.raises(DbtCloudRequestError) as caught:
        ask(_transport(server.url, request_timeout=0.05))
    assert caught.value.may_have_been_sent


@both_ways
def test_a_hanging_request_ends_with_the_deadline(ask) -> None:
    """A request timeout of a minute does not make a wait of a moment longer."""
    clock = SystemClock()
    began = clock.monotonic()
    with serving(lambda _: Silence()) as server, pytest.raises(DbtCloudRequestError):
        ask(_transport(server.url, request_timeout=60), deadline=Deadline.after(0.05, clock))
    assert clock.monotonic() - began < 5


@both_ways
@pytest.mark.parametrize(
    "end", ["Content-Length: 100000", "Transfer-Encoding: chunked", "Connection: close"]
)
def test_a_body_that_trickles_ends_with_the_deadline(end, ask) -> None:
    """Each byte comes in good time, and all of them would take for ever."""
    body = b"x" * 100_000 if "Length" in end else b"1\r\nx\r\n" * 20_000
    drip = Drip(f"HTTP/1.1 200 OK\r\n{end}\r\n\r\n".encode() + body, pause=0.01)
    clock = SystemClock()
    began = clock.monotonic()
    with (
        serving(lambda _: drip) as server,
        pytest.raises(DbtCloudRequestError, match="did not end in time"),
    ):
        ask(_transport(server.url, request_timeout=60), deadline=Deadline.after(0.3, clock))
    assert clock.monotonic() - began < 2


def _dripping_head(pause: float) -> Drip:
    lines = "".join(f"X-{number}: y\r\n" for number in range(90))
    head = f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n"
    return Drip(head.encode(), pause=pause, head_too=True)


@both_ways
def test_a_head_that_drips_ends_with_the_deadline(ask) -> None:
    """Each byte comes in good time, and the last of them in a quarter of an hour."""
    clock = SystemClock()
    began = clock.monotonic()
    with (
        serving(lambda _: _dripping_head(0.01)) as server,
        pytest.raises(DbtCloudRequestError, match="did not end in time") as caught,
    ):
        ask(_transport(server.url, request_timeout=60), deadline=Deadline.after(0.2, clock))
    assert clock.monotonic() - began < 2
    assert caught.value.may_have_been_sent


@both_ways
def test_a_head_that_drips_ends_with_the_request_timeout(ask) -> None:
    """Without a deadline as well: a head is one piece of an answer."""
    clock = SystemClock()
    began = clock.monotonic()
    with (
        serving(lambda _: _dripping_head(0.01)) as server,
        pytest.raises(DbtCloudRequestError, match="did not end in time"),
    ):
        ask(_transport(server.url, request_timeout=0.2))
    assert clock.monotonic() - began < 2


@both_ways
def test_a_body_that_comes_in_pieces_may_take_longer_than_the_request_timeout(ask) -> None:
    """Big artifacts do; only each piece has to come in time."""
    drip = Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 20, pause=0.02)
    with serving(lambda _: drip) as server:
        assert ask(_transport(server.url, request_timeout=0.3)) == b"x" * 20


@both_ways
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"])
def test_a_cancellation_ends_a_request_that_hangs(ask, sent) -> None:
    """Before its answer or in the middle; long before its timeout."""
    clock, cancellation = SystemClock(), Cancellation()
    began = clock.monotonic()

    def respond(_: Received) -> Reply | Silence:
        cancellation.cancel()
        return Reply(sent) if sent else Silence()

    with serving(respond) as server, pytest.raises(DbtCloudRequestError, match="did not end"):
        ask(
            _transport(server.url, request_timeout=60),
            deadline=Deadline.until_cancelled(cancellation, clock),
        )
    assert clock.monotonic() - began < 5


@both_ways
def test_an_answer_that_lets_wait_arrives_whole(ask) -> None:
    """It is looked for again and again, and nothing of it is lost."""
    slow = Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", pause=0.3)
    with serving(lambda _: slow) as server:
        assert ask(_transport(server.url)) == b"ab"


@both_ways
def test_a_body_that_drips_ends_without_a_deadline_too(ask) -> None:
    """A file may be of any size, but each piece of it comes in some time."""
    clock = SystemClock()
    drip = Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000, pause=0.02)
    with serving(lambda _: drip) as server:
        began = clock.monotonic()
        with pytest.raises(DbtCloudRequestError, match="did not end in time"):
            ask(_transport(server.url, request_timeout=0.05))
    assert clock.monotonic() - began < 60


@both_ways
def test_an_answer_that_is_no_http_does_not_fill_the_log(ask) -> None:
    """Its first line is told, and that may be all of a file."""
    no_http = Reply(b"x" * 50_000 + b"\r\n", closes=True)
    with serving(lambda _: no_http) as server, pytest.raises(DbtCloudRequestError) as caught:
        ask(_transport(server.url))
    assert "BadStatusLine: xxx" in str(caught.value)
    assert len(str(caught.value)) < 1200


@both_ways
def test_a_request_whose_time_is_over_is_not_sent(ask, clock) -> None:
    """And says that it was not."""
    with serving(lambda _: GOOD) as server, pytest.raises(DbtCloudRequestError) as caught:
        ask(_transport(server.url), deadline=Deadline.after(0, clock))
    assert not caught.value.may_have_been_sent
    assert server.received == []


class _Racing:
    """A clock on which each look takes a second."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now

    def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@both_ways
def test_a_request_whose_time_runs_out_while_it_connects_is_not_sent(ask) -> None:
    """Whoever gave up meanwhile wants no run any more."""
    with serving(lambda _: GOOD) as server:
        with pytest.raises(DbtCloudRequestError, match="did not end in time") as caught:
            ask(_transport(server.url), deadline=Deadline.after(1.5, _Racing()))
        assert server.closed.acquire(timeout=10)
    assert not caught.value.may_have_been_sent
    assert server.received == []


@both_ways
def test_the_last_moment_before_a_deadline_is_no_timeout_of_zero(ask) -> None:
    """The time may run out while it is looked at; a timeout of zero is a ValueError of urllib3."""
    for seconds in (1, 2, 3, 4):
        with pytest.raises(DbtCloudRequestError):
            ask(
                _transport(f"http://127.0.0.1:{free_port()}"),
                deadline=Deadline.after(seconds, _Racing()),
            )


@contextmanager
def _black_hole() -> Iterator[str]:
    """The address of a host that does not answer who wants a connection: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as queue:
        for _ in range(_LONGEST_QUEUE):
            sock = queue.enter_context(socket.socket())
            sock.settimeout(0.3)
            try:
                sock.connect(listener.getsockname())
            except TimeoutError:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
                return
    pytest.skip("here a queue has no end")


@both_ways
def test_a_host_that_takes_no_connection_ends_with_a_cancellation(ask, monkeypatch) -> None:
    """A packet that is dropped is sent again and again, for as long as a request may wait."""
    cancellation, connects = Cancellation(), threading.Event()
    deadline = Deadline.until_cancelled(cancellation, SystemClock())
    connect = socket.socket.connect

    def tell(sock: socket.socket, address: Any) -> None:
        connects.set()
        connect(sock, address)

    with _black_hole() as url, ThreadPoolExecutor() as executor:
        monkeypatch.setattr(socket.socket, "connect", tell)
        asked = executor.submit(ask, _transport(url, request_timeout=3600), deadline=deadline)
        assert connects.wait(60)
        cancellation.cancel()
        failed = asked.exception(timeout=60)
    assert isinstance(failed, DbtCloudRequestError)
    assert not failed.may_have_been_sent


@pytest.fixture
def silent_name_server(monkeypatch) -> Iterator[threading.Event]:
    """Is set once it is asked for localhost; it answers when nobody listens any more."""
    asked, is_over = threading.Event(), threading.Event()
    look_up = socket.getaddrinfo

    def wait_for_it(host: str, *arguments: Any) -> Any:
        if host == "localhost":
            asked.set()
            is_over.wait()
        return look_up(host, *arguments)

    monkeypatch.setattr(socket, "getaddrinfo", wait_for_it)
    yield asked
    is_over.set()
    for thread in threading.enumerate():
        if thread.name == "connection":
            thread.join()


def _by_name(server: Server) -> str:
    return server.url.replace("127.0.0.1", "localhost")


@both_ways
def test_a_name_server_that_does_not_answer_ends_with_a_cancellation(
    ask, silent_name_server: threading.Event
) -> None:
    """Nothing ends a look-up."""
    cancellation = Cancellation()
    deadline = Deadline.until_cancelled(cancellation, SystemClock())
    with serving(lambda _: GOOD) as server, ThreadPoolExecutor() as executor:
        asked = executor.submit(ask, _transport(_by_name(server)), deadline=deadline)
        silent_name_server.wait()
        cancellation.cancel()
        failed = asked.exception(timeout=60)
    assert isinstance(failed, DbtCloudRequestError)
    assert not failed.may_have_been_sent


@both_ways
def test_a_name_server_that_does_not_answer_lets_an_interrupt_through(
    ask, silent_name_server: threading.Event
) -> None:
    """Python handles signals between two steps of its own, and a look-up is one."""
    with (
        serving(lambda _: GOOD) as server,
        another_thread_gets(signal.SIGINT, wanted=silent_name_server),
        pytest.raises(KeyboardInterrupt),
    ):
        ask(_transport(_by_name(server)))


def test_requests_and_files_share_their_connections() -> None:
    """What was opened to list the artifacts downloads the first of them."""
    with serving(lambda _: GOOD) as server:
        transport = _transport(server.url)
        for ask in (_ask, _fetch, _fetch, _ask):
            ask(transport)
    assert server.connections == 1


@both_ways
def test_a_refusal_costs_no_connection(ask) -> None:
    """Its body is read, so that the connection can be used again."""
    answers = iter([reply(404, b"{}"), GOOD])
    with serving(lambda _: next(answers)) as server:
        transport = _transport(server.url)
        with pytest.raises(DbtCloudResponseError):
            ask(transport)
        ask(transport)
    assert server.connections == 1


@both_ways
def test_a_closed_transport_opens_what_it_needs(ask) -> None:
    """Closing ends the connections; who asks again gets a new one."""
    with serving(lambda _: GOOD) as server:
        transport = _transport(server.url)
        ask(transport)
        transport.close()
        ask(transport)
    assert server.connections == 2


def test_one_connection_serves_many_requests() -> None:
    """Refusals and redirects do not cost a new one either."""
    answers = iter([GOOD, reply(404, b"{}"), GOOD, reply(302, headers={"Location": "/"}), GOOD])
    with serving(lambda _: next(answers)) as server:
        transport = _transport(server.url)
        for _ in range(5):
            try:
                _ask(transport)
            except DbtCloudResponseError:
                continue
    assert len(server.received) == 5
    assert server.connections == 1


@both_ways
def test_a_connection_that_the_server_has_closed_meanwhile_is_replaced(ask) -> None:
    """Idle connections end after a while; that is no error."""
    closed = reply(200, b'{"data": 1}', closes=True)
    with serving(lambda _: closed) as server:
        transport = _transport(server.url)
        assert ask(transport) == b'{"data": 1}'
        assert server.closed.acquire(timeout=5)
        assert ask(transport) == b'{"data": 1}'
    assert [request.connection for request in server.received] == [1, 2]


@both_ways
def test_after_a_broken_answer_the_next_request_gets_a_good_connection(ask) -> None:
    """What was left of the first answer is not taken for the second."""
    answers = iter([reply(200, b'{"data": ', missing=5), GOOD])
    with serving(lambda _: next(answers)) as server:
        transport = _transport(server.url)
        with pytest.raises(DbtCloudRequestError):
            ask(transport)
        assert ask(transport) == b'{"data": 1}'


@both_ways
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_never_asked_for_through_a_proxy(ask, variable, host, monkeypatch) -> None:
    """Though no NO_PROXY excepts it: the proxy could not reach it, and would get the token."""
    with serving(lambda _: GOOD) as server, serving(lambda _: GOOD) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        assert ask(_transport(f"http://{host}:{server.port}")) == b'{"data": 1}'
    assert (len(server.received), proxy.connections) == (1, 0)


@both_ways
def test_a_host_that_the_environment_excepts_from_its_proxy_is_asked_itself(
    ask, monkeypatch
) -> None:
    """NO_PROXY is for hosts within the company."""
    with serving(lambda _: GOOD) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "nowhere.invalid")
        with pytest.raises(DbtCloudRequestError, match=r"access_url and the network\.$"):
            ask(_transport("https://nowhere.invalid"))
    assert proxy.connections == 0


def _advice_after(ask: Callable[..., bytes], url: str) -> str:
    """What is advised where nothing was sent."""
    with pytest.raises(DbtCloudRequestError) as caught:
        ask(_transport(url, request_timeout=2))
    assert not caught.value.may_have_been_sent
    assert str(caught.value).count(". ") == 1, "what happened, and what to do"
    return str(caught.value).partition(". ")[2]


@both_ways
@pytest.mark.parametrize("status", [403, 407, 502])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_refuses_is_named_and_nothing_was_sent(
    ask, status, variable, monkeypatch
) -> None:
    """It is asked for a tunnel; what would be inside, the token too, is not for it."""
    with serving(lambda _: reply(status)) as proxy:
        monkeypatch.setenv(variable, f"http://joe:sesame@127.0.0.1:{proxy.port}")
        advice = _advice_after(ask, "https://nowhere.invalid")
    assert f"the proxy of {variable} (NO_PROXY excepts hosts)" in advice
    assert "sesame" not in advice
    assert {request.method for request in proxy.received} == {"CONNECT"}
    assert TOKEN not in str(proxy.received)


@both_ways
@pytest.mark.parametrize("place", ["127.0.0.1:99999", "[half", "127.0.0.1:1"])
def test_the_password_of_a_proxy_is_not_told(ask, monkeypatch, place) -> None:
    """Whatever is wrong with its URL."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://joe:ses@me@{place}")
    with pytest.raises(DbtCloudRequestError) as caught:
        ask(_transport("https://nowhere.invalid"))
    told = "".join(traceback.format_exception(caught.value))
    assert "joe" not in told
    assert "me@" not in told


@both_ways
def test_a_dead_proxy_is_named_and_nothing_was_sent(ask, monkeypatch) -> None:
    """Nobody listens there."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    assert "the proxy of HTTPS_PROXY" in _advice_after(ask, "https://nowhere.invalid")


@both_ways
def test_a_proxy_that_drips_ends_with_the_deadline(ask, monkeypatch) -> None:
    """Its answer is the first that is waited for."""
    clock = SystemClock()
    began = clock.monotonic()
    with serving(lambda _: _dripping_head(0.01)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(DbtCloudRequestError, match="did not end in time") as caught:
            ask(_transport("https://nowhere.invalid"), deadline=Deadline.after(0.2, clock))
    assert not caught.value.may_have_been_sent
    assert clock.monotonic() - began < 2


@both_ways
def test_https_to_a_port_that_speaks_http_sends_nothing(ask) -> None:
    """The encryption never came about, so the token never left."""
    with serving(lambda _: GOOD) as server:
        advice = _advice_after(ask, f"https://127.0.0.1:{server.port}")
    assert "check access_url and the network" in advice
    assert TOKEN not in str(server.received)


@both_ways
@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_of_certificates_that_is_none_is_named(
    ask, variable, content, tmp_path, monkeypatch
) -> None:
    """A sentence, not an OSError; nothing was sent."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    monkeypatch.setenv(variable, str(bundle))
    with serving(lambda _: GOOD) as server:
        advice = _advice_after(ask, f"https://127.0.0.1:{server.port}")
    assert f"the certificates in {variable}" in advice


@both_ways
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_certificate_that_the_environment_trusts_is_trusted(
    ask, variable, tmp_path, monkeypatch
) -> None:
    """Companies have authorities of their own; an answer that lets wait arrives whole here too."""
    slow = Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", pause=0.3)
    with serving(lambda _: slow) as server, https_for(server.url, tmp_path) as secure:
        monkeypatch.setenv(variable, str(secure.certificate))
        assert ask(_transport(f"https://{secure.host}")) == b"a"


@both_ways
@pytest.mark.parametrize("environment", [{}, {"CURL_CA_BUNDLE": ""}, {"PYTHONHTTPSVERIFY": "0"}])
def test_a_certificate_that_nobody_knows_gets_no_token(
    ask, environment, tmp_path, monkeypatch
) -> None:
    """Whoever stands between here and dbt Cloud; and no variable switches that off."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with serving(lambda _: GOOD) as server, https_for(server.url, tmp_path) as secure:
        assert "check access_url and the network, REQUESTS_CA_BUNDLE" in _advice_after(
            ask, f"https://{secure.host}"
        )
        assert server.received == []


@both_ways
def test_an_encrypted_answer_that_drips_ends_with_the_deadline(ask, tmp_path, monkeypatch) -> None:
    """What is read after the end is not taken for the answer."""
    drip = Drip(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 1000, pause=0.01)
    clock = SystemClock()
    with serving(lambda _: drip) as server, https_for(server.url, tmp_path) as secure:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure.certificate))
        began = clock.monotonic()
        with pytest.raises(DbtCloudRequestError, match="did not end in time"):
            ask(_transport(f"https://{secure.host}"), deadline=Deadline.after(0.5, clock))
    assert clock.monotonic() - began < 4


_ENDLESS_HANDSHAKE = Drip(b"\x16\x03\x03\x40\x00" + bytes(0x4000), pause=0.01, head_too=True)
"""The announcement of 16 KiB of a TLS server's first words, and those, byte by byte."""


@both_ways
@pytest.mark.parametrize("limit", ["deadline", "request timeout"])
def test_an_encryption_that_drips_ends_in_time(ask, limit) -> None:
    """Nothing has left, so a request that starts a run may be sent again."""
    clock = SystemClock()
    ends_at_the_deadline = limit == "deadline"
    with serving(lambda _: GOOD, unasked=_ENDLESS_HANDSHAKE) as server:
        transport = _transport(
            f"https://127.0.0.1:{server.port}", request_timeout=30 if ends_at_the_deadline else 0.5
        )
        deadline = Deadline.after(0.5 if ends_at_the_deadline else 30, clock)
        began = clock.monotonic()
        with pytest.raises(DbtCloudRequestError, match="did not end in time") as caught:
            ask(transport, deadline=deadline)
    assert not caught.value.may_have_been_sent
    assert clock.monotonic() - began < 10


_STAGES: dict[str, Callable[[Exchange, BaseHTTPResponse], None]] = {
    "connecting": lambda exchange, response: exchange.connects_over(response.connection.sock, 30),
    "sending": lambda exchange, response: exchange.leaves(response.connection),
    "reading": lambda exchange, response: exchange.is_answered_by(response),
}


@pytest.mark.parametrize("stage", _STAGES)
def test_whoever_hangs_up_leaves_the_encryption_in_place(stage, tmp_path, clock) -> None:
    """Another thread may be about to send the token, which would leave in the clear."""
    exchange = Exchange(Deadline.after(1, clock))
    with serving(lambda _: GOOD) as server, https_for(server.url, tmp_path) as secure:
        host, _, port = secure.host.partition(":")
        trusted = str(secure.certificate)
        with HTTPSConnectionPool(host, int(port), timeout=10, ca_certs=trusted) as pool:
            response = pool.urlopen("GET", "/", preload_content=False)
            exchange.leaves(response.connection)
            _STAGES[stage](exchange, response)
            sock = response.connection.sock
            clock.now += 2
            exchange.end_if_over()
            assert sock.version().startswith("TLS")
            assert sock.recv(1) == b""
            response.close()
            exchange.close()
    assert exchange.was_ended


def _bomb() -> Reply:
    """1 MB of gzip that holds 1 GiB."""
    packed = gzip.compress(bytes(64 * 1024**2)) * 16
    assert len(packed) < 1_100_000
    return reply(200, packed, headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize("is_file", [True, False])
def test_a_bomb_is_given_up_before_it_fills_the_memory(is_file) -> None:
    """At the size that any JSON may have, and at a hundred times what came."""
    bomb, seen = _bomb(), []
    with (
        serving(lambda _: bomb) as server,
        _transport(server.url).open("GET", "/x", is_file=is_file) as answer,
        pytest.raises(DbtCloudPayloadError, match="unpacks to more than 100 times its size"),
    ):
        seen.extend(map(len, answer.chunks()))
    assert max(seen) <= CHUNK_SIZE
    assert sum(seen) <= MAX_RATIO * 1_100_000


def test_a_json_answer_has_a_largest_size() -> None:
    """64 MiB; a file has none."""
    large = reply(200, b'{"data": "' + b"x" * 65 * 1024**2 + b'"}')
    with serving(lambda _: large) as server:
        transport = _transport(server.url)
        assert len(_fetch(transport)) > 65 * 1024**2
        with (
            transport.open("GET", "/x") as answer,
            pytest.raises(DbtCloudPayloadError, match="answered with more than 64 MiB"),
        ):
            answer.envelope()


def test_a_good_answer_of_the_documented_form_is_read(api) -> None:
    """Any 2xx will do: a job that was made is a 201."""
    api.get(f"{ACCESS_URL}/x", json=envelope({"id": 1}), status=201)
    with _transport().open("GET", "/x") as answer:
        assert answer.envelope()["data"] == {"id": 1}
