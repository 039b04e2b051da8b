"""Runs, steps and jobs as values."""

import math
from typing import Any

import pytest

from dbt_trigger_dagster.dbt_cloud.models import (
    Job,
    Run,
    RunStatus,
    RunStep,
    parse_timestamp,
    status_name,
)
from dbt_trigger_dagster_tests.payloads import (
    ACCOUNT_ID,
    JOB_ID,
    RUN_ID,
    job_payload,
    run_payload,
    step_payload,
)


@pytest.mark.parametrize(
    ("status", "name", "is_final"),
    [
        (1, "Queued", False),
        (2, "Starting", False),
        (3, "Running", False),
        (10, "Success", True),
        (20, "Error", True),
        (30, "Cancelled", True),
    ],
)
def test_the_statuses_are_those_of_the_api(status, name, is_final) -> None:
    """Numbers, names, and which of them are the last."""
    assert status_name(status) == name
    assert RunStatus(status).is_final is is_final
    run = Run.from_payload(run_payload(status))
    assert (run.status_name, run.is_over) == (name, is_final)
    assert run.is_success is (status == 10)
    assert run.is_cancelled is (status == 30)


@pytest.mark.parametrize("status", [0, 4, 15, 40, -1])
@pytest.mark.parametrize("flag", [True, False, None])
def test_an_unknown_status_is_judged_by_what_the_payload_says_of_it(status, flag) -> None:
    """A status that dbt Labs adds tomorrow neither crashes nor hangs a wait."""
    run = Run.from_payload(run_payload(status, is_complete=flag, is_success=flag))
    assert run.status_name == f"status {status}"
    assert run.is_over is bool(flag)
    assert run.is_success is bool(flag)
    assert not run.is_cancelled


def test_a_run_is_parsed_and_keeps_its_whole_payload() -> None:
    """What this package does not act on travels along, unknown fields included."""
    payload = run_payload(20, status_message="dbt command failed", brand_new={"field": [1]})
    run = Run.from_payload(payload)
    assert (run.run_id, run.account_id, run.job_id) == (RUN_ID, ACCOUNT_ID, JOB_ID)
    assert (run.status, run.href) == (20, payload["href"])
    assert run.status_message == "dbt command failed"
    assert run.payload["brand_new"] == {"field": [1]}


@pytest.mark.parametrize("status", [None, "odd", {}])
def test_a_status_that_cannot_be_read_is_none_that_is_known(status) -> None:
    """One odd run among many must not hide the others."""
    run = Run.from_payload({"id": 1, "status": status, "trigger": "odd", "run_steps": 5})
    assert (run.status, run.is_over, run.cause, run.steps) == (0, False, "", ())


def test_a_run_needs_no_more_than_an_id_and_a_status() -> None:
    """Everything else can be null or absent."""
    run = Run.from_payload({"id": 1, "status": 3, "href": None, "run_steps": None})
    assert (run.run_id, run.job_id, run.account_id, run.href) == (1, 0, 0, "")
    assert (run.status_message, run.steps, run.artifacts_saved) == ("", (), False)


