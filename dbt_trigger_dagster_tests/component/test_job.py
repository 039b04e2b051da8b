"""A job as a file describes it: every field arrives, and what Dagster refuses has its place."""

from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from dbt_trigger_dagster import DbtCloudRunConfig, TriggerResponseConfig
from dbt_trigger_dagster.component.job import JobSettings
from dbt_trigger_dagster.component.yaml_sections import ProblemError
from dbt_trigger_dagster.dbt_cloud.errors import SettingError
from dbt_trigger_dagster_tests.assets.test_config import OVERRIDES, TOGETHER

POLICY: dict[str, Any] = {
    "wait_for_result": False,
    "max_wait_time": None,
    "poll_interval": 3.0,
    "on_timeout": "leave",
    "cancel_on_termination": False,
    "retry_failed_run": "transient",
    "max_run_retries": 2,
    "raise_on_failed_run": False,
    "store_artifacts": False,
    "artifact_steps": "all",
    "include_artifacts": ["*.json"],
    "exclude_artifacts": ["manifest.json"],
    "node_results": False,
    "max_parallel_downloads": 2,
}
"""The fields of the wait policy and the artifact policy, with values that no default has."""

NEEDS_OTHERS = "emit_node_events"
"""The one that cannot be set beside those values."""


def defaults_of(asset: dg.AssetsDefinition) -> dict[str, Any]:
    """What the config of an asset's op starts from."""
    fields = asset.op.config_schema.config_type.fields  # type: ignore[union-attr]
    return {name: field.default_value for name, field in fields.items()}


def problem_of(**settings: Any) -> ProblemError | SettingError:
    """What is wrong with a job."""
    with pytest.raises(ValidationError) as caught:
        JobSettings(**settings)
    (details,) = caught.value.errors()
    problem: ProblemError | SettingError = details["ctx"]["error"]
    return problem


def test_a_job_has_every_field_of_the_ops_config() -> None:
    """Under the same names, but for what only a run can know."""
    for_ops = {*TriggerResponseConfig.model_fields, *DbtCloudRunConfig.model_fields}
    assert for_ops - set(JobSettings.model_fields) == {"run_ids"}
    assert {*OVERRIDES, *POLICY, NEEDS_OTHERS, "cause", "job_id", "job_name", "run_ids"} == for_ops


def test_every_setting_is_what_the_config_starts_from() -> None:
    """The cause, all overrides, and the policies."""
    job = JobSettings(job_id=1, cause="Nightly", **TOGETHER, **POLICY)
    trigger, run = map(defaults_of, job.assets)
    assert trigger == {
        "cause": "Nightly",
        **dict.fromkeys(OVERRIDES),
        **TOGETHER,
        "job_id": None,
        "job_name": None,
    }
    assert run == {**POLICY, NEEDS_OTHERS: False, "run_ids": []}
    _, reporting = map(defaults_of, JobSettings(job_id=1, **{NEEDS_OTHERS: True}).assets)
    assert reporting[NEEDS_OTHERS] is True


def test_true_and_false_still_say_whether_a_failed_run_is_retried() -> None:
    """Files of before go on; a word that there is not is told with its field."""
    for value, policy in ((True, "always"), (False, "never")):
        _, run = map(defaults_of, JobSettings(job_id=1, retry_failed_run=value).assets)
        assert run["retry_failed_run"] == policy
    problem = problem_of(job_id=1, retry_failed_run="often")
    assert "give never, always or transient" in str(problem)


def test_a_job_that_says_nothing_of_it_has_the_usual_defaults() -> None:
    """As `build_dbt_cloud_job_assets` has them without defaults."""
    trigger, run = map(defaults_of, JobSettings(job_id=1).assets)
    assert trigger["cause"] == "Triggered from Dagster"
    assert run["max_wait_time"] == 3600


def test_every_other_setting_arrives_in_the_assets() -> None:
    """Key, group, pool, dependencies, tags and owners."""
    job = JobSettings(
        job_name="Nightly",
        key="emea/nightly",
        group="shop",
        pool="warehouse",
        deps=["raw/orders", "raw_customers"],
        tags={"tier": "1"},
        owners=["team:data"],
    )
    trigger, run = job.assets
    assert trigger.key.path == ["emea", "nightly", "trigger_response"]
    assert trigger.asset_deps[trigger.key] == {
        dg.AssetKey(["raw", "orders"]),
        dg.AssetKey("raw_customers"),
    }
    assert trigger.op.pool == run.op.pool == "warehouse"
    for spec in (*trigger.specs, *run.specs):
        assert (spec.group_name, spec.tags["tier"], list(spec.owners)) == (
            "shop",
            "1",
            ["team:data"],
        )
    assert job.schedule is None


