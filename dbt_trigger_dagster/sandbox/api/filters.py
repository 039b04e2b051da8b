"""Reads the query of a list: filters, order and page, as strictly as dbt Cloud does."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar

from starlette.datastructures import QueryParams

from dbt_trigger_dagster.sandbox.account.timestamps import parse_timestamp
from dbt_trigger_dagster.sandbox.api.schemas import QuerySchema

MAX_LIMIT = 100
INTEGER = {"type": "integer"}
TEXT = {"type": "string"}
BOOLEAN = {"type": "boolean"}
# Alternatives, although there is one, because dbt Cloud's message speaks of several.
INTEGERS = {"anyOf": [{"type": "array", "items": INTEGER}]}
TEXTS = {"anyOf": [{"type": "array", "items": TEXT}]}
MOMENT = {"type": "string", "format": "date-time"}
MOMENTS = {"anyOf": [{"type": "array", "items": MOMENT, "minItems": 2, "maxItems": 2}]}

RELATED_ONLY = QuerySchema({"include_related": {}})

_STATES = {"active": 1, "deleted": 2, "all": 0, "1": 1, "2": 2}

Item = TypeVar("Item")
Keep = Callable[[Item, Any], bool]


@dataclass(frozen=True)
class Filter(Generic[Item]):
    """A query key that narrows a list.

    Attributes:
        schema: What the key's value may be.
        keep: Whether an item passes, given the value.
        convert: Makes of the value what ``keep`` takes.
    """

    schema: Mapping[str, Any]
    keep: Keep[Item]
    convert: Callable[[Any], Any] = lambda value: value


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

    @cached_property
    def schema(self) -> QuerySchema:
        """The schema of its queries."""
        orders = [sign + order for order in self.orders for sign in ("", "-")]
        return QuerySchema(
            {
                **{key: each.schema for key, each in self.filters.items()},
                "limit": {**INTEGER, "minimum": 1, "maximum": MAX_LIMIT},
                "offset": {**INTEGER, "minimum": 0},
                "order_by": {"enum": orders},
                "state": {"enum": list(_STATES)},
                "include_related": {},
                "account_id": {},
            }
        )

    def read(self, query: QueryParams) -> "ListQuery[Item]":
        """Read a query.

        Raises:
            ApiError: A key is unknown, or a value cannot be accepted.
        """
        given = self.schema.read(query)
        return ListQuery(
            listing=self,
            limit=given.get("limit", MAX_LIMIT),
            offset=given.get("offset", 0),
            order_by=given.get("order_by", "id"),
            state=given.get("state", self.default_state),
            applied={
                key: each.convert(given[key]) for key, each in self.filters.items() if key in given
            },
        )


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


def related_names(query: QueryParams) -> set[str]:
    """Return the names in ``include_related``, in any of the spellings that clients use."""
    text = ",".join(query.getlist("include_related"))
    return {name for part in text.split(",") if (name := part.strip(" []\"'"))}


def as_moments(ends: Iterable[str]) -> tuple[datetime, ...]:
    """Return the two moments of a range."""
    return tuple(parse_timestamp(end) for end in ends)


def _echo(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [moment.isoformat() for moment in value]
    return value
