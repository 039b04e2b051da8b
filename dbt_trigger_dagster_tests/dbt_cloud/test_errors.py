"""The tree of errors: what is caught by what, and what each carries."""

import inspect

import pytest

from dbt_trigger_dagster.dbt_cloud import errors
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster_tests.payloads import run_payload

PARENTS = {
    "SettingError": ValueError,
    "DbtCloudError": Exception,
    "DbtCloudRequestError": errors.DbtCloudError,
    "DbtCloudResponseError": errors.DbtCloudError,
    "DbtCloudAuthError": errors.DbtCloudResponseError,
    "DbtCloudNotFoundError": errors.DbtCloudResponseError,
    "DbtCloudRateLimitError": errors.DbtCloudResponseError,
    "DbtCloudPayloadError": errors.DbtCloudError,
    "DbtCloudCancelledError": errors.DbtCloudError,
    "DbtCloudSupersededError": errors.DbtCloudError,
    "DbtCloudJobNameError": errors.DbtCloudError,
    "DbtCloudRunError": errors.DbtCloudError,
    "DbtCloudRunFailedError": errors.DbtCloudRunError,
    "DbtCloudRunCancelledError": errors.DbtCloudRunError,
    "DbtCloudRunTimeoutError": errors.DbtCloudRunError,
    "DbtCloudWaitTimeoutError": errors.DbtCloudRunError,
}


def _classes() -> dict[str, type[Exception]]:
    return dict(inspect.getmembers(errors, inspect.isclass))


def test_the_tree_of_errors_is_the_documented_one() -> None:
    """People catch these classes, so none moves, vanishes or appears unnoticed."""
    assert {name: found.__bases__ for name, found in _classes().items()} == {
        name: (parent,) for name, parent in PARENTS.items()
    }


def test_the_drawing_of_the_tree_names_every_error() -> None:
    """The module docstring is where readers look the tree up."""
    assert [name for name in _classes() if name not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize("may_have_been_sent", [True, False])
def test_a_request_error_says_whether_dbt_cloud_may_have_acted(may_have_been_sent) -> None:
    """Whoever sends again needs to know; there is no default to forget it by."""
    error = errors.DbtCloudRequestError("No answer.", may_have_been_sent=may_have_been_sent)
    assert (str(error), error.may_have_been_sent) == ("No answer.", may_have_been_sent)
    with pytest.raises(TypeError):
        errors.DbtCloudRequestError("No answer.")  # type: ignore[call-arg]


def test_a_response_error_carries_the_status_and_the_pause_that_was_asked_for() -> None:
    """Retries are decided on both."""
    error = errors.DbtCloudRateLimitError("Slow down.", status_code=429, retry_after=7.0)
    assert (str(error), error.status_code, error.retry_after) == ("Slow down.", 429, 7.0)
    assert errors.DbtCloudAuthError("No.", status_code=401).retry_after is None


def test_a_run_error_carries_the_run_as_last_seen() -> None:
    """The row of a failed run is made from it."""
    run = Run.from_payload(run_payload(20))
    error = errors.DbtCloudRunFailedError("It failed.", run=run)
    assert (str(error), error.run) == ("It failed.", run)


def test_a_setting_error_carries_its_field_and_begins_with_it() -> None:
    """So whoever knows where the setting stands can name that place instead."""
    error = errors.SettingError("access_url", "is empty.")
    assert (str(error), error.field, error.problem) == (
        "access_url is empty.",
        "access_url",
        "is empty.",
    )
