"""Workers that are suspended (SIGSTOP) as a frozen machine is, and go on after their successors.

All of it is real: processes, Dagster, its storage in files, the signals, HTTP. While a worker is
paused, its Dagster run is reported as failed and resumed by another process until that succeeds;
then the worker goes on. It is paused while it waits for an answer, when it holds no lock of a file,
or by itself in the one moment that nobody sees from outside: before its trigger leaves.
"""

import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import dagster as dg

from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob, Script
from dbt_trigger_dagster_tests.harness import Place, dbt_runs
from dbt_trigger_dagster_tests.processes import fork_server
from faults.kills import copied, empty_home, given_up, is_over, work
from faults.kinds import ARTIFACTS, BEFORE, DOWNLOAD, GET_RUN, SEARCH, TRIGGER, Endpoint
from faults.ledger import Findings, take_stock
from faults.pool import in_parallel
from faults.report import Report

CONNECTS = "before the trigger leaves"
"""The moment in which a worker pauses itself."""

MOMENTS: Mapping[str, Endpoint] = {
    CONNECTS: TRIGGER,
    "while it searches": SEARCH,
    "while it triggers": TRIGGER,
    "while it waits": GET_RUN,
    "while it downloads": DOWNLOAD,
}
"""When a worker is paused, and what it asks for then."""

_ANSWER_TIME = 0.5
_CANCELLED = 30
_LOOK = 0.005
_LONGEST = 120.0
_MOST_ATTEMPTS = 5
_SECONDS = 1.0


