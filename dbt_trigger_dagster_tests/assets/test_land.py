"""What a run leaves in tables, files and Dagster, however it ends."""

import hashlib
import re
from pathlib import Path
from typing import Any, BinaryIO

import dagster as dg
import pytest

from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.assets.trigger_step import triggered_run
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.sandbox import Fault, Script, ScriptStep
from dbt_trigger_dagster.storage.columns import Table
from dbt_trigger_dagster.storage.database import WAIT_LIMIT
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore
from dbt_trigger_dagster.storage.node_tables import NODE
from dbt_trigger_dagster.storage.store import Store
from dbt_trigger_dagster.storage.tables import TRIGGER
from dbt_trigger_dagster_tests.assets.scripts import FAILED, FINE
from dbt_trigger_dagster_tests.graphs import (
    ARTIFACTS,
    BROKEN,
    GOOD,
    LONG,
    SLOW,
    Project,
    a_project,
    ended,
    failed_ops,
    failure_of,
    materialized,
    metadata_of,
    observed,
    sent,
    triggers,
)
from dbt_trigger_dagster_tests.harness import account_of
from dbt_trigger_dagster_tests.payloads import refusal

ALL_ASSETS = ["trigger_response", "run_result", "artifacts", "node_results"]


def finished(project: Project, run_id: int) -> str:
    """The status that dbt Cloud gives a run, by name."""
    (run,) = [run for run in project.dbt_runs() if run["id"] == run_id]
    return str(run["status_humanized"])


def downstream_of(name: str) -> dg.AssetsDefinition:
    """An asset of somebody else's that comes after one of ours."""

    @dg.asset(deps=[name])
    def report() -> None:
        """Needs a good run."""

    return report


def test_a_good_run_leaves_a_row_in_each_table_and_its_files(tmp_path: Path) -> None:
    """The whole graph: the trigger's answer, the outcome, and the artifacts as they were sent."""
    with a_project(tmp_path, GOOD) as project:
        result = project.materialize()
        (dbt_run,) = project.dbt_runs()
        assert result.success
        assert materialized(result) == ALL_ASSETS
        (trigger,) = project.rows("dbt_cloud_trigger")
        (run,) = project.rows("dbt_cloud_run")
        assert trigger["id"] == run["id"] == dbt_run["id"]
        assert (run["status"], run["status_humanized"]) == (10, "Success")
        assert run["cause"] == f"Triggered from Dagster [dagster {result.run_id}]"
        assert trigger["adopted"] is False
        assert {trigger["dagster_run_id"], run["dagster_run_id"]} == {result.run_id}
        folder = f"{project.sandbox.account_id}/{project.job_id}/{dbt_run['id']}"
        assert project.files() == {
            f"{folder}/{path}": content.encode() for path, content in ARTIFACTS.items()
        }


def test_the_newest_artifacts_of_good_runs_stand_at_a_steady_address(tmp_path: Path) -> None:
    """Where it is wanted; a run that failed leaves those of the last good one."""
    with a_project(tmp_path, GOOD, BROKEN) as project:
        store = DbtCloudArtifactStore(root=str(project.artifacts), publish_latest=True)
        assert project.materialize(resources={"dbt_cloud_artifacts": store}).success
        good = {path: content.encode() for path, content in ARTIFACTS.items()}
        folder = f"latest/{project.sandbox.account_id}/{project.job_id}/"
        found = project.files()
        assert {path: found[f"{folder}{path}"] for path in good} == good
        assert not project.materialize(resources={"dbt_cloud_artifacts": store}).success
        (note,) = (path for path in project.files() if path.startswith(f"{folder}published/"))
        assert note == f"{folder}published/{project.run_ids()[0]}.json"


