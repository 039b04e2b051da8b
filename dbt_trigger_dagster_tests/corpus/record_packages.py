"""Records what elementary and dbt_artifacts write of a run, to compare the views like them with.

``python -m dbt_trigger_dagster_tests.corpus.record_packages FOLDER`` takes a folder in which each
package stands in a folder of its own name, executes a run of a project that has both, as
`make_corpus` does, and keeps the rows of their tables beside the run's files. None of their code is
kept.

The rows that are there were made on dbt 1.11 by the macros with which the packages make rows, as
published: elementary's flatten_run_result, process_freshness_result, flatten_source_freshness and
upload_dbt_invocation, and dbt_artifacts' statements for DuckDB, its keys and its current models.
How rows get from there into tables was cut short.
"""

import json
import shutil
import sys
import tempfile
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from dbt_trigger_dagster.storage.compatible_views import views_like
from dbt_trigger_dagster_tests.corpus import projects
from dbt_trigger_dagster_tests.corpus.make_corpus import Recorder
from dbt_trigger_dagster_tests.corpus.scenarios import Command, Scenario

PACKAGES = ("elementary", "dbt_artifacts")
RECORDED = Path(__file__).parent / "packages"
RUN_ID = 70_000_100
REASON, CATEGORY = "Nightly, by the scheduler", "scheduled"
_THEIRS = " ".join(f"package:{package}" for package in PACKAGES)
_PROJECT = {
    **projects.BASE,
    "dbt_project.yml": projects.PROJECT.replace(
        "models:", "models:\n  dbt_artifacts:\n    +schema: dbt_artifacts"
    ),
    **{name: projects.FRESHNESS[name] for name in ("macros/fill.sql", "models/sources.yml")},
    "packages.yml": "packages:\n" + "".join(f"  - local: {each}\n" for each in PACKAGES),
    "tests/no_big_orders.sql": "select * from {{ ref('big_orders') }} where amount > 2\n",
}
SCENARIO = Scenario(
    "recorded",
    _PROJECT,
    (
        Command("dbt source freshness"),
        Command(f"dbt build --full-refresh --exclude {_THEIRS} no_big_orders"),
        Command("dbt run --select orders --vars '{why: again}'"),
        Command(f"dbt docs generate --exclude {_THEIRS}", executed=False),
        Command("dbt test --select no_big_orders"),
    ),
    status=20,
    before=(f"run --select {_THEIRS}", "run-operation fill"),
)


class _Recorder(Recorder):
    """The same with two packages beside the project, and with the rows that they leave."""

    def __init__(self, packages: Path, folder: Path) -> None:
        super().__init__(SCENARIO, RUN_ID, folder, RECORDED)
        for package in PACKAGES:
            shutil.copytree(packages / package, self._project / package)
        self._environment |= {  # as dbt Cloud sets them
            "DBT_CLOUD_ACCOUNT_ID": "1",
            "DBT_CLOUD_PROJECT_ID": "4",
            "DBT_CLOUD_JOB_ID": "300",
            "DBT_CLOUD_RUN_ID": str(RUN_ID),
            "DBT_CLOUD_RUN_REASON": REASON,
            "DBT_CLOUD_RUN_REASON_CATEGORY": CATEGORY,
            "DBT_CLOUD_DOMAIN": "cloud.example.com",
        }

    def _stripped(self, content: dict[str, Any]) -> dict[str, Any]:
        """Also without the packages' nodes, which have their code."""
        content = super()._stripped(content)
        if isinstance(content.get("nodes"), dict):
            content["nodes"] = {
                unique_id: node
                for unique_id, node in content["nodes"].items()
                if unique_id.split(".")[1] not in PACKAGES
            }
        return content

    def _write(self, status: int) -> None:
        super()._write(status)
        database = self._environment["CORPUS_DATABASE"]
        with (
            duckdb.connect(database, read_only=True) as connection,
            zipfile.ZipFile(RECORDED / "recorded.zip", "a", zipfile.ZIP_DEFLATED) as archive,
        ):
            for view in views_like(PACKAGES):
                rows = _rows(connection, f"main_{view.package}.{view.name}")
                archive.writestr(f"{view.package}/{view.name}.json", json.dumps(rows, indent=1))


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, Any]]:
    """The rows of a table, with times as text."""
    found = connection.execute(f"SELECT * FROM {table}")  # noqa: S608  # what the database says
    names = [each[0] for each in found.description or ()]
    return [
        {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in zip(names, row, strict=True)
        }
        for row in found.fetchall()
    ]


def main(folder: str) -> int:
    """Record the run; what the scenario does not foresee of nodes is of no interest here."""
    with tempfile.TemporaryDirectory() as work:
        for _ in _Recorder(Path(folder), Path(work)).record():
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
