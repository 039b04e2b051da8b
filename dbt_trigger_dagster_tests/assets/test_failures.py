"""Errors as Dagster's failures: what people read, and whether Dagster may try again."""

import dagster as dg
import pytest

from dbt_trigger_dagster.assets.failures import (
    RETRY_OBSTACLES,
    as_failure,
    as_joint_failure,
    as_trigger_failure,
    retry_outlook,
    run_error,
)
from dbt_trigger_dagster.assets.metadata import run_metadata
from dbt_trigger_dagster.assets.outcome import Outcome
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudAuthError,
    DbtCloudError,
    DbtCloudJobNameError,
    DbtCloudNotFoundError,
    DbtCloudPayloadError,
    DbtCloudRateLimitError,
    DbtCloudRequestError,
    DbtCloudResponseError,
    DbtCloudRunCancelledError,
    DbtCloudRunError,
    DbtCloudRunFailedError,
    DbtCloudRunTimeoutError,
    DbtCloudWaitTimeoutError,
)
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT

URL = "https://ab123.us1.dbt.com/deploy/7/projects/8/runs/42/"


def a_run(status: int = 10, **payload: object) -> Run:
    """A run as the API gives it."""
    return Run.from_payload(
        {"id": 42, "account_id": 7, "job_id": 9, "status": status, "href": URL, **payload}
    )


def a_step(index: int, status: int, logs: str = "", name: str = "dbt build") -> dict[str, object]:
    """A step as the API gives it."""
    return {"index": index, "name": name, "status": status, "logs": logs}


def lost() -> DbtCloudRequestError:
    """An answer that never came."""
    return DbtCloudRequestError("POST got no answer: it was reset.", may_have_been_sent=True)


def never_sent() -> DbtCloudRequestError:
    """A connection that was never made."""
    return DbtCloudRequestError("POST got no answer: refused.", may_have_been_sent=False)


def refused(status_code: int) -> DbtCloudResponseError:
    """A refusal that no type of its own stands for."""
    return DbtCloudResponseError(f"POST was answered {status_code}.", status_code=status_code)


def test_the_metadata_names_the_run_its_page_its_status_and_its_message() -> None:
    """People find the run in dbt Cloud from any event of Dagster's."""
    metadata = run_metadata(a_run(20, status_message="dbt command failed"))
    assert metadata == {
        "dbt_cloud_run_id": dg.MetadataValue.text("42"),
        "dbt_cloud_run_url": dg.MetadataValue.url(URL),
        "dbt_cloud_status": dg.MetadataValue.text("Error"),
        "dbt_cloud_status_message": dg.MetadataValue.text("dbt command failed"),
    }


@pytest.mark.parametrize("href", ["", "javascript:alert(1)", "data:text/html,x"])
def test_only_a_web_address_becomes_a_link(href: str) -> None:
    """The UI makes a link of it, so nothing else may stand there."""
    assert "dbt_cloud_run_url" not in run_metadata(a_run(href=href))


def test_a_run_without_a_message_has_no_message() -> None:
    """An empty entry would only take space."""
    assert "dbt_cloud_status_message" not in run_metadata(a_run())


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (a_run(20), DbtCloudRunFailedError),
        (a_run(30, status_message="Cancelled by user."), DbtCloudRunCancelledError),
        (a_run(30, status_message="This run timed out after 1 hour"), DbtCloudRunTimeoutError),
        (a_run(99, is_complete=True, is_success=False), DbtCloudRunFailedError),
    ],
)
def test_each_bad_end_has_its_own_error(run: Run, expected: type[DbtCloudRunError]) -> None:
    """Dbt Cloud has one status for cancelled and timed out; we have two errors."""
    error = run_error(Outcome(run))
    assert type(error) is expected
    assert error.run is run


@pytest.mark.parametrize("run", [a_run(10), a_run(99, is_complete=True, is_success=True)])
def test_a_good_end_is_no_error(run: Run) -> None:
    """A status that is not known yet counts by what dbt Cloud says of it."""
    assert run_error(Outcome(run)) is None


def test_a_failed_run_is_explained_by_its_failed_steps_alone() -> None:
    """The last lines come first, then the command and the page; what was fine is left out."""
    steps = [
        a_step(1, 10, "fine", name="Clone git repository"),
        a_step(
            4,
            20,
            "07:34:37  one\n07:34:37  \n07:34:38  two\ndbt command failed",
            name="Invoke dbt with `dbt build`",
        ),
    ]
    run = a_run(20, status_message="dbt command failed", run_steps=steps)
    assert str(run_error(Outcome(run), "Do this.")).splitlines() == [
        "one",
        "two",
        "Failed step 4: Invoke dbt with `dbt build`",
        "dbt Cloud run 42 ended: Error.",
        URL,
        "Do this.",
    ]


