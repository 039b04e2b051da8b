"""Follows runs to their end under the wait policy, retries and interrupts included."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dbt_trigger_dagster.artifacts.progress import progress_of
from dbt_trigger_dagster.assets.job import JobGraph
from dbt_trigger_dagster.assets.lasting import why_lasting
from dbt_trigger_dagster.assets.named_runs import check_job
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.assets.termination import start_run
from dbt_trigger_dagster.dbt_cloud.cancel import cancel_and_look
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudCancelledError,
    DbtCloudError,
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

RETRY_PAUSE = 30.0
"""Seconds before the first retry inside a step; doubles with each."""

LONGEST_RETRY_PAUSE = 600.0
"""The cap of that."""


@dataclass(frozen=True)
class FollowedRun:
    """What became of a run that was waited for.

    Attributes:
        run: The run as last seen; None where dbt Cloud does not give it.
        error: Why it was not followed to an end of its own: it was not over in time, or dbt Cloud
            refuses. A run that is left to itself (``on_timeout: leave``) has none.
        continued_by: The run that continues it from its point of failure.
        was_retried: Whether this step has asked for that run.
        not_retried: Why it is not continued although that was tried.
        lasting: Why a retry is of no use, where only what may heal by itself is retried.
        saw_end: Whether it ended while it was waited for.
    """

    run: Run | None
    error: DbtCloudError | None = None
    continued_by: Run | None = None
    was_retried: bool = False
    not_retried: DbtCloudError | None = None
    lasting: str = ""
    saw_end: bool = False

    @property
    def is_left(self) -> bool:
        """Whether it goes on, and nobody waits for it."""
        return self.run is not None and not self.run.is_over and self.error is None


def follow(
    step: Step, runs: Sequence[Run | int], graph: JobGraph | None = None
) -> list[FollowedRun]:
    """Wait for runs until they are over, or the time is.

    Args:
        step: Whose wait it is; its time begins now.
        runs: The runs as last seen, or their ids.
        graph: Whose runs they must be where they are named by their ids.

    Returns:
        What became of each, and of the runs that continue them.

    Raises:
        SettingError: A run that is named is of another job.
        dg.Failure: A person wants the step to stop.
        BaseException: The interrupt, where nobody does.
    """
    seconds = step.config.max_wait_time
    deadline = step.client.until_cancelled(math.inf if seconds is None else seconds)
    followed: list[FollowedRun] = []
    live: list[Run] = []  # what becomes of these is for the guard to say
    with step.termination.guarded(step.client, live):
        for found in _looked_up(step, runs, deadline):
            if isinstance(found, Run):
                if graph is not None and found.run_id in runs:
                    check_job(step.client.with_options(deadline=deadline), found, graph)
                live.append(found)
            else:
                followed.append(FollowedRun(None, found))
        while live:
            if not _is_among(followed, live[0]):
                one = _wait_for(step, live[0], deadline)
                del live[0]
                followed.append(_continued(step, one, followed, live, deadline))
            else:  # it continues another one, and was named as well
                del live[0]
    return followed


def _is_among(followed: Sequence[FollowedRun], run: Run) -> bool:
    return any(each.run is not None and each.run.run_id == run.run_id for each in followed)


def _looked_up(
    step: Step, runs: Sequence[Run | int], deadline: Deadline
) -> list[Run | DbtCloudError]:
    """The runs, those that were named by their ids with their details, or why there is none."""
    client = step.client.with_options(deadline=deadline)

    def look_up(run: Run | int) -> Run | DbtCloudError:
        if isinstance(run, Run):
            return run
        try:
            return client.get_run(run, include_related=DETAILS)
        except DbtCloudError as error:
            _check_not_cancelled(step, error)
            return error

    found = in_parallel(
        look_up,
        runs,
        max_parallel=step.config.max_parallel_downloads,
        cancellation=step.client.cancellation,
    )
    if any(isinstance(run, int) for run in runs):
        there = [run for run in found if isinstance(run, Run)]
        over = sum(run.is_over for run in there)
        step.log.info("%d dbt Cloud runs found, %d of them over.", len(there), over)
    return found


def _check_not_cancelled(step: Step, error: DbtCloudError) -> None:
    """An error that an interrupt has brought about is none of dbt Cloud's."""
    if step.client.cancellation.is_cancelled:
        raise DbtCloudCancelledError("The step was interrupted.") from error


def _wait_for(step: Step, run: Run, deadline: Deadline) -> FollowedRun:
    """Wait for one run."""
    if run.is_over and run.steps:  # found so, with its details: a batch need not log each
        return FollowedRun(run)
    if deadline.is_over:  # time to see whether this run is over too
        deadline = step.client.until_cancelled(ONE_LOOK)
    try:
        return FollowedRun(_until_over(step)(run, deadline=deadline), saw_end=not run.is_over)
    except DbtCloudWaitTimeoutError as error:
        _check_not_cancelled(step, error)
        return _on_timeout(step, error)
    except DbtCloudError as error:
        _check_not_cancelled(step, error)
        return FollowedRun(run, error)


def _on_timeout(step: Step, error: DbtCloudWaitTimeoutError) -> FollowedRun:
    """What the wait policy says of a run that is not over in time."""
    run = error.run
    if step.config.on_timeout == "leave":
        step.log.warning("%s It goes on: %s", error, run.href)
        return FollowedRun(run)
    if step.config.on_timeout == "cancel":
        return _cancelled(step, error)
    return FollowedRun(run, error)