@dataclass(frozen=True)
class Case:
    """One worker that is paused.

    Attributes:
        empty_home: The Dagster home that it starts from.
        moment: Which of `MOMENTS` it is in.
        delay: Seconds from its request until it is paused.
    """

    empty_home: Path
    moment: str
    delay: float


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        was_paused: Whether the worker was paused before its end.
        twins: Younger runs, which were cancelled.
        has_ended: Whether the worker ended after its pause.
        succeeded: Whether its successor did.
        findings: What there was in the end, without the twins.
    """

    was_paused: bool
    twins: int
    has_ended: bool
    succeeded: bool
    findings: Findings

    @property
    def is_good(self) -> bool:
        """Whether one dbt run, all rows and all files are there, and nothing else."""
        return self.has_ended and self.succeeded and not self.findings.problems


def _work_until_it_connects(
    settings: Mapping[str, str], resumes: str | None, tells: Connection
) -> None:
    """Do the work, but stop by itself when it has a connection, before anything is sent on it."""

    def stop_once(event: str, _: object) -> None:
        if event == "http.client.connect" and not tells.closed:
            tells.send(None)
            tells.close()
            os.kill(os.getpid(), signal.SIGSTOP)

    sys.addaudithook(stop_once)
    work(settings, resumes)


def run_case(case: Case) -> Outcome:
    """Run one case in a folder, a Dagster home and a sandbox of its own."""
    job = SandboxJob(
        name="nightly", job_type="ci", script=Script(seconds=_SECONDS, artifacts=ARTIFACTS)
    )
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        Sandbox(jobs=[job]) as sandbox,
        copied(case.empty_home, Path(folder, "home")) as instance,
    ):
        slow = Fault("hang", when="after", seconds=_ANSWER_TIME, count=None)
        sandbox.inject(MOMENTS[case.moment].fault(slow))
        return _Paused(case, Place(Path(folder)), instance, sandbox).run()


@dataclass(frozen=True)
class _Paused:
    """A case at work."""

    case: Case
    place: Place
    instance: dg.DagsterInstance
    sandbox: Sandbox

    def run(self) -> Outcome:
        settings = {
            **self.place.variables(self.sandbox),
            "DAGSTER_HOME": self.instance.root_directory,
        }
        before = self._failed_before(settings) if self.case.moment == "while it searches" else None
        told, tells = fork_server().Pipe(duplex=False)
        pauses_itself = self.case.moment == CONNECTS
        target, more = (_work_until_it_connects, (tells,)) if pauses_itself else (work, ())
        worker = fork_server().Process(target=target, args=(settings, before, *more))
        worker.start()
        while worker.is_alive() and not (told.poll() if pauses_itself else self._is_asked()):
            time.sleep(_LOOK)
        worker.join(self.case.delay)
        was_paused = worker.is_alive()
        if was_paused:
            os.kill(worker.pid or 0, signal.SIGSTOP)
        self.sandbox.clear_faults()
        succeeded = self._replaced(settings)
        if was_paused:
            os.kill(worker.pid or 0, signal.SIGCONT)
        worker.join(_LONGEST)
        has_ended = not worker.is_alive()
        worker.kill()
        return self._outcome(was_paused, has_ended, succeeded)

    def _failed_before(self, settings: Mapping[str, str]) -> str | None:
        """A Dagster run whose trigger was refused: who resumes it searches first."""
        self.sandbox.inject(TRIGGER.fault(BEFORE["401"]))
        process = fork_server().Process(target=work, args=(settings, None))
        process.start()
        process.join(_LONGEST)
        return given_up(self.instance)

    def _is_asked(self) -> bool:
        return MOMENTS[self.case.moment].asked(self.sandbox.requests) > 0

    def _replaced(self, settings: Mapping[str, str]) -> bool:
        """Give the worker's Dagster run up, and resume it until that succeeds."""
        for _ in range(_MOST_ATTEMPTS):
            failed = given_up(self.instance)
            if is_over(self.instance):
                return True
            successor = fork_server().Process(target=work, args=(settings, failed))
            successor.start()
            successor.join(_LONGEST)
            successor.kill()
        return is_over(self.instance)

    def _outcome(self, was_paused: bool, has_ended: bool, succeeded: bool) -> Outcome:  # noqa: FBT001  # what was seen
        stored = self.instance.get_runs()
        wishes = [run.run_id for run in stored if run.parent_run_id is None]
        runs = dbt_runs(self.sandbox)
        kept = [run for run in runs if run["status"] != _CANCELLED]
        return Outcome(
            was_paused=was_paused,
            twins=len(runs) - len(kept),
            has_ended=has_ended,
            succeeded=succeeded,
            findings=take_stock(self.place, kept, wishes, ARTIFACTS),
        )


def _cases(count: int, home: Path, seed: int) -> list[Case]:
    chance = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
    moments = [list(MOMENTS)[number % len(MOMENTS)] for number in range(count)]
    return [Case(home, moment, chance.uniform(0, _ANSWER_TIME / 2)) for moment in moments]


def measure(count: int, *, seed: int) -> Report:
    """So many workers, each paused in one of the moments."""
    with empty_home() as home:
        cases = _cases(count, home, seed)
        outcomes = in_parallel("pauses", run_case, cases, for_each_core=3)
    total = sum((outcome.findings for outcome in outcomes), Findings())
    both = list(zip(cases, outcomes, strict=True))
    paused = Counter(case.moment for case, outcome in both if outcome.was_paused)
    twins = Counter(dict.fromkeys(MOMENTS, 0))
    for case, outcome in both:
        twins[case.moment] += outcome.twins
    return Report(
        title=f"{count} workers that are paused and go on after their successors (--seed {seed})",
        headings=("paused", "workers", "younger runs, cancelled"),
        rows=[(moment, str(paused[moment]), str(twins[moment])) for moment in MOMENTS],
        summary=(
            f"Workers that were paused: {paused.total()}.",
            f"Workers that hung: {sum(not each.has_ended for each in outcomes)}.",
            f"Successors that failed: {sum(not each.succeeded for each in outcomes)}.",
            f"Of the rest: {total.sentence}",
        ),
        is_good=all(outcome.is_good for outcome in outcomes),
    )
