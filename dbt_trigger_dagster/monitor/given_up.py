"""Runs that nobody could land are left to people: they are told once, and named by each tick."""

import logging
from collections.abc import Mapping, Sequence

import dagster as dg

from dbt_trigger_dagster.assets.job import JobGraph
from dbt_trigger_dagster.monitor.landings import RequestedRun, RequestedRuns

MOST_NAMED = 10
"""Most of the given up runs that a tick names."""

_AGAIN = (
    "See why in the failed Dagster runs. Then re-execute the last one, or materialize run_result "
    "with these dbt Cloud runs in run_ids."
)


def give_up(
    requested_runs: RequestedRuns,
    landings: Mapping[int, RequestedRun],
    graph: JobGraph,
    log: logging.Logger,
) -> None:
    """Say in the log and at the asset that nobody could land some runs, and note that it was said.

    Args:
        requested_runs: Those of the monitor.
        landings: The last landing of each run, by the run's id.
        graph: Whose they are.
        log: The tick's.
    """
    last = next(iter(landings.values()))
    run_ids = ", ".join(map(str, landings))
    said = (
        f"{last.attempt} Dagster runs have tried to land these dbt Cloud runs, and none did: "
        f"{run_ids}."
    )
    log.error("%s %s", said, _AGAIN)
    requested_runs.instance.report_runless_asset_event(
        dg.AssetObservation(
            dg.AssetKey.from_user_string(graph.run_result),
            description=said,
            metadata={
                "not_landed": run_ids,
                "last_dagster_run": dg.MetadataValue.dagster_run(last.dagster_run_id),
                "try_again": _AGAIN,
            },
        )
    )
    requested_runs.note_given_up(landings.values())


def named(given_up: Sequence[int]) -> str:
    """The newest runs that are given up, in a sentence; nothing where there are none."""
    if not given_up:
        return ""
    run_ids = ", ".join(map(str, given_up[-MOST_NAMED:]))
    more = max(0, len(given_up) - MOST_NAMED)
    return f"Given up: {run_ids}{f' and {more} more' if more else ''}. {_AGAIN}"
