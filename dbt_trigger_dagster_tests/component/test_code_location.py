"""What a code location says of itself: by a file, by a dg project, or by variables alone."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbt_trigger_dagster.component.code_location import CodeLocation
from dbt_trigger_dagster.component.job import JobSettings
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient

pytestmark = pytest.mark.filterwarnings("ignore:`parse_obj_as`")  # Dagster's, in reading a file

MODULE = "project_of_these_tests"
PYPROJECT = f"""
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{MODULE}"
"""
HEAD = "type: dbt_trigger_dagster.DbtCloudJobsComponent\nattributes:\n"
STORAGE = "  storage: {database: data/tables.duckdb}\n"
WORKSPACE = "  workspace: {account_id: 12, token_env: SHOP_TOKEN, access_url: x.dbt.com}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A dg project without components, as an environment has it that it is installed in."""
    package = tmp_path / "src" / MODULE
    (package / "defs").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    monkeypatch.syspath_prepend(tmp_path / "src")
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == MODULE]:
        del sys.modules[name]


def with_file(project: Path, name: str, text: str) -> None:
    """Write the ``defs.yaml`` of a component."""
    folder = project / "src" / MODULE / "defs" / name
    folder.mkdir()
    (folder / "defs.yaml").write_text(HEAD + text)


def test_without_file_and_project_variables_say_all(tmp_path: Path) -> None:
    """A pyproject.toml of something else is no dg project."""
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
    assert CodeLocation.around(tmp_path) == CodeLocation()


def test_a_dg_project_is_found_from_any_of_its_folders(project: Path) -> None:
    """Its files are read together, and their paths begin in the project."""
    with_file(project, "one", f"{WORKSPACE}{STORAGE}  jobs: [{{job_id: 1, key: a}}]\n")
    with_file(project, "two", "  jobs: [{job_name: B, key: b/c}]\n")
    found = CodeLocation.around(project / "src" / MODULE)
    assert found.source == f"the dg project {project}"
    assert found.workspace.account_id == 12
    assert found.storage.database_now() == str(project / "data" / "tables.duckdb")
    assert [job.key for job in found.jobs] == ["a", "b/c"]


def test_a_dg_project_without_such_a_file_goes_by_variables(project: Path) -> None:
    """Its Python may say more, which is not read."""
    found = CodeLocation.around(project)
    assert (found.jobs, found.workspace) == ([], CodeLocation().workspace)
    assert found.source == f"the environment (no file of {project} names jobs)"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dg.toml", 'directory_type = "workspace"\n[workspace]\n'),
        ("pyproject.toml", '[tool.dg]\ndirectory_type = "workspace"\n[tool.dg.workspace]\n'),
    ],
)
def test_a_workspace_of_dg_projects_is_none_itself(tmp_path: Path, name: str, text: str) -> None:
    """It has no components that could be loaded."""
    (tmp_path / name).write_text(text)
    assert CodeLocation.around(tmp_path) == CodeLocation()


@pytest.fixture
def client() -> Iterator[DbtCloudClient]:
    """A client that nobody answers: no test here may look a name up."""
    with DbtCloudClient(account_id=1, token="none", access_url="http://127.0.0.1:9") as made:
        yield made


ONE, TWO = JobSettings(job_id=111, key="one"), JobSettings(job_id=222, key="two")


def test_of_several_jobs_one_has_to_be_named(client: DbtCloudClient) -> None:
    """The first is not meant because it comes first; a job that is alone is."""
    with pytest.raises(ValueError, match=r"^Which job\? .* of the environment are: one, two\.$"):
        CodeLocation(jobs=[ONE, TWO]).job_of(client, None, "")
    assert CodeLocation(jobs=[ONE, TWO]).job_of(client, None, "two") is TWO
    assert CodeLocation(jobs=[ONE]).job_of(client, None, "") is ONE


def test_a_job_is_found_by_its_plain_id_before_others_are_looked_up(
    client: DbtCloudClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is not set, or a name that nobody knows, is another job's."""
    monkeypatch.delenv("ID_OF_A_TEST", raising=False)
    unset = JobSettings(job_id_env="ID_OF_A_TEST", key="unset")
    assert CodeLocation(jobs=[unset, TWO]).job_of(client, 222, "") is TWO


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"one": "  jobs: [{job_id: 1, kye: a}]\n"}, "jobs.0.kye: is unknown; did you mean key?"),
        (
            {"one": "  jobs: [{job_id: 1}]\n", "two": "  jobs: [{job_id: 2}]\n"},
            "has the same key: give each a key of its own.",
        ),
    ],
)
def test_a_dg_project_that_does_not_load_is_told_by_its_cause(
    project: Path, files: dict[str, str], said: str
) -> None:
    """With file and line, and without Dagster's tree of files."""
    for name, text in files.items():
        with_file(project, name, text)
    with pytest.raises(ValueError, match=r"^The dg project .* cannot be loaded\.\n") as caught:
        CodeLocation.around(project)
    assert said in str(caught.value)
    assert "defs.yaml:3: " in str(caught.value)
    assert "└──" not in str(caught.value)
