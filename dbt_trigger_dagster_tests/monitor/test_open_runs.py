"""Runs that the sweep over what has finished does not see: they are asked for by their ids."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dbt_trigger_dagster_tests.graphs import GOOD, sent
from dbt_trigger_dagster_tests.monitors import Watch, a_watch, run_ids_of, settle

LATER = timedelta(minutes=6)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """A monitor whose sweep begins tomorrow, so that it sees nothing, and a run left alone."""
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    with a_watch(tmp_path, GOOD, start=tomorrow) as made:
        assert made.project.materialize(run={"wait_for_result": False}).success
        settle(made.project)
        yield made


def test_a_triggered_run_that_no_list_tells_of_is_landed(watch: Watch) -> None:
    """Some minutes after its trigger; dbt Cloud may have left its end without a time."""
    assert watch.tick() == []
    watch.ahead = LATER
    (request,) = watch.tick()
    assert run_ids_of(request) == watch.project.run_ids("dbt_cloud_trigger")
    assert watch.launch([request])[0].success
    watch.ahead = 2 * LATER
    assert watch.tick() == []
    assert watch.project.run_ids() == run_ids_of(request)


def test_a_row_that_is_not_final_is_landed_again(watch: Watch) -> None:
    """However long ago it was written."""
    (run_id,) = watch.project.run_ids("dbt_cloud_trigger")
    watch.project.materialize(selection=["run_result"], run={"run_ids": [run_id]})
    watch.project.change("UPDATE dbt_cloud_run SET status = 1")
    watch.ahead = LATER
    (request,) = watch.tick()
    assert run_ids_of(request) == [run_id]


def test_a_pass_comes_every_few_minutes_and_asks_once(watch: Watch) -> None:
    """One request for a hundred runs, and none where nothing is open or was triggered since."""
    before = len(sent(watch.project.sandbox, "GET", "/runs/"))

    def asked() -> int:
        return len(sent(watch.project.sandbox, "GET", "/runs/")) - before

    watch.ahead = LATER
    (request,) = watch.tick()
    assert asked() == 1
    watch.tick()
    assert asked() == 1
    watch.ahead = 2 * LATER
    assert watch.launch([request])[0].success
    watch.tick()
    watch.ahead += timedelta(hours=1)
    watch.tick()
    watch.project.spoil()
    watch.ahead += timedelta(hours=1)
    assert "none to land" in str(watch.look().skip_reason)
    assert asked() == 1
