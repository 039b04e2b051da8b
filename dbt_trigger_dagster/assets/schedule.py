"""A schedule that runs the graph of one dbt Cloud job."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import dagster as dg

from dbt_trigger_dagster.assets.config import DbtCloudRunConfig, TriggerResponseConfig
from dbt_trigger_dagster.assets.job import (
    DBT_CLOUD_RUN,
    TRIGGER_RESPONSE,
    JobGraph,
    graphs_in,
    variable_of,
)


def build_dbt_cloud_schedule(
    assets: Sequence[dg.AssetsDefinition],
    *,
    cron_schedule: str | Sequence[str],
    name: str | None = None,
    execution_timezone: str | None = None,
    trigger: TriggerResponseConfig | None = None,
    run: DbtCloudRunConfig | None = None,
    tags: Mapping[str, str] | None = None,
    default_status: dg.DefaultScheduleStatus = dg.DefaultScheduleStatus.STOPPED,
) -> dg.ScheduleDefinition:
    """A schedule, and the Dagster job that it runs: the whole graph of one dbt Cloud job.

    The job is part of the schedule: ``Definitions(schedules=[…])`` is all it takes. With a key
    prefix both carry it: ``nightly__dbt_cloud_schedule`` runs ``nightly__dbt_cloud_job``. Several
    schedules of one graph share its job; give all but one of them a ``name``.

    Args:
        assets: What `build_dbt_cloud_job_assets` returned, of one job.
        cron_schedule: When: five fields, as ``0 6 * * *``, or a list of such.
        name: The schedule's name, instead of ``dbt_cloud_schedule`` with the prefix.
        execution_timezone: The time zone of ``cron_schedule``, as ``Europe/Prague``; UTC without.
        trigger: Config of the op ``trigger_response``; what is not set is left to its defaults.
        run: Config of the op ``dbt_cloud_run``, likewise.
        tags: Tags of the runs.
        default_status: ``RUNNING`` starts it with the deployment.

    Raises:
        ValueError: The assets are not those of one job.
        dg.DagsterInvalidDefinitionError: The cron schedule or the time zone is none.
    """
    graph = _graph_of(assets)
    job = _job_of(graph, tuple(assets))
    ops = {TRIGGER_RESPONSE: trigger, DBT_CLOUD_RUN: run}
    return dg.ScheduleDefinition(
        name=name or graph.name("dbt_cloud_schedule"),
        job=job,
        cron_schedule=cron_schedule,
        execution_timezone=execution_timezone,
        run_config={"ops": {graph.name(op): _set(config) for op, config in ops.items()}},
        tags=tags,
        description=f"Runs the dbt Cloud job {graph.job.in_words()}, once it is switched on",
        default_status=default_status,
    )


# Two schedules of one graph are given the same job, for Dagster takes no two of one name.
@cache
def _job_of(graph: JobGraph, assets: tuple[dg.AssetsDefinition, ...]) -> Any:
    """The Dagster job that runs one graph."""
    return dg.define_asset_job(
        graph.name("dbt_cloud_job"),
        selection=dg.AssetSelection.assets(*assets),
        description=f"Triggers the dbt Cloud job {graph.job.in_words()}, waits for its run and "
        "keeps what it leaves",
        # The steps come one after another and wait for the network: a process for each would
        # only cost seconds.
        executor_def=dg.in_process_executor,
    )


def _graph_of(assets: Sequence[dg.AssetsDefinition]) -> JobGraph:
    """The one graph that the assets are."""
    graphs = graphs_in(assets, TRIGGER_RESPONSE)
    if len(graphs) != 1:
        raise ValueError(
            f"A schedule runs one dbt Cloud job, and these are the assets of {len(graphs)}: give "
            "what one call of build_dbt_cloud_job_assets returned."
        )
    return graphs[0]


def _set(config: dg.Config | None) -> dict[str, Any]:
    """The run config of an op: only what is set, so that the rest is left to the defaults."""
    if config is None:
        return {}
    return {
        "config": {
            name: _as_run_config(value) for name, value in config if name in config.model_fields_set
        }
    }


def _as_run_config(value: Any) -> Any:
    """A value as run config has it: of a variable the name, for it is read in the run."""
    if isinstance(value, list):
        return [_as_run_config(each) for each in value]
    variable = variable_of(value)
    return value if variable is None else {"env": variable}
