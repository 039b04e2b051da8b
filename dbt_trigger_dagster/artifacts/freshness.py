"""What ``dbt source freshness`` writes to sources.json, and Fusion to freshness.json."""

from collections.abc import Iterator, Mapping
from typing import Any

from dbt_trigger_dagster.artifacts.json_stream import OpenFile, read_objects, results_in
from dbt_trigger_dagster.artifacts.run_results import Invocation, timing_of

FRESHNESS_FILES = ("sources.json", "freshness.json")
"""The names, the one that Core has first."""

_FIELDS = ("max_loaded_at", "snapshotted_at", "max_loaded_at_time_ago_in_s", "status", "error")
_CRITERIA = ("warn_after", "error_after", "filter")


def read_freshness_invocation(open_file: OpenFile) -> Invocation:
    """Which invocation wrote the file, as far as it says."""
    (metadata,) = read_objects(open_file, "metadata")
    return Invocation.of(metadata, command="source")


def read_freshness(open_file: OpenFile) -> Iterator[dict[str, Any]]:
    """Each source's freshness, as records of `SOURCE_FRESHNESS`'s columns.

    Raises:
        BrokenFileError: The file is broken; raised after everything that can be read.
    """
    return (_record(*result) for result in results_in(open_file))


def _record(unique_id: str, result: dict[str, Any]) -> dict[str, Any]:
    criteria = result.get("criteria")
    criteria = criteria if isinstance(criteria, Mapping) else {}
    return {
        "unique_id": unique_id,
        **{name: result.get(name) for name in _FIELDS},
        **{name: _limit(criteria.get(name)) for name in _CRITERIA},
        "thread_id": result.get("thread_id"),
        "execution_time": result.get("execution_time"),
        **timing_of(result.get("timing")),
        "raw": result,
    }


def _limit(limit: Any) -> Any:
    """A limit; one that is not set may come as an object of nulls."""
    if isinstance(limit, Mapping) and limit.get("count") is None:
        return None
    return limit