def _cancelled(step: Step, late: DbtCloudWaitTimeoutError) -> FollowedRun:
    """Cancel a run that is not over in time; what it ends as counts, whatever is answered."""
    run = _cancel_and_wait(step, late.run)
    if not run.is_over:
        return FollowedRun(run, DbtCloudWaitTimeoutError(str(late), run=run))
    if not run.is_cancelled:
        step.log.warning(
            "dbt Cloud run %s had ended before it was cancelled: %s", run.run_id, run.status_name
        )
        return FollowedRun(run, saw_end=True)
    sentence = (
        f"dbt Cloud run {run.run_id} was cancelled after {step.config.max_wait_time:.0f} s "
        f"(max_wait_time): it was not over. {run.href}"
    )
    return FollowedRun(run, DbtCloudWaitTimeoutError(sentence, run=run), saw_end=True)


def _cancel_and_wait(step: Step, run: Run) -> Run:
    """Cancel a run, and give it some time to end; the run as last seen."""
    deadline = step.client.until_cancelled(CANCEL_WAIT)
    try:
        run = cancel_and_look(step.client.with_options(deadline=deadline), run.run_id)
        step.log.info("dbt Cloud run %s is to be cancelled: %s", run.run_id, run.href)
        return _until_over(step)(run, deadline=deadline)
    except DbtCloudWaitTimeoutError as error:
        _check_not_cancelled(step, error)
        step.log.error("It was to be cancelled. %s %s", error, run.href)  # noqa: TRY400  # as below
        return error.run
    except DbtCloudError as error:
        _check_not_cancelled(step, error)
        step.log.error(  # noqa: TRY400  # the sentence is enough; the step fails anyway
            "dbt Cloud run %s was to be cancelled: %s %s", run.run_id, error, run.href
        )
        return run


def _until_over(step: Step) -> Callable[..., Run]:
    """How a step waits for a run: by one function, with the step's policy filled in."""
    return partial(
        wait_for_run,
        step.client,
        poll_interval=step.config.poll_interval,
        log=step.log,
        progress=progress_of,
    )


def _continued(
    step: Step,
    one: FollowedRun,
    before: Sequence[FollowedRun],
    live: list[Run],
    deadline: Deadline,
) -> FollowedRun:
    """Where a failed run is to go on: add the run that continues it to those waited for.

    A repetition by Dagster is worth one retry, and `max_run_retries` as many as it says for a run
    that has ended while it was waited for.
    """
    failed, policy = one.run, step.config.retry_failed_run
    if failed is None or not failed.has_failed or policy == "never":
        return one
    if policy == "transient" and failed.retry_obstacle is None:
        one = replace(one, lasting=why_lasting(step, failed, saw_end=one.saw_end))
    made = _retries_made(failed, before)
    if made >= step.is_repeated + one.saw_end * step.config.max_run_retries:
        if made:
            step.log.info("dbt Cloud run %s failed after %d retries.", failed.run_id, made)
        return one
    try:
        return _with_newer(step, one, failed, live, lambda: _pause(step, failed, made, deadline))
    except DbtCloudError as error:
        _check_not_cancelled(step, error)
        return replace(one, not_retried=error)


def _with_newer(
    step: Step, one: FollowedRun, failed: Run, live: list[Run], has_time: Callable[[], bool]
) -> FollowedRun:
    """The same with the run that continues it: one that is there, or else a new one."""
    newer = find_retry(step.client, failed)
    if newer is not None:
        live.insert(0, newer)
        return replace(one, continued_by=newer)
    if failed.retry_obstacle is not None or one.lasting or not has_time():
        return one
    return replace(one, continued_by=_retry(step, failed, live), was_retried=True)


def _retries_made(run: Run, before: Sequence[FollowedRun]) -> int:
    """How many retries this step has asked for in a row, up to a run."""
    made, run_id = 0, run.run_id
    for each in reversed(before):
        newer = each.continued_by if each.was_retried else None
        if each.run is not None and newer is not None and newer.run_id == run_id:
            made, run_id = made + 1, each.run.run_id
    return made


def _pause(step: Step, run: Run, made: int, deadline: Deadline) -> bool:
    """Give what failed the time to heal; False where there is no time for it.

    Dagster has its own pauses before it repeats a step.
    """
    if step.is_repeated and not made:
        return True
    seconds = min(LONGEST_RETRY_PAUSE, RETRY_PAUSE * 2.0 ** min(made, 32))
    if deadline.remaining() <= seconds:
        step.log.warning(
            "dbt Cloud run %s failed; it is not retried: less than %.0f s are left of "
            "max_wait_time.",
            run.run_id,
            seconds,
        )
        return False
    step.log.info(
        "dbt Cloud run %s failed; retry %d in this step comes in %.0f s.",
        run.run_id,
        made + 1,
        seconds,
    )
    step.client.clock.sleep(seconds, step.client.cancellation)
    return True


def _retry(step: Step, run: Run, live: list[Run]) -> Run:
    step.log.info("dbt Cloud run %s failed; dbt Cloud is to retry it: %s", run.run_id, run.href)
    newer = start_run(
        step.client, lambda client: retry_once(client, run, log=step.log), live, log=step.log
    ).run
    step.log.info("dbt Cloud run %s continues run %s: %s", newer.run_id, run.run_id, newer.href)
    return newer
