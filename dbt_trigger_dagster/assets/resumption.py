"""Which steps of which Dagster runs have one and the same intention.

A Dagster run, the runs that resume it from its failure, and every repetition of its step want one
dbt Cloud run. Any other re-execution wants the job to run anew.
"""

import hashlib
from collections.abc import Iterator, Sequence

import dagster as dg

from dbt_trigger_dagster.dbt_cloud.trigger import Intention

_LONGEST_KEY = 100
_RESUMES_ASSETS = "dagster/is_asset_resume_retry"


def intention_of(context: dg.AssetExecutionContext, prefix: Sequence[str]) -> Intention:
    """What a step triggers its job for.

    Args:
        context: The step's.
        prefix: The key prefix of the job's assets: two graphs in one Dagster run are two wishes.
    """
    *_, first = resume_chain(context.instance, context.run)
    record = context.instance.get_run_record_by_id(first.run_id)
    if record is None:
        raise ValueError(f"Dagster's instance does not know its own run {first.run_id}.")
    return Intention(
        key=_key(first.run_id, prefix),
        since=record.create_timestamp,
        is_repeated=first is not context.run or _has_begun_before(context),
    )


def _key(dagster_run_id: str, prefix: Sequence[str]) -> str:
    """Names an intention, short enough for a marker in a cause."""
    path = "/".join([dagster_run_id, *prefix])
    if len(path) <= _LONGEST_KEY:
        return path
    return f"{dagster_run_id}/{hashlib.sha256(path.encode()).hexdigest()[:12]}"


def resume_chain(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[dg.DagsterRun]:
    """A run, the run that it resumes from its failure, and so on back to the first."""
    chained: dg.DagsterRun | None = run
    while chained is not None:
        yield chained
        resumes = chained.parent_run_id is not None and _resumes(chained)
        chained = instance.get_run_by_id(chained.parent_run_id or "") if resumes else None


def _resumes(run: dg.DagsterRun) -> bool:
    """Whether the run was made "from failure", by steps or by assets."""
    return run.is_resume_retry or run.tags.get(_RESUMES_ASSETS) == "true"


def is_executed_again(context: dg.AssetExecutionContext, triggered_in: str | None) -> bool:
    """Whether a step that waits for a run is retried, restarted or re-executed.

    Args:
        context: The step's.
        triggered_in: The Dagster run that triggered the run; None where it is not known. In that
            Dagster run itself the step waits for the first time.
    """
    is_reexecution = context.run.parent_run_id is not None and triggered_in != context.run.run_id
    return is_reexecution or _has_begun_before(context)


def _has_begun_before(context: dg.AssetExecutionContext) -> bool:
    """Whether the step is retried, or runs again because its worker died."""
    step = context.op_execution_context
    starts = context.instance.get_records_for_run(
        context.run.run_id, of_type=dg.DagsterEventType.STEP_START
    )
    step_key = step.get_step_execution_context().step.key
    mine = [entry for entry in starts.records if entry.event_log_entry.step_key == step_key]
    return step.retry_number > 0 or len(mine) > 1