def a_node(name: str, status: str = "error", **values: object) -> dict[str, object]:
    """A row of a node, with all columns."""
    node = {"unique_id": f"model.shop.{name}", "name": name, "resource_type": "model", **values}
    return next(iter(NODE_RESULT.rows([{**node, "status": status}])))


def test_the_nodes_that_failed_stand_first() -> None:
    """What is new before what is known, each with what was said of it; then where, and the page."""
    run = a_run(20, run_steps=[a_step(4, 20, "a long log", name="Invoke dbt with `dbt build`")])
    results = [
        a_node("old", message="Got 3 results"),
        a_node("new", message="Runtime Error in model new (a/new.sql)\n  Timed out\n  again\n"),
        a_node("fine", "success"),
        a_node("skipped", "skipped"),
    ]
    outcome = Outcome(run, results=results, failed_before={"model.shop.old": 11})
    assert str(run_error(outcome)).splitlines() == [
        "model new (newly failing): Timed out",
        "      again",
        "model old (failing since 12 runs): Got 3 results",
        "Failed step 4: Invoke dbt with `dbt build`",
        "dbt Cloud run 42 ended: Error.",
        URL,
    ]


def test_of_many_nodes_that_failed_some_are_told() -> None:
    """The rest is counted: the table has them all."""
    results = [a_node(f"n{number}", message="x\n" * 100) for number in range(12)]
    said = str(run_error(Outcome(a_run(20), results=results))).splitlines()
    assert sum(line.startswith("model n") for line in said) == 5
    assert "and 7 more nodes" in said
    assert len(said) < 50


@pytest.mark.parametrize(
    ("node", "may_heal"),
    [
        (a_node("a", message="Database Error\n  connection reset by peer"), True),
        (a_node("a", message="no idea", error_kind="external"), True),
        (a_node("a", message="no idea", error_kind="user"), False),
        (a_node("a", message="Compilation Error in model a"), False),
        (a_node("a", message='Binder Error: Referenced column "x" not found'), False),
        (a_node("a", message="relation shop.raw does not exist"), False),
        (a_node("a", "fail", message="Got 3 results, configured to fail if != 0"), False),
    ],
)
def test_a_retry_is_advised_only_where_the_error_may_heal(
    node: dict[str, object], *, may_heal: bool
) -> None:
    """A column that is missing stays so; one node that may heal is worth a try."""
    outlook = retry_outlook(Outcome(RETRYABLE, results=[node]))
    assert ("from its failure" in outlook) is may_heal
    assert ("does not heal by itself" in outlook) is not may_heal
    lost = a_node("b", message="connection reset")
    assert "from its failure" in retry_outlook(Outcome(RETRYABLE, results=[node, lost]))


RETRYABLE = a_run(20, can_retry=True)
UNKNOWN = "RETRY_SOMETHING_NEW"


@pytest.mark.parametrize(
    ("run", "outlook"),
    [
        (RETRYABLE, "Re-execute this Dagster run from its failure"),
        (a_run(20), "Re-execute this Dagster run from its failure"),
        (a_run(10), ""),
        (a_run(30, can_retry=False), ""),
        (
            a_run(20, can_retry=False, retry_not_supported_reason="RETRY_UNSUPPORTED_CMD"),
            "the command that failed cannot be retried (RETRY_UNSUPPORTED_CMD)",
        ),
        (a_run(20, can_retry=False, retry_not_supported_reason=UNKNOWN), f"({UNKNOWN})"),
        (a_run(20, can_retry=False), "(no reason given)"),
    ],
)
def test_the_outlook_says_what_a_retry_can_do(run: Run, outlook: str) -> None:
    """Also where dbt Cloud has a reason that is not known yet, or does not say."""
    said = retry_outlook(Outcome(run))
    assert outlook in said
    assert bool(said) is bool(outlook)


def test_every_reason_that_the_api_documents_is_put_in_words() -> None:
    """Dbt Cloud's OpenAPI document names five."""
    assert set(RETRY_OBSTACLES) == {
        "RETRY_UNSUPPORTED_CMD",
        "RETRY_UNSUPPORTED_VERSION",
        "RETRY_NOT_LATEST_RUN",
        "RETRY_NOT_FAILED_RUN",
        "RETRY_NO_RUN_RESULTS",
    }


