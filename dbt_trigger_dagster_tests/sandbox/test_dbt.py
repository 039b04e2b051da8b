"""The sandbox with real dbt Core on DuckDB: the bundled shop, and a project of one's own."""

import importlib.util
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbt_trigger_dagster.sandbox import Sandbox, SandboxError, SandboxJob
from dbt_trigger_dagster.sandbox.account.jobs import SHOP_JOBS
from dbt_trigger_dagster.sandbox.runners.dbt_project import (
    SHOP_FOLDER,
    DbtProject,
    connection_of,
    load_project,
)
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.sandbox.test_client import Api

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("dbt") is None,
        reason="dbt is an extra: dbt_trigger_dagster[sandbox]",
    ),
]
NIGHTLY, BROKEN, SLOW, DOCUMENTED = range(4)
JOBS = (*SHOP_JOBS, SandboxJob(name="documented", generate_docs=True))
PARSE = SandboxJob(name="parse", execute_steps=("dbt parse",))
REFUSED = SandboxJob(name="refused", execute_steps=("rm -rf target",))


def seconds_between(earlier: str, later: str) -> float:
    """How far apart two moments of the API are."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sandbox keeps its runs and databases."""
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled shop, as a project that can be worked on."""
    folder = tmp_path_factory.mktemp("project") / "shop"
    shutil.copytree(SHOP_FOLDER, folder)
    return folder


@pytest.fixture(scope="module")
def api(shop: Path, data_folder: Path) -> Iterator[Api]:
    """A sandbox with the shop's own jobs, and one that only documents it."""
    with (
        Sandbox(JOBS, project=load_project(shop), data_folder=data_folder) as sandbox,
        Api(sandbox) as api,
    ):
        yield api


def test_the_nightly_build_succeeds_with_docs_and_the_freshness_of_its_sources(api: Api) -> None:
    """Every step has logs; each dbt step has its own artifacts; the last one's are the run's."""
    run = api.finished_run(api.trigger(NIGHTLY, cause="every night")["id"])
    assert (run["status"], run["status_message"]) == (10, None)
    assert (run["has_docs_generated"], run["has_sources_generated"]) == (True, True)
    assert [step["name"] for step in run["run_steps"]] == [
        "Clone git repository",
        "Create profile from connection duckdb",
        "Invoke dbt with `dbt deps`",
        "Invoke dbt with `dbt source freshness`",
        "Invoke dbt with `dbt build`",
        "Invoke dbt with `dbt docs generate`",
    ]
    clone, profile, deps, _, build, docs = run["run_steps"]
    assert re.search(r"\nChecked out to [0-9a-f]{40}\.\n$", clone["logs"])
    assert clone["logs"].endswith(f"Checked out to {run['git_sha']}.\n")
    assert profile["logs"] == profile["name"] + "\n"
    for step in run["run_steps"]:
        assert step["truncated_debug_logs"].startswith("This log output is truncated. You can")
    assert profile["truncated_debug_logs"].endswith(f"UI.\n...\n\n{profile['logs']}")
    assert re.match(
        r"\d\d:\d\d:\d\d  Running dbt\.\.\.\n\d\d:\d\d:\d\d  Running with dbt=", deps["logs"]
    )
    assert "Done. PASS=27 WARN=0 ERROR=0 SKIP=0" in build["logs"]
    assert "\x1b[32m" in build["logs"]
    debug_line = r"\n20\d\d-\d\d-\d\d (\d\d:\d\d:\d\d)\.\d{6} \(MainThread\): \1  "
    assert re.search(debug_line, build["truncated_debug_logs"])
    assert seconds_between(docs["finished_at"], run["finished_at"]) >= 3
    artifacts = api.data(f"/runs/{run['id']}/artifacts/")
    assert {"manifest.json", "run_results.json", "catalog.json", "sources.json"} <= set(artifacts)
    assert "compiled/shop/models/marts/orders.sql" in artifacts
    built = api.get(f"/runs/{run['id']}/artifacts/run_results.json", step=5).json()
    assert len(built["results"]) == 27
    assert built["metadata"]["env"]["DBT_CLOUD_RUN_ID"] == str(run["id"])
    assert built["metadata"]["env"]["DBT_CLOUD_RUN_REASON"] == "every night"
    assert api.get(f"/runs/{run['id']}/artifacts/run_results.json", step=3).status_code == 404


