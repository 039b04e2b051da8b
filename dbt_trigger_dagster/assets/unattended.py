"""Who lands a run that no step waits for: said where it is left alone, and not found out later."""

from collections.abc import Sequence

import dagster as dg

from dbt_trigger_dagster.assets.dagster_run import is_switched_on, sensors_with
from dbt_trigger_dagster.assets.followed_run import FollowedRun
from dbt_trigger_dagster.assets.job import GRAPHS_KEY, JobGraph
from dbt_trigger_dagster.assets.run_tags import tag_with_runs


def tell_what_became(
    context: dg.AssetExecutionContext, followed: Sequence[FollowedRun], graph: JobGraph
) -> None:
    """Tag the Dagster run with what became of its dbt Cloud runs; say who lands what goes on.

    Args:
        context: The step's that has followed them.
        followed: What became of them.
        graph: Whose they are.
    """
    tag_with_runs(context, [each.run for each in followed if each.run and not each.continued_by])
    if any(each.is_left for each in followed):
        tell_who_lands(context, graph)


def tell_who_lands(context: dg.AssetExecutionContext, graph: JobGraph) -> None:
    """Say in the log of a step who lands the run that it leaves alone, and warn where nobody does.

    Args:
        context: The step's.
        graph: Whose run it is.
    """
    found = sensors_with(context, GRAPHS_KEY)
    if found is None:
        context.log.info("The monitor lands the run when it is over, where it is on.")
        return
    monitors = [sensor for sensor, graphs in found if isinstance(graphs, tuple) and graph in graphs]
    on = [sensor.name for sensor in monitors if is_switched_on(context.instance, sensor)]
    if on:
        context.log.info("The monitor %s lands the run when it is over.", on[0])
    elif monitors:
        name = monitors[0].name
        context.log.warning(
            "The monitor %s is off, so nobody lands the run. Switch it on in the UI (Automation), "
            "or by `dagster sensor start %s`; it then lands this run too.",
            name,
            name,
        )
    else:
        context.log.warning(
            "No monitor lands the run: this code location has none for these assets. "
            "build_dbt_cloud_monitor makes one."
        )