@pytest.mark.parametrize(
    ("run", "retry_failed_run", "allowed"),
    [
        (RETRYABLE, True, True),
        (a_run(20), True, True),
        (RETRYABLE, False, False),
        (a_run(20, can_retry=False), True, False),
    ],
)
def test_a_failed_run_is_worth_a_retry_where_dbt_cloud_can_continue_it(
    run: Run, *, retry_failed_run: bool, allowed: bool
) -> None:
    """So that a retry policy of Dagster's is neither in vain nor without effect."""
    error = DbtCloudRunFailedError("failed", run=run)
    assert as_failure(error, retry_failed_run=retry_failed_run).allow_retries is allowed
    joint = as_joint_failure(
        [run], [error], [StorageError("no room")], retry_failed_run=retry_failed_run
    )
    assert joint.allow_retries is allowed


def test_a_log_is_shown_from_where_dbt_sums_up_what_failed() -> None:
    """Dbt lists what passed right before it; what failed must be the first thing to be seen."""
    logs = [*(f"{number} of 9 PASS" for number in range(9)), "Completed with 1 error:", "  boom"]
    logs += [f"line {number}" for number in range(100)]
    run = a_run(20, run_steps=[a_step(1, 20, "\n".join(logs))])
    said = str(run_error(Outcome(run))).splitlines()
    assert said[0] == "  boom"
    assert said.index("Failed step 1: dbt build") == 20


def test_long_logs_are_cut_to_their_end() -> None:
    """A step's log may have megabytes; twenty lines of at most 500 characters are shown."""
    logs = "\n".join([*(f"line {number}" for number in range(1000)), "x" * 10_000])
    run = a_run(20, run_steps=[a_step(1, 20, logs)])
    said = str(run_error(Outcome(run))).splitlines()
    assert said.index("Failed step 1: dbt build") == 20
    assert said[0] == "line 981"
    assert said[19] == "x" * 500


@pytest.mark.parametrize(
    ("error", "allow_retries"),
    [
        (lost(), True),
        (never_sent(), True),
        (refused(500), True),
        (refused(503), True),
        (DbtCloudRateLimitError("429", status_code=429), True),
        (DbtCloudWaitTimeoutError("late", run=a_run(3)), True),
        (StorageError("disk is full"), True),
        (refused(400), False),
        (DbtCloudAuthError("401", status_code=401), False),
        (DbtCloudNotFoundError("404", status_code=404), False),
        (DbtCloudPayloadError("HTML"), False),
        (DbtCloudJobNameError("no job"), False),
        (DbtCloudRunFailedError("failed", run=a_run(20)), False),
        (DbtCloudRunCancelledError("cancelled", run=a_run(30)), False),
        (DbtCloudRunTimeoutError("timed out", run=a_run(30)), False),
        (ValueError("cause is empty"), False),
    ],
    ids=str,
)
def test_dagster_may_retry_only_what_a_repetition_can_cure(
    error: DbtCloudError | StorageError | ValueError, *, allow_retries: bool
) -> None:
    """A retry policy must neither waste time nor be switched off where it helps."""
    failure = as_failure(error)
    assert failure.allow_retries is allow_retries
    assert failure.description == str(error) or str(error) in str(failure.description)


def test_a_wait_that_ended_in_a_cancelled_run_is_not_retried() -> None:
    """There is nothing left to wait for."""
    assert not as_failure(DbtCloudWaitTimeoutError("late", run=a_run(30))).allow_retries


def test_a_failure_says_that_the_run_goes_on_when_it_does() -> None:
    """Whoever reads the error knows that dbt still works, and where to look."""
    going_on = as_failure(DbtCloudWaitTimeoutError("late.", run=a_run(3)))
    assert going_on.description == f"late.\nThe dbt run goes on: {URL}"
    assert going_on.metadata["dbt_cloud_run_url"] == dg.MetadataValue.url(URL)
    over = as_failure(DbtCloudRunFailedError("failed.", run=a_run(20)))
    assert over.description == "failed."


def test_a_run_that_is_gone_is_not_said_to_go_on() -> None:
    """It was seen running once; whether it still is, nobody knows."""
    failure = as_failure(DbtCloudNotFoundError("404.", status_code=404), run=a_run(1))
    assert failure.description == f"404.\nWhat became of the dbt run is not known: {URL}"
    assert "dbt_cloud_status" not in failure.metadata
    over = as_failure(DbtCloudNotFoundError("404.", status_code=404), run=a_run(10))
    assert over.description == "404."


def test_an_error_that_carries_no_run_gets_the_one_that_it_is_about() -> None:
    """A 401 in the middle of a wait is about a run that goes on."""
    failure = as_failure(DbtCloudAuthError("no.", status_code=401), run=a_run(3))
    assert failure.description == f"no.\nThe dbt run goes on: {URL}"
    assert failure.metadata["dbt_cloud_run_id"] == dg.MetadataValue.text("42")


