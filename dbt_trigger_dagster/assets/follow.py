"""Follows runs to their end under the wait policy, retries and interrupts included."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from dbt_trigger_dagster.artifacts.progress import progress_of
from dbt_trigger_dagster.assets.continuation import continued
from dbt_trigger_dagster.assets.followed_run import FollowedRun, check_not_cancelled
from dbt_trigger_dagster.assets.job import JobGraph
from dbt_trigger_dagster.assets.named_runs import check_job
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.dbt_cloud.cancel import cancel_and_look
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudError,
    DbtCloudWaitTimeoutError,
)
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.dbt_cloud.wait import DETAILS, wait_for_run

ONE_LOOK = 2.0
"""Seconds for each of several runs whose turn comes after the deadline."""

CANCEL_WAIT = 60.0
"""Seconds to wait until a run that we have cancelled is over."""


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
    # What becomes of these is for the guard to say, from its very beginning.
    live = [run for run in runs if isinstance(run, Run)]
    run_ids = [run for run in runs if not isinstance(run, Run)]
    with step.termination.guarded(step.client, live):
        for found in _looked_up(step, run_ids, deadline):
            if isinstance(found, Run):
                if graph is not None:
                    check_job(step.client.with_options(deadline=deadline), found, graph)
                live.append(found)
            else:
                followed.append(FollowedRun(None, found))
        while live:
            if not _is_among(followed, live[0]):
                one = _wait_for(step, live[0], deadline)
                del live[0]
                followed.append(continued(step, one, followed, live, deadline))
            else:  # it continues another one, and was named as well
                del live[0]
    return followed


def _is_among(followed: Sequence[FollowedRun], run: Run) -> bool:
    return any(each.run is not None and each.run.run_id == run.run_id for each in followed)


def _looked_up(step: Step, run_ids: Sequence[int], deadline: Deadline) -> list[Run | DbtCloudError]:
    """The runs that are named, with their details, or why there is none."""
    client = step.client.with_options(deadline=deadline)

    def look_up(run_id: int) -> Run | DbtCloudError:
        try:
            return client.get_run(run_id, include_related=DETAILS)
        except DbtCloudError as error:
            check_not_cancelled(step, error)
            return error

    found = in_parallel(
        look_up,
        run_ids,
        max_parallel=step.config.max_parallel_downloads,
        cancellation=step.client.cancellation,
    )
    if run_ids:
        there = [run for run in found if isinstance(run, Run)]
        over = sum(run.is_over for run in there)
        step.log.info("%d dbt Cloud runs found, %d of them over.", len(there), over)
    return found


def _wait_for(step: Step, run: Run, deadline: Deadline) -> FollowedRun:
    """Wait for one run."""
    if run.is_over and run.steps:  # found so, with its details: a batch need not log each
        return FollowedRun(run)
    if deadline.is_over:  # time to see whether this run is over too
        deadline = step.client.until_cancelled(ONE_LOOK)
    try:
        return FollowedRun(_until_over(step)(run, deadline=deadline), saw_end=not run.is_over)
    except DbtCloudWaitTimeoutError as error:
        check_not_cancelled(step, error)
        return _on_timeout(step, error)
    except DbtCloudError as error:
        check_not_cancelled(step, error)
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
        check_not_cancelled(step, error)
        step.log.error("It was to be cancelled. %s %s", error, run.href)  # noqa: TRY400  # as below
        return error.run
    except DbtCloudError as error:
        check_not_cancelled(step, error)
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
