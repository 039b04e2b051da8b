"""Pairs that resume the same failed run at the same time, against a slow trigger.

Real are the client, its trigger and search, HTTP and the clock. Each pair is two threads with a
client each, in the place of two Dagster runs: both search, neither finds a run, both trigger while
the answers take their time. The runs of a job do not wait for one another, so two would go on.
"""

import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from dbt_trigger_dagster import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Clock, SystemClock
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.marker import marker
from dbt_trigger_dagster.dbt_cloud.parameters import TriggerRequest
from dbt_trigger_dagster.dbt_cloud.trigger import Intention, Triggered, trigger_once
from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob, Script
from dbt_trigger_dagster.sandbox.account.faults import FaultTime
from dbt_trigger_dagster_tests.harness import dbt_runs, settings_of
from faults.report import Report

_AT_ONCE = 40
_CANCELLED = 30
_LATEST = 1.5  # of the time that an answer takes
_WHEN: tuple[FaultTime, ...] = ("before", "after")
_LOG = logging.getLogger("faults.pairs")


@dataclass(frozen=True)
class Pair:
    """Two that want the same run.

    Attributes:
        key: Their intention's key.
        job_id: The job.
        head_start: Seconds that the first of them is ahead.
    """

    key: str
    job_id: int
    head_start: float


@dataclass(frozen=True)
class Outcome:
    """What became of a pair.

    Attributes:
        started: Runs that were started for it.
        going_on: Those that were not cancelled.
        followed: The runs that the two follow.
        failed: How many of the two failed.
    """

    started: int
    going_on: frozenset[int]
    followed: frozenset[int]
    failed: int

    @property
    def is_good(self) -> bool:
        """Whether there is one run, and both follow it."""
        return len(self.going_on) == 1 and self.followed == self.going_on and not self.failed


def run_pairs(
    count: int, *, seed: int, answer_time: float, new_clock: Callable[[], Clock] = SystemClock
) -> list[Outcome]:
    """Let so many pairs trigger; each in a job of its own, many at once.

    Args:
        count: How many pairs.
        seed: Where the random numbers begin.
        answer_time: Seconds that an answer to a trigger takes.
        new_clock: Makes the clock of each client.
    """
    chance = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
    with Sandbox([_job(number) for number in range(min(count, _AT_ONCE))]) as sandbox:
        ids = [job.id for job in sandbox.jobs]
        for number, job_id in enumerate(ids):  # it takes its time before the start, or after it
            slow = Fault("hang", when=_WHEN[number % 2], seconds=answer_time, count=None)
            sandbox.inject(replace(slow, method="POST", path=f"*/jobs/{job_id}/run/"))
        pairs = [
            Pair(f"pair-{number}", ids[number % len(ids)], chance.uniform(0, _LATEST * answer_time))
            for number in range(count)
        ]
        with ThreadPoolExecutor(2 * _AT_ONCE) as executor:
            halves = [
                [executor.submit(_trigger, sandbox, pair, pause, new_clock()) for pause in pauses]
                for pair in pairs
                for pauses in [(0.0, pair.head_start)]
            ]
        sandbox.clear_faults()
        runs = dbt_runs(sandbox)
    return [_outcome(pair, both, runs) for pair, both in zip(pairs, halves, strict=True)]


def _job(number: int) -> SandboxJob:
    return SandboxJob(name=f"job {number}", job_type="ci", script=Script(seconds=3600))


def _trigger(sandbox: Sandbox, pair: Pair, pause: float, clock: Clock) -> Triggered:
    time.sleep(pause)
    intention = Intention(pair.key, datetime.now(timezone.utc), is_repeated=True)
    with DbtCloudClient(**settings_of(sandbox), clock=clock, log=_LOG) as client:
        return trigger_once(
            client, pair.job_id, TriggerRequest(cause="A pair"), intention, log=_LOG
        )


def _outcome(pair: Pair, both: list["Future[Triggered]"], runs: list[dict[str, object]]) -> Outcome:
    theirs = [run for run in runs if str(run["trigger"]).find(marker(pair.key)) >= 0]
    good = [each for each in both if not isinstance(each.exception(), DbtCloudError)]
    return Outcome(
        started=len(theirs),
        going_on=frozenset(int(str(run["id"])) for run in theirs if run["status"] != _CANCELLED),
        followed=frozenset(each.result().run.run_id for each in good),
        failed=len(both) - len(good),
    )


def measure(count: int, *, seed: int) -> Report:
    """So many pairs, with answers that take a second."""
    _LOG.setLevel(logging.ERROR)  # what it says of each pair is what is counted here
    outcomes = run_pairs(count, seed=seed, answer_time=1.0)
    counts = {
        "dbt runs started": sum(outcome.started for outcome in outcomes),
        "pairs in which both triggered": sum(outcome.started > 1 for outcome in outcomes),
    }
    goals = {
        "runs that go on beyond the first": sum(
            max(0, len(outcome.going_on) - 1) for outcome in outcomes
        ),
        "pairs without a run": sum(not outcome.going_on for outcome in outcomes),
        "pairs whose two follow different runs": sum(
            outcome.followed != outcome.going_on for outcome in outcomes
        ),
        "attempts that failed": sum(outcome.failed for outcome in outcomes),
    }
    return Report(
        title=f"{count} pairs that resume one run at once (--seed {seed})",
        headings=("what", "measured", "goal"),
        rows=[
            *((name, str(found), "") for name, found in counts.items()),
            *((name, str(found), "0") for name, found in goals.items()),
        ],
        is_good=all(outcome.is_good for outcome in outcomes),
    )
