"""What the views say, in a database of each kind."""

import dataclasses
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.node_tables import NODE, NODE_RESULT, RUN_STEP
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.tables import RUN, TABLES
from dbt_trigger_dagster.storage.views import VIEWS
from dbt_trigger_dagster_tests.databases import EmptySchema

MONDAY = datetime(2026, 1, 5, tzinfo=timezone.utc)
OF_THE_JOB = {"account_id": 101, "job_id": 7}


@pytest.fixture
def store(place: EmptySchema) -> SqlStore:
    """A store of it, with the tables and the views."""
    made = place.open(wait_limit=10)
    made.check(TABLES.values(), VIEWS)
    return made


def day(number: int) -> datetime:
    """The time of a run."""
    return MONDAY + timedelta(days=number)


def runs(*ids: int) -> Rows:
    """A run for each day, by its id."""
    records = [
        {
            "account_id": 101,
            "id": run_id,
            "job_definition_id": 7,
            "status": 10,
            "created_at": day(run_id).isoformat(),
            "queued_duration_seconds": "00:00:05",
            "duration_seconds": "00:01:00",
        }
        for run_id in ids
    ]
    return RUN.rows(records)


def results(
    unique_id: str, *statuses: str | None, step: int = 4, **more: Any
) -> list[dict[str, Any]]:
    """A node's results in the runs 1, 2, 3, …; in a run with None there is none."""
    return [
        {
            **OF_THE_JOB,
            "run_id": run_id,
            "step": step,
            "unique_id": unique_id,
            "executed": True,
            "status": status,
            "name": unique_id,
            **{
                name: value[run_id - 1] if isinstance(value, list) else value
                for name, value in more.items()
            },
        }
        for run_id, status in enumerate(statuses, start=1)
        if status
    ]


def write(
    store: SqlStore, *records: list[dict[str, Any]], nodes: list[dict[str, Any]] | None = None
) -> None:
    """Some runs with these results."""
    found = [record for each in records for record in each]
    count = max(record["run_id"] for record in found)
    store.upsert(runs(*range(1, count + 1)), NODE_RESULT.rows(found), NODE.rows(nodes or []))


def change_of(place: EmptySchema, unique_id: str) -> tuple[Any, ...] | None:
    """What has changed with a node: the change, since which run, and the run before."""
    found = place.sql(
        "SELECT unique_id, change, since_run_id, previous_run_id FROM {dbt_cloud_node_change}"
    )
    assert len({name for name, *_ in found}) == len(found)
    return {name: tuple(rest) for name, *rest in found}.get(unique_id)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_has_the_columns_that_are_documented(place, store, view) -> None:
    """All of them and in their order, also where nothing was landed yet."""
    names = ", ".join(f"v.{column.name}" for column in view.columns)
    assert place.sql(f"SELECT {names} FROM {{{view.name}}} AS v") == []  # noqa: S608  # our own
    with store._database.connect() as connection:
        there = store._database.look(connection, [view.name])[view.name]
    assert list(there.columns) == [column.name for column in view.columns]
    assert there.is_view


def test_the_latest_is_the_newest_executed_one(place, store) -> None:
    """Not the docs' that came after it, and each job has its own."""
    executed = results("model.shop.orders", "error", "success")
    docs = results("model.shop.orders", None, "success", step=5, executed=False)
    other = [{**record, "job_id": 8, "status": "skipped"} for record in executed[:1]]
    write(store, executed, docs, other)
    found = place.sql(
        "SELECT job_id, run_id, step, status FROM {dbt_cloud_node_latest} ORDER BY job_id"
    )
    assert found == [(7, 2, 4, "success"), (8, 1, 4, "skipped")]


def test_what_a_command_that_is_not_known_did_counts(place, store) -> None:
    """In every view; elsewhere a failure of it is told, too."""
    write(store, results("a", "success", "error", executed=None))
    latest = "SELECT unique_id, run_id, status FROM {dbt_cloud_node_latest}"
    assert place.sql(latest) == [("a", 2, "error")]
    assert change_of(place, "a") == ("newly failing", 2, 1)
    overview = "SELECT run_id, nodes, nodes_failed FROM {dbt_cloud_run_overview} ORDER BY run_id"
    assert place.sql(overview) == [(1, 1, 0), (2, 1, 1)]


@pytest.mark.parametrize(
    ("statuses", "change"),
    [
        (["success", "error"], ("newly failing", 2, 1)),
        (["error"], ("newly failing", 1, None)),
        (["success", "error", "error", "fail"], ("still failing", 2, 3)),
        (["error", "error"], ("still failing", 1, 1)),
        (["error", "skipped", "error"], ("still failing", 1, 1)),
        (["error", "success"], ("fixed", 2, 1)),
        (["fail", "warn"], ("fixed", 2, 1)),
        (["success", "error", "success", "success"], None),
        (["success", "skipped"], None),
        (["success", "error", "skipped"], ("newly failing", 2, 1)),
        (["success", "success"], None),
        (["success"], None),
        ([None, "success"], ("new", 2, None)),
        ([None, "pass", "pass"], None),
        (["success", "partial success"], ("newly failing", 2, 1)),
    ],
)
def test_what_has_changed_follows_from_the_results_before(place, store, statuses, change) -> None:
    """A node that was skipped has told nothing."""
    write(store, results("seed.shop.raw", *["success"] * len(statuses)), results("x", *statuses))
    assert change_of(place, "x") == change


