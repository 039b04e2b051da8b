"""A trigger happens exactly once, and so does a retry from the point of failure.

dbt Cloud has no idempotency key, so the cause that is sent ends in a marker, and a run whose
trigger's answer was lost is found again by it; the run of a retry names the one that it retries.
Nothing is sent a second time before the job's newest runs have been searched for long enough for
a run that was started to appear. Where two send at the same time, or one that was paused after
another, both look afterwards: the older run counts, and the younger is cancelled.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbt_trigger_dagster.dbt_cloud.api import PAGE_SIZE
from dbt_trigger_dagster.dbt_cloud.cancel import became, cancel_and_look
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Clock
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError, DbtCloudSupersededError
from dbt_trigger_dagster.dbt_cloud.marker import marked, marker
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parameters import RunFilter, TriggerRequest
from dbt_trigger_dagster.dbt_cloud.retries import is_outcome_unknown, was_turned_away
from dbt_trigger_dagster.dbt_cloud.search import Search

CLOCK_TOLERANCE = timedelta(days=1)
"""How far dbt Cloud's clock may be behind ours, beyond the newest runs, which are always read."""

PROMPT = 5.0
"""Seconds from a check to an answer in which nobody else can have taken an intention over."""


@dataclass(frozen=True)
class Intention:
    """What one run of a job is wanted for: the same intention never starts two.

    Attributes:
        key: Tells this intention from all others.
        since: When it came up; runs that are older are none of its own.
        is_repeated: Whether a run may have been started for it before.
        is_current: Whether the caller is still the one to act on it; asked right before each
            request, because a worker that was paused may have been replaced.
    """

    key: str
    since: datetime
    is_repeated: bool
    is_current: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Triggered:
    """The run that was wanted.

    Attributes:
        run: The run as last seen.
        adopted: Whether it was found, not started by the request that was answered.
    """

    run: Run
    adopted: bool


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
        DbtCloudSupersededError: Another has taken the place of the caller; nothing was sent.
        DbtCloudError: The job was not started, or nobody can tell: then the error is one for
            which `is_outcome_unknown`, and the next try with the same intention searches first.
    """

    def is_wanted(run: Run) -> bool:
        # One that was cancelled does not count.
        return run.cause.endswith(marker(intention.key)) and not run.is_cancelled

    sent = marked(request, intention.key)
    search = Search(
        client,
        RunFilter(job_definition_id=job_id),
        is_wanted,
        not_before=intention.since - CLOCK_TOLERANCE,
    )
    start = _Start(
        client, lambda: client.trigger_run(job_id, sent), search, intention.is_current, log
    )
    return start.once(is_repeated=intention.is_repeated)


def find_retry(client: DbtCloudClient, run: Run) -> Run | None:
    """The run that continues a failed one, whoever asked for it; None where there is none.

    Raises:
        DbtCloudError: The job's runs cannot be listed.
    """
    return next(iter(_retries_of(client, run).now()), None)


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
    start = _Start(client, lambda: client.retry_run(run.run_id), search, lambda: True, log)
    try:
        return start.once(is_repeated=False)
    except DbtCloudError as refusal:
        found = [] if is_outcome_unknown(refusal) else _after(refusal, search.now)
        if not found:
            raise
        return start.adopted(found)


def _retries_of(client: DbtCloudClient, run: Run) -> Search:
    # Only a job's latest run is retried: so its retry is the next run, or nearly, of the job.
    return Search(
        client,
        RunFilter(job_definition_id=run.job_id, id__gt=run.run_id),
        lambda newer: newer.retrying_run_id == run.run_id,
        order_by="id",
        at_most=PAGE_SIZE,
    )


def _after(lost: DbtCloudError, search: Callable[[], list[Run]]) -> list[Run]:
    """What a search finds after an error; that stays the error where the search fails too."""
    try:
        return search()
    except DbtCloudError as error:
        raise lost from error


@dataclass(frozen=True)
class _Moment:
    """A moment on both clocks: the monotonic one may stand still while a machine is suspended."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls, clock: Clock) -> "_Moment":
        return cls(clock.monotonic(), clock.time())

    def is_recent(self, clock: Clock) -> bool:
        now = _Moment.now(clock)
        return now.monotonic - self.monotonic < PROMPT and abs(now.wall - self.wall) < PROMPT


