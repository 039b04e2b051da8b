"""kill -9 at random moments of a real process; the dead run is resumed until it succeeds."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import dagster as dg
from dagster import DagsterEventType

from dbt_trigger_dagster.sandbox import Fault, RecordedRequest, Sandbox, SandboxJob, Script
from dbt_trigger_dagster_tests.harness import Place, dbt_runs, environment
from dbt_trigger_dagster_tests.processes import fork_server
from faults.graph import execute
from faults.kinds import ARTIFACTS, DOWNLOAD, FAILS, GET_RUN, LIST_ARTIFACTS, RETRY, TRIGGER
from faults.ledger import Findings, take_stock
from faults.pool import in_parallel
from faults.report import Report

PHASES = (
    "before the trigger",
    "trigger: before the POST",
    "trigger: from the POST on",
    "write of dbt_cloud_trigger",
    "between the steps",
    "wait",
    "write of dbt_cloud_run",
    "download",
    "write of dbt_cloud_artifact",
    "after the last write",
)
"""What a Dagster run does, in order."""

_DAGSTER_YAML = """\
telemetry:
  enabled: false
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""
_STRETCHED = 0.3
_LONGEST_RUN = 1.0
_KILLED_TWICE = 0.25
_WATCH_PAUSE = 0.001
_LONGEST_ATTEMPT = 120.0
_MOST_ATTEMPTS = 8
_MOST_CASES = 5
_LATEST = {
    "trigger": 0.4,
    "poll": 0.6,
    "retry": 0.4,
    "details": 0.12,
    "list": 0.15,
    "downloads": 0.25,
}

MILESTONES: Mapping[str, Callable[[Sequence[RecordedRequest]], bool]] = {
    "start": lambda _: True,
    "trigger": lambda requests: TRIGGER.asked(requests) > 0,
    "poll": lambda requests: GET_RUN.asked(requests) > 0,
    "retry": lambda requests: RETRY.asked(requests) > 0,
    "details": lambda requests: any("run_steps" in request.query for request in requests),
    "list": lambda requests: LIST_ARTIFACTS.asked(requests) > 0,
    "downloads": lambda requests: DOWNLOAD.asked(requests) >= len(ARTIFACTS),
}
"""What can be seen of a process from outside: the requests that it has sent."""


@dataclass(frozen=True)
class Moment:
    """When the process is killed.

    Attributes:
        milestone: Which of `MILESTONES` it has reached.
        delay: Seconds after that.
    """

    milestone: str
    delay: float


@dataclass(frozen=True)
class Case:
    """One wish for a dbt run, whose process is killed.

    Attributes:
        seed: Where its random numbers begin.
        empty_home: The Dagster home that it starts from.
        moments: When it is killed, then when the process that resumes it, and so on.
    """

    seed: str
    empty_home: Path
    moments: tuple[Moment, ...] = ()

    @property
    def faults(self) -> list[Fault]:
        """What stretches a phase, so that more kills fall into it."""
        chance = random.Random(f"{self.seed} faults")  # noqa: S311  # to be repeated, not to be secret
        slow = Fault("hang", seconds=_STRETCHED, count=None)
        stretched = [
            TRIGGER.fault(replace(slow, when="before")),
            TRIGGER.fault(replace(slow, when="after")),
            RETRY.fault(replace(slow, when="after")),
            DOWNLOAD.fault(slow),
        ]
        return chance.sample(stretched, chance.randint(0, 2))

    @property
    def scripts(self) -> tuple[Script, ...]:
        """What the dbt run does, and where it fails, the one that continues it."""
        chance = random.Random(f"{self.seed} script")  # noqa: S311  # to be repeated, not to be secret
        seconds = chance.uniform(0, _LONGEST_RUN)
        fails = any(moment.milestone == "retry" for moment in self.moments)
        good = Script(seconds=seconds, artifacts=ARTIFACTS)
        return (replace(FAILS, seconds=seconds), good) if fails else (good,)


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        phases: The phase that each kill hit.
        attempts: Processes that were started.
        seconds: What the last of them took.
        succeeded: Whether the last Dagster run did.
        findings: What there was in the end.
    """

    phases: tuple[str, ...]
    attempts: int
    seconds: float
    succeeded: bool
    findings: Findings

    @property
    def is_good(self) -> bool:
        """Whether one dbt run, all rows and all files are there, and nothing else."""
        return self.succeeded and not self.findings.problems


def work(settings: Mapping[str, str], resumes: str | None) -> None:
    """What the process does: execute the graph, or resume it from its failure."""
    with environment(settings), dg.DagsterInstance.get() as instance:
        execute(instance, resumes=resumes)


def given_up(instance: dg.DagsterInstance) -> str | None:
    """The newest Dagster run, reported failed as run monitoring does with a dead worker."""
    for run in instance.get_runs(limit=1):
        if not run.is_finished:
            instance.report_run_failed(run)
        return run.run_id
    return None


def is_over(instance: dg.DagsterInstance) -> bool:
    """Whether the newest Dagster run is a success."""
    return any(run.is_success for run in instance.get_runs(limit=1))


@contextmanager
def empty_home() -> Iterator[Path]:
    """A Dagster home with its databases made, to be copied, because making them takes long."""
    with tempfile.TemporaryDirectory(prefix="faults-home-") as folder:
        Path(folder, "dagster.yaml").write_text(_DAGSTER_YAML)
        with dg.DagsterInstance.from_config(folder) as instance:
            instance.get_runs()
        yield Path(folder)


@contextmanager
def copied(empty_home: Path, home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a home of its own, opened once, because opening it takes long as well."""
    shutil.copytree(empty_home, home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@dataclass(frozen=True)
class _Victim:
    """A case at work."""

    case: Case
    place: Place
    instance: dg.DagsterInstance
    sandbox: Sandbox

    def run(self) -> Outcome:
        phases: list[str] = []
        moments = self.case.moments
        attempts, seconds, succeeded = 0, 0.0, False
        while not succeeded and attempts < _MOST_ATTEMPTS:
            attempts += 1
            begun = time.monotonic()
            before = len(self.sandbox.requests)
            if self._killed(moments[len(phases)] if len(phases) < len(moments) else None):
                phases.append(self._phase(self.sandbox.requests[before:]))
            seconds = time.monotonic() - begun
            succeeded = is_over(self.instance)
        return Outcome(tuple(phases), attempts, seconds, succeeded, self._findings())

    def _killed(self, moment: Moment | None) -> bool:
        """Run the process; whether it was killed before its end."""
        settings = {
            **self.place.variables(self.sandbox),
            "DAGSTER_HOME": self.instance.root_directory,
        }
        process = fork_server().Process(target=work, args=(settings, given_up(self.instance)))
        before = len(self.sandbox.requests)
        process.start()
        if moment is not None:
            self._wait_for(moment, before, process)
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)
        process.join(_LONGEST_ATTEMPT)
        return process.exitcode == -signal.SIGKILL

    def _wait_for(self, moment: Moment, before: int, process: BaseProcess) -> None:
        is_reached = MILESTONES[moment.milestone]
        while process.is_alive() and not is_reached(self.sandbox.requests[before:]):
            time.sleep(_WATCH_PAUSE)
        process.join(moment.delay)

    def _phase(self, requests: Sequence[RecordedRequest]) -> str:
        """What the killed process was at, by the events of its Dagster run."""
        runs = self.instance.get_runs(limit=1)
        logged = self.instance.all_logs(runs[0].run_id) if runs else []
        events = [entry.dagster_event for entry in logged if entry.dagster_event is not None]
        return PHASES[_phase_of(events, posted=TRIGGER.asked(requests) > 0)]

    def _findings(self) -> Findings:
        runs = self.instance.get_runs()
        wishes = [run.run_id for run in runs if run.parent_run_id is None]
        return take_stock(self.place, dbt_runs(self.sandbox), wishes, ARTIFACTS)


