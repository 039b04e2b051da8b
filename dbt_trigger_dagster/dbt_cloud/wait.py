"""Waiting for a run under a policy.

Whatever passes (a lost connection, a server error, a rate limit, a body that is no answer) does
not end the wait; only the deadline does, or a refusal of dbt Cloud's own that comes again. Where
there is no deadline, one of anybody's does that comes again and again for an hour.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudAuthError,
    DbtCloudCancelledError,
    DbtCloudError,
    DbtCloudNotFoundError,
    DbtCloudRateLimitError,
    DbtCloudResponseError,
    DbtCloudWaitTimeoutError,
)
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.retries import RATE_LIMIT_COOL_DOWN

DETAILS = ("trigger", "job", "environment", "run_steps")
"""What is asked for along with a run that is over."""

DETAILS_WAIT = 60.0
"""Seconds to try to get them; the run is worth more than its details."""

NOT_FOUND_GRACE = 30.0
"""Seconds from the start of a wait in which a 404 counts as "not yet there"."""

STRANGERS_GRACE = 3600.0
"""Seconds in which a refusal that is not dbt Cloud's own may pass, in a wait without an end."""

SILENCE = 30.0
"""Seconds after which something is said though nothing has happened."""

_OLDER_COPY_PAUSES = (1.0, 2.0, 4.0)
_SHORTEST_PAUSE = 1.0
_SHORTEST_PIECE = 0.1
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
    progress: Callable[[Run], str] = lambda _: "",
) -> Run:
    """Block until a run is over; its status is logged when it changes, and how far it is at times.

    Args:
        client: The account's client.
        run: The run as last seen.
        deadline: When to stop waiting; None waits for ever.
        poll_interval: Longest pause between two polls, in seconds.
        log: Where status changes and outages are told.
        progress: How far a run in flight is, as its steps tell.

    Returns:
        The run when it is over, with its trigger, job, environment and steps.

    Raises:
        DbtCloudWaitTimeoutError: The run is not over at the deadline; it goes on.
        DbtCloudError: dbt Cloud refuses, again and again.
    """
    hasty = client.with_options(max_retries=0, deadline=deadline)
    wait = _Wait(hasty, poll_interval, deadline, log, progress)
    wait.tell(run)
    seen = run
    while not seen.is_over:
        seen = wait.poll(seen)
        wait.tell(seen)
    return _with_details(client, seen, log).with_related(run, DETAILS)


def _with_details(client: DbtCloudClient, run: Run, log: logging.Logger) -> Run:
    """A run that is over with what belongs to it; without, where dbt Cloud does not give it."""
    try:
        found = _ask_for_details(client, run, log)
    except DbtCloudError as error:
        log.warning("The steps of dbt Cloud run %s cannot be fetched: %s", run.run_id, error)
        return run
    # An older copy may tell of the run as it was: that it is over is known.
    return found if found.is_over else run.with_related(found, DETAILS)


def _ask_for_details(client: DbtCloudClient, run: Run, log: logging.Logger) -> Run:
    """What dbt Cloud says of a run with its details; asked again where that is an older copy."""
    found = _details(client, run, log)
    for pause in _OLDER_COPY_PAUSES:
        if found.is_over:
            break
        client.sleep(pause)
        found = _details(client, run, log)
    return found


def _details(client: DbtCloudClient, run: Run, log: logging.Logger) -> Run:
    """One answer with details; a cool-down is waited for once."""

    def ask() -> Run:
        patient = client.with_options(deadline=Deadline.after(DETAILS_WAIT, client.clock))
        return patient.get_run(run.run_id, include_related=DETAILS)

    try:
        return ask()
    except DbtCloudRateLimitError as error:
        pause = min(client.retry_policy.pause_after(error, 0), RATE_LIMIT_COOL_DOWN)
        log.warning("%s The run is over; its steps are asked for again in %.0f s.", error, pause)
        client.sleep(pause)
        return ask()


