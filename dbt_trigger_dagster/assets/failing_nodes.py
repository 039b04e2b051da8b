"""Which nodes of landed runs failed, for messages to the people who own them."""

from dataclasses import dataclass

from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.outcome import Outcome, Record, cause_lines
from dbt_trigger_dagster.storage.tables import RUN

_MOST_ACCOUNTS = 100


@dataclass(frozen=True)
class FailingNode:
    """A node that failed in a run.

    Attributes:
        unique_id: dbt's id of it.
        name: Its name.
        resource_type: model, test, seed, …
        status: As dbt says.
        message: What dbt or the warehouse said.
        owner: Whose it is, where the project says so.
        failed_before: In how many runs in a row it had failed right before.
        job_name: The run's job.
        run_id: dbt Cloud's id of the run.
        run_url: The run's page.
    """

    unique_id: str
    name: str
    resource_type: str
    status: str
    message: str
    owner: str | None
    failed_before: int
    job_name: str
    run_id: int
    run_url: str

    @property
    def is_new(self) -> bool:
        """Whether it did not fail in the run before."""
        return self.failed_before == 0


def failing_nodes(tables: DbtCloudTableIOManager, *run_ids: int | str) -> list[FailingNode]:
    """The nodes that failed in some landed runs, those first that did not fail before.

    Args:
        tables: The resource ``dbt_cloud_tables``.
        run_ids: dbt Cloud's ids of the runs, as the metadata of a failed step has them; of each
            account whose run one is.

    Raises:
        StorageError: The tables cannot be read.
    """
    store = tables.store()
    outcomes = [
        Outcome.newest(store, id=int(run_id), account_id=row["account_id"])
        for run_id in run_ids
        for row in store.newest(RUN, ["account_id"], by="id", limit=_MOST_ACCOUNTS, id=int(run_id))
    ]
    found = [_as_node(each, row) for each in outcomes if each for row in each.failing]
    return sorted(found, key=lambda node: not node.is_new)


def _as_node(outcome: Outcome, row: Record) -> FailingNode:
    return FailingNode(
        unique_id=row["unique_id"],
        name=row["name"] or row["unique_id"],
        resource_type=row["resource_type"] or "node",
        status=row["status"] or "",
        message="\n".join(cause_lines(row)),
        owner=row["owner"],
        failed_before=outcome.failed_before.get(row["unique_id"], 0),
        job_name=outcome.run.job_name or "",
        run_id=outcome.run.run_id,
        run_url=outcome.run.href,
    )
