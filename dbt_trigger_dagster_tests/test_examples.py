"""The examples: they load anywhere, and do what their docstrings say."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster import DbtCloudJobsComponent
from dbt_trigger_dagster.component.yaml_sections import read_section
from dbt_trigger_dagster.sandbox import SandboxJob, Script
from dbt_trigger_dagster.sandbox.account.jobs import SHOP_JOBS
from dbt_trigger_dagster_tests.assets.scripts import FAILED
from dbt_trigger_dagster_tests.graphs import BROKEN, GOOD, Project, a_project, materialized

EXAMPLES = Path(__file__).parent.parent / "examples"
PROJECTS = ("existing_project.py", "alerts_and_reports.py", "newest_manifest.py")
SHOP = [
    SandboxJob(name=job.name, script=FAILED if "broken" in job.name else GOOD) for job in SHOP_JOBS
]


def example(name: str) -> dict[str, Any]:
    """What an example defines."""
    return runpy.run_path(str(EXAMPLES / name))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A place in which the shop's jobs can be run, with scripts instead of dbt."""
    monkeypatch.chdir(tmp_path)
    with a_project(tmp_path, jobs=SHOP) as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        yield made


def often(*names: str) -> dict[str, Any]:
    """Run config by which the jobs of these prefixes are polled often."""
    return {
        "ops": {f"{name}__dbt_cloud_run": {"config": {"poll_interval": 0.05}} for name in names}
    }


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_loads_with_an_empty_environment(name: str) -> None:
    """As every code location must."""
    definitions: dg.Definitions = example(name)["defs"]
    dg.Definitions.validate_loadable(definitions)


def test_every_example_with_definitions_is_tested() -> None:
    """A new one is taken into the list."""
    found = {file.name for file in EXAMPLES.glob("*.py") if "dg.Definitions(" in file.read_text()}
    assert found == set(PROJECTS)


def test_a_message_tells_of_a_failed_run_and_where_its_page_is(project: Project) -> None:
    """The sensor reads it from the failed step, and who owns what failed from the tables."""
    scope = example("alerts_and_reports.py")
    job = scope["defs"].resolve_job_def("broken__dbt_cloud_job")
    result = job.execute_in_process(
        run_config=often("broken"), instance=project.instance, raise_on_error=False
    )
    context = dg.build_run_status_sensor_context(
        sensor_name="tell_of_failures",
        dagster_instance=project.instance,
        dagster_run=result.dagster_run,
        dagster_event=next(event for event in result.all_events if event.is_job_failure),
    ).for_run_failure()
    scope["tell_of_failures"](context)
    (dbt_run,) = project.dbt_runs()
    assert Path("data/alerts.txt").read_text().splitlines() == [
        f"broken__dbt_cloud_run Error {dbt_run['href']}",
        f"to ann: model orders fails, no such column {dbt_run['href']}",
    ]


def test_a_report_comes_after_a_run_that_ended_well(project: Project) -> None:
    """It reads the run's row."""
    definitions = example("alerts_and_reports.py")["defs"]
    schedule = definitions.resolve_schedule_def("nightly_and_report")
    result = definitions.resolve_job_def(schedule.job_name).execute_in_process(
        run_config=often("nightly"), instance=project.instance
    )
    assert materialized(result) == [
        "nightly/trigger_response",
        "nightly/run_result",
        "nightly/artifacts",
        "nightly/node_results",
        "duration_report",
    ]


