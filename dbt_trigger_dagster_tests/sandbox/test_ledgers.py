"""The sandbox's sorted runs: what a scan and a sort of all runs would give, page by page."""

import random
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from starlette.datastructures import QueryParams

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.sandbox.account.cloud import Cloud
from dbt_trigger_dagster.sandbox.account.jobs import SandboxJob
from dbt_trigger_dagster.sandbox.account.ledgers import Window
from dbt_trigger_dagster.sandbox.account.runs import Run
from dbt_trigger_dagster.sandbox.account.scheduler import Scheduler
from dbt_trigger_dagster.sandbox.account.trigger_requests import TriggerRequest
from dbt_trigger_dagster.sandbox.api.filters import Candidates, ListQuery
from dbt_trigger_dagster.sandbox.api.listings import run_candidates, runs_listing
from dbt_trigger_dagster.sandbox.runners.scripted_runner import ScriptedRunner

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
RANGE = f'["{NOON.isoformat()}", "{(NOON + timedelta(seconds=3)).isoformat()}"]'
QUERIES: list[Mapping[str, str]] = [
    {"order_by": "finished_at"},
    {"order_by": "-finished_at"},
    {"order_by": "finished_at", "finished_at__range": RANGE},
    {"order_by": "-finished_at", "finished_at__range": RANGE},
    {"order_by": "-id", "finished_at__range": RANGE, "id__gt": "1000000"},
    {"order_by": "created_at", "finished_at__range": RANGE},
    {"order_by": "finished_at", "finished_at__range": RANGE, "job_definition_id": "1002"},
    {"order_by": "finished_at", "finished_at__range": RANGE, "status": "20"},
    {"order_by": "-finished_at", "job_definition_id": "1001", "status__in": "[3, 20]"},
    {"order_by": "id", "id__gt": "HALF"},
    {"order_by": "-id", "id__gt": "HALF", "job_definition_id": "1002"},
    {"order_by": "-id", "job_definition_id": "1001"},
    {"order_by": "-id", "job_definition_id": "999"},
    {"order_by": "-created_at"},
]


@pytest.fixture
def cloud() -> Cloud:
    """Two jobs and 200 runs, of which three in four are over, many of them in one moment."""
    chance = random.Random(4)  # noqa: S311  # no secret
    runner = ScriptedRunner()
    jobs = [SandboxJob(name="one"), SandboxJob(name="two")]
    cloud = Cloud(jobs, Scheduler(lambda _: runner))
    runs = [a_run(cloud, chance.choice([1001, 1002])) for _ in range(200)]
    for run in chance.sample(runs, 150):
        status = chance.choice([RunStatus.SUCCESS, RunStatus.ERROR])
        run.finish(status, None, NOON + timedelta(seconds=chance.randrange(6)))
    return cloud


def a_run(cloud: Cloud, job_id: int = 1001) -> Run:
    """A run that is not over."""
    return cloud.new_run(cloud.job(job_id), TriggerRequest(cause="a test"), "api")


def query(cloud: Cloud, **parameters: str) -> ListQuery[Run]:
    """A query for runs."""
    half = cloud.ledger().by_id()[100].id
    known = {key: value.replace("HALF", str(half)) for key, value in parameters.items()}
    return runs_listing(cloud).read(QueryParams(known))


def pages(cloud: Cloud, parameters: Mapping[str, str], limit: int = 7) -> Iterator[list[Run]]:
    """The pages of a list, each asked for when the one before has been read."""
    for offset in range(0, 400, limit):
        asked = query(cloud, **parameters, limit=str(limit), offset=str(offset))
        page = asked.page(run_candidates(cloud, asked))
        if not page.items:
            return
        yield list(page.items)


