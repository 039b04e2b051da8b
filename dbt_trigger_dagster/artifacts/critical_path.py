"""What decided how long a step took: its longest chain of nodes, and how many ran at a time.

Fusion gives a node's compilation and execution the same interval, so a node counts from its first
start to its last end, and the two are never added. Skipped nodes have no times and take none.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbt_trigger_dagster.dbt_cloud.models import parse_timestamp

_STARTS = ("compile_started_at", "execute_started_at")
_ENDS = ("compile_completed_at", "execute_completed_at")


@dataclass(frozen=True)
class Timing:
    """How a step's nodes used its time.

    Attributes:
        critical_path: Ids of the nodes of the longest chain, each built from the one before it.
        critical_path_seconds: What these took together: with any number of threads the step would
            not have been faster.
        busy_seconds: How long at least one node was worked on.
        peak_concurrency: The most nodes at the same time.
        average_concurrency: Nodes at a time, over the busy seconds.
    """

    critical_path: tuple[str, ...]
    critical_path_seconds: float
    busy_seconds: float
    peak_concurrency: int
    average_concurrency: float


def find_timing(
    records: Iterable[Mapping[str, Any]], depends_on: Mapping[str, Collection[str]]
) -> Timing | None:
    """How the nodes of one step used its time; None where no node has a time.

    Args:
        records: Records of `NODE_RESULT`'s columns.
        depends_on: What each node of the project is built from, by ids; ephemeral models, which
            have no results, link those that have.
    """
    intervals = {
        str(record["unique_id"]): interval
        for record in records
        if (interval := interval_of(record)) is not None
    }
    if not intervals:
        return None
    seconds = {name: (end - start).total_seconds() for name, (start, end) in intervals.items()}
    path = _longest_chain(seconds, depends_on)
    busy, peak = _concurrency(intervals.values())
    return Timing(
        critical_path=path,
        critical_path_seconds=sum(seconds[name] for name in path),
        busy_seconds=busy,
        peak_concurrency=peak,
        average_concurrency=sum(seconds.values()) / busy if busy else float(peak),
    )


def interval_of(record: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """From when to when a node was worked on; None where that is not known."""
    starts = [moment for name in _STARTS if (moment := _moment(record.get(name)))]
    ends = [moment for name in _ENDS if (moment := _moment(record.get(name)))]
    if not starts or not ends or min(starts) > max(ends):
        return None
    return min(starts), max(ends)


def _moment(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else parse_timestamp(value) if value else None


def _longest_chain(
    seconds: Mapping[str, float], depends_on: Mapping[str, Collection[str]]
) -> tuple[str, ...]:
    """The chain of dependent nodes that takes longest; without recursion, for chains are long."""
    total: dict[str, float] = {}
    before: dict[str, str | None] = {}
    pending = sorted(seconds)
    visiting: set[str] = set()
    while pending:
        name = pending[-1]
        parents = sorted(depends_on.get(name, ()))
        unseen = [p for p in parents if p not in total and p not in visiting]
        if unseen and name not in total:
            visiting.add(name)
            pending += unseen
            continue
        pending.pop()
        visiting.discard(name)
        if name not in total:
            known = [parent for parent in parents if parent in total]
            best = max(known, key=lambda parent: total[parent], default=None)
            before[name] = best
            total[name] = seconds.get(name, 0.0) + (total[best] if best else 0.0)
    chain = [max(sorted(seconds), key=lambda name: total[name])]
    while (previous := before[chain[-1]]) is not None:
        chain.append(previous)
    return tuple(name for name in reversed(chain) if name in seconds)


def _concurrency(intervals: Iterable[tuple[datetime, datetime]]) -> tuple[float, int]:
    """How long something ran, and how much at most; what ends makes room before the next starts."""
    lasting = [(start, end) for start, end in intervals if start < end]
    events = sorted([(start, 1) for start, _ in lasting] + [(end, -1) for _, end in lasting])
    busy, running, peak = 0.0, 0, 1
    for position, (moment, change) in enumerate(events):
        if running > 0:
            busy += (moment - events[position - 1][0]).total_seconds()
        running += change
        peak = max(peak, running)
    return busy, peak