def test_each_file_has_a_row_that_describes_it(tmp_path: Path) -> None:
    """Path, address, length and SHA-256 are those of the file; its bytes can be checked later."""
    with a_project(tmp_path, GOOD) as project:
        project.materialize()
        rows = project.rows("dbt_cloud_artifact")
        assert [(row["step"], row["path"]) for row in rows] == [
            (0, "manifest.json"),
            (0, "run_results.json"),
        ]
        for row in rows:
            content = Path(row["uri"]).read_bytes()
            assert row["run_id"] == project.run_ids()[0]
            assert row["size_bytes"] == len(content) == len(ARTIFACTS[row["path"]])
            assert row["sha256"] == hashlib.sha256(content).hexdigest()
            assert row["content_type"] == "application/json"
            assert row["length_known"] is True
            assert [name for name, value in row.items() if value is None] == ["deleted_at"]


def test_the_materializations_link_to_the_run(tmp_path: Path) -> None:
    """Run id, page and status stand at both the trigger and the result; artifacts say where."""
    with a_project(tmp_path, GOOD) as project:
        result = project.materialize()
        (dbt_run,) = project.dbt_runs()
        for name, status in (("trigger_response", None), ("run_result", "Success")):
            metadata = metadata_of(result, name)
            assert metadata["dbt_cloud_run_id"] == str(dbt_run["id"])
            assert metadata["dbt_cloud_run_url"] == dbt_run["href"]
            assert status is None or metadata["dbt_cloud_status"] == status
        metadata = metadata_of(result, "artifacts")
        assert metadata["size_bytes"] == sum(map(len, ARTIFACTS.values()))
        assert Path(metadata["path"]) == (
            project.artifacts / f"{dbt_run['account_id']}/{project.job_id}/{dbt_run['id']}"
        )


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        (BROKEN, 20, "dbt command failed"),
        (
            Script(outcome="cancelled", status_message="Cancelled by user 7."),
            30,
            "Cancelled by user 7.",
        ),
        (Script(outcome="timeout", artifacts=ARTIFACTS), 30, "This run timed out after"),
    ],
    ids=["failed", "cancelled", "timed out"],
)
def test_a_bad_end_is_kept_and_then_fails_the_step(
    tmp_path: Path, script: Script, status: int, message: str
) -> None:
    """Rows and artifacts are stored and told of; then the step fails: nothing is materialized."""
    with a_project(tmp_path, script) as project:
        result = project.materialize(downstream_of("artifacts"))
        (dbt_run,) = project.dbt_runs()
        assert not result.success
        assert failed_ops(result) == ["dbt_cloud_run"]
        assert materialized(result) == ["trigger_response"]
        assert observed(result) == ALL_ASSETS  # the trigger's is told before it is materialized
        (row,) = project.rows("dbt_cloud_run")
        assert row["status"] == status
        assert message in row["status_message"]
        assert len(project.files()) == len(project.rows("dbt_cloud_artifact"))
        assert len(project.files()) == len(script.artifacts)
        failure = failure_of(result, "dbt_cloud_run")
        assert message in str(failure.description) or message == "dbt command failed"
        assert dbt_run["href"] in str(failure.description)
        assert failure.metadata["dbt_cloud_run_url"].value == dbt_run["href"]
        assert failure.metadata["dbt_cloud_run_id"].value == str(dbt_run["id"])
        assert message in str(failure.metadata["dbt_cloud_status_message"].value)


@pytest.mark.parametrize("name", ["run_result", "artifacts"])
def test_nothing_downstream_of_a_failed_run_runs(tmp_path: Path, name: str) -> None:
    """Neither asset was materialized."""
    with a_project(tmp_path, BROKEN) as project:
        result = project.materialize(downstream_of(name))
        begun = [event.node_name for event in result.all_events if event.is_step_start]
        assert begun == ["trigger_response", "dbt_cloud_run"]


def test_a_failed_run_is_explained_by_its_steps_and_logs(tmp_path: Path) -> None:
    """The failed step's name and the last lines of its log; nothing of the steps that were fine."""
    with a_project(tmp_path, BROKEN) as project:
        description = str(failure_of(project.materialize(), "dbt_cloud_run").description)
        assert "Failed step 2: Invoke dbt with `dbt build`" in description
        assert "Database Error in model orders" in description
        assert "Cloned." not in description


