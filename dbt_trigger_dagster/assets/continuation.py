"""Whether a run that failed is continued from its point of failure, and by which run.

What was decided, and why, is told in the log and in the run's row. A monitor finds in the Dagster
run's tags which runs a step continues: how they ended is no news.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from dbt_trigger_dagster.assets.dagster_run import HIDDEN
from dbt_trigger_dagster.assets.failures import obstacle_of
from dbt_trigger_dagster.assets.followed_run import FollowedRun, check_not_cancelled
from dbt_trigger_dagster.assets.lasting import is_transient_failure
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.assets.termination import start_run
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.trigger import find_retry, retry_once

RETRIES_TAG = f"{HIDDEN}dbt_cloud_retries"
"""Is ``true`` on Dagster runs of which a step has dbt Cloud retry runs that it waits for."""

_RETRIED_TAG = f"{HIDDEN}dbt_cloud_retried_"  # and a run's id: steps of several jobs may tag one

RETRY_PAUSE = 30.0
"""Seconds before the first retry inside a step; doubles with each."""

LONGEST_RETRY_PAUSE = 600.0
"""The cap of that."""


def continued(
    step: Step,
    one: FollowedRun,
    before: Sequence[FollowedRun],
    live: list[Run],
    deadline: Deadline,
) -> FollowedRun:
    """Where a failed run is to go on: add the run that continues it to those waited for.

    A repetition by Dagster is worth one retry, and `max_run_retries` as many as it says for a run
    that has ended while it was waited for.

    Args:
        step: Whose runs they are.
        one: The run, as it was followed.
        before: The runs that were followed before it.
        live: Those that are still to be waited for.
        deadline: Until when.

    Returns:
        The same, with what was decided.
    """
    if one.run is None or not one.run.has_failed:
        return one
    decided = _decided(step, one, one.run, before, live, deadline=deadline)
    if decided.retry_decision:
        step.log.info("dbt Cloud run %s failed; %s.", one.run.run_id, decided.retry_decision)
    return decided


def _decided(
    step: Step,
    one: FollowedRun,
    failed: Run,
    before: Sequence[FollowedRun],
    live: list[Run],
    *,
    deadline: Deadline,
) -> FollowedRun:
    if step.config.retry_failed_run == "never":
        return _not_retried(one, "retry_failed_run is never") if one.saw_end else one
    one = _with_outlook(step, one, failed)
    made = _retries_made(failed, before)
    if made >= step.is_repeated + one.saw_end * step.config.max_run_retries:
        return _with_none_left(one, failed, made)
    step.tag({RETRIES_TAG: "true", f"{_RETRIED_TAG}{failed.run_id}": "true"})
    try:
        return _with_newer(step, one, failed, live, partial(_pause, step, failed, made, deadline))
    except DbtCloudError as error:
        check_not_cancelled(step, error)
        return replace(_not_retried(one, str(error)), not_retried=error)


def retried_in(tags: Mapping[str, str]) -> set[int]:
    """The dbt Cloud runs that steps of a Dagster run with these tags continue."""
    return {int(tag.removeprefix(_RETRIED_TAG)) for tag in tags if tag.startswith(_RETRIED_TAG)}


def _with_outlook(step: Step, one: FollowedRun, failed: Run) -> FollowedRun:
    """The same with what a retry can do, where only what may heal by itself is retried."""
    if step.config.retry_failed_run != "transient" or failed.retry_obstacle is not None:
        return one
    heals, why = is_transient_failure(step, failed, saw_end=one.saw_end)
    return replace(one, transient=why) if heals else replace(one, lasting=why)


def _not_retried(one: FollowedRun, why: str) -> FollowedRun:
    return replace(one, retry_decision=f"not retried: {why}")


def _with_none_left(one: FollowedRun, failed: Run, made: int) -> FollowedRun:
    """The same of a run for which this step may ask for no retry, or for no more."""
    if made:
        retries = "1 retry" if made == 1 else f"{made} retries"
        return _not_retried(one, f"it failed after {retries} in this step")
    if not one.saw_end:  # it was over before: this step only looks at it
        return one
    return _not_retried(one, one.lasting or obstacle_of(failed) or "max_run_retries is 0")


def _with_newer(
    step: Step, one: FollowedRun, failed: Run, live: list[Run], pause: Callable[[], str]
) -> FollowedRun:
    """The same with the run that continues it: one that is there, or else a new one."""
    newer = find_retry(step.client, failed)
    if newer is not None:
        live.insert(0, newer)
        told = f"continued by run {newer.run_id}, which had been asked for before"
        return replace(one, continued_by=newer, retry_decision=told)
    if hindrance := one.lasting or obstacle_of(failed) or pause():
        return _not_retried(one, hindrance)
    newer = _retry(step, failed, live)
    told = f"retried by run {newer.run_id}: {one.transient or 'retry_failed_run is always'}"
    return replace(one, continued_by=newer, was_retried=True, retry_decision=told)


def _retries_made(run: Run, before: Sequence[FollowedRun]) -> int:
    """How many retries this step has asked for in a row, up to a run."""
    made, run_id = 0, run.run_id
    for each in reversed(before):
        newer = each.continued_by if each.was_retried else None
        if each.run is not None and newer is not None and newer.run_id == run_id:
            made, run_id = made + 1, each.run.run_id
    return made


def _pause(step: Step, run: Run, made: int, deadline: Deadline) -> str:
    """Give what failed the time to heal; why there is no time for it, empty where there is.

    Dagster has its own pauses before it repeats a step.
    """
    if step.is_repeated and not made:
        return ""
    seconds = min(LONGEST_RETRY_PAUSE, RETRY_PAUSE * 2.0 ** min(made, 32))
    if deadline.remaining() <= seconds:
        return f"less than {seconds:.0f} s are left of max_wait_time"
    step.log.info(
        "dbt Cloud run %s failed; retry %d in this step comes in %.0f s.",
        run.run_id,
        made + 1,
        seconds,
    )
    step.client.clock.sleep(seconds, step.client.cancellation)
    return ""


def _retry(step: Step, run: Run, live: list[Run]) -> Run:
    step.log.info("dbt Cloud run %s failed; dbt Cloud is to retry it: %s", run.run_id, run.href)
    newer = start_run(
        step.client, lambda client: retry_once(client, run, log=step.log), live, log=step.log
    ).run
    step.log.info("dbt Cloud run %s continues run %s: %s", newer.run_id, run.run_id, newer.href)
    return newer