def test_the_broken_build_fails_and_is_retried_from_its_point_of_failure(
    api: Api, shop: Path
) -> None:
    """One model fails, one is skipped; it is mended, and the retry builds these two alone."""
    run = api.finished_run(api.trigger(BROKEN)["id"])
    assert (run["status"], run["can_retry"]) == (20, True)
    assert run["status_message"] == "dbt command failed"
    failed = run["run_steps"][-1]
    assert failed["name"] == "Invoke dbt with `dbt build --vars 'with_broken_model: true'`"
    assert 'does not have a column named "ammount"' in failed["logs"]
    assert "compiled code at target/compiled/shop/models/broken/" in failed["logs"]
    for logs in (failed["logs"], failed["truncated_debug_logs"]):
        assert logs.splitlines()[-1] == "dbt command failed"
    assert "Done. PASS=" in failed["logs"].splitlines()[-2]
    model = shop / "models" / "broken" / "revenue_by_category.sql"
    model.write_text(model.read_text().replace("ammount", "amount"))
    retry = api.post(f"/runs/{run['id']}/retry/").json()["data"]
    retried = api.finished_run(retry["id"])
    assert retried["retrying_run_id"] == run["id"]
    assert retried["run_steps"][-1]["name"] == "Invoke dbt with `dbt retry`"
    results = api.get(f"/runs/{retry['id']}/artifacts/run_results.json").json()["results"]
    assert {result["unique_id"]: result["status"] for result in results} == {
        "model.shop.revenue_by_category": "success",
        "model.shop.top_categories": "success",
    }


def test_dbt_is_stopped_by_a_time_limit_and_by_a_person(api: Api, data_folder: Path) -> None:
    """In the middle of a step, in seconds; a run beside it goes on, and its database is free."""
    run_id = api.trigger(SLOW)["id"]
    late = api.finished_run(api.trigger(BROKEN, timeout_seconds_override=1)["id"])
    assert late["status"] == 30
    assert "exceeded the configured timeout of 1 seconds" in late["status_message"]
    assert late["run_steps"][-1]["status"] == 30
    database = data_folder / "warehouses" / str(api.sandbox.jobs[SLOW].id) / "shop.duckdb"
    until(lambda: "forecast_orders" in api.run(run_id)["run_steps"][-1]["logs"], "the model runs")
    api.post(f"/runs/{run_id}/cancel/")
    run = api.finished_run(run_id)
    assert (run["status"], run["status_message"]) == (30, "Cancelled by user.")
    assert run["artifacts_saved"]
    duckdb.connect(str(database)).close()


def test_overrides_reach_dbt(api: Api, data_folder: Path) -> None:
    """Schema, target, threads and steps are the trigger's, and docs are switched off."""
    triggered = api.trigger(
        DOCUMENTED,
        steps_override=["dbt seed --select countries", "rm -rf target"],
        schema_override="sandbox_test",
        target_name_override="staging",
        threads_override=3,
        generate_docs_override=False,
    )
    run = api.finished_run(triggered["id"])
    names = [step["name"] for step in run["run_steps"]]
    assert names[1] == "Create profile from connection duckdb (override schema to 'sandbox_test')"
    assert names[-1] == "Invoke dbt with `rm -rf target`"
    assert (run["status"], run["run_steps"][-1]["status"]) == (20, 20)
    assert "Only dbt commands can be run" in run["run_steps"][-1]["logs"]
    assert run["retry_not_supported_reason"] == "RETRY_NO_RUN_RESULTS"
    assert "Concurrency: 3 threads (target='staging')" in run["run_steps"][-2]["logs"]
    database = data_folder / "warehouses" / str(triggered["job_id"]) / "shop.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        count = connection.execute("select count(*) from sandbox_test.countries").fetchone()
    assert count == (5,)


@pytest.mark.parametrize(
    "override",
    [{"dbt_version_override": "1.0.0"}, {"git_branch": "feature"}, {"git_sha": "a" * 40}],
    ids=str,
)
def test_what_dbt_cannot_run_here_is_refused_and_never_reported(api: Api, override) -> None:
    """The sandbox has one version of dbt and one state of the project."""
    before = len(api.data("/runs/"))
    path = f"/jobs/{api.sandbox.jobs[NIGHTLY].id}/run/"
    response = api.post(path, {"cause": "a test", **override})
    assert response.status_code == 400
    assert set(response.json()["data"]) == set(override)
    assert len(api.data("/runs/")) == before