def test_a_failed_run_can_be_accepted(tmp_path: Path) -> None:
    """With raise_on_failed_run false, what is downstream decides for itself."""
    with a_project(tmp_path, BROKEN) as project:
        result = project.materialize(
            downstream_of("run_result"), run={"raise_on_failed_run": False}
        )
        assert result.success
        assert "report" in materialized(result)
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [20]


def test_not_waiting_leaves_only_the_trigger(tmp_path: Path) -> None:
    """wait_for_result false ends at once: no poll, no row, no file, and the run goes on."""
    with a_project(tmp_path, SLOW) as project:
        result = project.materialize(run={"wait_for_result": False})
        assert result.success
        assert materialized(result) == ["trigger_response"]
        assert len(project.sandbox.requests) == 1
        assert project.run_ids() == []
        assert finished(project, project.run_ids("dbt_cloud_trigger")[0]) == "Running"


def test_artifacts_need_not_be_stored(tmp_path: Path) -> None:
    """store_artifacts false asks for none: no list, no download, no materialization."""
    with a_project(tmp_path, GOOD) as project:
        result = project.materialize(run={"store_artifacts": False})
        assert result.success
        assert materialized(result) == ["trigger_response", "run_result"]
        assert not [path for path in sent(project.sandbox, "GET") if "/artifacts/" in path]
        assert project.files() == {}
        assert project.rows("dbt_cloud_artifact") == []


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({}, {"manifest.json", "run_results.json", "compiled/shop/orders.sql", "compiled/a.sql"}),
        ({"include_artifacts": ["*.json"]}, {"manifest.json", "run_results.json"}),
        (
            {"include_artifacts": ["compiled/**", "manifest.json"]},
            {"manifest.json", "compiled/shop/orders.sql", "compiled/a.sql"},
        ),
        (
            {"exclude_artifacts": ["compiled/*", "run_*"]},
            {"manifest.json", "compiled/shop/orders.sql"},
        ),
        (
            {"include_artifacts": ["**/*.sql"], "exclude_artifacts": ["compiled/shop/**"]},
            {"compiled/a.sql"},
        ),
        ({"include_artifacts": []}, set()),
    ],
)
def test_patterns_choose_the_artifacts(
    tmp_path: Path, patterns: dict[str, list[str]], expected: set[str]
) -> None:
    """What no pattern includes, or one excludes, is not downloaded either."""
    artifacts = {**ARTIFACTS, "compiled/shop/orders.sql": "select 1", "compiled/a.sql": "select 2"}
    with a_project(tmp_path, Script(artifacts=artifacts)) as project:
        assert project.materialize(run=patterns).success
        assert {row["path"] for row in project.rows("dbt_cloud_artifact")} == expected
        assert {
            path.split("/artifacts/")[1]
            for path in sent(project.sandbox, "GET")
            if "/artifacts/" in path and not path.endswith("/artifacts/")
        } == expected
        assert len(project.files()) == len(expected)


def test_the_artifacts_of_all_steps_are_kept_apart(tmp_path: Path) -> None:
    """artifact_steps "all" adds what each dbt step left, in a folder of its own."""
    steps = (
        ScriptStep("Clone git repository"),
        ScriptStep("Invoke dbt with `dbt seed`", artifacts={"run_results.json": "of the seeds"}),
        ScriptStep("Invoke dbt with `dbt run`", artifacts={"run_results.json": "of the models"}),
    )
    with a_project(tmp_path, Script(steps=steps)) as project:
        assert project.materialize(run={"artifact_steps": "all"}).success
        (run_id,) = project.run_ids()
        folder = f"{project.sandbox.account_id}/{project.job_id}/{run_id}"
        assert project.files() == {
            f"{folder}/run_results.json": b"of the models",
            f"{folder}/steps/2/run_results.json": b"of the seeds",
            f"{folder}/steps/3/run_results.json": b"of the models",
        }
        rows = project.rows("dbt_cloud_artifact")
        assert [row["step"] for row in rows] == [0, 2, 3]


