"""What Dagster knows of its own runs and events and shows in no public name, in one place.

Whatever here breaks with a release of Dagster breaks in one test, which the oldest and the newest
release that are allowed have to pass.
"""

import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import dagster as dg
from dagster._check import CheckError
from dagster._core.definitions.metadata.metadata_value import ObjectMetadataValue
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

PARENT_TAG = "dagster/parent_run_id"
"""Names the Dagster run that a run re-executes."""

HIDDEN = ".dagster/"
"""What the tags begin with that Dagster's UI does not show."""

_LOOKED_AT = 100
_KEYS_AT_ONCE = 500
_ASKED_TO_STOP = frozenset({dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED})
_EVALUATED = frozenset(
    [AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED]
)


class Interruption(Enum):
    """Why a step is interrupted, as it is told to people."""

    TERMINATED = "The step was terminated."
    CTRL_C = "The step was terminated by Ctrl-C."
    DRAINED = "The worker of the step ends."

    @property
    def is_a_wish(self) -> bool:
        """Whether a person wants the Dagster run to stop."""
        return self is not Interruption.DRAINED


def why_interrupted(
    instance: dg.DagsterInstance, dagster_run_id: str, *, ctrl_c: bool, log: logging.Logger
) -> Interruption:
    """Why a step of a run is interrupted, or would be if it were now.

    Dagster interrupts it in the same way whatever the reason. But it stores a person's wish before
    it sends the signal.

    Args:
        instance: Where the run's status is stored.
        dagster_run_id: The run.
        ctrl_c: Whether a signal has come that `is_ctrl_c`.
        log: Where it tells that the instance cannot say.
    """
    if ctrl_c:
        return Interruption.CTRL_C
    try:
        run = instance.get_run_by_id(dagster_run_id)
    except Exception as error:  # noqa: BLE001  # a database that is down must not hide an interrupt
        log.warning("Dagster cannot say whether the run is terminated: %s", error)
        return Interruption.DRAINED
    asked = run is not None and run.status in _ASKED_TO_STOP
    return Interruption.TERMINATED if asked else Interruption.DRAINED


def is_ctrl_c(number: int) -> bool:
    """Whether a signal that this process gets is a person's at a terminal.

    The multiprocess executor passes SIGTERM on to its steps as SIGINT: so in a step's own process
    SIGINT is a person's only where a terminal can have sent it.
    """
    if number != signal.SIGINT:
        return False
    return multiprocessing.parent_process() is None or _in_foreground()


def _in_foreground() -> bool:
    """Whether this process is one that a terminal's Ctrl-C reaches."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def carrying(value: object, text: str) -> dg.MetadataValue[Any]:
    """Definition metadata that shows a text, and carries an object within the process.

    What is serialized, for the UI and for the daemon, is the text alone.
    """
    return ObjectMetadataValue(text, instance=value)


def carried(metadata: object) -> object:
    """The object that definition metadata carries; None where it carries none."""
    return metadata.instance if isinstance(metadata, ObjectMetadataValue) else None


def config_of(context: dg.AssetExecutionContext, op_name: str) -> Mapping[str, Any]:
    """The config of another step of this Dagster run; empty where it has none.

    As that step will get it: the config that is stored with the run lacks what the job's
    definition sets, and has the names of environment variables in place of their values.
    """
    step = context.op_execution_context.get_step_execution_context()
    ops = step.resolved_run_config.ops
    config: Any = ops[op_name].config if op_name in ops else None
    return dict(config or {})


def run_that_loads(context: dg.InputContext) -> dg.DagsterRun | None:
    """The Dagster run whose step loads an input; None where a test has built the context."""
    try:
        return context.step_context.dagster_run
    except dg.DagsterInvariantViolationError:
        return None


def re_executed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[dg.DagsterRun]:
    """A run, the run that it re-executes, and so on back to the first that Dagster still knows."""
    chained: dg.DagsterRun | None = run
    while chained is not None:
        yield chained
        parent = chained.parent_run_id
        chained = None if parent is None else instance.get_run_by_id(parent)


def is_re_executed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether another run re-executes a run.

    The UI and Dagster's own retries tag it so; `dg.execute_job` does not, and its runs are looked
    at one by one.
    """
    tagged = dg.RunsFilter(tags={PARENT_TAG: run.run_id})
    newest = dg.RunsFilter(job_name=run.job_name)
    return bool(instance.get_runs(tagged, limit=1)) or any(
        each.parent_run_id == run.run_id for each in instance.get_runs(newest, limit=_LOOKED_AT)
    )


def events_of(
    instance: dg.DagsterInstance, dagster_run_id: str, *kinds: dg.DagsterEventType
) -> list[dg.DagsterEvent]:
    """The events of some kinds that a run has had, oldest first."""
    logged = instance.get_records_for_run(dagster_run_id, of_type=set(kinds))
    return [record.event_log_entry.get_dagster_event() for record in logged.records]


def materialized_with(
    instance: dg.DagsterInstance, dagster_run_id: str, key: dg.AssetKey
) -> Mapping[str, object]:
    """The metadata with which a run has last materialized an asset; empty where it has not."""
    found: Mapping[str, object] = {}
    for event in events_of(instance, dagster_run_id, dg.DagsterEventType.ASSET_MATERIALIZATION):
        if event.asset_key == key:
            shown = event.step_materialization_data.materialization.metadata
            found = {name: value.value for name, value in shown.items()}
    return found


