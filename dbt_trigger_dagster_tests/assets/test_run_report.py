"""The report beside the artifacts: what of a run and of those before it is in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from dbt_trigger_dagster.sandbox import Script
from dbt_trigger_dagster_tests.artifacts.files import result
from dbt_trigger_dagster_tests.assets.scripts import FAILED, FINE, MANIFEST, a_script
from dbt_trigger_dagster_tests.graphs import Project, a_project, metadata_of


def told(path: Path) -> Any:
    """The data of a report."""
    page = path.read_text()
    return json.loads(page.partition('id="data">')[2].partition("</script>")[0])


def reports(project: Project) -> list[Any]:
    """The data of all reports, the oldest run first."""
    return [told(path) for path in project.reports()]


def test_the_report_stands_beside_the_artifacts_and_in_the_metadata(tmp_path: Path) -> None:
    """Of a good run and of a failed one; no row tells of it, for it is no artifact."""
    with a_project(tmp_path, FINE, FAILED) as project:
        results = [project.materialize() for _ in range(2)]
        assert [metadata_of(each, "run_result")["report"] for each in results] == [
            str(path) for path in project.reports()
        ]
        assert {row["path"] for row in project.rows("dbt_cloud_artifact")} == {
            "manifest.json",
            "run_results.json",
        }


def test_it_says_what_has_changed_and_how_the_runs_before_were(tmp_path: Path) -> None:
    """What is newly failing, what works again, and since when the rest fails."""
    with a_project(tmp_path, FINE, FAILED, FAILED, FINE) as project:
        for _ in range(4):
            project.materialize()
        found = reports(project)
        assert [each["changes"] for each in found] == [
            [],
            ["Newly failing: orders."],
            [],
            ["Works again: orders."],
        ]
        assert [each["failed"] for each in found[-1]["history"]] == [0, 1, 1, 0]
        assert found[2]["failing"][0]["since"] == "failing since 2 runs"


@pytest.mark.slow
def test_a_number_that_is_not_known_is_not_told_as_none(tmp_path: Path) -> None:
    """Only so many rows are read of the runs before: what is older than those has no number."""
    many = [result(f"model.shop.m{number}", "error") for number in range(2000)]
    with a_project(tmp_path, a_script(*many, outcome="error"), FAILED, FINE) as project:
        for _ in range(3):
            project.materialize()
        assert [each["failed"] for each in reports(project)[-1]["history"]] == [None, 1, 0]


def test_the_compiled_code_of_what_failed_is_in_it(tmp_path: Path) -> None:
    """As far as it is among the artifacts."""
    manifest = json.loads(MANIFEST)
    manifest["nodes"]["model.shop.orders"]["compiled_path"] = "target/compiled/shop/orders.sql"
    files = {
        **FAILED.artifacts,
        "manifest.json": json.dumps(manifest),
        "compiled/shop/orders.sql": "select no_such_column",
    }
    with a_project(
        tmp_path, Script(outcome="error", steps=FAILED.steps, artifacts=files)
    ) as project:
        project.materialize()
        (found,) = reports(project)
        assert found["failing"][0]["sql"] == "select no_such_column"


def test_an_artifact_of_its_name_is_left_as_it_is(tmp_path: Path) -> None:
    """What dbt Cloud has is kept byte for byte."""
    with a_project(tmp_path, Script(artifacts={"report.html": "theirs"})) as project:
        result = project.materialize()
        assert result.success
        assert [path.read_text() for path in project.reports()] == ["theirs"]
        assert "report" not in metadata_of(result, "run_result")


def test_where_no_artifacts_are_wanted_there_is_no_report(tmp_path: Path) -> None:
    """Nothing is stored then."""
    with a_project(tmp_path, FINE) as project:
        project.materialize(run={"store_artifacts": False})
        assert project.reports() == []
