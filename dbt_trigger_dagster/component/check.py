"""Whether everything is there that a run will need, tried without starting one."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from dbt_trigger_dagster.component.code_location import CodeLocation, home_of_dagster
from dbt_trigger_dagster.component.job import JobSettings
from dbt_trigger_dagster.component.storage import Storage
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.parameters import JobFilter, RunFilter
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.place import place_of

_PATIENCE = 10.0
"""Seconds for which the database may be busy: a person waits for the answer."""


@dataclass(frozen=True)
class Finding:
    """What one check came to.

    Attributes:
        what: What was tried.
        is_good: Whether it works; None where that cannot be told without starting a run.
        sentence: What was found, and what to do where it does not work.
    """

    what: str
    is_good: bool | None
    sentence: str


def places(location: CodeLocation) -> Iterator[tuple[str, str]]:
    """Where a run reads and writes, before any of it is tried; nothing here is secret."""
    count = len(location.jobs)
    jobs = f", with {count} job{'s' if count > 1 else ''}" if count else ""
    yield "source", f"{location.source}{jobs}"
    for what, told in {"database": _database, "artifacts": _root}.items():
        try:
            yield what, told(location.storage)
        except StorageError:
            yield what, "see below"
    home = os.environ.get("DAGSTER_HOME")
    yield "Dagster", home or "DAGSTER_HOME is not set: a run is forgotten when its command ends"


def _database(storage: Storage) -> str:
    return place_of(storage.database_now())


def _root(storage: Storage) -> str:
    return storage.build_artifacts().files().uri("").rstrip("/")


def check(location: CodeLocation, job_id: int | None) -> Iterator[Finding]:
    """Try the settings, the token's permissions, the jobs, the database and the artifacts' store.

    Args:
        location: The account, its jobs, and where tables and artifacts are kept.
        job_id: A job whose permissions are tried, too; None tries what all jobs need.
    """
    try:
        client = location.workspace.build_account().build_client()
    except ValueError as error:
        yield Finding("settings", is_good=False, sentence=str(error))
    else:
        yield Finding("settings", is_good=True, sentence=f"{client.access_url} can be asked.")
        with client:
            yield from _check_account(client, location.jobs, job_id)
    yield _tried("database", lambda: _check_tables(location.storage))
    yield _tried("artifacts", lambda: _check_artifacts(location.storage))
    yield from _check_home()


def _check_home() -> Iterator[Finding]:
    """Nothing where Dagster takes it: where that is, has been told before."""
    try:
        home_of_dagster()
    except ValueError as error:
        yield Finding("Dagster", is_good=False, sentence=str(error))


def _check_account(
    client: DbtCloudClient, jobs: Sequence[JobSettings], job_id: int | None
) -> Iterator[Finding]:
    client = client.with_options(max_retries=1)
    account = _tried("account", lambda: _account(client))
    yield account
    if not account.is_good:
        return  # the rest would say the same again
    why = "Without it a job is known by its id only."
    if jobs:
        yield from (_tried(job.key or "job", partial(_named, client, job)) for job in jobs)
    if job_id is not None or not jobs:
        yield _tried("jobs", lambda: _job(client, job_id), why)
    yield _tried("runs", lambda: _runs(client, job_id), "Without it no run can be waited for.")
    yield Finding(
        "trigger",
        is_good=None,
        sentence="Whether the token may start a job shows only when it does: it needs the "
        "permission Job Runner or Job Admin for the job's project.",
    )


def _tried(what: str, attempt: Callable[[], str], why: str = "") -> Finding:
    try:
        return Finding(what, is_good=True, sentence=attempt())
    except (DbtCloudError, StorageError, ValueError) as error:
        return Finding(what, is_good=False, sentence=f"{error} {why}".rstrip())


def _account(client: DbtCloudClient) -> str:
    name = client.get_account().get("name")
    return f"The token may read account {client.account_id} ({name})."


def _job(client: DbtCloudClient, job_id: int | None) -> str:
    if job_id is None:
        count = sum(1 for _ in client.list_jobs(JobFilter()))
        return f"The token sees {count} jobs."
    return f"Job {job_id} is {client.get_job(job_id).name!r}."


def _named(client: DbtCloudClient, job: JobSettings) -> str:
    """A job of a file, by its name and its id."""
    found = client.get_job(job.resolve(client))
    return f"{found.name!r} is job {found.job_id}."


def _runs(client: DbtCloudClient, job_id: int | None) -> str:
    newest = client.list_runs(
        RunFilter(job_definition_id=job_id), order_by="-id", page_size=1, include_related=("job",)
    )
    run = next(newest, None)
    return "There are no runs yet." if run is None else f"The newest is {run.href or run.run_id}"


def _check_tables(storage: Storage) -> str:
    storage.build_tables().check(_PATIENCE)
    return "The tables can be written."


def _check_artifacts(storage: Storage) -> str:
    storage.build_artifacts().check()
    return "Artifacts can be stored."
