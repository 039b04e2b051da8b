"""The step that waits for runs and lands them; its checks alone look at the newest run again."""

from collections.abc import Generator

import dagster as dg

from dbt_trigger_dagster.assets.checks import look_again
from dbt_trigger_dagster.assets.config import DbtCloudRunConfig
from dbt_trigger_dagster.assets.failures import as_failure
from dbt_trigger_dagster.assets.follow import follow
from dbt_trigger_dagster.assets.job import check_key
from dbt_trigger_dagster.assets.keeping import Keeping
from dbt_trigger_dagster.assets.land import Event, land
from dbt_trigger_dagster.assets.named_runs import runs_to_follow
from dbt_trigger_dagster.assets.resources import DbtCloudResource
from dbt_trigger_dagster.assets.resumption import is_executed_again
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.assets.unattended import tell_what_became, tell_who_lands
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.errors import StorageError


def follow_and_land(
    context: dg.AssetExecutionContext,
    config: DbtCloudRunConfig,
    trigger_response: Rows,
    dbt_cloud: DbtCloudResource,
    keeping: Keeping,
) -> Generator[Event, None, dg.Failure | None]:
    """Hand out what the runs of a step leave, when they are over.

    Args:
        context: The step's.
        config: Its policies.
        trigger_response: The rows of what was triggered last.
        dbt_cloud: The account.
        keeping: Where everything goes.

    Returns:
        What the step is to fail with, once all has been handed out.

    Raises:
        dg.Failure: It could not come so far.
    """
    graph = keeping.graph
    try:
        for name in graph.landed:
            check_key(graph, context.asset_key_for_output(name), name)
        if not {*graph.landed} & {*keeping.outputs}:
            yield from look_again(keeping, context.log)
            return None
        if not config.wait_for_result:
            context.log.info("wait_for_result is false: nothing is waited for.")
            tell_who_lands(context, graph)
            return None
        is_repeated = is_executed_again(context, graph.prefix)
        with dbt_cloud.build_client(context.log) as client:
            step = Step.of(context, client, config, is_repeated=is_repeated)
            followed = follow(step, runs_to_follow(config.run_ids, trigger_response), graph)
            tell_what_became(context, followed, graph)
            return (yield from land(step, followed, keeping))
    except (DbtCloudError, StorageError, ValueError) as error:
        raise as_failure(error) from error
