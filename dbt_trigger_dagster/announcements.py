"""Says in a Dagster run which dbt Cloud run it has triggered, the moment that is known.

The trigger's row may wait for its database, and the Dagster run may be terminated meanwhile. The
monitor finds here what it leaves behind.
"""

from collections.abc import Iterable

import dagster as dg

from dbt_trigger_dagster.failures import run_metadata
from dbt_trigger_dagster.models import Run

TRIGGERED_TAG = "dbt_trigger_dagster/triggered"
"""Is ``true`` on Dagster runs that have triggered a job."""

_RUN_ID = "dbt_cloud_run_id"


def announce(context: dg.AssetExecutionContext, run: Run) -> None:
    """Write a run into the log of the Dagster run that triggered it, and tag the Dagster run."""
    context.log_event(dg.AssetObservation(context.asset_key, metadata=run_metadata(run)))
    context.instance.add_run_tags(context.run.run_id, {TRIGGERED_TAG: "true"})


def announced(events: Iterable[dg.DagsterEvent]) -> dict[str, int]:
    """The dbt Cloud runs that the events of a Dagster run tell of, by the trigger's asset key."""
    observations = [each.asset_observation_data for each in events if each.is_asset_observation]
    found = {
        each.asset_observation.asset_key.to_user_string(): each.asset_observation.metadata
        for each in observations
    }
    return {
        key: int(str(metadata[_RUN_ID].value))
        for key, metadata in found.items()
        if _RUN_ID in metadata
    }