def test_a_cron_makes_a_schedule() -> None:
    """In its time zone; stopped, unless told otherwise."""
    cron = {"key": "a", "cron": "0 6 * * *"}
    stopped = JobSettings(job_id=1, **cron).schedule
    running = JobSettings(
        job_id=1, **cron, timezone="Europe/Prague", schedule_status="running"
    ).schedule
    assert stopped is not None
    assert running is not None
    assert (stopped.name, stopped.cron_schedule) == ("a__dbt_cloud_schedule", "0 6 * * *")
    assert stopped.default_status == dg.DefaultScheduleStatus.STOPPED
    assert running.default_status == dg.DefaultScheduleStatus.RUNNING
    assert running.execution_timezone == "Europe/Prague"


@pytest.mark.parametrize(
    ("settings", "sentence", "keys"),
    [
        ({}, "no job is named: give one of job_id, job_name and job_id_env.", ()),
        ({"job_id": 1, "job_name": "a"}, "the job is named twice", ("job_name",)),
        ({"job_name": "a", "job_id_env": "A"}, "the job is named twice", ("job_id_env",)),
        ({"job_id_env": "a b"}, "not the name of an environment variable", ("job_id_env",)),
        ({"job_id_env": "dbtc_abc"}, "this looks like a token", ("job_id_env",)),
        ({"job_id": 1, "key": "a b"}, "a key has letters", ("key",)),
        ({"job_id": 1, "key": "a//b"}, "a key has letters", ("key",)),
        ({"job_id": 1, "key": ""}, "a key has letters", ("key",)),
        ({"job_id": 1, "timezone": "UTC"}, "there is no cron", ("timezone",)),
        ({"job_id": 1, "schedule_status": "running"}, "there is no cron", ("schedule_status",)),
        ({"job_id": 1, "cron": "0 99 * * *"}, "invalid cron schedule", ("cron",)),
        ({"job_id": 1, "cron": "0 9 * * *", "timezone": "Mars"}, "timezone Mars", ("timezone",)),
        ({"job_id": 1, "max_wait_time": -5}, "give more than 0 seconds", ("max_wait_time",)),
        ({"job_id": 1, "cause": " "}, "cause is empty", ("cause",)),
        ({"job_id": 1, "cause": "x" * 256}, "cause has 256 characters", ("cause",)),
        ({"job_id": 1, "threads_override": 0}, "give 1 or more", ("threads_override",)),
        (
            {"job_id": 1, "timeout_seconds_override": -1},
            "give 0 or more",
            ("timeout_seconds_override",),
        ),
        ({"job_id": 1, "git_branch": "a", "git_sha": "b"}, "are both set", ("git_branch",)),
        ({"job_id": 1, "steps_override": []}, "lacks a dbt command", ("steps_override",)),
        ({"job_id": 1, "group": "a b"}, "not a valid asset group name", ("group",)),
        ({"job_id": 1, "pool": "a b"}, "not a valid pool name", ("pool",)),
        ({"job_id": 1, "deps": ["a b"]}, '"a b" is not a valid name', ("deps",)),
        ({"job_id": 1, "key": "a", "deps": ["a/trigger_response"]}, "on itself", ("deps",)),
        ({"job_id": 1, "owners": ["me"], "group": "ok"}, "Invalid owner 'me'", ("owners",)),
        ({"job_id": 1, "tags": {"a b": "c"}}, "invalid tag keys", ("tags",)),
    ],
)
def test_what_cannot_be_used_is_told_with_its_field(
    settings: dict[str, Any], sentence: str, keys: tuple[str, ...]
) -> None:
    """Before the definitions are put together, where nobody would know the line any more."""
    problem = problem_of(**settings)
    assert sentence in str(problem)
    assert keys == ((problem.field,) if isinstance(problem, SettingError) else problem.keys)
