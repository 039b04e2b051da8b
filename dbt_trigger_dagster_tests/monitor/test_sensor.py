"""The monitor as Dagster sees it: a sensor that somebody adds to a code location."""

from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster import build_dbt_cloud_job_assets, build_dbt_cloud_monitor
from dbt_trigger_dagster.definitions import WHERE_TO_FIND, defs
from dbt_trigger_dagster_tests.graphs import GOOD
from dbt_trigger_dagster_tests.instances import an_instance
from dbt_trigger_dagster_tests.monitors import NAME, a_watch, settle, trigger_by_hand


def evaluate(sensor: dg.SensorDefinition, code_location: dg.Definitions, **context: Any) -> Any:
    """One tick, as Dagster's daemon evaluates it."""
    repository = code_location.get_repository_def()
    with dg.build_sensor_context(
        repository_def=repository, sensor_name=sensor.name, **context
    ) as made:
        return sensor.evaluate_tick(made)


def test_the_sensor_is_all_that_has_to_be_added() -> None:
    """Its job comes along; its one step runs in the process of the Dagster run."""
    assets = build_dbt_cloud_job_assets(job_id=1)
    sensor = build_dbt_cloud_monitor(assets)
    location = dg.Definitions(assets=assets, sensors=[sensor], resources=defs.resources)
    job = location.resolve_job_def(f"{NAME}_landing")
    assert job.executor_def is dg.in_process_executor
    selected = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert selected == {"run_result", "artifacts", "node_results"}


def test_several_monitors_live_beside_each_other() -> None:
    """Each with a job of its own, named after it."""
    one = build_dbt_cloud_job_assets(job_id=1, key_prefix="one")
    two = build_dbt_cloud_job_assets(job_id=2, key_prefix="two")
    sensors = [
        build_dbt_cloud_monitor(one, name="first"),
        build_dbt_cloud_monitor(two, name="second"),
    ]
    location = dg.Definitions(assets=[*one, *two], sensors=sensors, resources=defs.resources)
    jobs = {job.name for job in location.get_repository_def().get_all_jobs()}
    assert {"first_landing", "second_landing"} <= jobs


def test_it_is_stopped_until_somebody_starts_it() -> None:
    """Unless the definition says otherwise; and it ticks every 30 s."""
    assets = build_dbt_cloud_job_assets(job_id=1)
    sensor = build_dbt_cloud_monitor(assets)
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert sensor.minimum_interval_seconds == 30
    running = build_dbt_cloud_monitor(
        assets,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=300,
    )
    assert running.default_status == dg.DefaultSensorStatus.RUNNING
    assert running.minimum_interval_seconds == 300


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"settle_seconds": -1}, "settle_seconds is -1: give 0 or more"),
        ({"settle_seconds": float("nan")}, "settle_seconds is nan"),
        ({"lookback": 30}, "lookback is 30: give at least settle_seconds"),
        ({"lookback": float("inf")}, "lookback is inf"),
        ({"batch_size": 0}, "batch_size is 0: give 1 or more"),
        ({"start": datetime(2026, 3, 1)}, "has no time zone"),  # noqa: DTZ001  # that is the point
    ],
)
def test_an_argument_that_cannot_be_used_is_told(arguments: dict[str, Any], said: str) -> None:
    """When the code location is loaded, in a sentence."""
    with pytest.raises(ValueError, match=said):
        build_dbt_cloud_monitor(build_dbt_cloud_job_assets(job_id=1), **arguments)


def test_assets_that_are_none_of_ours_are_told() -> None:
    """A monitor of nothing would only look as if it watched."""

    @dg.asset
    def stranger() -> None:
        """Nothing of ours."""

    with pytest.raises(ValueError, match="give what build_dbt_cloud_job_assets returned"):
        build_dbt_cloud_monitor([stranger])


def test_a_tick_lands_what_is_over(tmp_path: Path) -> None:
    """With the code location's own resources, from the sensor to the rows."""
    with a_watch(tmp_path, GOOD, include_external_runs=True) as watch:
        run_id = trigger_by_hand(watch.project)
        settle(watch.project)
        place = {"instance": watch.project.instance, "resources": watch.project.resources()}
        tick = evaluate(watch.sensor, watch.definitions, cursor=watch.cursor, **place)
        (request,) = tick.run_requests
        assert watch.execute(request).success
        assert watch.project.run_ids() == [run_id]
        quiet = evaluate(watch.sensor, watch.definitions, cursor=tick.cursor, **place)
        assert quiet.run_requests == []
        assert quiet.skip_message == "1 finished dbt Cloud run seen; none to land."


@pytest.mark.parametrize("name", ["DBT_CLOUD_TOKEN", "DBT_CLOUD_ACCOUNT_ID"])
def test_a_setting_that_is_missing_is_named_by_the_tick(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """With the place where its value is found, as in a run."""
    monkeypatch.chdir(tmp_path)
    for variable in WHERE_TO_FIND:
        monkeypatch.setenv(variable, "1")
    monkeypatch.delenv(name)
    with (
        an_instance() as instance,
        pytest.raises(ValueError, match="not set") as caught,
    ):
        evaluate(defs.resolve_sensor_def(NAME), defs, instance=instance, resources=defs.resources)
    assert name in str(caught.value)
    assert WHERE_TO_FIND[name] in str(caught.value)