def test_downloads_are_limited_to_what_was_asked_for(tmp_path: Path) -> None:
    """One at a time uses one connection: the one that everything else used."""
    artifacts = {f"{number}.json": "{}" for number in range(20)}
    with a_project(tmp_path, Script(artifacts=artifacts)) as project:
        assert project.materialize(run={"max_parallel_downloads": 1}).success
        connections = {
            request.connection
            for request in project.sandbox.requests
            if request.path.endswith(".json")
        }
        assert len(project.files()) == 20
        assert len(connections) == 1


def test_artifacts_that_arrive_late_are_waited_for(tmp_path: Path) -> None:
    """A list that is empty right after the end of a good run is asked for again."""
    with a_project(tmp_path, Script(artifacts=ARTIFACTS, artifact_lag=0.3)) as project:
        # No pause is skipped: the sandbox's clock is the machine's.
        account = account_of(project.sandbox)
        assert project.materialize(resources={"dbt_cloud": account}).success
        assert len(project.files()) == len(ARTIFACTS)


def test_one_artifact_that_cannot_be_had_does_not_cost_the_others(tmp_path: Path) -> None:
    """The others are stored and indexed; then the step fails and says which is missing."""
    with a_project(tmp_path, GOOD) as project:
        project.sandbox.inject(Fault(path="*/artifacts/manifest.json", status=400, count=None))
        result = project.materialize(downstream_of("artifacts"))
        (dbt_run,) = project.dbt_runs()
        assert not result.success
        assert materialized(result) == ALL_ASSETS
        assert [row["path"] for row in project.rows("dbt_cloud_artifact")] == ["run_results.json"]
        assert [Path(path).name for path in project.files()] == ["run_results.json"]
        failure = failure_of(result, "dbt_cloud_run")
        assert "manifest.json" in str(failure.description)
        assert "400" in str(failure.description)
        assert failure.metadata["dbt_cloud_run_url"].value == dbt_run["href"]


def test_a_path_of_a_thousand_folders_costs_itself(tmp_path: Path) -> None:
    """The others are stored and have their rows, and the step says which one is not."""
    deep = "a/" * 1000 + "a.sql"
    with a_project(tmp_path, Script(artifacts={**ARTIFACTS, deep: "select 1"})) as project:
        result = project.materialize()
        assert not result.success
        assert "it has 1001 parts, and 100 are the most" in str(
            failure_of(result, "dbt_cloud_run").description
        )
        assert len(project.rows("dbt_cloud_artifact")) == len(project.files()) == len(ARTIFACTS)


def test_artifacts_that_are_cut_off_again_and_again_leave_no_file(tmp_path: Path) -> None:
    """Half a file never stands under its name, nor under any other."""
    with a_project(tmp_path, GOOD) as project:
        project.sandbox.inject(
            Fault("truncate", path="*/artifacts/run_results.json", count=None),
        )
        result = project.materialize()
        assert "run_results.json" in str(failure_of(result, "dbt_cloud_run").description)
        assert [Path(path).name for path in project.files()] == ["manifest.json"]


def test_a_failed_run_with_a_missing_artifact_tells_both(tmp_path: Path) -> None:
    """One failure, with the run as it ended in the metadata."""
    with a_project(tmp_path, BROKEN) as project:
        project.sandbox.inject(Fault(path="*/artifacts/manifest.json", status=400, count=None))
        failure = failure_of(project.materialize(), "dbt_cloud_run")
        assert "Database Error in model orders" in str(failure.description)
        assert "manifest.json" in str(failure.description)
        assert failure.metadata["dbt_cloud_status"].value == "Error"


def test_five_materializations_leave_five_runs(tmp_path: Path) -> None:
    """History survives, the artifacts' too."""
    with a_project(tmp_path, GOOD) as project:
        for _ in range(5):
            assert project.materialize().success
        expected = [run["id"] for run in project.dbt_runs()]
        assert len(expected) == 5
        assert project.run_ids() == project.run_ids("dbt_cloud_trigger") == expected
        assert len(project.rows("dbt_cloud_artifact")) == len(project.files()) == 10


