"""The Dagster runs that a monitor requests and finds again: names, batches, run keys."""

from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbt_trigger_dagster.assets.job import JobGraph, JobReference
from dbt_trigger_dagster.monitor.landings import (
    MONITOR_TAG,
    Due,
    RequestedRuns,
    batches,
)

pytestmark = pytest.mark.slow

GRAPHS = [JobGraph(JobReference(), (name,)) for name in "abc"]
BEGINNING = datetime(2020, 1, 1, tzinfo=timezone.utc)


# Batches and run keys


@given(
    wanted=st.lists(st.tuples(st.sampled_from(GRAPHS), st.integers(1, 3)), max_size=40),
    size=st.integers(1, 7),
)
def test_batches_hold_every_run_once(wanted: list[tuple[JobGraph, int]], size: int) -> None:
    """Of one graph and one attempt each, in order, none too big, as few as the attempt allows."""
    due = [Due(number, graph, attempt) for number, (graph, attempt) in enumerate(wanted)]
    made = list(batches(due, size))
    assert sorted(each.run_id for batch in made for each in batch) == list(range(len(due)))
    for batch in made:
        assert len({(each.graph.op_name, each.attempt) for each in batch}) == 1
        assert [each.run_id for each in batch] == sorted(each.run_id for each in batch)
    groups: dict[Any, int] = {}
    for graph, attempt in wanted:
        groups[graph.op_name, attempt] = groups.get((graph.op_name, attempt), 0) + 1
    largest = {key: min(size, {1: size, 2: -(-n // 2)}.get(key[1], 1)) for key, n in groups.items()}
    for batch in made:
        assert len(batch) <= largest[batch[0].graph.op_name, batch[0].attempt]
    assert len(made) == sum(-(-count // largest[key]) for key, count in groups.items())


def run_key(instance: dg.DagsterInstance, *due: Due) -> str:
    """The run key of a request."""
    request = RequestedRuns(instance, "monitor").request(due)
    return str(request.run_key)


def test_a_run_key_tells_one_wish_from_another(instance: dg.DagsterInstance) -> None:
    """Other runs, another graph or another attempt are another wish; the order is not."""
    one, two = Due(1, GRAPHS[0]), Due(2, GRAPHS[0])
    keys = [
        run_key(instance, *due)
        for due in (
            [one],
            [two],
            [one, two],
            [Due(12, GRAPHS[0])],
            [Due(1, GRAPHS[1])],
            [Due(1, GRAPHS[0], attempt=2)],
        )
    ]
    assert len(set(keys)) == len(keys)
    assert run_key(instance, one, two) == run_key(instance, Due(1, GRAPHS[0]), two)


# What the instance knows


def a_landing(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    run_config: Any,
    monitor: str = "monitor",
) -> dg.DagsterRun:
    """A landing as the instance keeps it."""
    run = dg.DagsterRun(
        job_name="landing", status=status, run_config=run_config, tags={MONITOR_TAG: monitor}
    )
    instance.add_run(run)
    return run


def config(*run_ids: int) -> dict[str, Any]:
    """The run config of a landing."""
    return {"ops": {"a__op": {"config": {"run_ids": list(run_ids)}}}}


def test_only_the_landings_of_the_monitor_itself_count(instance: dg.DagsterInstance) -> None:
    """Two monitors may watch the same account."""
    a_landing(instance, dg.DagsterRunStatus.STARTED, config(1, 2))
    a_landing(instance, dg.DagsterRunStatus.NOT_STARTED, config(3))
    a_landing(instance, dg.DagsterRunStatus.SUCCESS, config(4))
    a_landing(instance, dg.DagsterRunStatus.FAILURE, config(5))
    a_landing(instance, dg.DagsterRunStatus.CANCELED, config(6))
    a_landing(instance, dg.DagsterRunStatus.STARTED, config(7), monitor="other")
    requested_runs = RequestedRuns(instance, "monitor")
    assert requested_runs.in_flight(datetime.now(timezone.utc)) == ({1, 2, 3}, [])
    failed = requested_runs.failed_since(BEGINNING)
    assert {each.run_ids for each in failed} == {(5,), (6,)}


def test_a_failed_landing_is_found_by_the_moment_of_its_last_change(
    instance: dg.DagsterInstance,
) -> None:
    """As the instance writes it."""
    a_landing(instance, dg.DagsterRunStatus.FAILURE, config(1))
    requested_runs = RequestedRuns(instance, "monitor")
    (failed,) = requested_runs.failed_since(BEGINNING)
    assert failed.updated_at.tzinfo is not None
    assert requested_runs.failed_since(failed.updated_at - timedelta(seconds=1)) == [failed]
    assert requested_runs.failed_since(failed.updated_at + timedelta(seconds=1)) == []


@pytest.mark.parametrize(
    "run_config",
    [
        {},
        {"ops": None},
        {"ops": {"a__op": None}},
        {"ops": {"a__op": {"config": {}}}},
        {"ops": {"a__op": {"config": {"run_ids": "1"}}}},
        {"ops": {"a__op": {"config": {"run_ids": ["1"]}}}},
    ],
)
def test_a_landing_that_a_person_has_changed_breaks_no_tick(
    instance: dg.DagsterInstance, run_config: Any
) -> None:
    """Somebody launched it again from the launchpad with a config of their own."""
    a_landing(instance, dg.DagsterRunStatus.STARTED, run_config)
    assert RequestedRuns(instance, "monitor").in_flight(BEGINNING) == (set(), [])


def test_dagster_runs_are_known_by_their_ids(instance: dg.DagsterInstance) -> None:
    """Those of another instance are not."""
    run = a_landing(instance, dg.DagsterRunStatus.SUCCESS, {})
    requested_runs = RequestedRuns(instance, "monitor")
    ended = a_landing(instance, dg.DagsterRunStatus.CANCELED, {})
    known = requested_runs.known({run.run_id, ended.run_id, "somebody-elses"})
    assert known == {run.run_id: False, ended.run_id: True}
    assert requested_runs.known(set()) == {}
