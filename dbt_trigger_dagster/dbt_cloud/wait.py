"""Waiting for a run under a policy.

Whatever passes (a lost connection, a server error, a rate limit, a body that is no answer) does
not end the wait; only the deadline does, or an answer that no repetition will change.
"""

import logging
from dataclasses import dataclass, field

from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudError,
    DbtCloudNotFoundError,
    DbtCloudPayloadError,
    DbtCloudRateLimitError,
    DbtCloudResponseError,
    DbtCloudWaitTimeoutError,
)
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.retries import is_transient

DETAILS = ("trigger", "job", "environment", "run_steps")
"""What is asked for along with a run that is over."""

DETAILS_WAIT = 60.0
"""Seconds to try to get them; the run is worth more than its details."""

NOT_FOUND_GRACE = 30.0
"""Seconds from the start of a wait in which a 404 counts as "not yet there"."""

_SHORTEST_PAUSE = 1.0
_LAST_POLL = 1.0  # seconds kept for one more look, so that a run that ends in time is seen
_LAST_POLL_SHARE = 0.05
_SHARE_OF_TIME_WAITED = 0.1


def poll_pause(waited: float, poll_interval: float) -> float:
    """Seconds until the next poll: a tenth of the time waited, from 1 s up to ``poll_interval``."""
    return min(poll_interval, max(_SHORTEST_PAUSE, _SHARE_OF_TIME_WAITED * waited))


def wait_for_run(
    client: DbtCloudClient,
    run: Run,
    *,
    deadline: Deadline | None,
    poll_interval: float,
    log: logging.Logger,
) -> Run:
    """Block until a run is over; its status is logged when it changes.

    Args:
        client: The account's client.
        run: The run as last seen.
        deadline: When to stop waiting; None waits for ever.
        poll_interval: Longest pause between two polls, in seconds.
        log: Where status changes and outages are told.

    Returns:
        The run when it is over, with its trigger, job, environment and steps.

    Raises:
        DbtCloudWaitTimeoutError: The run is not over at the deadline; it goes on.
        DbtCloudError: dbt Cloud gave an answer that no repetition will change.
    """
    wait = _Wait(
        client.with_options(max_retries=0, deadline=deadline), poll_interval, deadline, log
    )
    seen = None
    while not run.is_over:
        if run.status != seen:
            log.info("dbt Cloud run %s: %s", run.run_id, run.status_name)
            seen = run.status
        run = wait.poll(run)
    log.info("dbt Cloud run %s: %s", run.run_id, run.status_name)
    return _with_details(client, run, log)


def _with_details(client: DbtCloudClient, run: Run, log: logging.Logger) -> Run:
    """The same run with what belongs to it; without, where dbt Cloud does not give it."""
    try:
        patient = client.with_options(deadline=Deadline.after(DETAILS_WAIT, client.clock))
        return patient.get_run(run.run_id, include_related=DETAILS)
    except DbtCloudError as error:
        log.warning("The steps of dbt Cloud run %s are not to be had: %s", run.run_id, error)
        return run


def _passes(error: DbtCloudError) -> bool:
    return is_transient(error) or isinstance(error, DbtCloudPayloadError)


@dataclass
class _Wait:
    client: DbtCloudClient
    poll_interval: float
    deadline: Deadline | None
    log: logging.Logger
    started: float = field(init=False)
    polls: int = field(init=False, default=0)
    outage: DbtCloudError | None = field(init=False, default=None)
    last_poll: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.started = self.client.clock.monotonic()
        if self.deadline is not None:
            self.last_poll = min(_LAST_POLL, _LAST_POLL_SHARE * self.deadline.remaining())

    @property
    def waited(self) -> float:
        return self.client.clock.monotonic() - self.started

    def poll(self, run: Run) -> Run:
        """Ask once more, when it is time; the first time at once.

        An outage gives back the run as it was.
        """
        if self.polls:
            self.pause(run)
        self.polls += 1
        try:
            run = self.client.get_run(run.run_id)
        except DbtCloudError as error:
            if not self.survives(error):
                raise
            if self.outage is None:
                self.log.warning("%s Waiting goes on.", error)
            self.outage = error
        else:
            if self.outage is not None:
                self.log.info("dbt Cloud answers again.")
            self.outage = None
        return run

    def survives(self, error: DbtCloudError) -> bool:
        if isinstance(error, DbtCloudNotFoundError):
            return self.waited < NOT_FOUND_GRACE
        return _passes(error)

    def pause(self, run: Run) -> None:
        """Sleep until the next poll, not beyond the deadline.

        Raises:
            DbtCloudWaitTimeoutError: The deadline is here.
        """
        seconds = max(poll_pause(self.waited, self.poll_interval), self.asked_to_stay_away())
        if self.deadline is not None:
            left = self.deadline.remaining() - self.last_poll
            if left <= 0:
                raise DbtCloudWaitTimeoutError(self.timed_out(run), run=run) from self.outage
            seconds = min(seconds, left)
        self.client.sleep(seconds)

    def asked_to_stay_away(self) -> float:
        """Seconds that the last answer asked for, if it was a refusal that did."""
        if not isinstance(self.outage, DbtCloudResponseError):
            return 0.0
        if self.outage.retry_after is None and not isinstance(self.outage, DbtCloudRateLimitError):
            return 0.0
        return self.client.retry_policy.pause_after(self.outage, 0)

    def timed_out(self, run: Run) -> str:
        return (
            f"dbt Cloud run {run.run_id} was not over after {self.waited:.0f} s: {run.status_name}."
        )
