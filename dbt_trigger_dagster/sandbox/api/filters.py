"""Reads the query of a list: filters, order and page, as strictly as dbt Cloud does."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from starlette.datastructures import QueryParams

from dbt_trigger_dagster.sandbox.account.errors import invalid, unexpected_keys
from dbt_trigger_dagster.sandbox.account.timestamps import parse_timestamp

MAX_LIMIT = 100
_STATES = {"active": 1, "deleted": 2, "all": 0, "1": 1, "2": 2}
_RANGE_ENDS = 2

Item = TypeVar("Item")
Keep = Callable[[Item, Any], bool]


@dataclass(frozen=True)
class Filter(Generic[Item]):
    """A query key that narrows a list.

    Attributes:
        parse: Reads the key's value; a ``ValueError`` refuses it.
        keep: Whether an item passes, given the value.
    """

    parse: Callable[[str], Any]
    keep: Keep[Item]


@dataclass(frozen=True)
class Listing(Generic[Item]):
    """What a list endpoint takes.

    Attributes:
        filters: The filters, by query key.
        orders: The sort keys that ``order_by`` takes.
        default_state: What ``state`` is when it is not given.
    """

    filters: Mapping[str, Filter[Item]] = field(default_factory=dict)
    orders: Mapping[str, Callable[[Item], Any]] = field(default_factory=dict)
    default_state: str = "active"

    def read(self, query: QueryParams) -> "ListQuery[Item]":
        """Read a query.

        Raises:
            ApiError: A key is unknown, or a value cannot be accepted.
        """
        known = {*self.filters, "limit", "offset", "order_by", "state", "include_related"}
        refuse_unknown_keys(query, known | {"account_id"})
        applied = {
            key: _read(key, query, self.filters[key].parse) for key in self.filters if key in query
        }
        return ListQuery(
            listing=self,
            limit=_read("limit", query, _limit) if "limit" in query else MAX_LIMIT,
            offset=_read("offset", query, natural) if "offset" in query else 0,
            order_by=_read("order_by", query, self._order) if "order_by" in query else "id",
            state=_read("state", query, _state) if "state" in query else self.default_state,
            applied=applied,
        )

    def _order(self, text: str) -> str:
        if text.removeprefix("-") not in self.orders:
            raise ValueError(text)
        return text


@dataclass(frozen=True)
class Page(Generic[Item]):
    """One page of a list.

    Attributes:
        items: The items on it.
        total_count: How many items there are on all pages.
    """

    items: Sequence[Item]
    total_count: int


@dataclass(frozen=True)
class Candidates(Generic[Item]):
    """What a list is made of before it is filtered and cut into pages.

    Attributes:
        items: The items that can be meant, in ascending order.
        order: The sort key that they are ordered by.
        settled: The filters that all of them are known to pass.
    """

    items: Sequence[Item]
    order: str = "id"
    settled: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ListQuery(Generic[Item]):
    """A query that was read.

    Attributes:
        listing: The endpoint's filters and orders.
        limit: How many items a page has.
        offset: How many items stand before the page.
        order_by: The sort key, after ``-`` descending.
        state: Which soft-deletion states are listed.
        applied: The values of the filters that were given.
    """

    listing: Listing[Item]
    limit: int
    offset: int
    order_by: str
    state: str
    applied: Mapping[str, Any]

    def page(self, candidates: Candidates[Item]) -> Page[Item]:
        """Return the page that the query asks for."""
        # Nothing in the sandbox is ever deleted.
        if _STATES[self.state] == _STATES["deleted"]:
            return Page((), 0)
        kept = self._kept(candidates)
        order = self.order_by.removeprefix("-")
        if order != candidates.order:
            kept = sorted(kept, key=self.listing.orders[order])
        return Page(self._cut(kept), len(kept))

    def description(self, account_id: int, page: Page[Item]) -> dict[str, Any]:
        """Return what the envelope says about the page."""
        echo = {key: _echo(value) for key, value in self.applied.items()}
        paging = {"limit": self.limit, "offset": self.offset, "state": self.state}
        return {
            "filters": {**paging, "account_id": account_id, **echo},
            "order_by": self.order_by,
            "pagination": {"count": len(page.items), "total_count": page.total_count},
        }

    def _kept(self, candidates: Candidates[Item]) -> Sequence[Item]:
        kept = candidates.items
        for key, value in self.applied.items():
            if key not in candidates.settled:
                keep = self.listing.filters[key].keep
                kept = [item for item in kept if keep(item, value)]
        return kept

    def _cut(self, items: Sequence[Item]) -> Sequence[Item]:
        if not self.order_by.startswith("-"):
            return items[self.offset : self.offset + self.limit]
        stop = max(0, len(items) - self.offset)
        return items[max(0, stop - self.limit) : stop][::-1]


def refuse_unknown_keys(query: QueryParams, known: Iterable[str]) -> None:
    """Refuse a query with keys that the endpoint does not know.

    Raises:
        ApiError: There is such a key.
    """
    if unknown := sorted(set(query) - set(known)):
        raise unexpected_keys(unknown)


def related_names(query: QueryParams) -> set[str]:
    """Return the names in ``include_related``, in any of the spellings that clients use."""
    text = ",".join(query.getlist("include_related"))
    return {name for part in text.split(",") if (name := part.strip(" []\"'"))}


def integer(text: str) -> int:
    """Read an integer."""
    return int(text)


def natural(text: str) -> int:
    """Read an integer that is not negative."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def boolean(text: str) -> bool:
    """Read a boolean."""
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def integers(text: str) -> frozenset[int]:
    """Read a JSON list of integers."""
    return frozenset(_json_list(text, int))


def texts(text: str) -> frozenset[str]:
    """Read a JSON list of strings."""
    return frozenset(_json_list(text, str))


def moments(text: str) -> tuple[datetime, datetime]:
    """Read a JSON list of two timestamps."""
    ends = _json_list(text, str)
    if len(ends) != _RANGE_ENDS:
        raise ValueError(text)
    return parse_timestamp(ends[0]), parse_timestamp(ends[1])


def _json_list(text: str, item_type: type) -> list[Any]:
    items = json.loads(text)
    if not isinstance(items, list) or not all(type(item) is item_type for item in items):
        raise ValueError(text)
    return items


def _limit(text: str) -> int:
    limit = int(text)
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(text)
    return limit


def _state(text: str) -> str:
    if text not in _STATES:
        raise ValueError(text)
    return text


def _read(key: str, query: QueryParams, parse: Callable[[str], Any]) -> Any:
    values = query.getlist(key)
    try:
        (text,) = values  # an array is one JSON list, never a repeated key
        return parse(text)
    except (ValueError, KeyError) as error:
        shown = values[0] if len(values) == 1 else values
        raise invalid({key: f"{shown!r} is not valid under any of the given schemas"}) from error


def _echo(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [moment.isoformat() for moment in value]
    return value
