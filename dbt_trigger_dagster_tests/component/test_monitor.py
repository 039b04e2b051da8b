"""The monitor as a file describes it: the builder's own arguments, under their names."""

import inspect
from datetime import datetime, timezone

import dagster as dg
import pytest
from pydantic import ValidationError

from dbt_trigger_dagster import build_dbt_cloud_job_assets, build_dbt_cloud_monitor
from dbt_trigger_dagster.component.monitor import MonitorSettings
from dbt_trigger_dagster.component.yaml_sections import ProblemError

ASSETS = build_dbt_cloud_job_assets(job_id=1)


def test_it_has_the_builders_arguments_and_their_defaults() -> None:
    """So that a file and Python say the same by the same names."""
    arguments = {
        name: parameter.default
        for name, parameter in inspect.signature(build_dbt_cloud_monitor).parameters.items()
        if name != "assets"
    }
    status = arguments.pop("default_status")
    settings = MonitorSettings().model_dump()
    assert settings.pop("default_status").upper() == status.name
    assert settings == arguments


def test_every_setting_reaches_the_sensor() -> None:
    """As far as a sensor tells; the others go to the builder by their names."""
    sensor = MonitorSettings(
        name="mine",
        include_external_runs=True,
        settle_seconds=1,
        lookback=2,
        batch_size=3,
        raise_on_failed_run=False,
        start="2026-01-31T00:00:00Z",
        minimum_interval_seconds=4,
        default_status="running",
    ).build(ASSETS)
    assert (sensor.name, sensor.minimum_interval_seconds) == ("mine", 4)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


@pytest.mark.parametrize("start", ["2026-01-31T00:00:00Z", "2026-01-31 01:00:00+01:00"])
def test_a_start_is_a_time_with_its_zone(start: str) -> None:
    """As the API writes it, or as people do."""
    expected = datetime(2026, 1, 31, tzinfo=timezone.utc)
    assert MonitorSettings(start=start)._start() == expected


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        ("yesterday", "this is no time"),
        ("2026-01-31", "this time has no zone"),
        ("2026-01-31T00:00:00", "this time has no zone"),
    ],
)
def test_a_start_that_is_no_moment_is_refused(start: str, sentence: str) -> None:
    """When the file is read, with how it is written in YAML."""
    with pytest.raises(ValidationError) as caught:
        MonitorSettings(start=start)
    problem = caught.value.errors()[0]["ctx"]["error"]
    assert str(problem) == f"{sentence}: write one with its zone, as 2026-01-31T00:00:00Z."
    assert problem.keys == ("start",)


@pytest.mark.parametrize(
    ("settings", "sentence", "keys"),
    [
        ({"batch_size": 0}, "batch_size is 0: give 1 or more.", ("batch_size",)),
        ({"settle_seconds": -1}, "settle_seconds is -1", ("settle_seconds",)),
        ({"settle_seconds": 10, "lookback": 5}, "lookback is 5", ("lookback",)),
        ({"settle_seconds": 4000}, "lookback is 3600", ("lookback",)),
        ({"name": "a b"}, '"a b" is not a valid name', ("name",)),
    ],
)
def test_what_the_builder_refuses_is_told_with_its_field(settings, sentence, keys) -> None:
    """By the builder's own words."""
    with pytest.raises(ProblemError) as caught:
        MonitorSettings(**settings).build(ASSETS)
    assert sentence in str(caught.value)
    assert caught.value.keys == keys
