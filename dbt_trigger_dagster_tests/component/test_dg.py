"""The ``dg`` command line in a project of its own, as a person uses it."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

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


@pytest.fixture
def dg(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The dg command in the project's folder; the processes of its steps are real ones."""
    source = str(project.folder / "src")
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(sys, "path", [*sys.path, source])  # Dagster takes the first for a script's
    for name in ("shop", "shop.definitions"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    variables = {
        **project.environment(),
        "DAGSTER_HOME": str(project.home),
        "HOME": str(project.folder),
        "PYTHONPATH": os.pathsep.join([str(ROOT), source]),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def test_from_an_empty_project_to_a_run(
    project: Project, dg: Callable[..., Result], capfd: pytest.CaptureFixture[str]
) -> None:
    """Write the file of a component that dg finds by its name, and launch the assets."""
    scaffolded = dg("scaffold", "defs", TYPE, "nightly", "--key", "shop")
    assert scaffolded.exit_code == 0, scaffolded.output
    launched = dg("launch", "--assets", "*")
    assert launched.exit_code == 0, launched.output
    assert "shop__dbt_cloud_run" in "".join(capfd.readouterr())
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
    project: Project, dg: Callable[..., Result], right: str, wrong: str, said: str
) -> None:
    """By the JSON schema alone, before anything is loaded; the file that dg makes is right."""
    assert dg("scaffold", "defs", TYPE, "nightly").exit_code == 0
    assert dg("check", "yaml").exit_code == 0
    file = project.folder / FILE
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))
    checked = dg("check", "yaml")
    assert checked.exit_code == 1
    assert said.format(type=TYPE) in checked.output
