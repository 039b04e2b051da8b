"""The README's copies of what the code says."""

import inspect
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from dbt_trigger_dagster import (
    DbtCloudArtifactStore,
    DbtCloudJobsComponent,
    DbtCloudResource,
    DbtCloudRunConfig,
    DbtCloudTableIOManager,
    TriggerResponseConfig,
    build_dbt_cloud_monitor,
)
from dbt_trigger_dagster.component.account import Workspace
from dbt_trigger_dagster.component.job import JobSettings
from dbt_trigger_dagster.component.monitor import MonitorSettings
from dbt_trigger_dagster.component.storage import Storage
from dbt_trigger_dagster.component.yaml_sections import read_section

README = Path(__file__).parent.parent / "README.md"
TABLES: list[type[BaseModel]] = [
    TriggerResponseConfig,
    DbtCloudRunConfig,
    DbtCloudResource,
    DbtCloudTableIOManager,
    DbtCloudArtifactStore,
    JobSettings,
    Workspace,
    Storage,
    MonitorSettings,
]
STAND_ELSEWHERE = {
    JobSettings: {*TriggerResponseConfig.model_fields, *DbtCloudRunConfig.model_fields}
    - {"job_id", "job_name"},
    Workspace: {"token"},  # there to be refused
}


def _default(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`".replace("'", '"') if value != "" else "empty"


def configuration_table(model: type[BaseModel]) -> str:
    """A model's fields as the README lists them."""
    lines = ["| field | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if name in STAND_ELSEWHERE.get(model, ()):
            continue
        default = "required" if field.is_required() else _default(field.default)
        if name == "max_wait_time":
            default = f"`{field.default:g}`"
        lines.append(f"| `{field.alias or name}` | {default} | {field.description} |")
    return "\n".join(lines)


def arguments_table(function: Callable[..., Any]) -> str:
    """A function's arguments with defaults, as the README lists them; meanings as documented."""
    documented = inspect.getdoc(function) or ""
    arguments = documented.partition("\nArgs:\n")[2].partition("\n\n")[0]
    meanings = dict(
        re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", arguments, re.DOTALL | re.MULTILINE)
    )
    lines = ["| argument | default | meaning |", "|---|---|---|"]
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            continue
        default = parameter.default
        shown = default.value.lower() if isinstance(default, Enum) else _default(default)
        meaning = " ".join(meanings[name].split()).rstrip(".").replace("``", "`")
        lines.append(f"| `{name}` | {shown} | {meaning} |")
    return "\n".join(lines)


def test_the_monitors_arguments_are_those_of_its_builder() -> None:
    """Each argument, its default and its meaning stand in the README as in the docstring."""
    text = README.read_text(encoding="utf-8")
    mark = r"<!-- arguments: build_dbt_cloud_monitor -->\n(.*?)<!-- end -->"
    [copied] = re.findall(mark, text, re.DOTALL)
    expected = arguments_table(build_dbt_cloud_monitor)
    assert copied.strip() == expected


@pytest.mark.parametrize("model", TABLES)
def test_a_configuration_table_says_what_the_code_says(model: type[BaseModel]) -> None:
    """Each field, its default and its meaning stand in the README as in the launchpad."""
    text = README.read_text(encoding="utf-8")
    pattern = rf"<!-- table: {model.__name__} -->\n(.*?)<!-- end -->"
    [copied] = re.findall(pattern, text, re.DOTALL)
    assert copied.strip() == configuration_table(model)


def test_the_file_of_jobs_can_be_read(tmp_path: Path) -> None:
    """The README's own, as it stands there."""
    text = README.read_text(encoding="utf-8")
    [content] = re.findall(r"```yaml\n# jobs.yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "jobs.yaml").write_text(content)
    read_section(DbtCloudJobsComponent, tmp_path / "jobs.yaml")


def test_the_links_lead_to_files() -> None:
    """Every relative link of the README names a file of the repository."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).is_file()] == []
