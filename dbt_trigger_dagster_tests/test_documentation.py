"""The documents: their tables are the code's, their links lead somewhere, their code is code."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from dbt_trigger_dagster import DbtCloudJobsComponent
from dbt_trigger_dagster.component.yaml_sections import read_section
from dbt_trigger_dagster_tests.documentation import (
    DOCUMENTS,
    ROOT,
    code_blocks,
    dead_links,
    with_copies,
)

LONGEST_README = 900
NAMES = [str(document.relative_to(ROOT)) for document in DOCUMENTS]
COMMANDS = {"curl", "dagster", "dg", "dbt-trigger-dagster", "duckdb", "export", "kubectl", "helm"}
COMMANDS |= {"docker", "ls", "make", "mkdir", "pip", "python", "python3", "git", "cp"}


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_are_those_of_the_code(name) -> None:
    """Fields, arguments, columns, methods and errors; ``make docs`` writes them anew."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert with_copies(text) == text


@pytest.mark.parametrize("name", NAMES)
def test_the_links_lead_somewhere(name) -> None:
    """To a file, and to a heading of it where they name one."""
    assert dead_links(ROOT / name) == []


def test_a_dead_link_would_be_told(tmp_path: Path) -> None:
    """If none were found, nothing would be checked."""
    document = tmp_path / "a.md"
    document.write_text("# One\n[a](#one) [b](#two) [c](gone.md) [d](a.md#one) [e](https://x.y)")
    assert dead_links(document) == ["#two", "gone.md"]


@pytest.mark.parametrize("name", NAMES)
def test_python_compiles_and_its_imports_exist(name) -> None:
    """People copy it."""
    for language, content in code_blocks(ROOT / name):
        if language == "python":
            tree = ast.parse(content)
            imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(imports, []), name, "exec"), {})  # noqa: S102  # our own documents


@pytest.mark.parametrize("name", NAMES)
def test_yaml_can_be_read(name) -> None:
    """And a file of jobs as such."""
    for language, content in code_blocks(ROOT / name):
        if language == "yaml":
            yaml.safe_load(content)


def test_the_file_of_jobs_can_be_read(tmp_path: Path) -> None:
    """Each that a document shows, as it stands there."""
    files = [
        content
        for document in DOCUMENTS
        for language, content in code_blocks(document)
        if language == "yaml" and content.startswith("# jobs.yaml")
    ]
    assert files
    for content in files:
        (tmp_path / "jobs.yaml").write_text(content)
        read_section(DbtCloudJobsComponent, tmp_path / "jobs.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_commands_are_ones_that_there_are(name) -> None:
    """A make verb that is gone, or a module of another name, stops a reader at once."""
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for language, content in code_blocks(ROOT / name):
        if language != "console":
            continue
        for line in re.findall(r"^\$ (.*?)(?:\s+#.*)?$", content, re.MULTILINE):
            words = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", line).split()
            assert words[0] in COMMANDS, line
            if words[0] == "make":
                assert set(words[1:]) <= verbs, line
            for module in re.findall(r"(?<=-m )dbt_trigger_dagster[\w.]*", line):
                place = ROOT / module.replace(".", "/")
                assert place.is_dir() or place.with_suffix(".py").is_file(), line


def test_the_readme_is_short() -> None:
    """The rest stands in docs/."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= LONGEST_README


def test_every_document_is_reached_from_the_readme() -> None:
    """A page that nothing leads to is not read."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = [page.name for page in (ROOT / "docs").glob("*.md")]
    assert [page for page in pages if f"(docs/{page})" not in readme] == []