def last_to_materialize(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    """The run that has last materialized an asset; None where none has.

    What somebody reports in the UI, or by Dagster's API, is of no run, and brought nothing.
    """
    newest = instance.get_latest_materialization_event(key)
    if newest is None or newest.run_id:
        return None if newest is None else newest.run_id
    earlier = instance.fetch_materializations(key, limit=_LOOKED_AT).records
    return next((record.run_id for record in earlier if record.run_id), None)


def has_materialized(instance: dg.DagsterInstance, run: dg.DagsterRun, key: dg.AssetKey) -> bool:
    """Whether a run has materialized an asset.

    Of a trigger, the materialization comes last: a dbt run that was announced, and whose row could
    not be kept, is still to be found by those that re-execute the step.
    """
    kept = events_of(instance, run.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
    return any(event.asset_key == key for event in kept)


def has_succeeded(instance: dg.DagsterInstance, run: dg.DagsterRun, key: dg.AssetKey) -> bool:
    """Whether the step of a run that is named after an asset has succeeded.

    An interrupt may come after the asset's materialization and before the end of its step: then
    the step has failed, and resuming the run from its failure executes it again.
    """
    successes = events_of(instance, run.run_id, dg.DagsterEventType.STEP_SUCCESS)
    return any(event.step_key == key.to_python_identifier() for event in successes)


def has_failed_by_itself(step_failure: dg.DagsterEvent) -> bool:
    """Whether a step ended with a failure that its own code raised, and not from outside."""
    return step_failure.step_failure_data.user_failure_data is not None


def times_begun(context: dg.AssetExecutionContext) -> int:
    """How many workers have begun the step of a context in its Dagster run."""
    starts = events_of(context.instance, context.run.run_id, dg.DagsterEventType.STEP_START)
    step_key = context.op_execution_context.get_step_execution_context().step.key
    return sum(event.step_key == step_key for event in starts)


def has_begun_before(context: dg.AssetExecutionContext) -> bool:
    """Whether the step of a context is retried, or runs again because its worker died."""
    return context.op_execution_context.retry_number > 0 or times_begun(context) > 1


def tag(context: dg.AssetExecutionContext, tags: Mapping[str, str]) -> None:
    """Tag the Dagster run of a context; people find it by its tags."""
    context.instance.add_run_tags(context.run.run_id, dict(tags))


def sensors_with(
    context: dg.AssetExecutionContext, key: str
) -> list[tuple[dg.SensorDefinition, object]] | None:
    """The sensors of a step's code location whose metadata carry something, with what they carry.

    None where the step is of no code location: a script has executed its job in its own process.
    """
    try:
        sensors = context.op_execution_context.repository_def.sensor_defs
    except CheckError:
        return None
    found = [(sensor, carried(sensor.metadata.get(key))) for sensor in sensors]
    return [(sensor, value) for sensor, value in found if value is not None]


def is_switched_on(instance: dg.DagsterInstance, sensor: dg.SensorDefinition) -> bool:
    """Whether a sensor ticks, as far as Dagster's instance knows; by its default where it does not.

    A sensor of its name in another code location counts as well.
    """
    try:
        states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    except CheckError:  # an instance that is not stored keeps none
        states = []
    known = [state.status for state in states if state.instigator_name == sensor.name]
    if not known or known == [InstigatorStatus.DECLARED_IN_CODE]:
        return sensor.default_status is dg.DefaultSensorStatus.RUNNING
    return any(status is not InstigatorStatus.STOPPED for status in known)


def newest_evaluation(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey
) -> dg.AssetCheckEvaluation | None:
    """The newest evaluation of a check that is stored; None where there is none."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        check, limit=1, status=_EVALUATED
    )
    return next(filter(None, map(_evaluation_in, records)), None)


def newest_metadata(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey | dg.AssetCheckKey]
) -> dict[dg.AssetKey | dg.AssetCheckKey, Mapping[str, dg.MetadataValue]]:
    """Metadata of the newest materializations and evaluations, asked for many at once."""
    found: dict[dg.AssetKey | dg.AssetCheckKey, Mapping[str, dg.MetadataValue]] = {}
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[first : first + _KEYS_AT_ONCE]
        entries = instance.get_latest_materialization_events(
            [key for key in some if isinstance(key, dg.AssetKey)]
        )
        for key, entry in entries.items():
            if entry is not None and entry.asset_materialization is not None:
                found[key] = entry.asset_materialization.metadata
        checks = [key for key in some if isinstance(key, dg.AssetCheckKey)]
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
        for check, record in records.items():
            if evaluation := _evaluation_in(record):
                found[check] = evaluation.metadata
    return found


def _evaluation_in(record: AssetCheckExecutionRecord) -> dg.AssetCheckEvaluation | None:
    """The evaluation that a record is of; None of one that is only planned."""
    if record.status not in _EVALUATED or record.event is None:
        return None
    return record.event.get_dagster_event().asset_check_evaluation_data
