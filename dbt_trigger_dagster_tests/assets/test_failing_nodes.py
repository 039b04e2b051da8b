"""The nodes that failed, for messages to the people who own them."""

import json
from pathlib import Path

from dbt_trigger_dagster import DbtCloudTableIOManager, FailingNode, failing_nodes
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.tables import RUN, run_rows
from dbt_trigger_dagster_tests.assets.scripts import FAILED, FINE
from dbt_trigger_dagster_tests.graphs import a_project


def test_each_node_that_failed_is_told_with_its_owner(tmp_path: Path) -> None:
    """By the ids that a failed step's metadata has: text."""
    with a_project(tmp_path, FAILED) as project:
        project.materialize()
        (run,) = project.dbt_runs()
        tables = DbtCloudTableIOManager(database=str(project.database))
        assert failing_nodes(tables, str(run["id"])) == [
            FailingNode(
                unique_id="model.shop.orders",
                name="orders",
                resource_type="model",
                status="error",
                message="no such column",
                owner="ann",
                failed_before=0,
                job_name="nightly",
                run_id=run["id"],
                run_url=run["href"],
            )
        ]


def test_what_failed_before_comes_last_and_is_not_new(tmp_path: Path) -> None:
    """Of several runs together; a run that went well, or was not landed, adds nothing."""
    with a_project(tmp_path, FAILED, FAILED, FINE) as project:
        for _ in range(3):
            project.materialize()
        tables = DbtCloudTableIOManager(database=str(project.database))
        first, second, good = project.run_ids()
        found = failing_nodes(tables, second, first, good, 4711)
        assert [(node.run_id, node.is_new) for node in found] == [(first, True), (second, False)]
        assert failing_nodes(tables) == []


def test_a_run_of_each_account_that_has_one_of_the_id_is_told_of(tmp_path: Path) -> None:
    """The second account's run went well: that hides nothing of the first one's."""
    with a_project(tmp_path, FAILED) as project:
        project.materialize()
        tables = DbtCloudTableIOManager(database=str(project.database))
        store = tables.store()
        (row,) = store.read(RUN)
        failed = json.loads(row["raw"])
        good = {**failed, "account_id": row["account_id"] + 1, "status": 10}
        for payload in (good, failed):  # so written, the first is found first
            store.upsert(run_rows(RUN, [Run.from_payload(payload)]))
        assert [node.unique_id for node in failing_nodes(tables, row["id"])] == [
            "model.shop.orders"
        ]