@pytest.mark.parametrize(
    "error",
    [lost(), DbtCloudPayloadError("HTML"), refused(500), refused(502), refused(504), refused(408)],
    ids=str,
)
def test_a_trigger_of_unknown_outcome_says_how_to_go_on(error: DbtCloudError) -> None:
    """A retry is allowed, because it looks for the run first."""
    failure = as_trigger_failure(error)
    assert failure.allow_retries is True
    assert str(failure.description).startswith(str(error))
    assert "may have been started" in str(failure.description)
    assert "Re-execute this Dagster run" in str(failure.description)


@pytest.mark.parametrize(
    ("error", "allow_retries"),
    [
        (never_sent(), True),
        (refused(503), True),
        (DbtCloudRateLimitError("429", status_code=429), True),
        (refused(400), False),
        (DbtCloudAuthError("401", status_code=401), False),
    ],
    ids=str,
)
def test_a_trigger_that_certainly_did_nothing_is_an_ordinary_failure(
    error: DbtCloudError, *, allow_retries: bool
) -> None:
    """Nobody is to look for a run that cannot be there."""
    failure = as_trigger_failure(error)
    assert failure.description == str(error)
    assert failure.allow_retries is allow_retries


def test_a_joint_failure_tells_everything_that_went_wrong() -> None:
    """One run that failed and one artifact that is missing are two lines."""
    run = a_run(20)
    failure = as_joint_failure(
        [run], [DbtCloudRunFailedError("the run failed", run=run)], [StorageError("no room")]
    )
    assert failure.description == "the run failed\nno room"
    assert failure.metadata["dbt_cloud_status"] == dg.MetadataValue.text("Error")


def test_a_joint_failure_tells_of_thousands_of_artifacts_what_a_page_can_show() -> None:
    """Where a bucket is away, none of twenty thousand can be stored, each for the same reason."""
    errors = [StorageError("no room " + "x" * 5000)] * 20_000
    failure = as_joint_failure([a_run(10)], [], errors)
    *told, last = str(failure.description).splitlines()
    assert last == "And 19950 more artifacts could not be had."
    assert len(told) == 50
    assert len(str(failure.description)) < 60_000


def test_a_joint_failure_of_several_runs_names_those_that_failed() -> None:
    """First their numbers, then how each ended and its page; one link would be the wrong one."""
    runs = [a_run(20, id=1), a_run(10, id=2), a_run(30, id=3)]
    errors = [error for run in runs if (error := run_error(Outcome(run)))]
    failure = as_joint_failure(runs, errors, [StorageError("no room")])
    assert str(failure.description).splitlines() == [
        "2 of 3 dbt Cloud runs did not end well: 1, 3.",
        "dbt Cloud run 1 ended: Error.",
        URL,
        "dbt Cloud run 3 ended: Cancelled.",
        URL,
        "no room",
    ]
    assert failure.metadata == {"dbt_cloud_failed_run_ids": dg.MetadataValue.json([1, 3])}


def test_a_joint_failure_without_any_run_tells_its_errors() -> None:
    """All runs of a batch may be out of reach, as with a token that was revoked."""
    failure = as_joint_failure([], [refused(401), refused(401)], [])
    assert str(failure.description).splitlines() == ["POST was answered 401."] * 2
    assert failure.metadata == {"dbt_cloud_failed_run_ids": dg.MetadataValue.json([])}


def test_a_joint_failure_of_many_runs_leaves_out_their_logs() -> None:
    """Fifty logs would hide which runs they are of."""
    steps = [a_step(1, 20, "a long log")]
    runs = [a_run(20, id=number, run_steps=steps) for number in range(2)]
    errors = [error for run in runs if (error := run_error(Outcome(run)))]
    assert "a long log" not in str(as_joint_failure(runs, errors, []).description)
    assert "a long log" in str(as_joint_failure(runs[:1], errors[:1], []).description)


def test_a_joint_failure_is_retried_only_for_lost_artifacts() -> None:
    """A run that has failed stays failed, however often one looks."""
    run = a_run(20)
    failed = DbtCloudRunFailedError("failed", run=run)
    gone = DbtCloudNotFoundError("404", status_code=404)
    assert as_joint_failure([run], [], [refused(500), gone]).allow_retries
    assert not as_joint_failure([run], [], [gone, gone]).allow_retries
    assert not as_joint_failure([run], [failed], [refused(500)]).allow_retries
