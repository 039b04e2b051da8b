"""The kinds of values that columns hold, and how values of a payload become values of a kind.

Values of an unexpected type become null in their column, never an error: the whole payload stands
in ``raw``.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from dbt_trigger_dagster.dbt_cloud.models import parse_timestamp

_INTEGER_BITS = 64
_DURATION = re.compile(r"(\d{1,9}):(\d\d):(\d\d)(?:\.\d+)?\Z")


class Kind(Enum):
    """What a column holds."""

    INTEGER = "64-bit integer"
    BOOLEAN = "boolean"
    TEXT = "text"
    JSON = "JSON text"
    TIMESTAMP = "UTC timestamp"
    SECONDS = "whole seconds"
    NUMBER = "64-bit floating-point number"

    @property
    def dtype(self) -> str:
        """The pandas dtype."""
        return _DTYPES[self]

    def values(self, values: Iterable[Any]) -> list[Any]:
        """Values of a payload as values of this kind; null where they are of another."""
        convert = _CONVERTERS[self]
        return [None if value is None else convert(value) for value in values]

    def plain(self, value: Any) -> Any:
        """A plain value from one that pandas has of this kind, which is not null."""
        return _PLAIN[self](value)


_DTYPES = {
    Kind.INTEGER: "Int64",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "string",
    Kind.JSON: "string",
    Kind.TIMESTAMP: "datetime64[us, UTC]",
    Kind.SECONDS: "Int64",
    Kind.NUMBER: "Float64",
}


def _as_integer(value: Any) -> int | None:
    if isinstance(value, bool | float):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if number.bit_length() < _INTEGER_BITS else None


def _as_boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _as_text(value: Any) -> str | None:
    """Text that UTF-8 can hold: JSON may escape half of a surrogate pair, which it cannot."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


class JsonText(str):
    """What a JSON column is to hold, as text already: it takes a quarter of the memory."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Any) -> "JsonText":
        """A value as such a text."""
        return cls(_as_json(value))


def _as_json(value: Any) -> str | None:
    if isinstance(value, JsonText):
        return str(value)
    try:
        text = json.dumps(value, default=str, ensure_ascii=False, allow_nan=False)
    except ValueError:  # 1e400, which Python reads as infinite
        text = json.dumps(_finite(value), default=str, ensure_ascii=False)
    return _as_text(text)


def _finite(value: Any) -> Any:
    """The same with text in place of the numbers that JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _as_timestamp(value: Any) -> datetime | None:
    """A moment in UTC from the three formats that the API writes, and from datetimes."""
    if isinstance(value, str) and value[:1].isdigit():
        value = parse_timestamp(value)
    if not isinstance(value, datetime):
        return None
    moment = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    try:
        return moment.astimezone(timezone.utc)
    except (OverflowError, ValueError):  # in the year 0 or 10000, in UTC
        return None


def _as_seconds(value: Any) -> int | None:
    """Whole seconds from ``HH:MM:SS``; hours may exceed 24."""
    duration = _DURATION.match(value) if isinstance(value, str) else None
    if duration is None:
        return None
    hours, minutes, seconds = map(int, duration.groups())
    return (hours * 60 + minutes) * 60 + seconds


def _as_number(value: Any) -> float | None:
    """A number; what is none, or is infinite, is null."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


_CONVERTERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.INTEGER: _as_integer,
    Kind.BOOLEAN: _as_boolean,
    Kind.TEXT: _as_text,
    Kind.JSON: _as_json,
    Kind.TIMESTAMP: _as_timestamp,
    Kind.SECONDS: _as_seconds,
    Kind.NUMBER: _as_number,
}

_PLAIN: dict[Kind, Callable[[Any], Any]] = {
    Kind.INTEGER: int,
    Kind.BOOLEAN: bool,
    Kind.TEXT: _as_text,
    Kind.JSON: _as_text,  # it is text already
    Kind.TIMESTAMP: lambda value: value.to_pydatetime(),
    Kind.SECONDS: int,
    Kind.NUMBER: float,
}
