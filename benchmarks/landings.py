"""5,000 finished runs of 20 jobs landed by the monitor's batches, and one Dagster run each.

All Dagster runs are executed in one process, so that neither way pays for starting workers, of
which the second way would need fifty times as many. It is measured on a sample, which takes turns
with the monitor's ticks and their batches, and counted per run. Fewer runs are landed with each
answer 50 ms late, as over a network. Each dbt run has three artifacts. The server runs in another
process and counts the requests.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import islice

from benchmarks.interpreters import ServedSandbox, served_sandbox
from benchmarks.monitored import MonitoredProject, monitored_project, requested_run_ids
from benchmarks.report import Result
from benchmarks.rounds import seconds_of

_RUNS = 5_000
_JOBS = 20
_ARTIFACTS = 3
_ARTIFACT_SIZE = 1000
_ALONE = 40
_ALONE_AFTER_TICK = 10
_DELAY_MS = 50
_DELAYED = 200
_DELAYED_JOBS = 4
_DELAYED_ALONE = 10
_MINUTE = 60
# Of each run: the run with its steps, the list of its artifacts, and the artifacts.
_MOST_REQUESTS = 2 + _ARTIFACTS + 0.1
_GOAL = 5.0


def measure() -> list[Result]:
    """Land both ways, at once and over a slow network."""
    with _served(_JOBS) as server:
        at_once = _Race(server, _RUNS, _ALONE).run()
    with _served(_DELAYED_JOBS) as server:
        server.delay_answers(_DELAY_MS)
        late = _Race(server, _DELAYED, _DELAYED_ALONE).run()
    return [
        *_results(f"{_RUNS:,} runs of {_JOBS} jobs", at_once),
        *_results(f"{_DELAYED} of {_DELAYED_JOBS} jobs, answers {_DELAY_MS} ms late", late),
    ]


def _served(jobs: int) -> AbstractContextManager[ServedSandbox]:
    return served_sandbox("distinct", _ARTIFACTS, _ARTIFACT_SIZE, jobs=jobs, seconds=_MINUTE)


def _results(what: str, outcome: "_Outcome") -> list[Result]:
    speedup = outcome.batches.per_second / outcome.alone.per_second
    return [
        Result(
            f"{what}, landed in batches / one Dagster run each",
            f"{speedup:.1f} times as many runs a second",
            f">= {_GOAL:g}",
            speedup >= _GOAL,
        ),
        Result(
            "  requests for each landed run",
            f"{outcome.batches.requests:.2f} in batches, {outcome.alone.requests:.2f} one by one",
            f"<= {_MOST_REQUESTS:g}",
            outcome.batches.requests <= _MOST_REQUESTS,
        ),
        Result(
            "  runs a second, in one process",
            f"{outcome.batches.per_second:.0f} in {outcome.dagster_runs} Dagster runs, "
            f"{outcome.alone.per_second:.1f} one by one (sample of {outcome.alone.count})",
        ),
    ]


@dataclass(frozen=True)
class _Cost:
    """What landing some runs took."""

    count: int = 0
    seconds: float = 0.0
    request_count: int = 0

    def __add__(self, other: "_Cost") -> "_Cost":
        return _Cost(
            self.count + other.count,
            self.seconds + other.seconds,
            self.request_count + other.request_count,
        )

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    @property
    def requests(self) -> float:
        return self.request_count / self.count


@dataclass
class _Outcome:
    batches: _Cost = field(default_factory=_Cost)
    alone: _Cost = field(default_factory=_Cost)
    dagster_runs: int = 0


@dataclass(frozen=True)
class _Race:
    server: ServedSandbox
    runs: int
    alone: int

    def run(self) -> _Outcome:
        """Land all by the monitor, and a sample one by one, each way into its own database."""
        run_ids = self.server.add_old_runs(self.runs)
        outcome = _Outcome()
        with (
            monitored_project(self.server, from_the_beginning=True) as monitored,
            monitored_project(self.server, from_the_beginning=True) as sampled,
        ):
            self._land_each(sampled, run_ids, [self.runs - 1])  # fills caches
            sample = iter(range(self.alone))
            while (landed := self._land_batches(monitored, outcome)).count:
                outcome.batches += landed
                some = list(islice(sample, _ALONE_AFTER_TICK))
                outcome.alone += self._land_each(sampled, run_ids, some)
            _check(monitored, self.runs)
            _check(sampled, outcome.alone.count + 1)
        return outcome

    def _land_batches(self, project: MonitoredProject, outcome: _Outcome) -> _Cost:
        """Tick, and land what the tick asks for."""
        run_ids: list[int] = []

        def tick_and_land() -> None:
            for request in project.tick():
                run_ids.extend(requested_run_ids(request))
                project.land(request)
                outcome.dagster_runs += 1

        cost = self._cost(0, tick_and_land)
        return replace(cost, count=len(run_ids))

    def _land_each(
        self, project: MonitoredProject, run_ids: Sequence[int], positions: Sequence[int]
    ) -> _Cost:
        """Land runs one by one; the jobs take turns in the list of runs."""
        job_ids = self.server.job_ids

        def land_alone() -> None:
            for position in positions:
                project.land_alone(run_ids[position], job_ids[position % len(job_ids)])

        return self._cost(len(positions), land_alone)

    def _cost(self, count: int, action: Callable[[], object]) -> _Cost:
        before = self.server.request_count()
        seconds = seconds_of(action)
        return _Cost(count, seconds, self.server.request_count() - before)


def _check(project: MonitoredProject, runs: int) -> None:
    for table, expected in {"run": runs, "artifact": runs * _ARTIFACTS}.items():
        found = len(project.place.rows(f"dbt_cloud_{table}"))
        if found != expected:
            raise RuntimeError(f"dbt_cloud_{table} has {found} rows instead of {expected}.")