def test_a_report_comes_after_a_run_that_was_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is retried leaves two rows; the report is on the one that ended well."""
    job = SandboxJob(name=SHOP_JOBS[0].name, script=(BROKEN, GOOD))
    with a_project(tmp_path, jobs=[job]) as project:
        monkeypatch.chdir(tmp_path)
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)
        scope = example("alerts_and_reports.py")
        eager = dg.define_asset_job(
            "eager",
            selection=dg.AssetSelection.assets(*scope["nightly"], scope["duration_report"]),
            op_retry_policy=dg.RetryPolicy(max_retries=1),
        )
        definitions = dg.Definitions.merge(scope["defs"], dg.Definitions(jobs=[eager]))
        result = definitions.resolve_job_def("eager").execute_in_process(
            run_config=often("nightly"), instance=project.instance
        )
        failed, succeeded = project.dbt_runs()
        [report] = result.asset_materializations_for_node("duration_report")
        assert (failed["status_humanized"], succeeded["status_humanized"]) == ("Error", "Success")
        assert report.metadata["run_id"].value == succeeded["id"]


def test_the_manifest_of_the_newest_run_is_read_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example knows neither the folder nor the bucket."""
    nodes = {
        "model.shop.orders": {"resource_type": "model", "name": "orders", "description": ""},
        "model.shop.customers": {"resource_type": "model", "name": "customers", "description": "x"},
        "test.shop.unique": {"resource_type": "test", "name": "unique", "description": ""},
    }
    script = Script(artifacts={"manifest.json": json.dumps({"nodes": nodes})})
    monkeypatch.chdir(tmp_path)
    with a_project(tmp_path, script) as project:
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)
        job = example("newest_manifest.py")["defs"].resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            run_config={"ops": {"dbt_cloud_run": {"config": {"poll_interval": 0.05}}}},
            instance=project.instance,
        )
    [report] = result.asset_materializations_for_node("undocumented_models")
    assert report.metadata["models"].value == 2
    assert report.metadata["undocumented"].value == ["orders"]


def test_the_jobs_of_the_file_are_the_sandboxs_and_run(project: Project) -> None:
    """Each of them, with what the file says of it."""
    jobs = read_section(DbtCloudJobsComponent, EXAMPLES / "many_jobs.yaml")
    assert {job.job_name for job in jobs.jobs} <= {job.name for job in SHOP_JOBS}
    definitions = dg.Definitions.merge(
        jobs.build_definitions(), dg.Definitions(resources=project.resources())
    )
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        run_config=often("shop__nightly", "slow__full"), instance=project.instance
    )
    assert result.success
    causes = [run["trigger"]["cause"].partition(" [")[0] for run in project.dbt_runs()]
    assert sorted(causes) == ["Nightly build", *2 * ["Triggered from Dagster"]]
    assert len(project.run_ids()) == 2  # one job's runs are not waited for


def test_the_jobs_of_make_dev_are_the_sandboxs(project: Project) -> None:
    """All of them, the first with the asset keys of the code location for one job."""
    jobs = read_section(DbtCloudJobsComponent, EXAMPLES / "shop_jobs.yaml")
    assert [job.job_name for job in jobs.jobs] == [job.name for job in SHOP_JOBS]
    assert [job.prefix for job in jobs.jobs] == [[], ["broken"], ["slow"]]


def test_dagster_takes_the_settings_of_make_dev(tmp_path: Path) -> None:
    """Neither statistics nor a dialog; a key that it does not know would be an error."""
    shutil.copy(EXAMPLES / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


def shown(project: Project) -> str:
    """What the demo says in the end."""
    return subprocess.run(  # noqa: S603  # our own example
        [sys.executable, EXAMPLES / "show_results.py"],
        env={**os.environ, **project.environment()},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_the_demo_says_what_ran_and_its_commands_work(tmp_path: Path) -> None:
    """Models, tests, what was slow, the tables with their rows, and a question that is answered."""
    results = [
        {"unique_id": "model.shop.orders", "status": "success", "execution_time": 2.5},
        {"unique_id": "model.shop.customers", "status": "success", "execution_time": 0.5},
        {"unique_id": "test.shop.unique", "status": "fail", "execution_time": 0.1},
    ]
    build = json.dumps({"results": [{**each, "timing": []} for each in results]})
    script = Script(outcome="error", artifacts={"run_results.json": build, "index.html": "docs"})
    with a_project(tmp_path, script) as project:
        project.materialize()
        project.close()  # other processes read it
        said = shown(project)
        assert "nightly: Error after 0 s" in said
        assert "ran      2 models, 1 test: 1 did not pass" in said
        assert "slowest  orders (2.5 s), customers (0.5 s), unique (0.1 s)" in said
        assert re.search(r" 1 row   dbt_cloud_run\n", said)
        assert "http.server 8000" in said
        [command] = re.findall(r"Ask the tables\n  (.*)", said)
        answer = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)  # noqa: S602  # as it stands there
    assert re.search(r"orders +│ success │ +2\.5", answer.stdout)
