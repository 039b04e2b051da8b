"""Decides when runs run: one at a time for each job, within a time limit, until cancelled."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import timedelta

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.sandbox.account.runner import Outcome, Runner
from dbt_trigger_dagster.sandbox.account.runs import Run
from dbt_trigger_dagster.sandbox.account.timestamps import humanized

_logger = logging.getLogger(__name__)


def cancelled_by_user() -> Outcome:
    """Return the outcome of a run that was cancelled."""
    return Outcome(RunStatus.CANCELLED, "Cancelled by user.")


def timed_out(run: Run) -> Outcome:
    """Return the outcome of a run that took too long, which dbt Cloud counts as cancelled."""
    limit = run.timeout_seconds
    return Outcome(
        RunStatus.CANCELLED,
        f"This run timed out after running for {humanized(timedelta(seconds=limit))}, "
        f"which exceeded the configured timeout of {limit} seconds.",
    )


class Scheduler:
    """Starts runs in turn and stops them; lives on the server's event loop."""

    def __init__(self, runner_of: Callable[[Run], Runner]) -> None:
        self._runner_of = runner_of
        self._waiting: defaultdict[int, deque[Run]] = defaultdict(deque)
        self._in_flight: dict[int, Run] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopped_with: dict[int, Outcome] = {}

    def submit(self, run: Run) -> None:
        """Start a run, or queue it behind the one of its job that is in flight."""
        if run.job.job_type == "ci":
            self.launch(run)
        elif run.job.id in self._in_flight:
            self._waiting[run.job.id].append(run)
        else:
            self._in_flight[run.job.id] = run
            self.launch(run)

    def launch(self, run: Run) -> None:
        """Start a run now, whatever its job is doing."""
        self._tasks[run.id] = asyncio.get_running_loop().create_task(self._supervise(run))

    def blocker_of(self, run: Run) -> Run | None:
        """Return the run in flight that a queued run waits for."""
        blocker = self._in_flight.get(run.job.id)
        return blocker if run.status == RunStatus.QUEUED and blocker is not run else None

    def cancel(self, run: Run) -> None:
        """Cancel a run; one that is over stays as it is."""
        if run.id in self._tasks:
            self._stop(run, cancelled_by_user())
        elif run.status == RunStatus.QUEUED:
            self._waiting[run.job.id].remove(run)
            outcome = cancelled_by_user()
            run.finish(outcome.status, outcome.message)

    async def ended(self, runs: Iterable[Run]) -> None:
        """Wait until runs are over."""
        await asyncio.gather(*(self._tasks[run.id] for run in runs if run.id in self._tasks))

    async def close(self) -> None:
        """Stop everything that runs, and wait until it has stopped."""
        self._waiting.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stop(self, run: Run, outcome: Outcome) -> None:
        # The first reason counts, and a second cancellation would break off the cleaning up.
        if run.id not in self._stopped_with:
            self._stopped_with[run.id] = outcome
            self._tasks[run.id].cancel()

    async def _supervise(self, run: Run) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(run.timeout_seconds, lambda: self._stop(run, timed_out(run)))
        try:
            outcome = await self._execute(run)
        finally:
            timer.cancel()
        run.finish(outcome.status, outcome.message, outcome.finished_at)
        _logger.info("Run %s of %r ended: %s", run.id, run.job.name, outcome)
        self._release(run)

    async def _execute(self, run: Run) -> Outcome:
        run.dequeue()
        _logger.info("Run %s of %r starts", run.id, run.job.name)
        try:
            return await self._runner_of(run).execute(run)
        except asyncio.CancelledError:
            return self._stopped_with.get(run.id, cancelled_by_user())
        except Exception as error:  # whatever breaks the runner must not leave the run unfinished
            _logger.exception("Run %s broke the sandbox", run.id)
            return Outcome(RunStatus.ERROR, f"The sandbox could not execute the run: {error}")

    def _release(self, run: Run) -> None:
        self._tasks.pop(run.id, None)
        self._stopped_with.pop(run.id, None)
        if self._in_flight.get(run.job.id) is not run:
            return
        waiting = self._waiting[run.job.id]
        if waiting:
            self._in_flight[run.job.id] = waiting.popleft()
            self.launch(self._in_flight[run.job.id])
        else:
            del self._in_flight[run.job.id]
