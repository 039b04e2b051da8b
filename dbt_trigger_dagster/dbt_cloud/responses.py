"""Responses of dbt Cloud, as they come in: bytes of a file, or a JSON envelope.

Here is where the token is taken out of what dbt Cloud says, where sizes are limited, and where what
no JSON has (infinite numbers) stays out. A file's bytes stay as they are.
"""

import gzip
import http.client
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from requests.structures import CaseInsensitiveDict
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudPayloadError, DbtCloudRequestError
from dbt_trigger_dagster.dbt_cloud.exchange import Exchange
from dbt_trigger_dagster.dbt_cloud.redaction import Redaction
from dbt_trigger_dagster.dbt_cloud.text import excerpt, one_line

CHUNK_SIZE = 1024 * 1024
"""Most bytes of a body that are handed out at a time."""

MAX_JSON = 64 * 1024 * 1024
"""Most bytes of a JSON body, unpacked."""

MAX_RATIO = 100
"""How many times its packed size a file may have that is larger than `MAX_JSON`."""

_BEGINNING = 4096
_LONGEST_MESSAGE = 1000
_WORD = re.compile(r"\S+")
_TROUBLE = (
    requests.RequestException,
    HTTPError,
    http.client.HTTPException,
    OSError,  # a CA file that is missing; no gzip
    EOFError,  # half a gzip
    zlib.error,
    ValueError,  # a chunk of negative size
)
"""What requests, urllib3, http.client and gzip raise over a host or an answer."""


class Response:
    """A response whose body has not been read yet.

    Args:
        raw: As urllib3 has it.
        asked: What was asked, for messages.
        exchange: What it belongs to.
        redaction: Takes out the token, should the answer repeat it.

    Attributes:
        is_end_known: Whether the answer says where its body ends; else the end of the connection
            does, which may come early.
    """

    def __init__(
        self, raw: BaseHTTPResponse, asked: str, exchange: Exchange, redaction: Redaction
    ) -> None:
        self.asked = asked
        self.status_code = raw.status
        self.headers: Mapping[str, str] = CaseInsensitiveDict(
            (redaction.text(name), redaction.text(value)) for name, value in raw.headers.items()
        )
        self.is_end_known = _is_end_known(raw)
        self._raw = raw
        raw.decode_content = False
        self._exchange = exchange
        self._redaction = redaction

    def chunks(self) -> Iterator[bytes]:
        """The body's bytes, at most `CHUNK_SIZE` at a time.

        Raises:
            DbtCloudRequestError: The body ends early, or does not end in time.
            DbtCloudPayloadError: It is packed in a way that nobody asked for, or is a bomb.
        """
        with as_request_error(self.asked, self._exchange, self._redaction):
            for chunk in self._decoded():
                self._exchange.has_a_piece()
                _check_in_time(self._exchange)
                yield chunk
                self._exchange.expects_a_piece()
            self._exchange.has_a_piece()
            _check_in_time(self._exchange)  # a body without a length ends without a word

    def _decoded(self) -> Iterator[bytes]:
        transfer = self.headers.get("Transfer-Encoding", "identity").strip().lower()
        if transfer not in {"identity", "chunked"}:
            raise DbtCloudPayloadError(f"{self.asked} was answered in an encoding: {transfer!r}.")
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        if encoding in {"", "identity"}:
            yield from self._raw.stream(CHUNK_SIZE, decode_content=False)
        elif encoding in {"gzip", "x-gzip"}:
            yield from self._unzipped()
        else:
            raise DbtCloudPayloadError(f"{self.asked} was answered in an encoding: {encoding!r}.")

    def _unzipped(self) -> Iterator[bytes]:
        # Not by urllib3, which takes half a stream for a whole one.
        size = 0
        with gzip.GzipFile(fileobj=self._raw, mode="rb") as unpacked:
            while chunk := unpacked.read1(CHUNK_SIZE):
                size += len(chunk)
                if size > max(MAX_JSON, MAX_RATIO * self._raw.tell()):
                    raise DbtCloudPayloadError(
                        f"{self.asked} was answered with a body that unpacks to more than "
                        f"{MAX_RATIO} times its size."
                    )
                yield chunk
        # gzip takes no bytes at all for a whole stream.
        if not self._raw.tell() and not _is_framed(self._raw):
            raise EOFError("the body is empty")

    def envelope(self) -> Mapping[str, Any]:
        """The body as dbt Cloud's envelope: a JSON object with ``data``.

        Raises:
            DbtCloudPayloadError: The body is something else, or says that it is no success.
            DbtCloudRequestError: As for `chunks`.
        """
        body = self.body()
        if not isinstance(body, dict) or "data" not in body:
            raise DbtCloudPayloadError(
                f"{self.asked} was answered {self.status_code} with a body that is not "
                f"dbt Cloud's API: {excerpt(body)} Check access_url."
            )
        status = body.get("status")
        if body["data"] is None and isinstance(status, dict) and status.get("is_success") is False:
            raise DbtCloudPayloadError(
                f"{self.asked} was answered {self.status_code}, but without success: "
                f"{message_in(body) or excerpt(body)}"
            )
        return body

    def body(self) -> Any:
        """What the body's JSON holds, or the beginning of its text where it is none.

        Raises:
            DbtCloudPayloadError: It is too large.
            DbtCloudRequestError: As for `chunks`.
        """
        content = bytearray()
        for chunk in self.chunks():
            content += chunk
            if len(content) > MAX_JSON:
                raise DbtCloudPayloadError(
                    f"{self.asked} was answered with more than {MAX_JSON // 1024**2} MiB."
                )
        try:
            return self._redaction.data(
                json.loads(content, parse_constant=lambda _: None, parse_float=_finite)
            )
        except (ValueError, RecursionError):
            return self._redaction.text(content[:_BEGINNING].decode("utf-8", "replace"))


