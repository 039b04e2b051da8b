"""What Dagster has stored of events and shows in no public name, in one place."""

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

_AT_ONCE = 500
_EVALUATED = frozenset(
    [AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED]
)


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
    for first in range(0, len(keys), _AT_ONCE):
        some = keys[first : first + _AT_ONCE]
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
