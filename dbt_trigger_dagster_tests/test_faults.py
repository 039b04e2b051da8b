"""A fast part of ``make faults``, and whether what it finds wrong is found at all."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbt_trigger_dagster.sandbox import Sandbox, SandboxJob, Script
from dbt_trigger_dagster_tests.clocks import HurriedClock
from dbt_trigger_dagster_tests.harness import Place, dbt_runs, environment
from dbt_trigger_dagster_tests.instances import an_instance
from faults import bodies, drips, echoes, kills, pairs, table, triggers
from faults.graph import execute
from faults.kinds import (
    ARTIFACTS,
    CANCEL,
    DOWNLOAD,
    FAILS,
    GET_RUN,
    LIST_ARTIFACTS,
    RETRY,
    SEARCH,
    TRIGGER,
    Endpoint,
)
from faults.ledger import take_stock


@pytest.fixture(scope="module")
def empty_home() -> Iterator[Path]:
    """A Dagster home that each case copies."""
    with kills.empty_home() as made:
        yield made


@pytest.mark.parametrize(
    ("endpoint", "fault", "position"),
    [
        (TRIGGER, "reset before", "first"),
        (TRIGGER, "reset after", "first"),
        (TRIGGER, "502 HTML after", "second"),
        (TRIGGER, "truncated", "last"),
        (SEARCH, "401", "first"),
        (GET_RUN, "200 HTML", "second"),
        (CANCEL, "hang after", "last"),
        (RETRY, "reset after", "first"),
        (RETRY, "503", "second"),
        (LIST_ARTIFACTS, "401", "first"),
        (DOWNLOAD, "200 HTML", "second"),
    ],
    ids=lambda value: value.name if isinstance(value, Endpoint) else None,
)
def test_a_fault_costs_nothing(endpoint: Endpoint, fault: str, position: str) -> None:
    """One dbt run, its rows and its files; at the latest when the Dagster run is resumed."""
    assert table.run_case(table.Case(endpoint, fault, position)).problems == ""


def test_a_refused_trigger_starts_nothing() -> None:
    """Until the Dagster run is resumed, when nobody refuses any more."""
    outcome = table.run_case(table.Case(TRIGGER, "401", "first"))
    assert (outcome.started_first, outcome.said_when_resumed, outcome.problems) == (0, "", "")
    assert outcome.dagster_run == "failed: 401; resumed: success"


def test_random_faults_cost_nothing() -> None:
    """However many Dagster runs it takes; this seed loses answers, and has a dbt run that fails."""
    outcome = triggers.run_case(triggers.Case("221", 4))
    assert outcome.armed > 0
    assert (outcome.given_up, outcome.findings.problems) == (0, "")
    assert outcome.findings.started == 5


@pytest.mark.parametrize(
    ("milestone", "attempts"), [("trigger", 2), ("poll", 2), ("downloads", 2), ("retry", 3)]
)
def test_a_kill_costs_nothing(empty_home: Path, milestone: str, attempts: int) -> None:
    """A real process and a real SIGKILL; the run that resumes it does the rest."""
    moments = (kills.Moment(milestone, 0.01),)
    outcome = kills.run_case(kills.Case("a fast part", empty_home, moments))
    assert len(outcome.phases) == 1
    assert outcome.attempts == attempts
    assert outcome.is_good, outcome


def _add_a_stray(place: Place) -> None:
    (place.artifacts / "left-over").touch()


def _tear_a_file(place: Place) -> None:
    _a_file(place).write_bytes(b"half")


def _lose_a_file(place: Place) -> None:
    _a_file(place).unlink()


def _lose_all_rows(place: Place) -> None:
    place.database.unlink()


def _lose_everything(place: Place) -> None:
    shutil.rmtree(place.folder)


def _a_file(place: Place) -> Path:
    return next(path for path in place.artifacts.rglob("manifest.json"))


DAMAGES: dict[Callable[[Place], None], str] = {
    _add_a_stray: "1 stray files",
    _tear_a_file: "1 torn files",
    _lose_a_file: "1 lost files",
    _lose_all_rows: "10 lost rows",
    _lose_everything: "10 lost rows, 6 lost files",
}


def test_a_failed_run_that_nobody_continued_is_found(tmp_path: Path) -> None:
    """And so is one that was continued twice."""
    job = SandboxJob(name="nightly", script=FAILS)
    place = Place(tmp_path)
    with Sandbox(jobs=[job]) as sandbox, an_instance() as instance:
        with environment(place.variables(sandbox)):
            wish = execute(instance).run_id
        (run,) = dbt_runs(sandbox)
    assert take_stock(place, [run], [wish], ARTIFACTS).problems == "1 missing"
    retry = {**run, "id": run["id"] + 1, "status": 10, "retrying_run_id": run["id"]}
    twice = take_stock(place, [run, retry, {**retry, "id": run["id"] + 2}], [wish], ARTIFACTS)
    assert twice.wrong["duplicates"] == 1


def test_damage_is_found(tmp_path: Path) -> None:
    """A table without a finding would say nothing if nothing could be found."""
    job = SandboxJob(name="nightly", script=Script(artifacts=ARTIFACTS))
    place = Place(tmp_path / "undamaged")
    with Sandbox(jobs=[job]) as sandbox, an_instance() as instance:
        with environment(place.variables(sandbox)):
            wishes = [execute(instance).run_id for _ in range(2)]
        runs = dbt_runs(sandbox)
    assert take_stock(place, runs, wishes, ARTIFACTS).problems == ""
    assert take_stock(place, runs, wishes[:1], ARTIFACTS).problems == "1 duplicates"
    assert take_stock(place, runs, [*wishes, "another"], ARTIFACTS).problems == "1 missing"
    for damage, problems in DAMAGES.items():
        damaged = Place(tmp_path / damage.__name__)
        shutil.copytree(place.folder, damaged.folder)
        damage(damaged)
        assert take_stock(damaged, runs, wishes, ARTIFACTS).problems == problems


def test_pairs_that_resume_one_run_at_once_leave_one() -> None:
    """Whether both trigger or one finds the other's run; both follow the same."""
    outcomes = pairs.run_pairs(6, seed=1, answer_time=0.3, new_clock=HurriedClock)
    assert all(outcome.is_good for outcome in outcomes), outcomes


def test_no_answer_that_drips_or_never_ends_is_waited_for() -> None:
    """Of three endpoints: one that triggers, one that lists, one that gives a file."""
    found = drips.all_by_the_client(["trigger", "search", "download"], timeout=0.05)
    assert [each for each in found if not each.is_good] == []
    assert len(found) == 3 * 5 + 1


def test_a_body_that_is_no_file_leaves_no_wrong_bytes() -> None:
    """Nor does it cost the other files of the run."""
    found = bodies.run_cases(["103 before", "206 of a part", "cut", "packed, cut", "no HTTP"])
    assert [each for each in found if not each[1].is_good_for(each[0])] == []
    refused = [case for case, outcome in found if case.always and case.path in outcome.stored]
    assert refused == []


def test_an_answer_that_repeats_the_token_leaves_it_nowhere(empty_home: Path) -> None:
    """Neither in what is kept, nor in what is printed."""
    outcome = echoes.run_case(echoes.Case("log of a step", empty_home))
    assert outcome.echoed > 0
    assert outcome.leaks == ()
