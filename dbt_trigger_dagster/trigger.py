"""A trigger happens exactly once.

dbt Cloud has no idempotency key, so the cause that is sent ends in a marker, and a run whose
trigger's answer was lost is found again by it. Nothing is sent a second time before the job's
newest runs have been searched for long enough for a run that was started to appear.
"""

import dataclasses
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbt_trigger_dagster.client import DbtCloudClient
from dbt_trigger_dagster.errors import DbtCloudError
from dbt_trigger_dagster.models import Run
from dbt_trigger_dagster.parameters import MAX_CAUSE_LENGTH, RunFilter, TriggerRequest
from dbt_trigger_dagster.retries import is_outcome_unknown

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
    """The run that an intention has.

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
    search = _Search(client, job_id, intention)
    sent = marked(request, intention.key)
    found = search.settled() if intention.is_repeated else None
    retries = 0
    while found is None:
        try:
            return Triggered(client.trigger_run(job_id, sent), adopted=False)
        except DbtCloudError as lost:
            if not is_outcome_unknown(lost):
                raise
            log.warning("%s The job may have been started: searching its newest runs.", lost)
            found = search.settled_after(lost)
            if found is None and retries >= client.retry_policy.max_retries:
                raise
            retries += 1
    log.info("dbt Cloud run %s was started before; it is adopted: %s", found.run_id, found.href)
    return Triggered(found, adopted=True)


@dataclass(frozen=True)
class _Search:
    """Searches a job's newest runs for the one of an intention."""

    client: DbtCloudClient
    job_id: int
    intention: Intention

    def settled(self) -> Run | None:
        """The run, given time to appear."""
        for pause in SETTLE_PAUSES:
            if pause:
                self.client.clock.sleep(pause)
            found = self._once()
            if found is not None:
                return found
        return None

    def settled_after(self, lost: DbtCloudError) -> Run | None:
        """The same after an answer was lost; that stays the error where the search fails too."""
        try:
            return self.settled()
        except DbtCloudError as error:
            raise lost from error

    def _once(self) -> Run | None:
        """The run, if it is there; one that was cancelled is as good as none."""
        newest_first = self.client.list_runs(
            RunFilter(job_definition_id=self.job_id),
            order_by="-id",
            include_related=("trigger",),
        )
        for run in newest_first:
            if run.created_at is not None and run.created_at < self._oldest:
                return None
            if run.cause.endswith(marker(self.intention.key)) and not run.is_cancelled:
                return run
        return None

    @property
    def _oldest(self) -> datetime:
        return self.intention.since - CLOCK_TOLERANCE