# run_ids


def test_runs_can_be_named(tmp_path: Path) -> None:
    """run_ids lands runs that somebody else started, several at once, without a trigger."""
    with a_project(tmp_path, GOOD, BROKEN, GOOD) as project:
        for _ in range(3):
            project.materialize(selection=["trigger_response"])
        first, second, third = project.run_ids("dbt_cloud_trigger")
        result = project.materialize(
            selection=["run_result", "artifacts"],
            run={"run_ids": [third, first, third], "raise_on_failed_run": False},
        )
        assert result.success
        assert project.run_ids() == [first, third]
        assert {row["run_id"] for row in project.rows("dbt_cloud_artifact")} == {first, third}
        result = project.materialize(selection=["run_result"], run={"run_ids": [second]})
        assert str(second) in str(failure_of(result, "dbt_cloud_run").description)
        assert project.run_ids() == [first, second, third]
        assert triggers(project.sandbox) == 3


def test_several_runs_that_failed_are_all_stored_and_all_told(tmp_path: Path) -> None:
    """The first bad end does not keep the others from being landed."""
    with a_project(tmp_path, BROKEN, BROKEN, GOOD) as project:
        for _ in range(3):
            project.materialize(selection=["trigger_response"])
        run_ids = project.run_ids("dbt_cloud_trigger")
        failure = failure_of(
            project.materialize(selection=["run_result"], run={"run_ids": run_ids}),
            "dbt_cloud_run",
        )
        assert project.run_ids() == run_ids
        assert [str(run_id) in str(failure.description) for run_id in run_ids] == [
            True,
            True,
            False,
        ]


def test_a_run_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    """One request, no waiting, and nothing is written."""
    with a_project(tmp_path, GOOD) as project:
        result = project.materialize(selection=["run_result", "artifacts"], run={"run_ids": [4711]})
        failure = failure_of(result, "dbt_cloud_run")
        assert "runs/4711/" in str(failure.description)
        assert "404" in str(failure.description)
        assert len(project.sandbox.requests) == 1
        assert project.run_ids() == []


def test_runs_of_which_none_is_there_are_all_told(tmp_path: Path) -> None:
    """And the one that is there is landed beside one that is not, whose error is not about it."""
    with a_project(tmp_path, GOOD) as project:
        result = project.materialize(selection=["run_result"], run={"run_ids": [4711, 4712]})
        description = str(failure_of(result, "dbt_cloud_run").description)
        assert ["runs/4711/" in description, "runs/4712/" in description] == [True, True]
        project.materialize(selection=["trigger_response"])
        (run_id,) = project.run_ids("dbt_cloud_trigger")
        result = project.materialize(selection=["run_result"], run={"run_ids": [run_id, 4711]})
        failure = failure_of(result, "dbt_cloud_run")
        assert "runs/4711/" in str(failure.description)
        assert "dbt_cloud_run_id" not in failure.metadata
        assert project.run_ids() == [run_id]


# on_timeout


def test_after_a_timeout_the_run_goes_on_and_the_step_fails(tmp_path: Path) -> None:
    """on_timeout "fail" is the default; the failure says where the run is to be found."""
    with a_project(tmp_path, SLOW) as project:
        result = project.materialize(run={"max_wait_time": 0.2})
        (dbt_run,) = project.dbt_runs()
        failure = failure_of(result, "dbt_cloud_run")
        assert re.search(r"was not over after \d+ s: Running", str(failure.description))
        assert f"The dbt run goes on: {dbt_run['href']}" in str(failure.description)
        assert failure.metadata["dbt_cloud_run_url"].value == dbt_run["href"]
        assert dbt_run["status_humanized"] == "Running"
        assert materialized(result) == ["trigger_response"]
        assert project.run_ids() == []


