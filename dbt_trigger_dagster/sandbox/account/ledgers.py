"""Runs in the orders that lists ask for, kept sorted, so that no list sorts or scans them all."""

import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TypeVar, overload

from dbt_trigger_dagster.sandbox.account.runs import Run

Item = TypeVar("Item")


class Window(Sequence[Item]):
    """A part of a list, seen without a copy; a slice of it is a list."""

    def __init__(self, items: list[Item], start: int = 0, stop: int | None = None) -> None:
        self._items = items
        self._range = range(start, len(items) if stop is None else max(start, stop))

    def __iter__(self) -> Iterator[Item]:
        return map(self._items.__getitem__, self._range)

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self._items[position] for position in self._range[index]]
        return self._items[self._range[index]]


class Ledger:
    """Runs by their ids, and those that are over also by their end.

    Runs that ended in the same moment are in the order of their ids, whenever they were noted.
    """

    def __init__(self) -> None:
        self._by_id: list[Run] = []
        self._by_end: list[Run] = []
        self._open: dict[int, Run] = {}

    def add(self, run: Run) -> None:
        """Take in a new run; its id is higher than that of all others."""
        self._by_id.append(run)
        self._open[run.id] = run

    def end(self, run: Run) -> None:
        """Note that a run is over."""
        del self._open[run.id]
        bisect.insort(self._by_end, run, key=_end)

    def by_id(self, after: int | None = None) -> Window[Run]:
        """Return runs by ascending id, all or those after an id."""
        if after is None:
            return Window(self._by_id)
        return Window(self._by_id, bisect.bisect_right(self._by_id, after, key=attrgetter("id")))

    def by_end(self) -> list[Run]:
        """Return all runs by their end; those that are not over come last."""
        return [*self._by_end, *self._open.values()]

    def ended_between(self, start: datetime, stop: datetime) -> Window[Run]:
        """Return the runs that ended within a range, both ends included, by their end."""
        finished_at = attrgetter("finished_at")
        first = bisect.bisect_left(self._by_end, start, key=finished_at)
        return Window(self._by_end, first, bisect.bisect_right(self._by_end, stop, key=finished_at))


class RunBook:
    """All runs of the account: by id, of one job or of all, by id or by end."""

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}
        self._all = Ledger()
        self._of_job: defaultdict[int, Ledger] = defaultdict(Ledger)

    def add(self, run: Run) -> None:
        """Take in a new run."""
        self._runs[run.id] = run
        self._all.add(run)
        self._of_job[run.job.id].add(run)

    def end(self, run: Run) -> None:
        """Note that a run is over."""
        self._all.end(run)
        self._of_job[run.job.id].end(run)

    def find(self, run_id: int) -> Run | None:
        """Return a run by its id."""
        return self._runs.get(run_id)

    def ledger(self, job_id: int | None = None) -> Ledger:
        """Return the runs of one job, or all."""
        return self._all if job_id is None else self._of_job.get(job_id, Ledger())


def _end(run: Run) -> tuple[datetime | None, int]:
    return run.finished_at, run.id
