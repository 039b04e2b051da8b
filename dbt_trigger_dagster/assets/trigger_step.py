"""The step that triggers a job: no run lost to an interrupt, and each one told at once.

The trigger's row may wait for its database, and the Dagster run may be terminated meanwhile. The
monitor finds here what it leaves behind.
"""

import json
from collections.abc import Callable, Iterable

import dagster as dg

from dbt_trigger_dagster.assets.dagster_run import HIDDEN
from dbt_trigger_dagster.assets.failures import as_trigger_failure
from dbt_trigger_dagster.assets.job import RUN_ID_KEY
from dbt_trigger_dagster.assets.metadata import run_link
from dbt_trigger_dagster.assets.run_tags import tag_with_runs
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.assets.termination import start_run
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError, DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parameters import TriggerRequest
from dbt_trigger_dagster.dbt_cloud.trigger import Intention, Triggered, trigger_once
from dbt_trigger_dagster.storage.columns import Rows

TRIGGERED_TAG = f"{HIDDEN}dbt_cloud_triggered"
"""Is ``true`` on Dagster runs that have triggered a job."""


def trigger(
    step: Step,
    job_id: int,
    request: TriggerRequest,
    intention: Intention,
    tell: Callable[[Run], None],
) -> Triggered:
    """Run a job once, and tell of it; an interrupt that comes meanwhile loses no run.

    Args:
        step: The step that wants the run.
        job_id: The job.
        request: What is sent.
        intention: What the run is for.
        tell: Called with the run, so that others find it once this one no longer guards it.

    Raises:
        dg.Failure: The job was not triggered, or nobody can tell.
    """
    runs: list[Run] = []
    with step.termination.guarded(step.client, runs):
        try:
            triggered = start_run(
                step.client,
                lambda client: trigger_once(client, job_id, request, intention, log=step.log),
                runs,
                log=step.log,
            )
        except DbtCloudCancelledError:
            raise
        except DbtCloudError as error:
            raise as_trigger_failure(error) from error
        tell(triggered.run)
    return triggered


def announce(context: dg.AssetExecutionContext, run: Run) -> None:
    """Write a run into the log of the Dagster run that triggered it, and tag the Dagster run."""
    context.log_event(dg.AssetObservation(context.asset_key, metadata=run_link(run)))
    tag_with_runs(context, [run], {TRIGGERED_TAG: "true"})


def announced(events: Iterable[dg.DagsterEvent]) -> dict[str, int]:
    """The dbt Cloud runs that the events of a Dagster run tell of, by the trigger's asset key."""
    observations = [each.asset_observation_data for each in events if each.is_asset_observation]
    found = {
        each.asset_observation.asset_key.to_user_string(): each.asset_observation.metadata
        for each in observations
    }
    return {
        key: int(str(metadata[RUN_ID_KEY].value))
        for key, metadata in found.items()
        if RUN_ID_KEY in metadata
    }


def triggered_run(rows: Rows) -> Run:
    """The newest run that a trigger step has kept, as it was answered.

    Args:
        rows: Of `TRIGGER`.

    Raises:
        ValueError: There are no rows.
    """
    if not len(rows):
        raise ValueError(
            "There is no dbt Cloud run to wait for: this Dagster instance (DAGSTER_HOME) knows "
            "of none. Materialize trigger_response first, or name runs in run_ids."
        )
    newest = max(rows, key=lambda row: row["loaded_at"])
    return Run.from_payload(json.loads(newest["raw"]))
