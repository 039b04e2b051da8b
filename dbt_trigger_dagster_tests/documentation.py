"""The documents' copies of what the code says, and what every document must keep.

``make docs`` writes the tables anew; ``make check`` says which are old, and which links are dead.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import dbt_trigger_dagster
from dbt_trigger_dagster import (
    DbtCloudArtifactStore,
    DbtCloudClient,
    DbtCloudResource,
    DbtCloudRetentionConfig,
    DbtCloudRunConfig,
    DbtCloudTableIOManager,
    TriggerResponseConfig,
    build_dbt_cloud_job_assets,
    build_dbt_cloud_model_assets,
    build_dbt_cloud_monitor,
    build_dbt_cloud_retention,
    build_dbt_cloud_schedule,
)
from dbt_trigger_dagster.component.account import Workspace
from dbt_trigger_dagster.component.job import JobSettings
from dbt_trigger_dagster.component.models import ModelSettings
from dbt_trigger_dagster.component.monitor import MonitorSettings
from dbt_trigger_dagster.component.retention import RetentionSettings
from dbt_trigger_dagster.component.storage import Storage
from dbt_trigger_dagster.storage.compatible_views import COMPATIBLE_VIEWS
from dbt_trigger_dagster.storage.tables import TABLES
from dbt_trigger_dagster.storage.views import VIEWS

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
"""All documents of the repository."""

MODELS: dict[str, type[BaseModel]] = {
    model.__name__: model
    for model in (
        TriggerResponseConfig,
        DbtCloudRunConfig,
        DbtCloudRetentionConfig,
        DbtCloudResource,
        DbtCloudTableIOManager,
        DbtCloudArtifactStore,
        JobSettings,
        Workspace,
        Storage,
        MonitorSettings,
        ModelSettings,
        RetentionSettings,
    )
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        build_dbt_cloud_job_assets,
        build_dbt_cloud_model_assets,
        build_dbt_cloud_monitor,
        build_dbt_cloud_retention,
        build_dbt_cloud_schedule,
    )
}
_STAND_ELSEWHERE = {
    "JobSettings": {*TriggerResponseConfig.model_fields, *DbtCloudRunConfig.model_fields}
    - {"job_id", "job_name"},
    "Workspace": {"token"},  # there to be refused
}
_COPY = re.compile(r"(<!-- (\w+): (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def with_copies(text: str) -> str:
    """A document with its tables as the code has them now."""
    return _COPY.sub(lambda found: found[1] + _copy(found[2], found[3]) + "\n" + found[5], text)


def _copy(kind: str, name: str) -> str:
    makers: dict[str, Callable[[str], str]] = {
        "table": _fields,
        "arguments": _arguments,
        "columns": _columns,
        "methods": _methods,
        "errors": _errors,
        "queries": _queries,
    }
    return makers[kind](name)


def _default(value: Any) -> str:
    if value is None or value is inspect.Parameter.empty:
        return "not set"
    if isinstance(value, Enum):
        return str(value.value).lower()
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    value = list(value) if isinstance(value, tuple) else value
    return f"`{value}`".replace("'", '"') if value != "" else "empty"


def _fields(name: str) -> str:
    """A model's fields: name, default, meaning."""
    lines = ["| field | default | meaning |", "|---|---|---|"]
    for field_name, field in MODELS[name].model_fields.items():
        if field_name not in _STAND_ELSEWHERE.get(name, ()):
            default = (
                "required"
                if field.is_required()
                else _default(field.get_default(call_default_factory=True))
            )
            lines.append(f"| `{field.alias or field_name}` | {default} | {field.description} |")
    return "\n".join(lines)


def _arguments(name: str) -> str:
    """A function's arguments that have defaults; their meanings as documented."""
    documented = inspect.getdoc(FUNCTIONS[name]) or ""
    arguments = documented.partition("\nArgs:\n")[2].partition("\n\n")[0]
    meanings = dict(
        re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", arguments, re.DOTALL | re.MULTILINE)
    )
    lines = ["| argument | default | meaning |", "|---|---|---|"]
    for argument, parameter in inspect.signature(FUNCTIONS[name]).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            meaning = " ".join(meanings[argument].split()).rstrip(".").replace("``", "`")
            lines.append(f"| `{argument}` | {_default(parameter.default)} | {meaning} |")
    return "\n".join(lines)