@dataclass
class _Wait:
    client: DbtCloudClient
    poll_interval: float
    deadline: Deadline | None
    log: logging.Logger
    progress: Callable[[Run], str]
    started: float = field(init=False)
    polls: int = field(init=False, default=0)
    outage: DbtCloudError | None = field(init=False, default=None)
    same_since: float = field(init=False, default=0.0)
    last_poll: float = field(init=False, default=0.0)
    told_at: float = field(init=False)
    told_status: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.started = self.told_at = self.client.clock.monotonic()
        if self.deadline is not None:
            self.last_poll = min(_LAST_POLL, _LAST_POLL_SHARE * self.deadline.remaining())

    @property
    def waited(self) -> float:
        return self.client.clock.monotonic() - self.started

    @property
    def is_endless(self) -> bool:
        return self.deadline is None or math.isinf(self.deadline.at)

    def silence_left(self) -> float:
        """Seconds until something is to be said again."""
        return SILENCE - (self.client.clock.monotonic() - self.told_at)

    def tell(self, run: Run) -> None:
        """Say what has changed; after a silence, how far the run is."""
        if run.status != self.told_status:
            self.say("dbt Cloud run %s: %s", run.run_id, run.status_name)
            self.told_status = run.status
        elif self.silence_left() <= 0 and self.outage is not None:
            self.say("dbt Cloud gives no answer after %.0f s. Waiting goes on.", self.waited)
        elif self.silence_left() <= 0:
            status = f"{run.status_name} after {self.waited:.0f} s"
            said = [part for part in (status, self.progress(run)) if part]
            self.say("dbt Cloud run %s: %s", run.run_id, ", ".join(said))

    def say(self, sentence: str, *values: object, level: int = logging.INFO) -> None:
        self.log.log(level, sentence, *values)
        self.told_at = self.client.clock.monotonic()

    def poll(self, run: Run) -> Run:
        """Ask once more, when it is time; the first time at once.

        An outage gives back the run as it was. The steps are asked for where they are to be told.
        """
        if self.polls:
            self.pause(run)
        self.polls += 1
        is_told_next = self.silence_left() <= poll_pause(self.waited, self.poll_interval)
        steps = ("run_steps",) if is_told_next else ()
        try:
            run = self.client.get_run(run.run_id, include_related=steps)
        except DbtCloudCancelledError:
            raise
        except DbtCloudError as error:
            if not _is_like(self.outage, error):
                self.same_since = self.client.clock.monotonic()
            elif self.is_final(error):
                raise
            if self.outage is None:
                self.say("%s Waiting goes on.", error, level=logging.WARNING)
            self.outage = error
        else:
            if self.outage is not None:
                self.say("dbt Cloud answers again.")
            self.outage = None
        return run

    def is_final(self, error: DbtCloudError) -> bool:
        """Whether a refusal counts that has come before; all else may pass."""
        if not isinstance(error, DbtCloudAuthError | DbtCloudNotFoundError):
            return False
        if not error.is_dbt_clouds:
            lasted = self.client.clock.monotonic() - self.same_since
            return self.is_endless and lasted >= STRANGERS_GRACE
        return isinstance(error, DbtCloudAuthError) or self.waited >= NOT_FOUND_GRACE

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
        self.sleep(seconds, run)

    def sleep(self, seconds: float, run: Run) -> None:
        """Sleep, and say something whenever it is time to."""
        while seconds > 0:
            piece = min(seconds, max(self.silence_left(), _SHORTEST_PIECE))
            self.client.sleep(piece)
            seconds -= piece
            if seconds > 0:
                self.tell(run)

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


def _is_like(before: DbtCloudError | None, error: DbtCloudError) -> bool:
    """Whether the last answer was the same refusal, of the same origin."""
    return (
        isinstance(before, DbtCloudResponseError)
        and isinstance(error, DbtCloudResponseError)
        and before.status_code == error.status_code
        and before.is_dbt_clouds == error.is_dbt_clouds
    )
