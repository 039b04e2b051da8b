"""The body of a trigger and the filters of lists."""

import dataclasses
import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.dbt_cloud.parameters import (
    MAX_CAUSE_LENGTH,
    JobFilter,
    RunFilter,
    TriggerRequest,
)
from dbt_trigger_dagster_tests.payloads import JOB_ID

NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)
EPIPHANY = datetime(2026, 1, 6, 12, 30, tzinfo=timezone.utc)

RUN_FILTER_QUERY = {
    "job_definition_id": (JOB_ID, str(JOB_ID)),
    "project_id": (7, "7"),
    "project_id__in": ([7, 8], "[7, 8]"),
    "environment_id": (9, "9"),
    "status": (RunStatus.ERROR, "20"),
    "status__in": ((RunStatus.QUEUED, 2, 3), "[1, 2, 3]"),
    "created_at__range": (
        (NEW_YEAR, EPIPHANY),
        '["2026-01-01T00:00:00+00:00", "2026-01-06T12:30:00+00:00"]',
    ),
    "finished_at__range": (
        (EPIPHANY, EPIPHANY),
        '["2026-01-06T12:30:00+00:00", "2026-01-06T12:30:00+00:00"]',
    ),
    "dbt_version": ("1.9.0", "1.9.0"),
    "dbt_version__in": (["latest", "1.9.0"], '["latest", "1.9.0"]'),
    "deferring_run_id": (11, "11"),
    "has_docs_generated": (True, "true"),
    "has_sources_generated": (False, "false"),
    "id__gt": (0, "0"),
    "pk": (12, "12"),
    "pk__in": ([12, 13], "[12, 13]"),
    "state": ("all", "all"),
}
JOB_FILTER_QUERY = {
    "name__icontains": ("50 % & more", "50 % & more"),
    "project_id": (7, "7"),
    "project_id__in": ([7], "[7]"),
    "environment_id": (9, "9"),
    "dbt_version__in": (["latest"], '["latest"]'),
    "triggers_schedule": (False, "false"),
    "is_fusion_ready": (True, "true"),
    "is_system": (True, "true"),
    "pk": (12, "12"),
    "state": (2, "2"),
}
TRIGGER_BODY = {
    "cause": "Nightly",
    "git_sha": "0123abc",
    "git_branch": "main",
    "schema_override": "ci",
    "dbt_version_override": "latest",
    "threads_override": 8,
    "target_name_override": "prod",
    "generate_docs_override": False,
    "timeout_seconds_override": 0,
    "steps_override": ["dbt seed", "dbt build"],
    "azure_pull_request_id": 1,
    "github_pull_request_id": 2,
    "gitlab_merge_request_id": 3,
    "non_native_pull_request_id": 4,
}


def test_the_body_of_a_trigger_holds_only_what_is_set() -> None:
    """An override that nobody asked for is not sent, not even as null."""
    assert TriggerRequest(cause="Nightly").as_body() == {"cause": "Nightly"}


def test_every_override_reaches_the_body_under_the_names_of_the_api() -> None:
    """False, zero and an empty list are values, and sent."""
    request = TriggerRequest(**TRIGGER_BODY)
    assert {field.name for field in dataclasses.fields(request)} == set(TRIGGER_BODY)
    assert request.as_body() == TRIGGER_BODY
    assert TriggerRequest(cause="x", steps_override=[]).as_body()["steps_override"] == []


@pytest.mark.parametrize("cause", ["", "   ", "\n\t"])
def test_an_empty_cause_is_refused_before_dbt_cloud_refuses_it(cause) -> None:
    """Dbt Cloud answers a missing cause with a server error."""
    with pytest.raises(ValueError, match="cause is empty"):
        TriggerRequest(cause=cause)


def test_a_cause_is_as_long_as_dbt_cloud_keeps_it() -> None:
    """Characters count, not bytes; one more is refused, not cut off."""
    longest = "é" * MAX_CAUSE_LENGTH
    assert TriggerRequest(cause=longest).as_body()["cause"] == longest
    with pytest.raises(ValueError, match=r"256 characters .* at most 255"):
        TriggerRequest(cause=longest + "é")


@given(st.text(min_size=1, max_size=MAX_CAUSE_LENGTH).filter(str.strip))
def test_any_cause_of_good_length_is_sent_as_it_is(cause) -> None:
    """Nothing is trimmed or replaced."""
    assert TriggerRequest(cause=cause).as_body() == {"cause": cause}


@pytest.mark.parametrize("filter_type", [RunFilter, JobFilter])
def test_an_empty_filter_asks_for_nothing(filter_type) -> None:
    """A parameter with an empty value would be refused."""
    assert filter_type().as_query() == {}


@pytest.mark.parametrize(
    ("filter_type", "table"), [(RunFilter, RUN_FILTER_QUERY), (JobFilter, JOB_FILTER_QUERY)]
)
def test_every_field_of_a_filter_has_the_form_that_the_api_wants(filter_type, table) -> None:
    """Lists are one JSON list with double quotes: the API refuses all other forms."""
    assert {field.name for field in dataclasses.fields(filter_type)} == set(table)
    made = filter_type(**{name: value for name, (value, _) in table.items()})
    assert made.as_query() == {name: text for name, (_, text) in table.items()}


@given(st.lists(st.integers(0, 2**53), max_size=5), st.lists(st.text(max_size=5), max_size=5))
def test_a_list_in_a_filter_reads_back_as_the_same_list(numbers, texts) -> None:
    """JSON, whatever stands in it."""
    query = RunFilter(pk__in=numbers, dbt_version__in=texts).as_query()
    assert json.loads(query["pk__in"]) == numbers
    assert json.loads(query["dbt_version__in"]) == texts