def _phase_of(events: Sequence[dg.DagsterEvent], *, posted: bool) -> int:
    """The position in `PHASES` of the first thing that had not happened yet."""
    begun = [e.node_name for e in events if e.event_type == DagsterEventType.STEP_START]
    handled = [
        e.event_specific_data.output_name  # type: ignore[union-attr]  # that is what it carries
        for e in events
        if e.event_type == DagsterEventType.HANDLED_OUTPUT
    ]
    given = [
        e.step_output_data.output_name
        for e in events
        if e.event_type == DagsterEventType.STEP_OUTPUT
    ]
    happened = {
        9: "artifacts" in handled,
        8: "artifacts" in given,
        7: "run_result" in handled,
        6: "run_result" in given,
        5: "dbt_cloud_run" in begun,
        4: "result" in handled,
        3: "result" in given,
        2: "trigger_response" in begun and posted,
        1: "trigger_response" in begun,
    }
    return next((phase for phase, has in happened.items() if has), 0)


def run_case(case: Case) -> Outcome:
    """Run one case in a folder, a Dagster home and a sandbox of its own."""
    job = SandboxJob(name="nightly", script=case.scripts)
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        Sandbox(jobs=[job]) as sandbox,
        copied(case.empty_home, Path(folder, "home")) as instance,
    ):
        for fault in case.faults:
            sandbox.inject(fault)
        return _Victim(case, Place(Path(folder)), instance, sandbox).run()


def random_moments(seed: str, usual: float) -> tuple[Moment, ...]:
    """When to kill a process that usually takes so many seconds, and mostly no other one."""
    chance = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
    latest = {"start": usual, **_LATEST}
    wanted = 2 if chance.random() < _KILLED_TWICE else 1
    milestones = chance.choices(list(latest), k=wanted)
    return tuple(Moment(each, chance.uniform(0, latest[each])) for each in milestones)


def measure(kills: int, *, seed: int) -> Report:
    """Cases until so many processes have been killed."""
    outcomes: list[Outcome] = []
    with empty_home() as home:
        usual = [run_case(Case("left alone", home)).seconds for _ in range(2)][-1]
        while (missing := kills - _kills(outcomes)) > 0 and len(outcomes) < _MOST_CASES * kills:
            first = len(outcomes)
            seeds = [f"{seed}/{first + number}" for number in range(missing)]
            cases = [Case(each, home, random_moments(each, usual)) for each in seeds]
            outcomes += in_parallel("kills", run_case, cases, for_each_core=3)
    return _report(outcomes, seed)


def _kills(outcomes: Sequence[Outcome]) -> int:
    return sum(len(outcome.phases) for outcome in outcomes)


def _report(outcomes: Sequence[Outcome], seed: int) -> Report:
    hit = Counter(phase for outcome in outcomes for phase in outcome.phases)
    total = sum((outcome.findings for outcome in outcomes), Findings())
    processes = sum(outcome.attempts for outcome in outcomes)
    stuck = sum(not outcome.succeeded for outcome in outcomes)
    return Report(
        title=f"kill -9 of the process at random moments (--seed {seed})",
        headings=("what was hit", "kills", ""),
        rows=[(phase, str(hit[phase]), "#" * hit[phase]) for phase in PHASES],
        summary=(
            f"{hit.total()} kills of {processes} processes in {len(outcomes)} cases.",
            f"Cases that could not be resumed to success: {stuck}.",
            total.sentence,
        ),
        is_good=all(outcome.is_good for outcome in outcomes),
    )