@dataclass(frozen=True)
class Own:
    """A project of one's own, and two runs of it that are over.

    Attributes:
        project: The project.
        before: When each of its files was written, as it was before the runs.
        data: Where the sandbox kept them.
        runs: A run that parsed the project, and one that did not end well.
        files: The paths of the first one's artifacts.
    """

    project: DbtProject
    before: dict[Path, int]
    data: Path
    runs: list[dict[str, Any]]
    files: list[str]

    def sandbox(self, *jobs: SandboxJob) -> Sandbox:
        """A sandbox that finds them."""
        return Sandbox(jobs, project=self.project, data_folder=self.data)


def written(folder: Path) -> dict[Path, int]:
    """When each file below a folder was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Own:
    """A copy of the shop whose models' folder cannot be written to."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(SHOP_FOLDER, folder / "shop")
    (folder / "shop" / "models").chmod(0o555)
    made = Own(load_project(folder / "shop"), written(folder / "shop"), folder / "data", [], [])
    with made.sandbox(PARSE, REFUSED) as sandbox, Api(sandbox) as api:
        run_ids = [api.trigger(position)["id"] for position in range(2)]
        made.runs.extend(api.finished_run(run_id) for run_id in run_ids)
        made.files.extend(api.data(f"/runs/{run_ids[0]}/artifacts/"))
    return made


def test_a_project_of_ones_own_is_never_written_to(own: Own) -> None:
    """Not even when dbt parses it, and not when its folders cannot be written to."""
    run = own.runs[0]
    assert run["status"] == 10, run["run_steps"][-1]["logs"]
    assert written(own.project.folder) == own.before


def test_a_target_name_is_a_label_unless_the_profile_has_such_an_output() -> None:
    """As in dbt Cloud; "default" is the profile's own target."""
    shop = load_project()
    assert connection_of(shop, "default").target_name == "prod"
    labelled = connection_of(shop, "anything")
    assert (labelled.target_name, labelled.settings["path"]) == ("anything", "shop.duckdb")


def test_a_project_without_a_profile_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    """What is missing, and where it was looked for."""
    (tmp_path / "dbt_project.yml").write_text("name: mine\nprofile: theirs\n")
    (tmp_path / "profiles.yml").write_text("ours: {outputs: {dev: {type: duckdb}}}\n")
    with pytest.raises(SandboxError, match=r"profiles\.yml has no profile 'theirs'"):
        load_project(tmp_path)
    with pytest.raises(SandboxError, match=r"There is no .*dbt_project\.yml: .*--project-dir"):
        load_project(tmp_path / "nowhere")
    with pytest.raises(SandboxError, match=r"There is no .*profiles\.yml: .*--profiles-dir"):
        load_project(tmp_path, tmp_path / "nowhere")


def test_runs_are_there_after_a_restart(own: Own) -> None:
    """As they ended, with their steps, logs and artifacts; what was in flight is cancelled."""
    good, bad = (run["id"] for run in own.runs)
    with own.sandbox(PARSE, REFUSED) as sandbox, Api(sandbox) as api:
        assert [run["status"] for run in own.runs] == [10, 20]
        same = ("status", "status_message", "run_steps", "duration", "git_sha", "artifacts_saved")
        for run in own.runs:
            after = api.run(run["id"])
            assert [after[name] for name in same] == [run[name] for name in same]
        assert api.data(f"/runs/{good}/artifacts/") == own.files
        assert api.get(f"/runs/{good}/artifacts/{own.files[0]}").status_code == 200
        endless = api.trigger(1)["id"]
    with own.sandbox(PARSE, REFUSED) as sandbox, Api(sandbox) as api:
        assert api.run(endless)["status"] == 30
        assert api.trigger()["id"] > endless
    with own.sandbox(PARSE) as sandbox, Api(sandbox) as api:
        assert api.get(f"/runs/{good}/").status_code == 200
        assert api.get(f"/runs/{bad}/").status_code == 404  # its job is gone
    (own.data / "runs" / str(good) / "run.json").write_text("{")
    with own.sandbox(PARSE, REFUSED) as sandbox, Api(sandbox) as api:
        assert api.get(f"/runs/{good}/").status_code == 404
        assert api.get(f"/runs/{bad}/").status_code == 200