def test_a_timeout_can_leave_the_run(tmp_path: Path) -> None:
    """on_timeout "leave" succeeds without materializing, and warns."""
    with a_project(tmp_path, SLOW) as project:
        result = project.materialize(run={"max_wait_time": 0.2, "on_timeout": "leave"})
        (dbt_run,) = project.dbt_runs()
        assert result.success
        assert materialized(result) == ["trigger_response"]
        assert dbt_run["status_humanized"] == "Running"
        assert any(f"It goes on: {dbt_run['href']}" in line for line in project.logs(result))


@pytest.mark.parametrize("raise_on_failed_run", [True, False])
def test_a_timeout_can_cancel_the_run(tmp_path: Path, *, raise_on_failed_run: bool) -> None:
    """on_timeout "cancel": the run is cancelled, its row kept, and the step fails in any case."""
    with a_project(tmp_path, SLOW) as project:
        result = project.materialize(
            run={
                "max_wait_time": 0.2,
                "on_timeout": "cancel",
                "raise_on_failed_run": raise_on_failed_run,
            }
        )
        (dbt_run,) = project.dbt_runs()
        assert dbt_run["status_humanized"] == "Cancelled"
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [30]
        failure = failure_of(result, "dbt_cloud_run")
        told = f"was cancelled after 0 s (max_wait_time): it was not over. {dbt_run['href']}"
        assert told in str(failure.description)
        assert "goes on" not in str(failure.description)
        assert failure.metadata["dbt_cloud_status"].value == "Cancelled"


def test_a_run_that_cannot_be_cancelled_does_not_hide_the_timeout(tmp_path: Path) -> None:
    """The step fails for the wait; the log says why the run was not cancelled."""
    with a_project(tmp_path, SLOW) as project:
        project.sandbox.inject(Fault(path="*/cancel/", status=403, count=None))
        result = project.materialize(run={"max_wait_time": 0.2, "on_timeout": "cancel"})
        assert "The dbt run goes on" in str(failure_of(result, "dbt_cloud_run").description)
        assert any("was to be cancelled" in line for line in project.logs(result))


# Waiting


def test_a_status_is_logged_when_it_changes_and_only_then(tmp_path: Path) -> None:
    """A wait of an hour must not fill the log."""
    with a_project(tmp_path, LONG) as project:
        with ended(project, lambda: len(sent(project.sandbox, "GET")) > 3):
            result = project.materialize()
        (run_id,) = project.run_ids()
        told = [line for line in project.logs(result) if line.startswith(f"dbt Cloud run {run_id}")]
        statuses = [line.rpartition(": ")[2] for line in told[1:]]
        assert len(sent(project.sandbox, "GET", f"/runs/{run_id}/")) > 3
        assert len(statuses) == len(set(statuses))
        assert statuses[-2:] == ["Running", "Success"]


def test_an_outage_does_not_end_the_wait(tmp_path: Path) -> None:
    """Server errors, resets and bodies that are no answer pass; the run is followed to its end."""
    with a_project(tmp_path, Script(seconds=0.3, artifacts=ARTIFACTS)) as project:
        for fault in (
            Fault(method="GET", path="*/runs/*", status=500),
            Fault("reset", method="GET", path="*/runs/*"),
            Fault(method="GET", path="*/runs/*", status=200, body="<html>busy</html>"),
        ):
            project.sandbox.inject(fault)
        assert project.materialize().success
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [10]
        assert triggers(project.sandbox) == 1


def test_an_answer_that_no_repetition_changes_ends_the_wait(tmp_path: Path) -> None:
    """A token that was revoked in the middle, and refused twice: the run goes on."""
    with a_project(tmp_path, SLOW) as project:
        revoked = refusal(401, "Invalid token.")
        project.sandbox.inject(
            Fault(method="GET", path="*/runs/*", status=401, body=revoked, count=None)
        )
        result = project.materialize()
        (run,) = project.rows("dbt_cloud_trigger")
        failure = failure_of(result, "dbt_cloud_run")
        assert "401" in str(failure.description)
        assert f"The dbt run goes on: {run['href']}" in str(failure.description)
        assert len(sent(project.sandbox, "GET")) == 2