@pytest.mark.parametrize("parameters", QUERIES, ids=str)
def test_pages_are_those_of_a_scan_and_a_sort_of_all_runs(
    cloud: Cloud, parameters: dict[str, str]
) -> None:
    """Whatever the order and the filters; an equal end is in the order of the ids."""
    asked = query(cloud, **parameters)
    runs = list(cloud.ledger().by_id())
    for key, value in asked.applied.items():
        runs = [run for run in runs if asked.listing.filters[key].keep(run, value)]
    name = asked.order_by.removeprefix("-")
    backwards = asked.order_by.startswith("-")
    runs.sort(key=lambda run: (as_tuple(asked.listing.orders[name](run)), run.id))
    if backwards:
        runs.reverse()
    found = [run for page in pages(cloud, parameters) for run in page]
    assert [run.id for run in found] == [run.id for run in runs]
    whole = asked.page(run_candidates(cloud, asked))
    assert whole.total_count == len(runs)


def as_tuple(key: Any) -> tuple[Any, ...]:
    """A sort key that can be lengthened."""
    return key if isinstance(key, tuple) else (key,)


def test_the_fixture_has_every_kind_of_run(cloud: Cloud) -> None:
    """Or the comparison would say nothing."""
    ledger = cloud.ledger()
    assert len(ledger.ended_between(NOON, NOON)) > 10
    assert 0 < len(ledger.ended_between(NOON, NOON + timedelta(seconds=3))) < 150
    assert len(ledger.by_end()) == len(ledger.by_id()) == 200


def test_runs_that_end_while_pages_are_read_move_no_run_of_the_range(cloud: Cloud) -> None:
    """They end after it: each run of the range is on one page, once."""
    parameters = {"order_by": "finished_at", "finished_at__range": RANGE}
    before = list(cloud.ledger().ended_between(NOON, NOON + timedelta(seconds=3)))
    in_flight = [run for run in cloud.ledger().by_id() if run.in_progress]
    seen: list[Run] = []
    for page, run in zip(pages(cloud, parameters), in_flight, strict=False):
        seen += page
        run.finish(RunStatus.SUCCESS, None)
    assert seen == before


def test_runs_that_end_in_one_moment_are_in_the_order_of_their_ids(cloud: Cloud) -> None:
    """Whatever the order in which their ends were noted."""
    first, second, third = (a_run(cloud) for _ in range(3))
    moment = NOON + timedelta(days=1)
    for run in (second, third, first):
        run.finish(RunStatus.SUCCESS, None, moment)
    assert list(cloud.ledger().ended_between(moment, moment)) == [first, second, third]


def test_an_end_before_all_others_is_found(cloud: Cloud) -> None:
    """A run may end late by the clock, and early by what it says."""
    run = a_run(cloud)
    run.finish(RunStatus.SUCCESS, None, NOON - timedelta(days=1))
    assert cloud.ledger().by_end()[0] is run
    assert cloud.ledger(1001).by_end()[0] is run


@pytest.mark.parametrize("parameters", [QUERIES[index] for index in (2, 6, 9, 10, 11)], ids=str)
def test_no_run_beyond_what_is_asked_for_is_looked_at(
    cloud: Cloud, parameters: dict[str, str]
) -> None:
    """What is read from the ledgers needs no filter: runs in flight and old ones cost nothing."""
    asked = query(cloud, **parameters)
    candidates = run_candidates(cloud, asked)
    assert asked.applied.keys() <= candidates.settled
    assert len(candidates.items) == asked.page(candidates).total_count < 200


def test_what_is_deleted_is_nothing(cloud: Cloud) -> None:
    """And has no pages."""
    asked = query(cloud, state="deleted")
    assert asked.page(run_candidates(cloud, asked)).total_count == 0


def test_a_window_is_a_part_of_a_list() -> None:
    """It has the part's length, items and slices, also from its end."""
    window = Window(list(range(10)), 3, 7)
    assert (list(window), len(window), window[0], window[-1]) == ([3, 4, 5, 6], 4, 3, 6)
    assert (window[1:3], window[::-1]) == ([4, 5], [6, 5, 4, 3])
    assert list(reversed(window)) == [6, 5, 4, 3]
    assert (list(Window([1, 2], 2, 1)), len(Window([1, 2], 2, 1))) == ([], 0)
    assert Candidates(window).items[2:9] == [5, 6]
