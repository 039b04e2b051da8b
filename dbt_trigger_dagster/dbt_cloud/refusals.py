"""Refusals of dbt Cloud as errors of ours: what was said, and a hint where one helps."""

import email.utils
import time
from datetime import timezone
from typing import Any

from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudAuthError,
    DbtCloudError,
    DbtCloudNotFoundError,
    DbtCloudRateLimitError,
    DbtCloudResponseError,
)
from dbt_trigger_dagster.dbt_cloud.responses import Response, message_in
from dbt_trigger_dagster.dbt_cloud.text import excerpt, one_line

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
_IP_HINT = (
    "The account's IP restrictions do not let this machine in: dbt Cloud, Account settings, "
    "IP restrictions."
)
_ARTIFACT_HINT = "The run has left no such file, or dbt Cloud does not keep it any more."
_RUN_HINT = (
    "The id is wrong, the token has no permission to see it, or dbt Cloud has purged the run."
)
_REDIRECT_HINT = (
    "The token was not sent there. Check that access_url is what dbt Cloud shows: Account "
    "settings, Account information, Access URL."
)
_FIRST_CLIENT_ERROR = 400


def as_response_error(response: Response) -> DbtCloudResponseError:
    """A refusal as our error."""
    status_code = response.status_code
    error_type = _ERROR_TYPES.get(status_code, DbtCloudResponseError)
    try:
        body = response.body()  # all of it, so that the connection can be used again
    except DbtCloudError:
        body, unread = None, "(the body could not be read)"
    else:
        unread = ""
    said = _what_was_said(response, body, unread)
    return error_type(
        f"{response.asked} was answered {status_code}: {said}".rstrip(),
        status_code=status_code,
        retry_after=parse_retry_after(
            response.headers.get("Retry-After"), date=response.headers.get("Date")
        ),
        is_dbt_clouds=bool(message_in(body)),
    )


def _what_was_said(response: Response, body: Any, unread: str) -> str:
    """What the answer says, and a hint."""
    location = response.headers.get("Location", "")
    if location and response.status_code < _FIRST_CLIENT_ERROR:
        without_query = one_line(location.partition("?")[0])  # a query may sign it
        return f"moved to {without_query}. {_REDIRECT_HINT}"
    said = unread or message_in(body) or excerpt(body)
    data = body.get("data") if isinstance(body, dict) else None
    denied = isinstance(data, dict) and bool(data.get("account_access_denied"))
    return f"{said} {_hint(response, denied=denied or 'Forbidden: Access denied' in said)}"


def _hint(response: Response, *, denied: bool) -> str:
    status_code, asked = response.status_code, response.asked
    if status_code == 403 and denied:  # noqa: PLR2004
        return _IP_HINT
    if status_code == 404 and "/runs/" in asked:  # noqa: PLR2004
        return _ARTIFACT_HINT if "/artifacts/" in asked else _RUN_HINT
    return _HINTS.get(status_code, "")


def parse_retry_after(value: str | None, *, date: str | None = None) -> float | None:
    """Seconds that a Retry-After header names, as a number or as a date.

    Anything else counts as no header.

    Args:
        value: The header.
        date: The answer's header Date: what the clock says that the other one goes by. Our own
            may be wrong, and counts only without it.
    """
    value = (value or "").strip()
    if value.isdecimal():
        return float(value)
    moment = _moment(value)
    if moment is None:
        return None
    now = _moment(date or "")
    return max(0.0, moment - (time.time() if now is None else now))


def _moment(text: str) -> float | None:
    """Seconds from 1970 to a date of HTTP; None where it is none."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000" is UTC as well; without this it would be local time
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None
