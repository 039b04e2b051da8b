"""The sensors: the monitor, which lands the dbt Cloud runs that nobody waits for."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from dbt_trigger_dagster.assets.dagster_run import carrying
from dbt_trigger_dagster.assets.job import GRAPHS_KEY, RUN_RESULT, JobGraph, graphs_in
from dbt_trigger_dagster.dbt_cloud.errors import SettingError
from dbt_trigger_dagster.monitor.tick import Monitor

_LONGEST = 365 * 86400.0  # as long as dbt Cloud remembers runs


def build_dbt_cloud_monitor(
    assets: Iterable[Any],
    *,
    name: str = "dbt_cloud_monitor",
    include_external_runs: bool = False,
    settle_seconds: float = 60.0,
    lookback: float = 3600.0,
    batch_size: int = 50,
    raise_on_failed_run: bool | None = None,
    start: datetime | None = None,
    minimum_interval_seconds: int = 30,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
) -> dg.SensorDefinition:
    """A sensor that lands dbt Cloud runs when they are over: their rows and their artifacts.

    It lands runs that Dagster triggered and nobody waits for: with ``wait_for_result: false``,
    with ``on_timeout: leave``, or whose worker was killed. It needs the resources ``dbt_cloud`` and
    ``dbt_cloud_tables``. One monitor serves any number of jobs, and asks dbt Cloud for what has
    finished only, however many runs are in flight.

    Args:
        assets: What `build_dbt_cloud_job_assets` returned, of one job or of many.
        name: The sensor's name; the job that lands the runs is called ``<name>_landing``.
        include_external_runs: Whether runs of these jobs are landed too that dbt Cloud's own
            scheduler, CI or people started.
        settle_seconds: How long after its end a run is due. An op that waits for it goes first,
            and artifacts have time to arrive.
        lookback: Seconds after its end at which a run is looked at once more, in case dbt Cloud
            told of it late; 0 never does.
        batch_size: How many runs of a job one Dagster run lands at most.
        raise_on_failed_run: Whether a dbt run that ended badly fails the Dagster run that lands
            it, after everything is stored; without it, what the assets' own config starts from.
        start: Runs that finished before are left alone; without it, those that finished before
            the monitor is first switched on.
        minimum_interval_seconds: Seconds between two ticks, at least.
        default_status: Whether the monitor runs as soon as it is deployed.

    Raises:
        SettingError: An argument cannot be used; the message says which and why.
    """
    graphs = graphs_in(assets, RUN_RESULT)
    _check(graphs, settle_seconds, lookback, batch_size, start)
    monitor = Monitor(
        name=name,
        graphs=tuple(graphs),
        include_external_runs=include_external_runs,
        settle=timedelta(seconds=settle_seconds),
        lookback=timedelta(seconds=lookback),
        batch_size=batch_size,
        raise_on_failed_run=raise_on_failed_run,
        start=start,
    )

    @dg.sensor(
        name=name,
        job=_landing_job(name, graphs),
        description="Lands the dbt Cloud runs that nobody waits for, when they are over.",
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        required_resource_keys={"dbt_cloud", "dbt_cloud_tables"},
        metadata={GRAPHS_KEY: carrying(tuple(graphs), ", ".join(str(each.job) for each in graphs))},
    )
    def monitor_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        with context.resources.dbt_cloud.build_client(context.log) as client:
            return monitor.tick(
                client,
                context.resources.dbt_cloud_tables,
                context.instance,
                cursor=context.cursor,
                log=context.log,
            )

    return monitor_sensor


def _landing_job(name: str, graphs: Sequence[JobGraph]) -> Any:
    """The Dagster job that lands runs of some graphs."""
    landed = [key for graph in graphs for key in graph.landed_keys]
    return dg.define_asset_job(
        f"{name}_landing",
        selection=dg.AssetSelection.assets(*landed),
        description=f"Lands dbt Cloud runs that are over; requested by the sensor {name}",
        # Its one step waits for the network: a process of its own would only cost seconds.
        executor_def=dg.in_process_executor,
    )


def _check(
    graphs: Sequence[JobGraph],
    settle_seconds: float,
    lookback: float,
    batch_size: int,
    start: datetime | None,
) -> None:
    if not graphs:
        raise ValueError(
            "assets holds nothing to monitor: give what build_dbt_cloud_job_assets returned."
        )
    if not 0 <= settle_seconds <= _LONGEST:
        raise SettingError("settle_seconds", f"is {settle_seconds:g}: give 0 or more seconds.")
    if lookback and not settle_seconds <= lookback <= _LONGEST:
        raise SettingError(
            "lookback",
            f"is {lookback:g}: give at least settle_seconds ({settle_seconds:g}), or 0 not to "
            "look back.",
        )
    if batch_size < 1:
        raise SettingError("batch_size", f"is {batch_size}: give 1 or more.")
    if start is not None and start.tzinfo is None:
        raise SettingError(
            "start", f"{start} has no time zone: give one, as in datetime(…, tzinfo=timezone.utc)."
        )
