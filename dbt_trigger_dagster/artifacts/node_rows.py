"""What happened to the nodes of some runs, as rows of all tables that tell of it."""

from collections.abc import Iterable

from dbt_trigger_dagster.artifacts.node_results import NodeResults
from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.node_tables import NODE, NODE_RESULT, SOURCE_FRESHNESS


def node_rows(found: Iterable[NodeResults]) -> list[Rows]:
    """The rows of several runs, one `Rows` for each table.

    Of several runs of a job, the newest one says what the job's project is.

    Args:
        found: What was read of each run.
    """
    runs = list(found)
    newest: dict[tuple[int, int], NodeResults] = {}
    for run in sorted((run for run in runs if run.nodes), key=_manifest_run_id):
        newest[run.nodes[0]["account_id"], run.nodes[0]["job_id"]] = run
    return [
        NODE_RESULT.rows(record for run in runs for record in run.results),
        SOURCE_FRESHNESS.rows(record for run in runs for record in run.freshness),
        NODE.rows(record for run in newest.values() for record in run.nodes),
    ]


def _manifest_run_id(run: NodeResults) -> int:
    return int(run.nodes[0]["manifest_run_id"])
