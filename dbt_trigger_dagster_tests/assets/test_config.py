"""What can be set for each materialization: names, defaults, limits, and where it goes."""

import dataclasses
from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from dbt_trigger_dagster import DbtCloudRunConfig, TriggerRequest, TriggerResponseConfig
from dbt_trigger_dagster.assets.config import as_run_config
from dbt_trigger_dagster.dbt_cloud.transport import POOL_SIZE

OVERRIDES: dict[str, Any] = {
    "git_sha": "0123abc",
    "git_branch": "feature/orders",
    "schema_override": "scratch",
    "dbt_version_override": "1.9.0",
    "threads_override": 7,
    "target_name_override": "ci",
    "generate_docs_override": False,
    "timeout_seconds_override": 901,
    "steps_override": ["dbt seed", "dbt run --select orders+"],
    "azure_pull_request_id": 11,
    "github_pull_request_id": 12,
    "gitlab_merge_request_id": 13,
    "non_native_pull_request_id": 14,
}
"""Every override of the API, with a value that no default has."""

TOGETHER = {name: value for name, value in OVERRIDES.items() if name != "git_sha"}
"""Those that one trigger can have: a branch, or a commit."""

MORE_THAN_0 = (
    "give more than 0 seconds, null to wait for ever, or wait_for_result: false not to wait."
)

TRIGGER_DEFAULTS = {
    "cause": "Triggered from Dagster",
    "job_id": None,
    "job_name": None,
    **dict.fromkeys(OVERRIDES),
}
RUN_DEFAULTS = {
    "wait_for_result": True,
    "max_wait_time": 3600,
    "poll_interval": 10,
    "on_timeout": "fail",
    "cancel_on_termination": True,
    "retry_failed_run": "always",
    "max_run_retries": 0,
    "raise_on_failed_run": True,
    "run_ids": [],
    "store_artifacts": True,
    "artifact_steps": "last",
    "include_artifacts": ["**"],
    "exclude_artifacts": [],
    "node_results": True,
    "emit_node_events": False,
    "max_parallel_downloads": 8,
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [(TriggerResponseConfig, TRIGGER_DEFAULTS), (DbtCloudRunConfig, RUN_DEFAULTS)],
)
def test_names_and_defaults_are_the_contract(
    config: type[dg.Config], expected: dict[str, Any]
) -> None:
    """People script against them, so none changes by accident."""
    assert config().model_dump() == expected
    assert list(config.model_fields) == list(expected)


@pytest.mark.parametrize("config", [TriggerResponseConfig, DbtCloudRunConfig])
def test_every_field_is_described(config: type[dg.Config]) -> None:
    """The launchpad shows the descriptions; they do not end in a full stop, as labels do not."""
    for name, field in config.model_fields.items():
        assert field.description, name
        assert not field.description.endswith("."), name


def test_the_config_has_the_same_overrides_as_the_request() -> None:
    """What the API takes can be set, and what can be set is sent."""
    of_config = set(TriggerResponseConfig.model_fields) - {"job_id", "job_name"}
    of_request = {field.name for field in dataclasses.fields(TriggerRequest)}
    assert of_config == of_request == {"cause", *OVERRIDES}


def test_a_plain_config_asks_for_a_run_with_a_cause_and_nothing_else() -> None:
    """Overrides that are not set are not sent: null may mean something to the API."""
    assert TriggerResponseConfig().as_request().as_body() == {"cause": "Triggered from Dagster"}


