"""Bad input: one clear sentence, no request more than needed, and nothing changed."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster import (
    DbtCloudArtifactStore,
    DbtCloudTableIOManager,
    build_dbt_cloud_job_assets,
)
from dbt_trigger_dagster.sandbox import Fault, SandboxJob
from dbt_trigger_dagster_tests.graphs import GOOD, Project, a_project, failed_ops, failure_of

HTML = "<!DOCTYPE html><html><body>Sign in</body></html>"


@dataclass(frozen=True)
class Account:
    """A project that has had one good run, and what that left."""

    project: Project
    before: dict[str, Any]

    def refusal(self, **arguments: Any) -> str:
        """Why a materialization fails in its first step; nothing may have changed."""
        already = len(self.project.sandbox.requests)
        result = self.project.materialize(**arguments)
        self.requests[:] = self.project.sandbox.requests[already:]
        assert failed_ops(result) == ["trigger_response"]
        assert self.project.contents() == self.before
        description = failure_of(result, "trigger_response").description
        assert description
        return description

    @property
    def requests(self) -> list[Any]:
        """The requests of the last refusal."""
        return self._requests

    _requests: list[Any]

    @property
    def methods(self) -> list[str]:
        """Their methods."""
        return [request.method for request in self.requests]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with history; bad input leaves it as it is."""
    jobs = [SandboxJob(name=name, script=GOOD) for name in ("nightly", "twice", "twice")]
    with a_project(tmp_path_factory.mktemp("project"), jobs=jobs) as made:
        assert made.materialize().success
        yield made


@pytest.fixture
def account(project: Project) -> Iterator[Account]:
    """The same, as it is before a test."""
    yield Account(project, project.contents(), [])
    project.sandbox.clear_faults()


def test_a_wrong_token(account: Account) -> None:
    """The token or the host is wrong; dbt Cloud answers the same to both."""
    resource = account.project.account(token="wrong-but-secret")
    said = account.refusal(resources={"dbt_cloud": resource})
    assert "401" in said
    assert "The token is wrong, or access_url is not the account's own host" in said
    assert "wrong-but-secret" not in said
    assert account.methods == ["POST"]


def test_a_wrong_account(account: Account) -> None:
    """The token is good, for another account."""
    resource = account.project.account(account_id=999)
    said = account.refusal(resources={"dbt_cloud": resource})
    assert "403" in said
    assert "check account_id" in said
    assert account.methods == ["POST"]


def test_a_host_that_does_not_answer(account: Account) -> None:
    """The job was certainly not started, so nobody is sent to look for a run."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    resource = account.project.account(access_url=f"http://127.0.0.1:{port}")
    said = account.refusal(resources={"dbt_cloud": resource})
    assert "got no answer" in said
    assert "refused" in said
    assert "may have been started" not in said
    assert account.methods == []


@pytest.mark.parametrize("by", ["definition", "config"])
def test_an_unknown_job_number(account: Account, by: str) -> None:
    """The number is wrong, or the token may not see the job."""
    if by == "config":
        said = account.refusal(trigger={"job_id": 4711})
    else:
        said = account.refusal(
            assets=build_dbt_cloud_job_assets(job_id=4711), selection=["trigger_response"]
        )
    assert "jobs/4711/run/" in said
    assert "404" in said
    assert "The id is wrong, or the token has no permission to see it." in said
    assert account.methods == ["POST"]


def test_an_ambiguous_job_name(account: Account) -> None:
    """The numbers that it could be are listed."""
    said = account.refusal(trigger={"job_name": "twice"})
    numbers = [str(job.id) for job in account.project.sandbox.jobs if job.name == "twice"]
    assert said == f"2 jobs are named 'twice': give job_id, one of {', '.join(numbers)}."
    assert account.methods == ["GET"]


def test_an_unknown_job_name(account: Account) -> None:
    """The nearest names are listed; nothing is triggered."""
    said = account.refusal(trigger={"job_name": "nigthly"})
    assert said.startswith("No job is named 'nigthly'. The nearest names: 'nightly' (")
    assert account.methods == ["GET", "GET"]


@pytest.mark.parametrize(
    ("access_url", "message"),
    [
        ("http://ab123.us1.dbt.com", "would send the token unencrypted: use https://ab123"),
        ("https://ab123.us1.dbt.com/deploy/1", "the host alone"),
        ("ftp://ab123.us1.dbt.com", "is not the address of a host"),
    ],
)
def test_an_access_url_that_cannot_be_used(account: Account, access_url: str, message: str) -> None:
    """No request is made, least of all one with the token in it."""
    resource = account.project.account(access_url=access_url)
    assert message in account.refusal(resources={"dbt_cloud": resource})
    assert account.methods == []


def test_an_html_answer(account: Account) -> None:
    """A host that is not dbt Cloud's API answers 200 to anything; the error shows what it said."""
    account.project.sandbox.inject(Fault(status=200, body=HTML, count=None))
    said = account.refusal()
    assert "with a body that is not dbt Cloud's API: '<!DOCTYPE html>" in said
    assert "Check access_url" in said
    assert account.methods == ["POST", "GET"], "a lost answer may look like this: it searches"


