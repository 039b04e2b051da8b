"""What a tick of the monitor costs beside 100, 1,000 and 10,000 runs in flight.

Each account has ten times as many old runs as runs in flight, and 200 runs finish between two
ticks. The monitor begins when all of them are there, as on an account that has been in use for
years. The ticks of the three accounts take turns; requests are counted by the servers, which run
in processes of their own. A run is listed once more when it is older (``lookback``), twelve times
an hour at most, which is not among these ticks.
"""

import tracemalloc
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.interpreters import ServedSandbox, served_sandbox
from benchmarks.monitored import MonitoredProject, monitored_project, requested_run_ids
from benchmarks.report import Result
from benchmarks.rounds import Spread, alternate, ratios, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZES = (100, 1_000, 10_000)
_FINISHING = 200
_JOBS = 20
_HOURS = 3600 * 10
_ROUNDS = 9
_MOST_REQUESTS = 3
_GOAL = 1.5
_KIB = 1024


def measure() -> list[Result]:
    """Tick in turns."""
    with ExitStack() as stack:
        accounts = [_account(stack, size) for size in _SIZES]
        ticks: list[Callable[[], float]] = [account.tick_seconds for account in accounts]
        alternate(2, *ticks)  # fills caches
        requests = [account.requests for account in accounts]
        for each in requests:
            each.clear()
        seconds = alternate(_ROUNDS, *ticks)
        memory = alternate(1, *(account.tick_memory for account in accounts))
    return [
        *map(_requests, _SIZES, requests),
        *(_ratio("time", size, ratios(each, seconds[0])) for size, each in _others(seconds)),
        *(_ratio("peak memory", size, ratios(each, memory[0])) for size, each in _others(memory)),
        Result(f"  such a tick, {_SIZES[-1]:,} in flight", _absolute(seconds[-1], memory[-1])),
    ]


def _others(spreads: list[Spread]) -> list[tuple[int, Spread]]:
    return list(zip(_SIZES, spreads, strict=True))[1:]


def _requests(size: int, counts: list[int]) -> Result:
    most = max(counts)
    return Result(
        f"a tick, {_FINISHING} runs finished, {size:,} in flight: requests",
        " or ".join(map(str, sorted(set(counts)))),
        f"<= {_MOST_REQUESTS}",
        most <= _MOST_REQUESTS,
    )


def _ratio(what: str, size: int, ratio: Spread) -> Result:
    return Result(
        f"a tick's {what}: {size:,} in flight / {_SIZES[0]}",
        ratio.show(),
        f"<= {_GOAL}",
        ratio.median <= _GOAL,
    )


def _absolute(seconds: Spread, memory: Spread) -> str:
    return f"{seconds.median * 1000:.0f} ms, {memory.median / _KIB:,.0f} KiB above idle"


def _account(stack: ExitStack, size: int) -> "_Account":
    server = stack.enter_context(served_sandbox("distinct", 0, 0, jobs=_JOBS, seconds=_HOURS))
    server.add_old_runs(10 * size)
    server.add_runs_in_flight(size)
    project = stack.enter_context(monitored_project(server, from_the_beginning=False))
    project.tick()
    return _Account(server, project)


@dataclass(frozen=True)
class _Account:
    server: ServedSandbox
    project: MonitoredProject
    requests: list[int] = field(default_factory=list)

    def tick_seconds(self) -> float:
        """Seconds that a tick takes after some runs have finished."""
        self._finish()
        before = self.server.request_count()
        seconds = seconds_of(self._tick)
        self.requests.append(self.server.request_count() - before)
        return seconds

    def tick_memory(self) -> float:
        """Bytes that such a tick takes at its peak."""
        self._finish()
        tracemalloc.start()
        try:
            self._tick()
            return float(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()

    def _finish(self) -> None:
        self.server.add_runs_in_flight(_FINISHING)
        self.server.finish_runs(_FINISHING)

    def _tick(self) -> None:
        requests = self.project.tick()
        asked = {run_id for request in requests for run_id in requested_run_ids(request)}
        if len(asked) < _FINISHING:
            raise RuntimeError(f"The tick asks for {len(asked)} runs to be landed.")