def _columns(name: str) -> str:
    """The columns of a table or a view; those of a primary key are marked."""
    keys = TABLES[name].primary_key if name in TABLES else ()
    compatible = [view for views in COMPATIBLE_VIEWS.values() for view in views]
    table = {**TABLES, **{view.name: view for view in (*VIEWS, *compatible)}}[name]
    lines = [f"{table.description}.", "", "| column | type | meaning |", "|---|---|---|"]
    for column in table.columns:
        key = " (key)" if column.name in keys else ""
        lines.append(f"| `{column.name}`{key} | {column.kind.value} | {column.description} |")
    return "\n".join(lines)


def _methods(_name: str) -> str:
    """The client's methods, each with the first sentence of its documentation."""
    lines = ["| method | what it does |", "|---|---|"]
    for method, function in inspect.getmembers(DbtCloudClient, inspect.isfunction):
        if not method.startswith("_"):
            parameters = [each for each in inspect.signature(function).parameters if each != "self"]
            summary = (inspect.getdoc(function) or "").partition("\n")[0].replace("``", "`")
            lines.append(f"| `{method}({', '.join(parameters)})` | {summary} |")
    return "\n".join(lines)


def _errors(_name: str) -> str:
    """Every public error with the first sentence of its documentation."""
    lines = ["| error | is a | meaning |", "|---|---|---|"]
    for name in dbt_trigger_dagster.__all__:
        found = getattr(dbt_trigger_dagster, name)
        if inspect.isclass(found) and issubclass(found, Exception):
            summary = (inspect.getdoc(found) or "").partition("\n")[0].replace("``", "`")
            lines.append(f"| `{name}` | `{found.__bases__[0].__name__}` | {summary} |")
    return "\n".join(lines)


def queries(file: Path) -> dict[str, str]:
    """The statements of a file of SQL by the questions that they answer, which stand above them."""
    found = re.findall(r"^-- (.*\?.*)\n((?:.+\n)+)", file.read_text("utf-8"), re.MULTILINE)
    return {question: statement.strip() for question, statement in found}


def _queries(name: str) -> str:
    """The questions and queries of an example."""
    found = queries(ROOT / "examples" / f"{name}.sql")
    return "\n\n".join(
        f"## {question}\n\n```sql\n{statement}\n```" for question, statement in found.items()
    )


def dead_links(document: Path) -> list[str]:
    """The relative links of a document that lead to no file, or to no heading of one."""
    prose = _FENCE.sub("", document.read_text(encoding="utf-8"))
    return [
        link
        for link in _LINK.findall(prose)
        if not link.startswith(("http://", "https://")) and not _leads_somewhere(document, link)
    ]


def _leads_somewhere(document: Path, link: str) -> bool:
    place, _, anchor = link.partition("#")
    target = document.parent / place if place else document
    if not target.exists():
        return False
    return not anchor or anchor in _anchors(target.read_text(encoding="utf-8"))


def _anchors(text: str) -> set[str]:
    """The anchors that a host of repositories gives the headings of a document."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_blocks(document: Path) -> Iterator[tuple[str, str]]:
    """The language and the content of each block of code in a document."""
    for block in re.finditer(
        r"^```(\w+)\n(.*?)^```$", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        yield block[1], block[2]


def main(arguments: list[str]) -> int:
    """Write the copies anew; with ``--check``, say what is wrong and write nothing."""
    wrong = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        if with_copies(text) != text:
            if "--check" in arguments:
                wrong.append(f"{document.relative_to(ROOT)}: a table is old: make docs")
            else:
                document.write_text(with_copies(text), encoding="utf-8")
        wrong += [
            f"{document.relative_to(ROOT)}: {link} leads nowhere" for link in dead_links(document)
        ]
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
