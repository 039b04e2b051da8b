"""What every request needs to know of an account: the address of its host, and the token."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from dbt_trigger_dagster.dbt_cloud.errors import SettingError

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
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingError(
            "access_url",
            f"{access_url!r} would send the token unencrypted: use "
            f"https://{parts.netloc} (http is for loopback addresses only).",
        )
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or its address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_token(token: str) -> str:
    """A token without blanks around it.

    Raises:
        SettingError: It is empty or cannot stand in a header; it is not quoted.
    """
    token = token.strip()
    if not token:
        raise SettingError("token", "is empty; create a service token in dbt Cloud.")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise SettingError("token", "has blanks or characters that no dbt Cloud token has.")
    return token