def test_every_override_stands_in_the_request() -> None:
    """False and 0 are values, too."""
    body = TriggerResponseConfig(cause="by hand", **TOGETHER).as_request().as_body()
    assert body == {"cause": "by hand", **TOGETHER}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"threads_override": 0}, "threads_override is 0: give 1 or more."),
        ({"threads_override": -3}, "threads_override is -3: give 1 or more."),
        ({"timeout_seconds_override": -1}, "timeout_seconds_override is -1: give 0 or more."),
        ({"steps_override": []}, "steps_override lacks a dbt command: give at least one"),
        ({"steps_override": ["dbt build", " "]}, "steps_override lacks a dbt command"),
        ({"git_branch": "main", "git_sha": "0123abc"}, "git_branch and git_sha are both set"),
        ({"cause": ""}, "cause is empty"),
    ],
)
def test_a_request_that_says_nothing_of_use_is_not_made(
    values: dict[str, Any], sentence: str
) -> None:
    """So nothing is sent; 0 seconds is dbt Cloud's own word for no limit."""
    with pytest.raises(ValueError, match=f"^{sentence}"):
        TriggerResponseConfig(**values).as_request()
    assert TriggerResponseConfig(timeout_seconds_override=0, threads_override=1).as_request()


def test_a_job_by_number_and_by_name_is_refused() -> None:
    """One of them would be ignored."""
    with pytest.raises(ValidationError, match="give one of them"):
        TriggerResponseConfig(job_id=1, job_name="nightly")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"max_wait_time": 0},
            f"max_wait_time is 0: {MORE_THAN_0}",
        ),
        (
            {"max_wait_time": -5.5},
            f"max_wait_time is -5.5: {MORE_THAN_0}",
        ),
        ({"poll_interval": 0}, "poll_interval is 0: give more than 0 seconds."),
        ({"max_run_retries": -1}, "max_run_retries is -1: give 0 or more."),
        (
            {"retry_failed_run": "often"},
            "retry_failed_run is 'often': give never, always or transient.",
        ),
        ({"poll_interval": -1}, "poll_interval is -1: give more than 0 seconds."),
        ({"max_parallel_downloads": 0}, f"max_parallel_downloads is 0: give 1 to {POOL_SIZE}."),
        (
            {"max_parallel_downloads": POOL_SIZE + 1},
            f"max_parallel_downloads is {POOL_SIZE + 1}: give 1 to {POOL_SIZE}.",
        ),
        (
            {"emit_node_events": True, "node_results": False},
            "emit_node_events is true: give node_results and store_artifacts as well.",
        ),
        (
            {"emit_node_events": True, "store_artifacts": False},
            "emit_node_events is true: give node_results and store_artifacts as well.",
        ),
    ],
)
def test_a_value_out_of_range_is_one_clear_sentence(values: dict[str, Any], sentence: str) -> None:
    """Without pydantic's frame around it, when the config is read ahead of its step."""
    with pytest.raises(ValueError, match="give") as caught:
        as_run_config(values)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "values", [{"max_wait_time": None}, {"max_wait_time": 0.1}, {"max_parallel_downloads": 1}]
)
def test_the_ends_of_the_ranges_are_fine(values: dict[str, Any]) -> None:
    """Waiting for ever is a choice, and so is a single download at a time."""
    config = as_run_config(values)
    assert config.model_dump() == {**RUN_DEFAULTS, **values}


def test_no_values_are_the_defaults() -> None:
    """So reading the config ahead of its step gives what the step will get."""
    assert as_run_config({}) == DbtCloudRunConfig()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "policy"),
    [
        (True, "always"),
        (False, "never"),
        ("true", "always"),
        ("never", "never"),
        ("always", "always"),
        ("transient", "transient"),
    ],
)
def test_true_and_false_go_on_as_policies_of_retries(value: Any, policy: str) -> None:
    """In a run's config, where Dagster itself reads the value first; "true" is a variable's."""
    seen: list[Any] = []

    @dg.op
    def waits(config: DbtCloudRunConfig) -> None:
        seen.append(config.retry_failed_run)

    job = dg.GraphDefinition("job", node_defs=[waits]).to_job()
    job.execute_in_process({"ops": {"waits": {"config": {"retry_failed_run": value}}}})
    assert seen == [policy]


def test_a_policy_of_retries_that_there_is_not_is_refused_by_a_runs_config() -> None:
    """With the words that there are."""
    with pytest.raises(ValueError, match="'often': give never, always or transient"):
        as_run_config({"retry_failed_run": "often"})
