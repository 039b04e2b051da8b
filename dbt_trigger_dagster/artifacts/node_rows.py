"""What happened to the nodes of some runs, as rows of all tables that tell of it."""

from collections.abc import Iterable

from dbt_trigger_dagster.artifacts.node_results import NodeResults
from dbt_trigger_dagster.storage.batches import Batches
from dbt_trigger_dagster.storage.node_tables import NODE, NODE_RESULT, SOURCE_FRESHNESS


def node_rows(found: Iterable[NodeResults]) -> list[Batches]:
    """The rows of several runs, one `Batches` for each table.

    Of several runs of a job, the newest one says what the job's project is.

    Args:
        found: What was read of each run.
    """
    runs = sorted(found, key=lambda run: (run.run.account_id, run.run.run_id))
    newest = {(run.run.account_id, run.run.job_id): run.nodes for run in runs if run.nodes}
    return [
        Batches(NODE_RESULT, [run.results for run in runs]),
        Batches(SOURCE_FRESHNESS, [run.freshness for run in runs]),
        Batches(NODE, [newest[job] for job in sorted(newest)]),
    ]
