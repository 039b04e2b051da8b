"""Sections of a YAML file: what is wrong is told with file and line, and nothing secret with it."""

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
from pydantic import Field, model_validator
from typing_extensions import Self

from dbt_trigger_dagster.component.yaml_sections import ProblemError, Section, read_section


class Leaf(Section):
    """A section in a section."""

    name: str = Field(description="What it is called")
    number: int | None = None
    color: Literal["red", "green"] = "red"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.number == 13:
            raise ProblemError("13 brings bad luck: take 12.", "number")
        return self


class Tree(Section):
    """The section that is the file."""

    leaves: Sequence[Leaf]
    root: Leaf | None = None
    height: float = 1.5
    labels: dict[str, str] = Field(default={})

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.leaves) > 2:
            raise ProblemError("only two leaves fit.", "leaves", 2, "name")
        return self


Read = Callable[[str], Tree]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a text as the file tree.yaml."""

    def _read(text: str) -> Tree:
        file = tmp_path / "tree.yaml"
        file.write_text(text)
        return read_section(Tree, file)

    return _read


def problems(read: Read, text: str) -> list[str]:
    """What is said of a text, without the folder."""
    with pytest.raises(ValueError, match="tree") as caught:
        read(text)
    return [line.rpartition("/")[2] for line in str(caught.value).splitlines()]


def test_a_file_becomes_a_section(read: Read) -> None:
    """With defaults where it says nothing."""
    tree = read("leaves:\n  - name: a\n    number: 3\n  - {name: b, color: green}\nheight: 2\n")
    leaves = [Leaf(name="a", number=3), Leaf(name="b", color="green")]
    assert tree.model_dump() == Tree(leaves=leaves, height=2, root=None).model_dump()


NO_INTEGER = "Input should be a valid integer, unable to parse string as an integer"
A = "leaves:\n- name: a\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("leaves: []\nheigth: 2", "2: heigth: is unknown; did you mean height?"),
        ("leaves: []\nxyzzy: 2", "2: xyzzy: is unknown."),
        (f"{A}  colour: red", "3: leaves.0.colour: is unknown; did you mean color?"),
        (f"{A}  heigth: 2", "3: leaves.0.heigth: is unknown."),
        ("leaves: []\nroot:\n  name: a\n  label: b", "4: root.label: is unknown."),
        ("leaves: []\nnumbers: 2", "2: numbers: is unknown."),
        ("root:\n  name: a\n", "1: leaves: is missing."),
        (f"{A}- number: 1", "3: leaves.1.name: is missing."),
        (f"{A}  number: seven", f"3: leaves.0.number: {NO_INTEGER}"),
        (
            f"{A}  color: blue",
            "3: leaves.0.color: Input should be 'red' or 'green'",
        ),
        (
            f"{A}  color: '{{{{ nowhere }}}}'",
            (
                "3: leaves.0.color: the template cannot be filled in: UndefinedError: 'nowhere' "
                "not found in scope."
            ),
        ),
        ("leaves:\n- name: 7", "2: leaves.0.name: Input should be a valid string"),
        (f"{A}  number: 13", "3: leaves.0.number: 13 brings bad luck: take 12."),
        (
            f"{A}- name: b\n- number: 1\n  name: c",
            "5: leaves.2.name: only two leaves fit.",
        ),
        (f"{A}  number: \"{{{{ 'x' * 2 }}}}\"", f"3: leaves.0.number: {NO_INTEGER}"),
        ("leaves:", "1: leaves: write a list below it, each item after a dash."),
        (
            "leaves:\n- name: '{{ env.NOWHERE }}'",
            "2: leaves.0.name: the environment variable NOWHERE is not set.",
        ),
        (
            f"{A}labels:\n  a: 'x'\n  b: 'in/{{{{env.NOWHERE}}}}/here'",
            "5: labels.b: the environment variable NOWHERE is not set.",
        ),
        (f"{A}  name: b", "3: name is given twice, first on line 2: give it once."),
        ("leaves: []\nleaves: []", "2: leaves is given twice, first on line 1: give it once."),
        ("leaves: [{name: a, name: b}]", "1: name is given twice, first on line 1: give it once."),
        ("leaves: [", "1: this is not YAML: expected the node content, but found '<stream end>'."),
        ("- name: a", "1: write its fields below it, or {} for its defaults."),
        ("leaves: []\nroot:", "2: root: write its fields below it, or {} for its defaults."),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_what_to_do(
    read: Read, text: str, said: str
) -> None:
    """Wherever in the file it stands, and whoever finds it: the types or a check of ours."""
    assert problems(read, text) == [f"tree.yaml:{said}"]


def test_everything_that_has_a_wrong_type_is_told_at_once(read: Read) -> None:
    """Nobody wants to find them one by one."""
    assert problems(read, "leaves:\n- name: [a]\nheight: tall\n") == [
        "tree.yaml:2: leaves.0.name: Input should be a valid string",
        "tree.yaml:3: height: Input should be a valid number, unable to parse string as a number",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has 0 YAML documents; it needs one."),
        ("type: a.B\nattributes:\n  leaves: []\n", "a file for dg: give one that has what stands"),
        ("leaves: []\n---\nleaves: []\n", "has 2 YAML documents; it needs one."),
    ],
)
def test_what_is_no_section_at_all_is_told(read: Read, text: str, said: str) -> None:
    """An empty file, and several documents."""
    assert said in " ".join(problems(read, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a folder, or no text."""
    with pytest.raises(ValueError, match=r"none\.yaml cannot be read: No such file"):
        read_section(Tree, tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read_section(Tree, tmp_path)
    (tmp_path / "latin.yaml").write_bytes("leaves: [ä]".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.yaml is not UTF-8 text"):
        read_section(Tree, tmp_path / "latin.yaml")


def test_templates_and_anchors_work(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """As anywhere in a component's YAML."""
    monkeypatch.setenv("TEST_NUMBER", "4")
    tree = read(
        "leaves:\n- &first\n  name: a\n  number: '{{ env.TEST_NUMBER }}'\n- <<: *first\n  name: b\n"
    )
    assert [(leaf.name, leaf.number) for leaf in tree.leaves] == [("a", 4), ("b", 4)]


def test_a_template_may_do_without_a_variable(read: Read) -> None:
    """With a value of its own in its place."""
    text = "leaves:\n- name: \"{{ env.NOWHERE or 'a' }}\"\n- name: \"{{ env('NOWHERE', 'b') }}\""
    assert [leaf.name for leaf in read(text).leaves] == ["a", "b"]


@pytest.mark.parametrize(
    "secret", ["name: [s3cret]", "name: a\n  number: 13\n  color: red #s3cret"]
)
def test_no_value_is_told(read: Read, secret: str) -> None:
    """It may be a secret that somebody has put in the wrong place; nor do the causes tell it."""
    with pytest.raises(ValueError, match="leaves") as caught:
        read(f"leaves:\n- {secret}")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def schema_problems(attributes: Any) -> list[str]:
    """What a checker that knows only the JSON schema says, with the place."""
    validator = jsonschema.Draft202012Validator(Tree.model().model_json_schema())
    return [
        ".".join(map(str, [*error.absolute_path, error.message]))
        for error in validator.iter_errors(attributes)
    ]


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"leaves": [{"name": 7}]}, "leaves.0.name.7 is not of type 'string'"),
        (
            {"leaves": [{"name": "a", "number": "x"}]},
            "leaves.0.number.'x' is not of type 'integer', 'null'",
        ),
        (
            {"leaves": [{"name": "a", "color": "x"}]},
            "leaves.0.color.'x' is not one of ['red', 'green']",
        ),
        (
            {"leaves": [], "root": {"nam": "a", "name": "b"}},
            "root.Additional properties are not allowed ('nam' was unexpected)",
        ),
        ({}, "'jobs' is a required property".replace("jobs", "leaves")),
    ],
)
def test_the_json_schema_says_what_is_wrong_and_not_that_nothing_fits(
    attributes: Any, said: str
) -> None:
    """Editors and ``dg check yaml`` know nothing else."""
    assert schema_problems(attributes) == [said]


def test_the_json_schema_takes_what_can_be_read() -> None:
    """Templates, nulls, and everything that has a default left out."""
    leaves = [{"name": "a", "number": "{{ env.N }}"}, {"name": "b", "number": None}]
    assert schema_problems({"leaves": leaves, "height": 2, "labels": {"a": "b"}}) == []


def test_the_json_schema_has_the_descriptions() -> None:
    """Editors show them."""
    schema = Tree.model().model_json_schema()["$defs"]["Leaf"]
    assert schema["description"] == "A section in a section."
    assert schema["properties"]["name"]["description"] == "What it is called"
