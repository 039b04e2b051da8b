"""Which rows of a table what is downstream gets: those of its own Dagster run, or the latest."""

import dagster as dg

from dbt_trigger_dagster.assets.dagster_run import (
    has_materialized,
    last_to_materialize,
    materialized_with,
    re_executed,
    run_that_loads,
)
from dbt_trigger_dagster.assets.job import RUN_ID_KEY
from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.store import Store
from dbt_trigger_dagster.storage.tables import RUN, TRIGGER


def latest_rows(store: Store, context: dg.InputContext, table: Table) -> Rows | None:
    """The rows of this run, of one it re-executes, or of the latest; None where none are."""
    asset_key = context.asset_key.to_user_string()
    latest = last_to_materialize(context.instance, context.asset_key)
    before = _this_run_and_those_before(context)
    for dagster_run_id in dict.fromkeys(filter(None, [*before, latest])):
        rows = store.read(table, asset_key=asset_key, dagster_run_id=dagster_run_id)
        if not len(rows):
            rows = _written_since(store, context, table, dagster_run_id)
        # A materialization may well have no rows: a run without artifacts, for example.
        if len(rows) or dagster_run_id == latest:
            return rows
    return None


def _written_since(
    store: Store, context: dg.InputContext, table: Table, dagster_run_id: str
) -> Rows:
    """What a Dagster run materialized, where another has written the same dbt Cloud run since.

    Two that are executed again at the same time follow one dbt Cloud run: the rows tell of it by
    its id, and name the last that wrote them.
    """
    shown = materialized_with(context.instance, dagster_run_id, context.asset_key)
    run_id = str(shown.get(RUN_ID_KEY) or "")
    if not run_id.isdecimal():
        return table.rows([])
    column = "id" if table in {TRIGGER, RUN} else "run_id"
    return store.read(table, asset_key=context.asset_key.to_user_string(), **{column: int(run_id)})


def _this_run_and_those_before(context: dg.InputContext) -> list[str]:
    """The Dagster run and those that it re-executes, as far as they materialized the asset.

    One whose dbt run failed has rows, and is not what comes downstream.
    """
    run = run_that_loads(context)
    if run is None:
        return [context.upstream_output.run_id] if context.upstream_output else []
    return [
        chained.run_id
        for chained in re_executed(context.instance, run)
        if has_materialized(context.instance, chained, context.asset_key)
    ]
