"""The ``dg`` command line in a project of its own, as a person uses it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from dbt_trigger_dagster_tests.graphs import Project, a_project

cli = pytest.importorskip(
    "dagster_dg_cli.cli", reason="dg is in the extra dev: pip install '.[dev]'"
).cli

ROOT = Path(__file__).parents[2]
TYPE = "dbt_trigger_dagster.DbtCloudJobsComponent"
FILE = "src/shop/defs/nightly/defs.yaml"
# As `create-dagster project shop` makes it, which asks the package index for its newest version.
PYPROJECT = """
[project]
name = "shop"
version = "0.1.0"
requires-python = ">=3.10"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "shop"
"""
DEFINITIONS = """
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A dg project, and an account for it."""
    package = tmp_path / "src" / "shop"
    (package / "defs").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text("")
    (package / "definitions.py").write_text(DEFINITIONS)
    with a_project(tmp_path) as made:
        yield made


def dg(project: Project, *arguments: str) -> str:
    """Run dg, and return all that it prints with its exit code at the end."""
    python_path = os.pathsep.join([str(ROOT), str(project.folder / "src")])
    done = subprocess.run(  # noqa: S603  # the command is ours
        [sys.executable, "-m", "dagster_dg_cli.cli", *arguments],
        cwd=project.folder,
        env={
            **os.environ,
            **project.environment(),
            "DAGSTER_HOME": str(project.home),
            "HOME": str(project.folder),
            "PYTHONPATH": python_path,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return f"{done.stdout}\nexit code {done.returncode}"


def test_from_an_empty_project_to_a_run(project: Project) -> None:
    """Write the file of a component that dg finds by its name, and launch the assets."""
    scaffolded = dg(project, "scaffold", "defs", TYPE, "nightly", "--key", "shop")
    assert "exit code 0" in scaffolded, scaffolded
    launched = dg(project, "launch", "--assets", "*")
    assert "exit code 0" in launched, launched
    assert "shop__dbt_cloud_run" in launched
    (dbt_run,) = project.dbt_runs()
    assert dbt_run["status_humanized"] == "Success"
    assert project.run_ids() == [dbt_run["id"]]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("token_env", "tokenenv", ":8 - {type} attributes.workspace.tokenenv Additional"),
        (
            "token_env: DBT_CLOUD_TOKEN",
            "token: dbtc_S3cret",
            ":5 - {type} attributes.workspace 'token' should not be valid",
        ),
        ("job_id_env: DBT_CLOUD_JOB_ID", "job_id: twelve", "jobs.0.job_id 'twelve' is not of type"),
        ("- job_id_env: DBT_CLOUD_JOB_ID\n", "-\n", "jobs.0 'job_id' is a required property"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, said: str
) -> None:
    """By the JSON schema alone, before anything is loaded; the file that dg makes is right."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("HOME", str(project.folder))
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    runner = CliRunner()
    assert runner.invoke(cli, ["scaffold", "defs", TYPE, "nightly"]).exit_code == 0
    assert runner.invoke(cli, ["check", "yaml"]).exit_code == 0
    file = project.folder / FILE
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))
    checked = runner.invoke(cli, ["check", "yaml"])
    assert checked.exit_code == 1
    assert said.format(type=TYPE) in checked.output
