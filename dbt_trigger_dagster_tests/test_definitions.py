"""The code location: what it holds, that it loads anywhere, and what it says when unset."""

import ast
import inspect
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from dbt_trigger_dagster import definitions
from dbt_trigger_dagster.component import account as account_section
from dbt_trigger_dagster.component import code_location
from dbt_trigger_dagster.component import storage as storage_section
from dbt_trigger_dagster.definitions import WHERE_TO_FIND, defs
from dbt_trigger_dagster_tests.graphs import GOOD, a_project, triggers

ROOT = Path(__file__).parent.parent
VARIABLES = (
    "DBT_CLOUD_ACCOUNT_ID",
    "DBT_CLOUD_JOB_ID",
    "DBT_CLOUD_TOKEN",
    "DBT_CLOUD_ACCESS_URL",
    "DBT_TRIGGER_DATABASE",
    "DBT_TRIGGER_ARTIFACTS",
)
ACCOUNT = {
    "DBT_CLOUD_ACCOUNT_ID": "101",
    "DBT_CLOUD_TOKEN": "t0ken",
    "DBT_CLOUD_ACCESS_URL": "http://127.0.0.1:9",
}

_LOAD = """
import sys
import dagster
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, arguments)))
import dbt_trigger_dagster.definitions as location
location.defs.resolve_all_job_defs()
pythons_own = (".py", ".pyc", ".so", ".zip", "entry_points.txt", "path_hook__")
for event, arguments in list(seen):
    asks = event in {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.fork"}
    if asks or (event == "open" and not str(arguments[0]).endswith(pythons_own)):
        print(event, arguments)
"""


def test_it_holds_the_graph_a_job_a_schedule_and_the_monitor() -> None:
    """Nothing else: what is not there cannot run by accident."""
    repository = defs.get_repository_def()
    assert {key.to_user_string() for key in repository.assets_defs_by_key} == {
        "trigger_response",
        "run_result",
        "artifacts",
        "node_results",
    }
    assert repository.get_schedule_def("dbt_cloud_daily").job_name == "dbt_cloud_job"
    assert {job.name for job in repository.get_all_jobs()} == {
        "dbt_cloud_job",
        "dbt_cloud_monitor_landing",
        "__ASSET_JOB",
    }


def test_the_schedule_is_stopped_until_somebody_starts_it() -> None:
    """A deployment must not trigger dbt Cloud by itself."""
    schedule = defs.resolve_schedule_def("dbt_cloud_daily")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == "0 6 * * *"


def test_the_monitor_is_stopped_until_somebody_starts_it() -> None:
    """It asks dbt Cloud every 30 s, which nobody has asked for by installing this."""
    monitor = defs.resolve_sensor_def("dbt_cloud_monitor")
    assert monitor.default_status == dg.DefaultSensorStatus.STOPPED
    assert monitor.job_name == "dbt_cloud_monitor_landing"


@pytest.mark.parametrize("name", ["dbt_cloud_job", "dbt_cloud_monitor_landing", "__ASSET_JOB"])
def test_the_steps_run_in_the_process_of_the_run(name: str) -> None:
    """Materialize in the UI too: a process for each step would only cost seconds."""
    job = defs.resolve_implicit_global_asset_job_def() if name[0] == "_" else None
    job = job or defs.resolve_job_def(name)
    assert job.executor_def is dg.in_process_executor


