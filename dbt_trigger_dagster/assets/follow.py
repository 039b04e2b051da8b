"""Follows runs to their end under the wait policy, retries and interrupts included."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from dbt_trigger_dagster.assets.config import DbtCloudRunConfig
from dbt_trigger_dagster.assets.termination import Termination, start_run
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudError,
    DbtCloudStoppedError,
    DbtCloudWaitTimeoutError,
)
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.dbt_cloud.trigger import find_retry, retry_once
from dbt_trigger_dagster.dbt_cloud.wait import DETAILS, wait_for_run

ONE_LOOK = 2.0
"""Seconds for each of several runs whose turn comes after the deadline."""

CANCEL_WAIT = 60.0
"""Seconds to wait until a run that we have cancelled is over."""


@dataclass
class Following:
    """One step that follows runs to their end.

    Args:
        client: The account's client.
        config: The wait policy.
        termination: Guards the step.
        is_repeated: Whether Dagster executes the step again.
        log: Where it tells what happens.

    Attributes:
        errors: Why runs were not followed to their end; each with the run, where it is known.
        continued: Ids of the failed runs that another run continues.
        not_retried: Why failed runs could not be retried, by their ids.
    """

    client: DbtCloudClient
    config: DbtCloudRunConfig
    termination: Termination
    is_repeated: bool
    log: logging.Logger
    errors: list[tuple[DbtCloudError, Run | None]] = field(init=False, default_factory=list)
    continued: set[int] = field(init=False, default_factory=set)
    not_retried: dict[int, DbtCloudError] = field(init=False, default_factory=dict)
    _started_here: set[int] = field(init=False, default_factory=set)

    @cached_property
    def _deadline(self) -> Deadline:
        """When the wait is over; it begins with the first look."""
        seconds = self.config.max_wait_time
        return Deadline.when_stopped(
            self.client.clock, after=math.inf if seconds is None else seconds
        )

    def find(self, run_ids: Sequence[int]) -> list[Run]:
        """The runs that have these numbers, with their details; `errors` says which have not."""
        with self.termination.guarded(self.client):
            found = in_parallel(
                self._get,
                list(dict.fromkeys(run_ids)),
                max_parallel=self.config.max_parallel_downloads,
                clock=self.client.clock,
            )
        self.errors += [(error, None) for error in found if isinstance(error, DbtCloudError)]
        runs = [run for run in found if isinstance(run, Run)]
        over = sum(run.is_over for run in runs)
        self.log.info("%d dbt Cloud runs found, %d of them over.", len(runs), over)
        return runs

    def _get(self, run_id: int) -> Run | DbtCloudError:
        try:
            client = self.client.with_options(deadline=self._deadline)
            return client.get_run(run_id, include_related=DETAILS)
        except DbtCloudError as error:
            return error

    def to_the_end(self, runs: Sequence[Run]) -> list[Run]:
        """Wait for runs.

        Args:
            runs: The runs as last seen.

        Returns:
            Those that are over in time, with their details. A failed run that was retried stands
            before the run that continues it.
        """
        waiting = list(runs)
        ended = []
        with self.termination.guarded(self.client, waiting):
            while waiting:
                run = self._wait_for(waiting[0])
                waiting.pop(0)
                if run is not None:
                    ended.append(run)
                    self._continue(run, waiting)
        return ended

    # Waiting for one run

    def _wait_for(self, run: Run) -> Run | None:
        """The run when it is over; None when it is not in time."""
        if run.is_over and run.steps:  # found so, with its details: a batch need not log each
            return run
        try:
            return self._wait_until(run, self._not_before_one_look())
        except DbtCloudWaitTimeoutError as error:
            self._check_not_stopped(error)
            return self._on_timeout(error)
        except DbtCloudError as error:
            self._check_not_stopped(error)
            self.errors.append((error, run))
            return None

    def _check_not_stopped(self, error: DbtCloudError) -> None:
        """An error that an interrupt has brought about is none of dbt Cloud's."""
        if self.client.clock.is_stopped:
            raise DbtCloudStoppedError("The step was interrupted.") from error

    def _not_before_one_look(self) -> Deadline:
        """The deadline; where it is over, one that leaves time to see whether a run is over too."""
        if not self._deadline.is_over:
            return self._deadline
        return Deadline.when_stopped(self.client.clock, after=ONE_LOOK)

    def _wait_until(self, run: Run, deadline: Deadline) -> Run:
        return wait_for_run(
            self.client,
            run,
            deadline=deadline,
            poll_interval=self.config.poll_interval,
            log=self.log,
        )

    def _on_timeout(self, error: DbtCloudWaitTimeoutError) -> Run | None:
        if self.config.on_timeout == "leave":
            self.log.warning("%s It goes on: %s", error, error.run.href)
            return None
        ended = self._cancel_and_wait(error.run) if self.config.on_timeout == "cancel" else None
        run = ended or error.run
        self.errors.append((DbtCloudWaitTimeoutError(str(error), run=run), run))
        return ended

    def _cancel_and_wait(self, run: Run) -> Run | None:
        """Cancel a run, and give it some time to end; None when it does not."""
        deadline = Deadline.when_stopped(self.client.clock, after=CANCEL_WAIT)
        try:
            cancelled = self.client.with_options(deadline=deadline).cancel_run(run.run_id)
            self.log.info("dbt Cloud run %s is cancelled: %s", run.run_id, run.href)
            return self._wait_until(cancelled, deadline)
        except DbtCloudError as error:
            self._check_not_stopped(error)
            self.log.error(  # noqa: TRY400  # the sentence is enough; the step fails anyway
                "dbt Cloud run %s was to be cancelled: %s %s", run.run_id, error, run.href
            )
            return None

    # Retrying from the point of failure

    def _continue(self, run: Run, waiting: list[Run]) -> None:
        """Where Dagster wants a failed run to go on: wait for the run that continues it."""
        if not self._is_to_go_on(run):
            return
        try:
            newer = find_retry(self.client, run)
            if newer is not None:
                waiting.insert(0, newer)
            elif run.retry_obstacle is None:
                newer = self._retry(run, waiting)
        except DbtCloudError as error:
            self._check_not_stopped(error)
            self.not_retried[run.run_id] = error
            return
        if newer is not None:
            self.continued.add(run.run_id)

    def _is_to_go_on(self, run: Run) -> bool:
        """Whether a run is to be retried: one that was started here has had its chance."""
        return (
            self.is_repeated
            and self.config.retry_failed_run
            and run.has_failed
            and run.run_id not in self._started_here
        )

    def _retry(self, run: Run, waiting: list[Run]) -> Run:
        self.log.info("dbt Cloud run %s failed; dbt Cloud is to retry it: %s", run.run_id, run.href)
        newer = start_run(
            self.client, lambda: retry_once(self.client, run, log=self.log), waiting, log=self.log
        ).run
        self._started_here.add(newer.run_id)
        self.log.info("dbt Cloud run %s continues run %s: %s", newer.run_id, run.run_id, newer.href)
        return newer