@pytest.mark.parametrize("payload", [{}, {"status": 1}, {"id": None, "status": 1}, []])
def test_what_is_no_run_is_refused(payload) -> None:
    """The client turns these into an error about the answer."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        Run.from_payload(payload)


def test_a_job_id_is_found_under_either_name() -> None:
    """The API has two names for it."""
    assert Run.from_payload({"id": 1, "status": 1, "job_id": 5}).job_id == 5
    assert Run.from_payload({"id": 1, "status": 1, "job_definition_id": 6}).job_id == 6


def test_the_repr_of_a_run_leaves_its_payload_out() -> None:
    """Logs of a step are not for a traceback."""
    run = Run.from_payload(run_payload(10, status_message="much text"))
    assert "much text" not in repr(run)
    assert str(RUN_ID) in repr(run)


@pytest.mark.parametrize(
    ("status", "message", "timed_out"),
    [
        (30, "This run timed out after running for 1 day, which exceeded …", True),
        (30, "THIS RUN TIMED OUT", True),
        (30, "Cancelled by user.", False),
        (30, None, False),
        (20, "The connection timed out", False),
    ],
)
def test_a_time_limit_of_dbt_cloud_is_told_from_a_cancellation(status, message, timed_out) -> None:
    """Both are status 30; a failed run whose message speaks of a timeout is neither."""
    assert Run.from_payload(run_payload(status, status_message=message)).timed_out is timed_out


@pytest.mark.parametrize(
    ("said", "obstacle"),
    [
        ({"can_retry": True, "retry_not_supported_reason": None}, None),
        ({"can_retry": False, "retry_not_supported_reason": "RETRY_X"}, "RETRY_X"),
        ({"can_retry": False, "retry_not_supported_reason": None}, "no reason given"),
        ({"can_retry": None}, None),
    ],
)
def test_what_keeps_a_run_from_being_retried_is_only_what_dbt_cloud_says(said, obstacle) -> None:
    """Older payloads say nothing: then it is worth a try."""
    assert Run.from_payload(run_payload(20, **said)).retry_obstacle == obstacle


@pytest.mark.parametrize(("value", "expected"), [(7, 7), (None, None), ("x", None)])
def test_a_run_names_the_one_that_it_retries(value, expected) -> None:
    """Most retry none."""
    assert Run.from_payload(run_payload(1, retrying_run_id=value)).retrying_run_id == expected


@pytest.mark.parametrize(("status", "failed"), [(20, True), (30, False), (10, False), (3, False)])
def test_only_an_error_is_a_failure(status, failed) -> None:
    """What was cancelled or timed out is over, and has not failed."""
    assert Run.from_payload(run_payload(status)).has_failed is failed


def test_steps_are_parsed_in_order() -> None:
    """A step whose fields are null is still a step."""
    steps = [step_payload(4, "dbt build", 20), {"index": None, "name": None, "status": None}]
    failed, empty = Run.from_payload(run_payload(20, run_steps=steps)).steps
    assert (failed.index, failed.status, failed.logs) == (4, 20, "log of dbt build")
    assert failed.has_failed
    assert empty == RunStep(index=0, name="", status=0, logs="")
    assert not empty.has_failed


def test_a_step_without_logs_shows_the_end_of_its_debug_logs() -> None:
    """Dbt Cloud leaves oversize logs out."""
    step = RunStep.from_payload({"logs": None, "truncated_debug_logs": "the end"})
    assert step.logs == "the end"


def test_a_job_keeps_its_whole_payload() -> None:
    """As runs do."""
    job = Job.from_payload(job_payload(5, "Hourly") | {"new": 1})
    assert (job.job_id, job.name, job.payload["new"]) == (5, "Hourly", 1)
    with pytest.raises(KeyError):
        Job.from_payload({"name": "Hourly"})


def test_what_a_run_says_is_one_line_without_commands_to_a_terminal() -> None:
    """It goes into logs and errors; the payload keeps it as it came."""
    said = "failed\x1b[1A\x1b[2K\n2026-11-23 - dagster - INFO - all is well"
    payload = run_payload(20, status_message=said, href="https://x\n/\x1b[2J1")
    run = Run.from_payload({**payload, "retry_not_supported_reason": said, "can_retry": False})
    shown = "failed 2026-11-23 - dagster - INFO - all is well"
    assert (run.status_message, run.href, run.retry_obstacle) == (shown, "https://x /1", shown)
    assert run.payload["status_message"] == said


def test_a_steps_log_keeps_its_lines_and_nothing_that_moves_them() -> None:
    """A carriage return would write the second line over the first."""
    logs = "one\r\n\x1b[31mtwo\x1b[0m\rthree\x1b[3A\x08"
    step = RunStep.from_payload({"index": 4, "name": "dbt\nbuild", "status": 20, "logs": logs})
    assert (step.name, step.logs) == ("dbt build", "one\ntwo\nthree\ufffd")


@pytest.mark.parametrize(
    "odd", [None, True, -1, 7.5, "x", "", [], {}, math.inf, math.nan, 2**63, "9" * 5000]
)
def test_what_is_no_id_is_refused(odd) -> None:
    """And by no other error: whoever reads a list leaves the run out."""
    for parse in (Run.from_payload, Job.from_payload):
        with pytest.raises(ValueError, match=r"is not an id|invalid literal|4300"):
            parse({"id": odd})


@pytest.mark.parametrize("status", [math.inf, math.nan, "x", [], None])
def test_a_status_that_is_none_is_none_of_those_that_are_known(status) -> None:
    """Of a run and of a step."""
    run = Run.from_payload({"id": 1, "status": status, "run_steps": [{"status": status}]})
    assert (run.status, run.steps[0].status) == (0, 0)


def test_a_step_that_cannot_be_read_costs_only_itself() -> None:
    """However odd it is."""
    odd: list[Any] = [None, "x", [], {"index": math.inf}, {"index": "x"}]
    run = Run.from_payload(run_payload(20, run_steps=[*odd, step_payload(4, "dbt build")]))
    assert [step.index for step in run.steps] == [4]


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+14:00",
        "0001-01-01 00:00:00",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
        "2026-13-01T00:00:00Z",
        "2026-02-30 00:00:00",
        "99999-01-01 00:00:00",
    ],
)
def test_a_moment_out_of_range_is_none(text) -> None:
    """Other time zones have no name for some of them, and tables none for others."""
    assert parse_timestamp(text) is None
