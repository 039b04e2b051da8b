"""The README's copies of what the code says."""

import inspect
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import dbt_trigger_dagster

README = Path(__file__).parent.parent / "README.md"
TABLES = [
    "TriggerResponseConfig",
    "DbtCloudRunConfig",
    "DbtCloudResource",
    "DbtCloudTableIOManager",
    "DbtCloudArtifactStore",
]


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
    expected = arguments_table(dbt_trigger_dagster.build_dbt_cloud_monitor)
    assert copied.strip() == expected


@pytest.mark.parametrize("name", TABLES)
def test_a_configuration_table_says_what_the_code_says(name: str) -> None:
    """Each field, its default and its meaning stand in the README as in the launchpad."""
    text = README.read_text(encoding="utf-8")
    [copied] = re.findall(rf"<!-- table: {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert copied.strip() == configuration_table(getattr(dbt_trigger_dagster, name))


def test_the_links_lead_to_files() -> None:
    """Every relative link of the README names a file of the repository."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).is_file()] == []
