"""The retention as a file describes it: the builder's own arguments, in the words of a job."""

import inspect

import dagster as dg
import pytest
from pydantic import ValidationError

from dbt_trigger_dagster import build_dbt_cloud_retention
from dbt_trigger_dagster.component.retention import RetentionSettings

_AS_IN_A_JOB = {
    "cron_schedule": "cron",
    "execution_timezone": "timezone",
    "default_status": "schedule_status",
}


def test_it_has_the_builders_arguments_and_their_defaults() -> None:
    """So that a file and Python say the same."""
    arguments = {
        _AS_IN_A_JOB.get(name, name): parameter.default
        for name, parameter in inspect.signature(build_dbt_cloud_retention).parameters.items()
    }
    settings = RetentionSettings().model_dump()
    assert settings.pop("schedule_status").upper() == arguments.pop("schedule_status").name
    assert settings == arguments


def test_every_setting_reaches_the_schedule_and_its_job() -> None:
    """What the job's config starts from is what Dagster takes for it."""
    schedule = RetentionSettings(
        name="tidy",
        older_than_days=7,
        keep_last_runs=3,
        dry_run=False,
        cron="1 2 * * *",
        timezone="Europe/Prague",
        schedule_status="running",
    ).schedule
    assert (schedule.name, schedule.job_name) == ("tidy_schedule", "tidy")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("1 2 * * *", "Europe/Prague")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    fields = schedule.job.get_node_named("tidy_delete").definition.config_schema.config_type.fields
    assert {name: field.default_value for name, field in fields.items()} == {
        "older_than_days": 7,
        "keep_last_runs": 3,
        "dry_run": False,
    }


@pytest.mark.parametrize(
    ("settings", "sentence", "field"),
    [
        ({"older_than_days": 0}, "older_than_days is 0: give 1 or more.", "older_than_days"),
        ({"keep_last_runs": -1}, "keep_last_runs is -1: give 1 or more.", "keep_last_runs"),
        (
            {"older_than_days": 10**9},
            "older_than_days is 1000000000: Input should be less than or equal to 36500.",
            "older_than_days",
        ),
        ({"cron": "daily"}, "invalid cron schedule", "cron"),
        ({"timezone": "Mars"}, "Invalid execution timezone", "timezone"),
        ({"name": "a b"}, '"a b', "name"),
    ],
)
def test_what_the_builder_refuses_is_told_with_its_field(settings, sentence, field) -> None:
    """When the file is read."""
    with pytest.raises(ValidationError) as caught:
        RetentionSettings(**settings)
    problem = caught.value.errors()[0]["ctx"]["error"]
    assert sentence in str(problem)
    assert getattr(problem, "keys", None) in {(field,), None}
    assert getattr(problem, "field", field) == field
