"""Many triggers of one job, with random faults; what fails is resumed until it succeeds."""

import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg

from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob, Script
from dbt_trigger_dagster_tests.harness import Place, dbt_runs, environment
from dbt_trigger_dagster_tests.instances import an_instance
from faults.graph import execute
from faults.kinds import (
    ARTIFACTS,
    DOWNLOAD,
    FAILS,
    GET_RUN,
    LIST_ARTIFACTS,
    RETRY,
    SEARCH,
    TRIGGER,
)
from faults.ledger import Findings, take_stock
from faults.pool import in_parallel
from faults.report import Report

_MOST_OF_ONE_CASE, _FEWEST_CASES = 10, 8
_MOST_RESUMES = 10
_HOW_MANY = (0, 1, 1, 1, 2, 2, 3)
_AIMED_AT = (TRIGGER, TRIGGER, TRIGGER, RETRY, SEARCH, GET_RUN, LIST_ARTIFACTS, DOWNLOAD)
_SHARE_THAT_FAILS = 0.2
_MOST_DBT_RUNS = 40  # from there on they all end well, so that every case comes to an end


@dataclass(frozen=True)
class Case:
    """Triggers one after the other, in one database and one sandbox.

    Attributes:
        seed: Where its random numbers begin.
        count: How many triggers.
    """

    seed: str
    count: int

    @property
    def faults(self) -> list[list[Fault]]:
        """What goes wrong with each trigger."""
        chance = random.Random(self.seed)  # noqa: S311  # to be repeated, not to be secret
        return [_random_faults(chance) for _ in range(self.count)]

    @property
    def scripts(self) -> tuple[Script, ...]:
        """How the dbt runs end, one after the other; those that continue failed ones included."""
        chance = random.Random(f"{self.seed} scripts")  # noqa: S311  # to be repeated, not to be secret
        good = Script(artifacts=ARTIFACTS)
        ends = [chance.random() < _SHARE_THAT_FAILS for _ in range(_MOST_DBT_RUNS)]
        return (*(FAILS if fails else good for fails in ends), good)


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        dagster_runs: Dagster runs, those that resume others included.
        failed: Those of them that failed.
        given_up: Triggers that did not come to a success.
        armed: Faults that were put in force, by method, path and kind.
        findings: What there was in the end.
    """

    dagster_runs: int
    failed: int
    given_up: int
    armed: int
    findings: Findings


def _random_faults(chance: random.Random) -> list[Fault]:
    found = []
    for _ in range(chance.choice(_HOW_MANY)):
        endpoint = chance.choice(_AIMED_AT)
        kind = chance.choice(list(endpoint.kinds.values()))
        aimed = endpoint.fault(kind, skip=chance.randint(0, 1))
        found.append(replace(aimed, count=chance.randint(1, 2)))
    return found


def run_case(case: Case) -> Outcome:
    """Trigger, resume what fails, and take stock at the end."""
    job = SandboxJob(name="nightly", script=case.scripts)
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        Sandbox(jobs=[job]) as sandbox,
        an_instance() as instance,
    ):
        place = Place(Path(folder))
        with environment(place.variables(sandbox)):
            chains = [_trigger(faults, sandbox, instance) for faults in case.faults]
        wishes = [chain[0].run_id for chain in chains]
        ended = Counter(result.success for chain in chains for result in chain)
        return Outcome(
            dagster_runs=ended.total(),
            failed=ended[False],
            given_up=sum(not chain[-1].success for chain in chains),
            armed=sum(map(len, case.faults)),
            findings=take_stock(place, dbt_runs(sandbox), wishes, ARTIFACTS),
        )


def _trigger(
    faults: Sequence[Fault], sandbox: Sandbox, instance: dg.DagsterInstance
) -> list[dg.JobExecutionResult]:
    """The Dagster run, and those that resume it; the faults last until they are used up."""
    for fault in faults:
        sandbox.inject(fault)
    chain = [execute(instance)]
    while not chain[-1].success and len(chain) <= _MOST_RESUMES:
        chain.append(execute(instance, resumes=chain[-1].run_id))
    sandbox.clear_faults()
    return chain


def measure(triggers: int, *, seed: int) -> Report:
    """So many triggers, many cases at once."""
    size = max(1, min(_MOST_OF_ONE_CASE, triggers // _FEWEST_CASES))
    cases = [
        Case(f"{seed}/{first}", min(size, triggers - first)) for first in range(0, triggers, size)
    ]
    outcomes = in_parallel("triggers", run_case, cases, for_each_core=8)
    total = sum((outcome.findings for outcome in outcomes), Findings())
    given_up = sum(outcome.given_up for outcome in outcomes)
    counts = {
        "faults put in force": sum(outcome.armed for outcome in outcomes),
        "Dagster runs": sum(outcome.dagster_runs for outcome in outcomes),
        "Dagster runs that failed": sum(outcome.failed for outcome in outcomes),
        "dbt runs wanted": total.wanted,
        "dbt runs started": total.started,
        "rows of dbt_cloud_trigger": total.trigger_rows,
        "rows of dbt_cloud_run": total.run_rows,
        "files": total.files,
    }
    goals = {"never resumed to success": given_up, **total.wrong}
    return Report(
        title=f"{triggers} triggers with random faults (--seed {seed})",
        headings=("what", "measured", "goal"),
        rows=[
            *((name, str(count), "") for name, count in counts.items()),
            *((name, str(count), "0") for name, count in goals.items()),
        ],
        is_good=not any(goals.values()),
    )