@dataclass(frozen=True)
class _Start:
    """Sends a request that starts a run, so that there is one run.

    Attributes:
        client: The account's client.
        send: Sends the request.
        search: Finds what was started.
        is_current: As for `Intention`.
        log: Where it tells what happens.
    """

    client: DbtCloudClient
    send: Callable[[], Run]
    search: Search
    is_current: Callable[[], bool]
    log: logging.Logger

    def once(self, *, is_repeated: bool) -> Triggered:
        """The run, found or started; searched for first where it may have been started before."""
        checked = _Moment.now(self.client.clock)
        found = self.search.settled() if is_repeated else []
        retries = 0
        while not found:
            self._check_is_current()
            if not is_repeated and not checked.is_recent(self.client.clock):
                found = self.search.now()
                if found:
                    break
            checked = _Moment.now(self.client.clock)
            try:
                mine = self.send()
            except DbtCloudError as lost:
                found = self._found_after(lost, retries)
                if not found and retries >= self.client.retry_policy.max_retries:
                    raise
                retries += 1
                is_repeated = True
                continue
            was_paused = not checked.is_recent(self.client.clock)
            if is_repeated or was_paused:
                return self._unless_another_was_first(mine, was_paused=was_paused)
            return Triggered(mine, adopted=False)
        return self.adopted(found)

    def adopted(self, found: Sequence[Run]) -> Triggered:
        """The oldest of the runs that were found: all who search agree on it."""
        run, *younger = found
        self._cancel(younger, run)
        self.log.info(
            "dbt Cloud run %s was started before; it is adopted: %s", run.run_id, run.href
        )
        return Triggered(run, adopted=True)

    def _check_is_current(self) -> None:
        if not self.is_current():
            raise DbtCloudSupersededError(
                "Nothing was triggered: while this attempt was paused it was given up, and another "
                "may have taken its place."
            )

    def _found_after(self, lost: DbtCloudError, retries: int) -> list[Run]:
        """What was started although no good answer came.

        Raises:
            DbtCloudError: Nothing can have been; the error itself.
        """
        if was_turned_away(lost):
            pause = self.client.retry_policy.pause_after(lost, retries)
            self.log.warning("%s Trying again in %.0f s, after a search.", lost, pause)
            self.client.sleep(pause)
            return _after(lost, self.search.now)
        if not is_outcome_unknown(lost):
            raise lost
        self.log.warning("%s The job may have been started: searching its newest runs.", lost)
        return _after(lost, self.search.settled)

    def _unless_another_was_first(self, mine: Run, *, was_paused: bool) -> Triggered:
        """A run that was started, unless there is an older one; a search that fails costs none."""
        try:
            found = self.search.settled(mine, has_seen_the_rest=not was_paused)
        except DbtCloudError as error:
            self.log.warning(
                "Nobody can tell whether run %s is the only one: %s", mine.run_id, error
            )
            return Triggered(mine, adopted=False)
        older = [run for run in found if run.run_id < mine.run_id]
        return self.adopted([*older, mine]) if older else Triggered(mine, adopted=False)

    def _cancel(self, younger: Sequence[Run], older: Run) -> None:
        """Cancel runs that were started at the same time as an older one, for the same end."""
        for run in younger:
            if run.is_over:
                continue
            try:
                told = became(cancel_and_look(self.client, run.run_id))
            except DbtCloudError as error:
                told = f"could not be cancelled: {error}"
            self.log.warning(
                "dbt Cloud run %s was started twice: the younger run %s %s %s",
                older.run_id,
                run.run_id,
                told,
                run.href,
            )
