"""Answers of dbt Cloud, and what comes in their place, as values and errors of ours."""

import email.utils
import html
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timezone
from typing import Any
from urllib.parse import quote

import requests
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
)

from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudAuthError,
    DbtCloudNotFoundError,
    DbtCloudPayloadError,
    DbtCloudRateLimitError,
    DbtCloudRequestError,
    DbtCloudResponseError,
)
from dbt_trigger_dagster.dbt_cloud.text import one_line

CHUNK_SIZE = 1024 * 1024
"""Most bytes of a body that are handed out at a time."""

_EXCERPT = 200
_NEVER_SENT = (
    requests.ConnectTimeout,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    ClosedPoolError,
    ConnectTimeoutError,  # and its subclasses: refused, unknown host
    LocationValueError,
)
_ERROR_TYPES: dict[int, type[DbtCloudResponseError]] = {
    401: DbtCloudAuthError,
    403: DbtCloudAuthError,
    404: DbtCloudNotFoundError,
    429: DbtCloudRateLimitError,
}
_HINTS = {
    401: "The token is wrong, or access_url is not the account's own host: a good token on "
    "another region's host gets the same answer.",
    403: "The token is not for this account, or may not do this: check account_id and the "
    "token's permissions.",
    404: "The id is wrong, or the token has no permission to see it.",
}


class Answer:
    """An answer whose body has not been read yet.

    Args:
        response: As urllib3 has it.
        asked: What was asked, for messages.
        token: What must not stand in a message, should the answer repeat it.
    """

    def __init__(self, response: BaseHTTPResponse, asked: str, *, token: str) -> None:
        self._response = response
        self._asked = asked
        self._token = token

    @property
    def status_code(self) -> int:
        """The answer's HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers; names are case-insensitive."""
        return self._response.headers

    @property
    def moved_to(self) -> str | None:
        """Where a redirect leads; None for any other answer."""
        return self._response.get_redirect_location() or None

    def without_token(self, text: str) -> str:
        """What the answer says, as it may stand in a message: servers do repeat what they got."""
        for form in _forms_of(self._token):
            text = text.replace(form, "(the token)")
        return text

    def chunks(self) -> Iterator[bytes]:
        """The body's bytes, at most `CHUNK_SIZE` at a time.

        Raises:
            DbtCloudRequestError: The body ends early, or does not end in time.
        """
        is_encoded = "Content-Encoding" in self.headers  # urllib3 copies what it may have to decode
        with as_request_error(self._asked):
            yield from self._response.stream(CHUNK_SIZE, decode_content=is_encoded)

    def envelope(self) -> Mapping[str, Any]:
        """The body as dbt Cloud's envelope: a JSON object with ``data``.

        Raises:
            DbtCloudPayloadError: The body is something else.
            DbtCloudRequestError: As for `chunks`.
        """
        content = b"".join(self.chunks())
        body = _parse_json(content)
        if not isinstance(body, dict) or "data" not in body:
            raise DbtCloudPayloadError(
                f"{self._asked} was answered {self.status_code} with a body that is not "
                f"dbt Cloud's API: {_excerpt(self, content)} Check access_url."
            )
        return body


def _forms_of(token: str) -> list[str]:
    """A token as HTTP, JSON, URLs and HTML write it; the longest first."""
    forms = {token, json.dumps(token)[1:-1], quote(token, safe=""), html.escape(token)}
    return sorted(forms - {""}, key=len, reverse=True)


@contextmanager
def as_request_error(asked: str, host: str = "dbt Cloud") -> Iterator[None]:
    """Turn what requests and urllib3 raise into our error: did nothing leave, or may it have?

    Args:
        asked: What was asked, for the message.
        host: Whom, likewise.
    """
    try:
        yield
    except (requests.RequestException, HTTPError) as error:
        never_sent = _was_never_sent(error)
        hint = (
            f" No connection to {host} was made: check access_url and the network."
            if never_sent
            else ""
        )
        raise DbtCloudRequestError(
            f"{asked} got no answer: {_innermost(error)}.{hint}", may_have_been_sent=not never_sent
        ) from error


def _was_never_sent(error: Exception) -> bool:
    """Whether the connection was never made; requests' error may hide urllib3's, and its reason."""
    hidden = error.args[0] if error.args else None
    reasons = (error, getattr(error, "reason", None), getattr(hidden, "reason", None))
    return any(isinstance(reason, _NEVER_SENT) for reason in reasons)


def _innermost(error: BaseException) -> str:
    """What the lowest layer said, in one line; the layers above repeat it in their own words."""
    cause: BaseException | None = error
    while cause is not None:
        error, cause = cause, cause.__cause__ or cause.__context__
    return one_line(f"{type(error).__name__}: {error}").rstrip(".")


def as_response_error(answer: Answer, asked: str) -> DbtCloudResponseError:
    """A refusal as our error, with what dbt Cloud said and a hint where one helps."""
    status_code = answer.status_code
    error_type = _ERROR_TYPES.get(status_code, DbtCloudResponseError)
    said = _what_was_said(answer)
    hint = _HINTS.get(status_code, "")
    return error_type(
        f"{asked} was answered {status_code}: {said} {hint}".rstrip(),
        status_code=status_code,
        retry_after=parse_retry_after(answer.headers.get("Retry-After")),
    )


def _what_was_said(answer: Answer) -> str:
    if answer.moved_to:
        location = answer.without_token(
            one_line(answer.moved_to.partition("?")[0])
        )  # a query may sign it
        return f"moved to {location}. Set access_url to that host."
    try:
        content = b"".join(answer.chunks())
    except DbtCloudRequestError:
        return "(the body could not be read)"
    return answer.without_token(_message_in(_parse_json(content))) or _excerpt(answer, content)


def _message_in(body: Any) -> str:
    """What an error body of dbt Cloud says; empty when it is none."""
    if not isinstance(body, dict):
        return ""
    status = body.get("status")
    message = status.get("user_message") if isinstance(status, dict) else body.get("detail")
    details = body.get("data")
    if isinstance(details, dict):
        details = "; ".join(f"{name}: {what}" for name, what in details.items())
    return one_line(" ".join(str(part) for part in (message, details) if part))


def _parse_json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _excerpt(answer: Answer, content: bytes) -> str:
    text = one_line(answer.without_token(content.decode("utf-8", "replace")))
    if not text:
        return "(an empty body)."
    return repr(text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else ""))


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from now that a Retry-After header names, as a number or as a date.

    Anything else is as good as no header.
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000" is UTC as well; without this it would be local time
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, moment.timestamp() - time.time())