# Parts


def a_run(run_id: int, **payload: Any) -> Run:
    """A run as the API gives it."""
    return Run.from_payload({"id": run_id, "status": 1, "job_id": 9, **payload})


def test_the_run_of_rows_is_that_of_the_newest() -> None:
    """A retried step may have left an older row in the same Dagster run."""
    kept = [
        (a_run(3), "2026-01-01", "first"),
        (a_run(1, href="https://x/1"), "2026-01-03", "second"),
        (a_run(2), "2026-01-02", "third"),
    ]
    rows = TRIGGER.rows(
        TRIGGER.record(run.payload) | {"loaded_at": loaded_at, "dagster_run_id": dagster_run_id}
        for run, loaded_at, dagster_run_id in kept
    )
    assert triggered_run(rows) == a_run(1, href="https://x/1")


def test_a_queued_run_is_waited_for_like_any_other(tmp_path: Path) -> None:
    """A second run of a busy job waits for its turn in dbt Cloud, and the step with it."""
    with a_project(tmp_path, SLOW) as project:
        project.materialize(run={"wait_for_result": False})
        result = project.materialize(run={"max_wait_time": 0.2})
        assert "Queued" in str(failure_of(result, "dbt_cloud_run").description)
        assert any(line.endswith(": Queued") for line in project.logs(result))
        assert triggers(project.sandbox) == 2


class _WriteOnlyFiles:
    """Files of which none can be read."""

    def __init__(self, files: FileStore) -> None:
        self._files = files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def open(self, path: str) -> BinaryIO:
        """Opens nothing."""
        raise StorageError(f"{path} cannot be read: 403.")


class WriteOnly(DbtCloudArtifactStore):
    """A bucket whose credentials may write and not read."""

    def files(self) -> Any:
        """What keeps the files."""
        return _WriteOnlyFiles(super().files())


def test_files_that_cannot_be_read_again_cost_what_only_they_tell(tmp_path: Path) -> None:
    """The run's row and those of its files and steps are kept, and a warning says what is not."""
    with a_project(tmp_path, FINE) as project:
        store = WriteOnly(root=str(project.artifacts))
        result = project.materialize(resources={"dbt_cloud_artifacts": store})
        assert result.success
        assert len(project.rows("dbt_cloud_run")) == 1
        assert len(project.rows("dbt_cloud_artifact")) == 2
        assert len(project.rows("dbt_cloud_run_step")) == 2
        assert project.rows("dbt_cloud_node_result") == []
        assert any("did to each node is not kept:" in line for line in project.logs(result))


class _Forgetful:
    """Tables whose past nobody can look up."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def newest(self, table: Table, *arguments: Any, **options: Any) -> Any:
        """Finds only what is needed for a write."""
        if table is not NODE:
            raise StorageError("The database is away.")
        return self._store.newest(table, *arguments, **options)


class Forgetful(DbtCloudTableIOManager):
    """An IO manager of such tables."""

    def store(self, wait_limit: float = WAIT_LIMIT) -> Any:
        """The tables themselves."""
        return _Forgetful(super().store(wait_limit))


def test_a_past_that_cannot_be_read_costs_the_comparison_alone(tmp_path: Path) -> None:
    """Rows and report are kept; nothing is called new that may be old, and one line says why."""
    with a_project(tmp_path, FAILED) as project:
        project.materialize()
        tables = Forgetful(database=str(project.database))
        result = project.materialize(resources={"dbt_cloud_tables": tables})
        assert len(project.rows("dbt_cloud_run")) == len(project.reports()) == 2
        assert "orders (failing): no such column" in str(
            failure_of(result, "dbt_cloud_run").description
        )
        assert "ewly failing" not in project.reports()[-1].read_text().partition('id="data">')[2]
        told = [line for line in project.logs(result) if "Earlier runs are not compared" in line]
        assert len(told) == 1
