"""A trigger happens exactly once, and so does a retry from the point of failure.

dbt Cloud has no idempotency key, so the cause that is sent ends in a marker, and a run whose
trigger's answer was lost is found again by it; the run of a retry names the one that it retries.
Nothing is sent a second time before the job's newest runs have been searched for long enough for
a run that was started to appear.
"""

import dataclasses
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbt_trigger_dagster.dbt_cloud.api import PAGE_SIZE
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parameters import MAX_CAUSE_LENGTH, RunFilter, TriggerRequest
from dbt_trigger_dagster.dbt_cloud.retries import is_outcome_unknown

SETTLE_PAUSES = (0.0, 1.0, 2.0, 3.0, 4.0)
"""Seconds before each search for a run that may have been started: 10 s in all."""

CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far dbt Cloud's clock may be behind ours."""


@dataclass(frozen=True)
class Intention:
    """What one run of a job is wanted for: the same intention never starts two.

    Attributes:
        key: Tells this intention from all others.
        since: When it came up; runs that are older are none of its own.
        is_repeated: Whether a run may have been started for it before.
    """

    key: str
    since: datetime
    is_repeated: bool


@dataclass(frozen=True)
class Triggered:
    """The run that was wanted.

    Attributes:
        run: The run as last seen.
        adopted: Whether it was found, not started by the request that was answered.
    """

    run: Run
    adopted: bool


def marker(key: str) -> str:
    """What the cause of a run ends in, so that the run is found again."""
    return f"[dagster {key}]"


def marked(request: TriggerRequest, key: str) -> TriggerRequest:
    """A request whose cause ends in the marker; the cause makes room for it."""
    room = MAX_CAUSE_LENGTH - len(marker(key)) - 1
    cause = f"{request.cause[:room].rstrip()} {marker(key)}"
    return dataclasses.replace(request, cause=cause)


def trigger_once(
    client: DbtCloudClient,
    job_id: int,
    request: TriggerRequest,
    intention: Intention,
    *,
    log: logging.Logger,
) -> Triggered:
    """The one run of a job that an intention has, started now or found.

    Args:
        client: The account's client.
        job_id: The job.
        request: What is sent; its cause gets the marker.
        intention: What the run is for.
        log: Where it tells that an answer was lost, and what came of it.

    Raises:
        DbtCloudError: The job was not started, or nobody can tell: then the error is one for
            which `is_outcome_unknown`, and the next try with the same intention searches first.
    """

    def is_wanted(run: Run) -> bool:
        # One that was cancelled is as good as none.
        return run.cause.endswith(marker(intention.key)) and not run.is_cancelled

    sent = marked(request, intention.key)
    search = _Search(
        client,
        RunFilter(job_definition_id=job_id),
        is_wanted,
        not_before=intention.since - CLOCK_TOLERANCE,
    )
    found = search.settled() if intention.is_repeated else None
    return _start_once(client, lambda: client.trigger_run(job_id, sent), search, found, log)


def find_retry(client: DbtCloudClient, run: Run) -> Run | None:
    """The run that continues a failed one, whoever asked for it; None where there is none.

    Raises:
        DbtCloudError: The job's runs cannot be listed.
    """
    return _retries_of(client, run).once()


def retry_once(client: DbtCloudClient, run: Run, *, log: logging.Logger) -> Triggered:
    """The one run that continues a failed run from its point of failure.

    dbt Cloud retries only a job's latest run: so a retry that is there can never be doubled, and
    a refusal may well lead to it.

    Args:
        client: The account's client.
        run: The run that failed; `find_retry` has found none that continues it.
        log: Where it tells that an answer was lost, and what came of it.

    Raises:
        DbtCloudError: The run was not retried, or nobody can tell: then the error is one for
            which `is_outcome_unknown`, and `find_retry` comes before the next try.
    """
    search = _retries_of(client, run)
    try:
        return _start_once(client, lambda: client.retry_run(run.run_id), search, None, log)
    except DbtCloudError as refusal:
        found = None if is_outcome_unknown(refusal) else search.after(refusal, search.once)
        if found is None:
            raise
        return _adopted(found, log)


def _retries_of(client: DbtCloudClient, run: Run) -> "_Search":
    # Only a job's latest run is retried: so its retry is the next run, or nearly, of the job.
    return _Search(
        client,
        RunFilter(job_definition_id=run.job_id, id__gt=run.run_id),
        lambda newer: newer.retrying_run_id == run.run_id,
        order_by="id",
        at_most=PAGE_SIZE,
    )


def _start_once(
    client: DbtCloudClient,
    start: Callable[[], Run],
    search: "_Search",
    found: Run | None,
    log: logging.Logger,
) -> Triggered:
    """Send a request that starts a run, unless its run was found; search before sending again."""
    retries = 0
    while found is None:
        try:
            return Triggered(start(), adopted=False)
        except DbtCloudError as lost:
            if not is_outcome_unknown(lost):
                raise
            log.warning("%s The job may have been started: searching its newest runs.", lost)
            found = search.after(lost, search.settled)
            if found is None and retries >= client.retry_policy.max_retries:
                raise
            retries += 1
    return _adopted(found, log)


def _adopted(found: Run, log: logging.Logger) -> Triggered:
    log.info("dbt Cloud run %s was started before; it is adopted: %s", found.run_id, found.href)
    return Triggered(found, adopted=True)


@dataclass(frozen=True)
class _Search:
    """Searches a job's runs for the one that is wanted.

    Attributes:
        client: The account's client.
        among: Which runs may be it.
        is_it: Whether a run is.
        not_before: Runs that are older are not it, nor are those before them.
        order_by: Which runs come first, as `DbtCloudClient.list_runs` takes it.
        at_most: How many runs are looked at; all where it is None.
    """

    client: DbtCloudClient
    among: RunFilter
    is_it: Callable[[Run], bool]
    not_before: datetime | None = None
    order_by: str = "-id"
    at_most: int | None = None

    def settled(self) -> Run | None:
        """The run, given time to appear: then it is on the first page, the rest has been seen."""
        search = self
        for pause in SETTLE_PAUSES:
            if pause:
                self.client.sleep(pause)
            found = search.once()
            if found is not None:
                return found
            search = dataclasses.replace(self, at_most=PAGE_SIZE)
        return None

    def after(self, lost: DbtCloudError, search: Callable[[], Run | None]) -> Run | None:
        """What a search finds after an error; that stays the error where the search fails too."""
        try:
            return search()
        except DbtCloudError as error:
            raise lost from error

    def once(self) -> Run | None:
        """The run, if it is there."""
        runs = self.client.list_runs(
            self.among, order_by=self.order_by, include_related=("trigger",)
        )
        for run in itertools.islice(runs, self.at_most):
            if self._is_too_old(run):
                return None
            if self.is_it(run):
                return run
        return None

    def _is_too_old(self, run: Run) -> bool:
        return (
            self.not_before is not None
            and run.created_at is not None
            and run.created_at < self.not_before
        )
