"""The table of faults: each endpoint, each fault, the first, second and last request."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg

from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob
from dbt_trigger_dagster_tests.harness import Place, dbt_runs, environment
from dbt_trigger_dagster_tests.instances import an_instance
from faults.graph import execute, what_failed
from faults.kinds import ARTIFACTS, ENDPOINTS, POSITIONS, TRIGGER, Endpoint, armed
from faults.ledger import Findings, take_stock
from faults.pool import in_parallel
from faults.report import Report

_HEADINGS = (
    "endpoint",
    "fault",
    "request",
    "runs",
    "trigger rows",
    "run rows",
    "files",
    "Dagster run",
    "verdict",
)
_STATUS = re.compile(r"was answered (\d+)(?:: |( with a body that is not))")
_CERTAIN = ("401", "404")
_CANCELLED = 30
_LONGEST = 48


@dataclass(frozen=True)
class Case:
    """One fault that hits one request.

    Attributes:
        endpoint: Where.
        fault: Its name; empty for none.
        position: Which of `POSITIONS`.
        usual: How many requests to the endpoint a run without the fault makes.
    """

    endpoint: Endpoint
    fault: str = ""
    position: str = "last"
    usual: int = 0

    @property
    def faults(self) -> list[Fault]:
        """What is put in force."""
        kind = self.endpoint.kinds[self.fault] if self.fault else None
        return armed(self.endpoint, kind, self.position, self.usual)

    @property
    def must_start_none(self) -> bool:
        """Whether dbt Cloud refuses the trigger for certain: nothing may start before a resume."""
        return self.endpoint is TRIGGER and self.fault in _CERTAIN


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        case: Which.
        asked: Requests to its endpoint in the first Dagster run.
        started_first: dbt runs after the first Dagster run.
        said: What the first Dagster run failed with; empty for a success.
        said_when_resumed: The same of the run that resumed it; None where none did.
        findings: What there was in the end.
        is_cancelled: Whether the dbt run was cancelled in the end.
    """

    case: Case
    asked: int
    started_first: int
    said: str
    said_when_resumed: str | None
    findings: Findings
    is_cancelled: bool

    @property
    def problems(self) -> str:
        """What is wrong; empty where nothing is."""
        found = [self.findings.problems]
        if self.case.fault and self.asked < self._asked_at_least:
            found.append("the fault hit nothing")
        if self.case.must_start_none and self.started_first:
            found.append("started although refused")
        if self.case.endpoint.is_cancelled:
            found += [] if self.is_cancelled else ["not cancelled"]
        elif self.said_when_resumed or (self.said and self.said_when_resumed is None):
            found.append("not to be resumed")
        return ", ".join(filter(None, found))

    @property
    def dagster_run(self) -> str:
        """How the Dagster run ended, and the one that resumed it."""
        first = f"failed: {shortened(self.said)}" if self.said else "success"
        if self.said_when_resumed is None:
            return first
        return f"{first}; resumed: {shortened(self.said_when_resumed) or 'success'}"

    @property
    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        case, found = self.case, self.findings
        return (
            case.endpoint.name,
            case.fault or "none",
            case.position if case.fault else "",
            str(found.started),
            str(found.trigger_rows),
            str(found.run_rows),
            str(found.files),
            self.dagster_run,
            self.problems or "ok",
        )

    @property
    def _asked_at_least(self) -> int:
        of_the_endpoint = self.case.endpoint.fault(Fault())
        aimed = [
            fault
            for fault in self.case.faults
            if (fault.method, fault.path) == (of_the_endpoint.method, of_the_endpoint.path)
        ]
        return sum(fault.skip + (fault.count or 0) for fault in aimed)


def shortened(said: str) -> str:
    """The status that was answered, or the end of the first sentence."""
    if status := _STATUS.search(said):
        return status[1] + (" unreadable" if status[2] else "")
    first_line = said.partition("\n")[0]
    what = first_line.partition("got no answer: ")[2] or re.sub(
        r"dbt Cloud run \d+ ", "", first_line
    )
    return what if len(what) <= _LONGEST else f"{what[:_LONGEST]}…"


def run_case(case: Case) -> Outcome:
    """Run one case in a folder and a sandbox of its own; once more if its fault hit nothing."""
    outcome = _run_once(case)
    return _run_once(case) if outcome.asked < outcome._asked_at_least else outcome  # noqa: SLF001  # it is ours


def _run_once(case: Case) -> Outcome:
    scripts = filter(None, [case.endpoint.script, case.endpoint.next_script])
    job = SandboxJob(name="nightly", script=tuple(scripts))
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        Sandbox(jobs=[job]) as sandbox,
        an_instance() as instance,
    ):
        place = Place(Path(folder))
        with environment(place.variables(sandbox)):
            return _outcome(case, place, sandbox, instance)


def _outcome(case: Case, place: Place, sandbox: Sandbox, instance: dg.DagsterInstance) -> Outcome:
    wait = case.endpoint.wait
    before = execute(instance, wait=wait).run_id if case.endpoint.next_script else None
    for fault in case.faults:
        sandbox.inject(fault)
    first = execute(instance, wait=wait, resumes=before)
    wish = before or first.run_id
    sandbox.clear_faults()
    asked = case.endpoint.asked(sandbox.requests)
    left = dbt_runs(sandbox)
    outcome = Outcome(
        case=case,
        asked=asked,
        started_first=len(left),
        said=what_failed(first),
        said_when_resumed=None,
        findings=_findings(case, place, left, wish),
        is_cancelled=_all_cancelled(left),
    )
    if first.success or (case.endpoint.is_cancelled and not outcome.problems):
        return outcome
    again = execute(instance, wait=wait, resumes=first.run_id)
    left = dbt_runs(sandbox)
    return replace(
        outcome,
        said_when_resumed=what_failed(again),
        findings=_findings(case, place, left, wish),
        is_cancelled=_all_cancelled(left),
    )


def _findings(case: Case, place: Place, runs: Sequence[dict[str, object]], wish: str) -> Findings:
    artifacts = {} if case.endpoint.is_cancelled else ARTIFACTS
    return take_stock(place, runs, [wish], artifacts)


def _all_cancelled(runs: Sequence[dict[str, object]]) -> bool:
    return all(run["status"] == _CANCELLED for run in runs)


def measure(*, fast: bool) -> Report:
    """All cases; with ``fast`` only those that hit the first request."""
    usual = in_parallel("table, without faults", run_case, [*_without_faults(fast=fast)])
    positions = POSITIONS[:1] if fast else POSITIONS
    asked = {(each.case.endpoint.name, each.case.position): each.asked for each in usual}
    cases = [
        Case(endpoint, fault, position, asked.get((endpoint.name, position), 0))
        for endpoint in ENDPOINTS
        for fault in endpoint.kinds
        for position in positions
    ]
    outcomes = [*usual, *in_parallel("table", run_case, cases, for_each_core=4)]
    bad = sum(bool(outcome.problems) for outcome in outcomes)
    return Report(
        title="Faults: each endpoint, each fault, each request",
        headings=_HEADINGS,
        rows=[outcome.cells for outcome in outcomes],
        summary=(
            f"{len(outcomes)} cases, {len(outcomes) - bad} ok, {bad} not.",
            "A Dagster run that failed was resumed from its failure, without faults.",
            "Runs, rows and files are those in the end.",
        ),
        is_good=not bad,
    )


def _without_faults(*, fast: bool) -> list[Case]:
    """Cases that tell which request is an endpoint's last."""
    return [Case(endpoint, position="first" if fast else "last") for endpoint in ENDPOINTS]
