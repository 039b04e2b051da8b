"""What Dagster shows of a run: numbers as numbers, ids as text, short tables, small pictures."""

import dataclasses
import itertools
from pathlib import Path
from urllib.parse import unquote

import dagster as dg

from dbt_trigger_dagster.assets.metadata import (
    MOST_ROWS,
    batch_metadata,
    outcome_metadata,
)
from dbt_trigger_dagster.assets.outcome import Outcome
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.sandbox import Script
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT, RUN_STEP
from dbt_trigger_dagster_tests.artifacts.test_timeline import node
from dbt_trigger_dagster_tests.assets.scripts import FAILED, FINE, a_large_script
from dbt_trigger_dagster_tests.graphs import a_project, evaluations_of, metadata_of, observed
from dbt_trigger_dagster_tests.harness import stored_bytes

HREF = "https://ab123.us1.dbt.com/deploy/7/projects/8/runs/42/"


def an_outcome(run_id: int = 42, status: int = 10, **values: object) -> Outcome:
    """What became of a run, with what is usual of one."""
    payload = {
        "id": run_id,
        "account_id": 7,
        "status": status,
        "href": HREF,
        "job": {"name": "Shop nightly"},
        "trigger": {"cause": "Month end [dagster 0e3c/nightly]"},
        "git_branch": "main",
        "git_sha": "abc",
        "created_at": "2026-01-02 03:04:05.000000+00:00",
        "dequeued_at": "2026-01-02 03:04:15.500000+00:00",
        "started_at": "2026-01-02 03:04:20.500000+00:00",
        "finished_at": "2026-01-02 03:05:20.500000+00:00",
    }
    return Outcome(Run.from_payload(payload), **values)  # type: ignore[arg-type]  # a row's values


def test_numbers_are_numbers_and_ids_are_text() -> None:
    """Dagster plots every number over time: an id would be a line that only rises."""
    metadata = outcome_metadata(an_outcome())
    assert metadata == {
        "dbt_cloud_run_id": dg.MetadataValue.text("42"),
        "dbt_cloud_job": dg.MetadataValue.text("Shop nightly"),
        "dbt_cloud_status": dg.MetadataValue.text("Success"),
        "dbt_cloud_run_url": dg.MetadataValue.url(HREF),
        "dbt_cloud_cause": dg.MetadataValue.text("Month end"),
        "dbt_cloud_git_branch": dg.MetadataValue.text("main"),
        "dbt_cloud_git_sha": dg.MetadataValue.text("abc"),
        "waiting_seconds": 10.5,
        "preparing_seconds": 5.0,
        "running_seconds": 60.0,
    }


def test_a_run_that_never_started_has_waited_to_its_end() -> None:
    """As one that was cancelled in the queue."""
    outcome = an_outcome()
    never = {**outcome.run.payload, "dequeued_at": None, "started_at": None}
    metadata = outcome_metadata(Outcome(Run.from_payload(never)))
    assert metadata["waiting_seconds"] == 75.5
    assert not {"preparing_seconds", "running_seconds"} & metadata.keys()


def test_the_whole_story_of_a_failed_run_stands_at_its_asset(tmp_path: Path) -> None:
    """People open the asset, not the log."""
    with a_project(tmp_path, FAILED) as project:
        result = project.materialize()
        metadata = metadata_of(result, "run_result")
        assert observed(result)[1:] == ["run_result", "artifacts", "node_results"]
        counts = {name: metadata[name] for name in metadata if name.startswith("nodes_")}
        assert counts.pop("nodes_over_time").startswith("![nodes over time](data:image/svg+xml")
        assert counts == {"nodes_error": 1, "nodes_success": 1, "nodes_skipped": 1}
        assert metadata["critical_path_seconds"] == 3.0
        (failing,) = metadata["failing_nodes"].records
        assert failing.data == {
            "node": "orders",
            "since": "newly failing",
            "message": "no such column",
            "owner": "ann",
        }
        assert [row.data["node"] for row in metadata["slowest_nodes"].records] == [
            "items",
            "orders",
        ]
        assert [row.data[""] for row in metadata["slowest_nodes"].records] == ["█" * 9, "█" * 6]
        assert metadata["timeline"].startswith("![timeline](data:image/svg+xml,")
        assert Path(metadata["report"]).read_text().startswith("<!doctype html>")
        assert metadata_of(result, "artifacts")["artifacts"] == 2