def _is_end_known(raw: Any) -> bool:
    """Whether urllib3 checks where a body ends; a gzip says it itself."""
    return _is_framed(raw) or "gzip" in raw.headers.get("Content-Encoding", "").lower()


def _is_framed(raw: Any) -> bool:
    """Whether HTTP says where a body ends."""
    return bool(raw.chunked) or raw.length_remaining is not None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _check_in_time(exchange: Exchange) -> None:
    if exchange.was_ended:
        raise TimeoutError


def message_in(body: Any) -> str:
    """What an envelope of dbt Cloud says; empty when it is none."""
    if not isinstance(body, dict):
        return ""
    status = body.get("status")
    message = status.get("user_message") if isinstance(status, dict) else body.get("detail")
    parts = [str(message or ""), _details_in(body.get("data"))]
    return one_line(" ".join(filter(None, parts)))[:_LONGEST_MESSAGE]


def _details_in(data: Any) -> str:
    """What the data of a refusal says, in words: which fields are wrong, and why."""
    if isinstance(data, dict):
        named = ((name, _details_in(what)) for name, what in data.items())
        return "; ".join(f"{name}: {words}" for name, words in named if words)
    if isinstance(data, list):
        return "; ".join(filter(None, map(_details_in, data)))
    return data if isinstance(data, str) else ""


@contextmanager
def as_request_error(
    asked: str,
    exchange: Exchange,
    redaction: Redaction,
    advice: Callable[[str], str] = lambda _: "",
) -> Iterator[None]:
    """Turn what requests, urllib3 and gzip raise into our error.

    Args:
        asked: What was asked, for the message.
        exchange: Tells how far it got.
        redaction: Takes out the token, should a host have repeated it. The password of a proxy,
            whose URL is told where it cannot be read, is taken out as well.
        advice: What to check where nothing was sent, by what went wrong.
    """
    try:
        yield
    except _TROUBLE as error:
        said = _without_password(redaction.text(_what_went_wrong(error, exchange)))
        chain = _chain(error)
        # The causes would be shown below ours.
        cause = error if _without_password(redaction.text(chain)) == chain else None
    else:
        return
    hint = "" if exchange.may_have_been_sent else advice(said)
    raise DbtCloudRequestError(
        f"{asked} got no answer: {said}.{hint}", may_have_been_sent=exchange.may_have_been_sent
    ) from cause


def _without_password(text: str) -> str:
    """A text whose URLs begin with their hosts."""
    return _WORD.sub(lambda word: _from_host(word[0]), text)


def _from_host(word: str) -> str:
    before, slashes, url = word.partition("//")
    return f"{before}{slashes}{url.rpartition('@')[2]}"


def _what_went_wrong(error: BaseException, exchange: Exchange) -> str:
    """What the lowest layer said, in one line; the layers above repeat it in their own words."""
    if exchange.was_ended:
        return "timed out: the answer did not end in time"
    *_, innermost = _causes(error)
    told = one_line(f"{type(innermost).__name__}: {innermost}").rstrip(".")
    return told if len(told) <= _LONGEST_MESSAGE else f"{told[:_LONGEST_MESSAGE]}…"


def _chain(error: BaseException) -> str:
    return "\n".join(f"{cause} {cause!r}" for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