def test_it_loads_with_an_empty_environment_and_touches_nothing(tmp_path: Path) -> None:
    """No connection, no process, and no file but Python's own modules."""
    done = subprocess.run(  # noqa: S603  # the code is ours
        [sys.executable, "-c", _LOAD],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_it_runs_with_the_six_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read when the run begins: each of them arrives."""
    with a_project(tmp_path, GOOD) as project:
        assert set(project.environment()) == set(VARIABLES)
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)
        assert defs.resolve_job_def("dbt_cloud_job").execute_in_process().success
        assert triggers(project.sandbox) == 1
        assert len(project.run_ids()) == 1
        assert len(project.files()) == 2


def test_the_place_has_defaults_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """data/dbt_cloud.duckdb and data/artifacts; the other four variables are needed."""
    monkeypatch.chdir(tmp_path)
    with a_project(tmp_path, GOOD) as project:
        for name, value in project.sandbox.environment().items():
            monkeypatch.setenv(name, value)
        assert defs.resolve_job_def("dbt_cloud_job").execute_in_process().success
    assert (tmp_path / "data" / "dbt_cloud.duckdb").is_file()
    assert len(list((tmp_path / "data" / "artifacts").rglob("*.json"))) == 2


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables of an account that nobody answers for."""
    monkeypatch.chdir(tmp_path)
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def why_it_fails() -> str:
    """What a run of the job ends with, with the causes."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # Dagster wraps it in its own
        defs.resolve_job_def("dbt_cloud_job").execute_in_process()
    error: BaseException | None = caught.value
    said = []
    while error is not None:
        said.append(str(error))
        error = error.__cause__
    return "\n".join(said)


@pytest.mark.parametrize("name", ACCOUNT)
@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_missing_is_named_with_the_place_to_find_it(
    account: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    """Unset and empty are the same; the variables that are there are not named."""
    account.delenv(name)
    if value is not None:
        account.setenv(name, value)
    said = why_it_fails()
    assert f"are not set.\n{name}: {WHERE_TO_FIND[name]}" in said
    assert not [other for other in ACCOUNT if other != name and other in said]


def test_all_missing_variables_are_named_at_once(account: pytest.MonkeyPatch) -> None:
    """Nobody wants to find them one by one; the job's is among them."""
    for name in WHERE_TO_FIND:
        account.delenv(name, raising=False)
    said = why_it_fails()
    for name, place in WHERE_TO_FIND.items():
        assert f"\n{name}: {place}" in said


@pytest.mark.parametrize("value", ["acme", "-5", "1.5"])
def test_an_account_that_is_no_number_is_named(account: pytest.MonkeyPatch, value: str) -> None:
    """With what the number is."""
    account.setenv("DBT_CLOUD_ACCOUNT_ID", value)
    said = why_it_fails()
    assert f"DBT_CLOUD_ACCOUNT_ID {value!r} is not a number" in said
    assert "/accounts/" in said


def test_a_missing_job_is_named_with_the_place_to_find_it(account: pytest.MonkeyPatch) -> None:
    """It may stand in the run's config instead, so the trigger asks for it."""
    said = why_it_fails()
    assert "DBT_CLOUD_JOB_ID is not set" in said
    assert "/jobs/" in said


def test_no_other_variable_is_read() -> None:
    """The documented six are all there is, and the one that names a file of jobs."""
    named = {
        node.value.strip()
        for module in (definitions, code_location, account_section, storage_section)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(("DBT_CLOUD_", "DBT_TRIGGER_"))
        and node.value.isupper()
    }
    assert named == {*VARIABLES, "DBT_TRIGGER_JOBS"}


# DBT_TRIGGER_JOBS

TOKEN = "t0ken"
NAMES = ("artifacts", "node_results", "run_result", "trigger_response")
JOBS = """
jobs:
  - job_name: nightly
    key: a
    poll_interval: 0.05
    cron: 0 6 * * *
  - job_name: nightly
    key: b
    poll_interval: 0.05
"""


@contextmanager
def a_location(folder: Path, content: str, **changes: str | None) -> Iterator[Any]:
    """A project, and the code location as a new process would load it with a file of jobs.

    Args:
        folder: The working directory.
        content: What the file says.
        changes: Variables that are other than the project's; None for those that are not set.
    """
    (folder / "settings").mkdir()
    (folder / "settings" / "jobs.yaml").write_text(content)
    with a_project(folder, GOOD, token=TOKEN) as project, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        variables = {**project.environment(), "DBT_TRIGGER_JOBS": "settings/jobs.yaml", **changes}
        for name, value in variables.items():
            if value is not None:
                patch.setenv(name, value)
        yield project, load()


def load() -> dg.Definitions:
    """The code location's definitions, read once more."""
    found = runpy.run_path(definitions.__file__)["defs"]
    assert isinstance(found, dg.Definitions)
    return found


def test_a_file_of_jobs_takes_the_place_of_the_one_job(tmp_path: Path) -> None:
    """Assets, a schedule, and runs with the account and the place that the environment names."""
    with a_location(tmp_path, JOBS, DBT_CLOUD_JOB_ID=None) as (project, location):
        repository = location.get_repository_def()
        assert {key.to_user_string() for key in repository.assets_defs_by_key} == {
            f"{key}/{name}" for key in "ab" for name in NAMES
        }
        assert [each.name for each in repository.schedule_defs] == ["a__dbt_cloud_schedule"]
        assert [each.name for each in repository.sensor_defs] == ["dbt_cloud_monitor"]
        job = location.resolve_implicit_global_asset_job_def()
        assert job.executor_def is dg.in_process_executor
        assert job.execute_in_process().success
        assert len(project.run_ids()) == 2


def test_what_the_file_says_of_account_and_storage_comes_first(tmp_path: Path) -> None:
    """Variables of other names, another database where none of its variables is set.

    Relative paths begin beside the file, wherever Dagster is started.
    """
    settings = "workspace: {token_env: MINE}\nstorage: {database: mine.duckdb, artifacts: mine}"
    unset = dict.fromkeys(("DBT_CLOUD_TOKEN", "DBT_TRIGGER_DATABASE", "DBT_TRIGGER_ARTIFACTS"))
    with a_location(tmp_path, settings + JOBS, MINE=TOKEN, **unset) as (project, location):
        assert location.resolve_job_def("a__dbt_cloud_job").execute_in_process().success
        assert project.run_ids() == []
    assert (tmp_path / "settings" / "mine.duckdb").is_file()
    assert len(list((tmp_path / "settings" / "mine").rglob("*.json"))) == 2


def test_what_the_file_leaves_out_of_a_section_the_environment_says(tmp_path: Path) -> None:
    """A schema alone moves neither the database nor the artifacts."""
    with a_location(tmp_path, f"storage: {{schema: mine}}{JOBS}") as (project, location):
        assert location.resolve_job_def("a__dbt_cloud_job").execute_in_process().success
        with duckdb.connect(project.database, read_only=True) as connection:
            assert connection.sql("FROM mine.dbt_cloud_run").fetchall()
        assert len(project.files()) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "jobs.yaml cannot be read: No such file or directory."),
        (
            "jobs:\n- job_name: a\n  kee: b\n",
            "jobs.yaml:3: jobs.0.kee: is unknown; did you mean key?",
        ),
        (
            "jobs:\n- job_name: a\nmonitor:\n  batch_size: 0\n",
            "jobs.yaml:4: monitor.batch_size: batch_size is 0: give 1 or more.",
        ),
        (
            "type: dbt_trigger_dagster.DbtCloudJobsComponent\nattributes:\n  jobs: []\n",
            "jobs.yaml is a file for dg: give one that has what stands under attributes.",
        ),
    ],
)
def test_a_file_that_is_missing_or_wrong_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: str
) -> None:
    """When the code location is loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBT_TRIGGER_JOBS", "jobs.yaml")
    if content is not None:
        (tmp_path / "jobs.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"jobs\.yaml") as caught:
        load()
    assert str(caught.value) == said


def test_the_workspace_names_the_code_location() -> None:
    """And the folder it stands in, so that a checkout that is not installed loads, too."""
    content = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    assert content == {
        "load_from": [
            {
                "python_module": {
                    "module_name": "dbt_trigger_dagster.definitions",
                    "working_directory": ".",
                }
            }
        ]
    }