def test_what_the_run_cost_is_told_where_it_was_counted(tmp_path: Path) -> None:
    """An adapter that counts no bytes leaves none."""
    with a_project(tmp_path, FINE) as project:
        metadata = metadata_of(project.materialize(), "run_result")
        assert metadata["bytes_processed"] == 1000
        assert "slot_ms" not in metadata


def test_what_fails_again_is_told_with_how_long(tmp_path: Path) -> None:
    """Runs that went well in between begin the count anew."""
    with a_project(tmp_path, FAILED, FINE, FAILED, FAILED, FAILED) as project:
        results = [project.materialize() for _ in range(5)]
        told = [metadata_of(each, "run_result").get("failing_nodes") for each in results]
        assert [each and each.records[0].data["since"] for each in told] == [
            "newly failing",
            None,
            "newly failing",
            "failing since 2 runs",
            "failing since 3 runs",
        ]
        said = evaluations_of(results[-1])["dbt_run_succeeded"].description
        assert str(said).startswith("failing since 3 runs: orders. dbt Cloud run ")


def many(count: int, status: str) -> Outcome:
    """A run of many nodes."""
    nodes = [node(number, status=status) for number in range(count)]
    return an_outcome(results=list(NODE_RESULT.rows(nodes)))


def test_tables_are_short_and_count_the_rest() -> None:
    """Dagster draws every row that it is given."""
    table = outcome_metadata(many(500, "error"))["failing_nodes"]
    assert len(table.records) == MOST_ROWS + 1
    assert table.records[-1].data["node"] == "and 490 more"


def test_a_landing_of_500_nodes_leaves_little_in_dagsters_database(tmp_path: Path) -> None:
    """Dagster stores what an asset tells four times, and what a check says three times."""
    good, bad = a_large_script(500), a_large_script(500, failed=20)
    home = tmp_path / "home"
    home.mkdir()
    with (
        a_project(tmp_path, good, good, bad) as place,
        dg.DagsterInstance.local_temp(str(home)) as instance,
    ):
        project = dataclasses.replace(place, instance=instance)
        project.materialize()  # which also stores what the job is
        sizes = [stored_bytes(home)]
        for _ in (good, bad):
            result = project.materialize()
            assert len(metadata_of(result, "run_result")["timeline"]) > 3_000
            sizes.append(stored_bytes(home))
        assert all(
            50_000 < after - before < 150_000 for before, after in itertools.pairwise(sizes)
        ), sizes


def test_the_strip_of_500_nodes_is_drawn_without_a_click() -> None:
    """Dagster does so below 1,000 characters."""
    assert len(outcome_metadata(many(500, "success"))["nodes_over_time"].value) < 1000


def test_what_dbt_says_is_never_markdown() -> None:
    """It is a cell of a table, or a text in a picture, and of one line."""
    evil = "<img src=x onerror=alert(1)> [a](http://evil)\n# head"
    row = {
        "unique_id": "model.a",
        "name": evil,
        "status": "error",
        "message": evil,
        "execute_started_at": "2026-01-02T03:04:05Z",
        "execute_completed_at": "2026-01-02T03:04:06Z",
    }
    outcome = an_outcome(results=list(NODE_RESULT.rows([row])))
    metadata = outcome_metadata(outcome)
    svg = unquote(metadata["timeline"].value)
    assert "<img" not in svg
    assert "evil" not in metadata["timeline"].value
    assert metadata["failing_nodes"].records[0].data["message"].count("\n") == 0


def test_of_several_runs_the_newest_is_shown_and_all_are_listed() -> None:
    """Ten of them, and how many more there are."""
    metadata = batch_metadata([an_outcome(number) for number in range(1, 31)])
    assert metadata["dbt_cloud_run_id"] == dg.MetadataValue.text("30")
    listed = [record.data["run"] for record in metadata["runs"].records]
    assert listed == [*map(str, range(30, 20, -1)), "and 20 more"]


def test_a_run_without_files_has_its_steps_alone(tmp_path: Path) -> None:
    """The picture is drawn of what there is."""
    with a_project(tmp_path, Script()) as project:
        metadata = metadata_of(project.materialize(run={"store_artifacts": False}), "run_result")
        assert "slowest_nodes" not in metadata
        assert "report" not in metadata
        assert metadata["running_seconds"] >= 0


def test_a_step_without_nodes_has_no_critical_path() -> None:
    """Nothing is told of what is not known."""
    steps = list(RUN_STEP.rows([{"step": 1, "name": "Clone", "status": 10}]))
    assert "critical_path_seconds" not in outcome_metadata(an_outcome(steps=steps))