@pytest.mark.parametrize(
    ("seconds", "change"),
    [
        ([10.0, 10.0, 16.0], "slower"),
        ([10.0, 10.0, 14.0], None),
        ([0.1, 0.1, 0.9], None),
        ([10.0, 10.0, 6.0], "faster"),
        ([10.0, 10.0, 7.0], None),
        ([10.0, None, 16.0], "slower"),
        ([None, None, 16.0], None),
    ],
)
def test_slower_and_faster_are_by_half_and_by_a_second(place, store, seconds, change) -> None:
    """Against what good ones took before."""
    write(store, results("x", *["success"] * 3, execution_time=seconds))
    assert (change_of(place, "x") or (None,))[0] == change


def test_since_is_when_the_run_was_created(place, store) -> None:
    """Of what is gone, when that was found."""
    gone = {**OF_THE_JOB, "unique_id": "old", "gone_at": day(9).isoformat()}
    write(store, results("x", "success", "error", "error"), results("old", "success"), nodes=[gone])
    found = place.sql(
        "SELECT unique_id, change, since, status FROM {dbt_cloud_node_change} ORDER BY unique_id"
    )
    assert [(name, change, status) for name, change, _, status in found] == [
        ("old", "gone", "success"),
        ("x", "still failing", "error"),
    ]
    assert [_as_time(since) for _, _, since, _ in found] == [day(9), day(2)]


def _as_time(value: Any) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def test_a_run_is_told_in_one_row(place, store) -> None:
    """Its steps' times, its nodes by status, and how well its threads were used."""
    of_the_run = {**OF_THE_JOB, "run_id": 1}
    steps = [
        {**of_the_run, "step": 1, "command": None, "duration_seconds": "00:00:02"},
        {**of_the_run, "step": 2, "command": "dbt deps", "duration_seconds": "00:00:03"},
        {
            **of_the_run,
            "step": 4,
            "command": "dbt run",
            "duration_seconds": "00:00:30",
            "critical_path_seconds": 12.5,
            "busy_seconds": 20.0,
            "peak_concurrency": 4,
            "average_concurrency": 2.0,
        },
        {
            **of_the_run,
            "step": 5,
            "command": "dbt test",
            "duration_seconds": "00:00:10",
            "critical_path_seconds": 1.5,
            "busy_seconds": 5.0,
            "peak_concurrency": 2,
            "average_concurrency": 1.0,
        },
    ]
    store.upsert(RUN_STEP.rows(steps))
    write(
        store,
        results("a", "success", bytes_processed=2**40),
        results("b", "error", bytes_processed=2**40),
        results("c", "skipped"),
        results("d", "pass", step=5),
        results("e", "warn", step=5),
        results("a", "success", step=6, executed=False),
    )
    names = (
        "run_id, job_id, waiting_seconds, preparing_seconds, running_seconds, duration_seconds, "
        "nodes, nodes_succeeded, nodes_failed, nodes_warned, nodes_skipped, bytes_processed, "
        "slot_ms, critical_path_seconds, busy_seconds, peak_concurrency, average_concurrency"
    )
    assert place.sql(f"SELECT {names} FROM {{dbt_cloud_run_overview}}") == [  # noqa: S608  # our own
        (1, 7, 5, 5, 40, 60, 5, 2, 1, 1, 1, 2**41, None, 14.0, 25.0, 4, 1.8)
    ]


def test_a_run_of_which_nothing_more_is_known_has_its_row(place, store) -> None:
    """As where nobody wants node results."""
    store.upsert(runs(1, 2))
    found = place.sql("SELECT run_id, nodes FROM {dbt_cloud_run_overview} ORDER BY run_id")
    assert found == [(1, None), (2, None)]


def test_views_stay_while_their_tables_grow(place, store) -> None:
    """A column that a release adds to a table breaks no view, and no write."""
    wider = dataclasses.replace(
        NODE_RESULT,
        columns=(
            *NODE_RESULT.columns,
            dataclasses.replace(NODE_RESULT.columns[-1], name="novelty"),
        ),
    )
    store.upsert(wider.rows([{**results("x", "success")[0], "novelty": {"a": 1}}]))
    assert place.sql("SELECT unique_id FROM {dbt_cloud_node_latest}") == [("x",)]
    store.check(TABLES.values(), VIEWS)