def test_an_html_refusal(account: Account) -> None:
    """A proxy's own page."""
    account.project.sandbox.inject(Fault(method="POST", status=407, body=HTML, count=None))
    said = account.refusal()
    assert "was answered 407: '<!DOCTYPE html>" in said
    assert account.methods == ["POST"]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"max_wait_time": 0}, "max_wait_time is 0: give more than 0 seconds"),
        ({"max_wait_time": -60}, "max_wait_time is -60: give more than 0 seconds"),
        ({"poll_interval": 0}, "poll_interval is 0: give more than 0 seconds"),
        ({"poll_interval": -1}, "poll_interval is -1: give more than 0 seconds"),
        ({"max_parallel_downloads": 0}, "max_parallel_downloads is 0: give 1 to"),
    ],
)
def test_a_wait_that_cannot_be_kept(account: Account, run: dict[str, Any], message: str) -> None:
    """It stops the Dagster run before the job is triggered, not after."""
    assert account.refusal(run=run).startswith(message)
    assert account.methods == []


def test_a_wait_that_cannot_be_kept_in_the_jobs_own_config(account: Account) -> None:
    """The same where the config comes from the job's definition."""
    project = account.project
    config = {"ops": {"dbt_cloud_run": {"config": {"max_wait_time": -1}}}}
    job = dg.Definitions(
        assets=project.assets(),
        resources=project.resources(),
        jobs=[dg.define_asset_job("configured", config=config)],
    ).resolve_job_def("configured")
    already = len(project.sandbox.requests)
    result = job.execute_in_process(instance=project.instance, raise_on_error=False)
    assert failed_ops(result) == ["trigger_response"]
    assert len(project.sandbox.requests) == already


def test_a_wait_that_cannot_be_kept_without_a_trigger(account: Account) -> None:
    """The step that waits refuses it itself, before it asks anything."""
    project = account.project
    already = len(project.sandbox.requests)
    result = project.materialize(selection=["run_result"], run={"max_wait_time": -1})
    kept = result.failure_data_for_node("dbt_cloud_run")
    assert kept is not None
    assert kept.error is not None
    assert "max_wait_time is -1: give more than 0 seconds" in kept.error.to_string()
    assert len(project.sandbox.requests) == already
    assert project.contents() == account.before


@pytest.mark.parametrize("cause", ["", "  \n"])
def test_an_empty_cause(account: Account, cause: str) -> None:
    """Dbt Cloud requires one."""
    said = account.refusal(trigger={"cause": cause})
    assert said == "cause is empty; dbt Cloud requires one: say why the job is triggered."
    assert account.methods == []


def test_a_cause_of_400_characters(account: Account) -> None:
    """Dbt Cloud would refuse it with less to go by; 255 are fine."""
    said = account.refusal(trigger={"cause": "x" * 400})
    assert said == ("cause has 400 characters and dbt Cloud keeps at most 255: shorten it.")
    assert account.methods == []
    assert account.project.materialize(trigger={"cause": "x" * 255}).success


@pytest.mark.parametrize("op", ["trigger_response", "dbt_cloud_run"])
def test_an_unknown_field_of_a_config(account: Account, op: str) -> None:
    """Dagster refuses it by name before any step runs."""
    part = "trigger" if op == "trigger_response" else "run"
    with pytest.raises(dg.DagsterInvalidConfigError, match="schema_overide"):
        account.project.materialize(**{part: {"schema_overide": "scratch"}})
    assert account.project.contents() == account.before


def test_a_job_by_number_and_by_name(account: Account) -> None:
    """One of them would be ignored."""
    project = account.project
    already = len(project.sandbox.requests)
    result = project.materialize(trigger={"job_id": 1, "job_name": "nightly"})
    kept = result.failure_data_for_node("trigger_response")
    assert kept is not None
    assert kept.error is not None
    assert "job_id and job_name are both set: give one of them." in kept.error.to_string()
    assert len(project.sandbox.requests) == already


def test_an_artifacts_folder_that_cannot_be_written(account: Account) -> None:
    """Known before the job is triggered, because its artifacts could not be kept."""
    blocked = account.project.folder / "file"
    blocked.write_text("")
    store = DbtCloudArtifactStore(root=str(blocked / "artifacts"))
    said = account.refusal(resources={"dbt_cloud_artifacts": store})
    assert f"folder {blocked / 'artifacts'}/" in said
    assert "cannot be written" in said
    assert "name another one" in said
    assert account.methods == []


def why_the_run_fails(project: Project, **arguments: Any) -> str:
    """What is said where a run ends before its first step."""
    result = project.materialize(**arguments)
    assert not [event for event in result.all_events if event.is_step_start]
    (event,) = [event for event in result.all_events if event.is_resource_init_failure]
    error = event.engine_event_data.error
    while error is not None and error.cls_name != "StorageError":
        error = error.cause
    assert error is not None
    return error.message.partition(": ")[2].strip()


def test_a_database_that_is_none(account: Account) -> None:
    """Known before the job is triggered; the file stays as it was."""
    project = account.project
    notes = project.folder / "notes.duckdb"
    notes.write_text("these are notes " * 1000)
    already = len(project.sandbox.requests)
    tables = DbtCloudTableIOManager(database=str(notes))
    said = why_the_run_fails(project, resources={"dbt_cloud_tables": tables})
    assert said == (
        f"{notes} is not a DuckDB database: name another file (database, or DBT_TRIGGER_DATABASE)."
    )
    assert notes.read_text() == "these are notes " * 1000
    assert len(project.sandbox.requests) == already
    assert project.contents() == account.before


def test_a_database_in_a_folder_that_cannot_be_made(account: Account) -> None:
    """The same for a path below a regular file."""
    project = account.project
    (project.folder / "file").write_text("")
    already = len(project.sandbox.requests)
    tables = DbtCloudTableIOManager(database=str(project.folder / "file" / "x.duckdb"))
    said = why_the_run_fails(project, resources={"dbt_cloud_tables": tables})
    assert "x.duckdb cannot be written" in said
    assert len(project.sandbox.requests) == already
