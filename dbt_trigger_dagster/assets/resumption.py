"""Which steps of which Dagster runs have one and the same intention.

An intention lasts until its trigger step has succeeded: a Dagster run whose trigger step never came
to that hands its intention on to the runs that re-execute it, in whatever way that is done. Once
it has succeeded, a re-execution of the step wants the job to run anew.
"""

import hashlib
from collections.abc import Callable, Sequence

import dagster as dg

from dbt_trigger_dagster.assets.dagster_run import (
    has_begun_before,
    has_materialized,
    has_succeeded,
    re_executed,
    times_begun,
)
from dbt_trigger_dagster.assets.job import TRIGGER_RESPONSE
from dbt_trigger_dagster.dbt_cloud.trigger import Intention

_LONGEST_KEY = 100


def intention_of(context: dg.AssetExecutionContext, prefix: Sequence[str]) -> Intention:
    """What a step triggers its job for.

    Args:
        context: The step's.
        prefix: The key prefix of the job's assets: two graphs in one Dagster run are two wishes.
    """
    first = first_with_intention(
        context.instance, context.run, dg.AssetKey([*prefix, TRIGGER_RESPONSE])
    )
    record = context.instance.get_run_record_by_id(first.run_id)
    if record is None:
        raise ValueError(f"Dagster's instance does not know its own run {first.run_id}.")
    return Intention(
        key=_key(first.run_id, prefix),
        since=record.create_timestamp,
        is_repeated=first is not context.run or has_begun_before(context),
        is_current=_attempt_check(context),
    )


def _key(dagster_run_id: str, prefix: Sequence[str]) -> str:
    """Names an intention, short enough for a marker in a cause."""
    path = "/".join([dagster_run_id, *prefix])
    if len(path) <= _LONGEST_KEY:
        return path
    return f"{dagster_run_id}/{hashlib.sha256(path.encode()).hexdigest()[:12]}"


def is_key_of(key: str, prefix: Sequence[str]) -> bool:
    """Whether a key names an intention of the graph with this prefix."""
    return key == _key(key.partition("/")[0], prefix)


def first_with_intention(
    instance: dg.DagsterInstance, run: dg.DagsterRun, trigger: dg.AssetKey
) -> dg.DagsterRun:
    """The Dagster run in which the intention of a run came up; often the run itself.

    Args:
        instance: Dagster's.
        run: The run.
        trigger: The asset whose step triggers.
    """
    first, *before = re_executed(instance, run)
    for parent in before:
        if has_succeeded(instance, parent, trigger):
            break
        first = parent
    return first


def is_executed_again(context: dg.AssetExecutionContext, prefix: Sequence[str]) -> bool:
    """Whether a step that waits for a run is retried, restarted or re-executed.

    In the Dagster run whose own trigger step has recorded the run, it waits for the first time.

    Args:
        context: The step's.
        prefix: The key prefix of the job's assets.
    """
    if has_begun_before(context):
        return True
    trigger = dg.AssetKey([*prefix, TRIGGER_RESPONSE])
    return context.run.parent_run_id is not None and not has_materialized(
        context.instance, context.run, trigger
    )


def _attempt_check(context: dg.AssetExecutionContext) -> Callable[[], bool]:
    """Tells whether this attempt of a step is still the one that Dagster executes.

    A worker that was paused, not dead, goes on when its Dagster run has been given up, or when
    another worker has begun the same step.
    """
    begun = times_begun(context)

    def is_current() -> bool:
        run = context.instance.get_run_by_id(context.run.run_id)
        return run is not None and not run.is_finished and times_begun(context) == begun

    return is_current
