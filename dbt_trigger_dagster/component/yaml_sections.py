"""Sections of a YAML file: typed, and what is wrong with one is told with file and line.

The same classes read the file that ``DBT_TRIGGER_JOBS`` names and a component's ``defs.yaml``.
Dagster only hands over what it has read; the templates are filled in and the values are judged
here, because its own messages show values, and one may be a secret.
"""

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import dagster as dg
from dagster.components.core.context import ComponentDeclLoadContext
from dagster.components.resolved.errors import ResolutionException
from pydantic import (
    BaseModel,
    PrivateAttr,
    RootModel,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails
from typing_extensions import Self

from dbt_trigger_dagster.component.json_schema import json_schema
from dbt_trigger_dagster.component.yaml_document import Document, Keys, read_documents
from dbt_trigger_dagster.dbt_cloud.errors import SettingError

SectionType = TypeVar("SectionType", bound="Section")

_VARIABLE = re.compile(r"\{\{\s*env\.(\w+)\s*\}\}")  # Dagster makes None of one that is not set
_A_SECTION = "write its fields below it, or {} for its defaults."
_A_LIST = "write a list below it, each item after a dash."
_SENTENCES = {
    "missing": "is missing.",
    "model_type": _A_SECTION,
    "is_instance_of": _A_LIST,
    "list_type": _A_LIST,
    "sequence_str": _A_LIST,
}
"""What to say where pydantic's words are for programmers."""


class ProblemError(ValueError):
    """What is wrong with a section, and with which part of it.

    Args:
        sentence: What is wrong, and what to do.
        keys: They lead from the section to the part.
    """

    def __init__(self, sentence: str, *keys: str | int) -> None:
        super().__init__(sentence)
        self.keys = keys


class Section(dg.Resolvable, dg.Model):
    """A section of a YAML file; its validators raise `ProblemError` or `SettingError`."""

    _document: Document | None = PrivateAttr(default=None)
    _above: Keys = PrivateAttr(default=())
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _know_the_folder(self, info: ValidationInfo) -> Self:
        self._folder = (info.context or {}).get("folder")
        return self

    @property
    def folder(self) -> Path:
        """Where relative paths begin: in the project, or beside the file."""
        return self._folder or Path()

    def place_of(self, *keys: str | int) -> str | None:
        """The place ``file:line`` of a part of the section that is a file, else None."""
        if self._document is None:
            return None
        return self._document.place_of((*self._above, *keys))

    @classmethod
    def model(cls) -> type[BaseModel]:
        """What Dagster reads: anything, with the section's JSON schema."""
        return _as_read(cls)

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """The section, with its templates filled in.

        Raises:
            ResolutionException: A value cannot be used; the message has a line
                ``file:line: what: why`` for each problem.
        """
        value = getattr(model, "root", None)
        try:
            return _judged(cls, value, context, _document_of(context), _project_of(context))
        except ValueError as error:
            raise ResolutionException(str(error)) from None


@cache
def _as_read(section: type[Section]) -> type[BaseModel]:
    class AsRead(RootModel[Any]):
        root: Any = {}

        def __getitem__(self, key: Any) -> Any:
            return self.root[key]

        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return json_schema(section)

    return AsRead


def read_section(section: type[SectionType], file: Path) -> SectionType:
    """Read a file that is one section.

    Raises:
        ValueError: The file cannot be read, or what it says cannot be used; the message has a
            line ``file:line: what: why`` for each problem.
    """
    documents = read_documents(file)
    if len(documents) != 1:
        raise ValueError(f"{file} has {len(documents)} YAML documents; it needs one.")
    value = documents[0].value
    if isinstance(value, dict) and {"type", "attributes"} <= value.keys():
        raise ValueError(
            f"{file} is a file for dg: give one that has what stands under attributes."
        )
    context = dg.ResolutionContext.default()
    return _judged(section, value, context, documents[0], file.absolute().parent)


def _document_of(context: dg.ResolutionContext) -> Document | None:
    """The document of a ``defs.yaml``, read once more for its lines; None for what is in no file.

    Raises:
        ValueError: A key is given twice, which Dagster does not mind.
    """
    tree = context.source_position_tree
    if tree is None or not Path(tree.position.filename).is_file():
        return None
    documents = read_documents(Path(tree.position.filename))
    return next((each for each in documents if each.line == tree.position.start.line), None)


def _project_of(context: dg.ResolutionContext) -> Path | None:
    """The folder of the dg project that a section is of; None for what is in no file."""
    if context.source_position_tree is None:
        return None
    return ComponentDeclLoadContext.from_resolution_context(context).project_root.absolute()


def _judged(
    section: type[SectionType],
    value: Any,
    context: dg.ResolutionContext,
    document: Document | None,
    folder: Path | None,
) -> SectionType:
    """The section that a value is.

    Raises:
        ValueError: It is none, for these reasons; none of the values is told.
    """
    try:
        filled_in = _filled_in(value, context)
        found = section.model_validate(filled_in, context={"folder": folder})
        _refuse_empty(section, value)
    except ProblemError as error:
        keys: Keys = (*context.path, *error.keys)
        problems: dict[Keys, list[str]] = {keys: [str(error)]}
    except ValidationError as error:
        problems = {}
        for details in error.errors():
            keys = (*context.path, *details["loc"], *_keys_of(details))
            if document is not None and details["type"] != "missing":
                keys = document.known(keys)  # without what pydantic adds of its own
            problems.setdefault(keys, []).append(_sentence(section, details))
    else:
        found._document, found._above = document, tuple(context.path)  # noqa: SLF001  # its own functions
        return found
    # Not from those errors: they would show the values.
    raise ValueError("\n".join(_lines(problems, document)))


def _lines(problems: dict[Keys, list[str]], document: Document | None) -> Iterator[str]:
    for keys, sentences in problems.items():
        place = [] if document is None else [document.place_of(keys)]
        what = [".".join(map(str, keys))] if keys else []
        yield ": ".join([*place, *what, ", ".join(dict.fromkeys(sentences))])


def _filled_in(value: Any, context: dg.ResolutionContext, *keys: str | int) -> Any:
    """A value with its templates filled in; other text stays as it is.

    Dagster would take every text for a template, and give the number 1.1 for the text "1.10".
    """
    if isinstance(value, dict):
        return {key: _filled_in(part, context, *keys, key) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled_in(part, context, *keys, at) for at, part in enumerate(value)]
    if not isinstance(value, str) or "{{" not in value:
        return value
    for variable in _VARIABLE.findall(value):
        if variable not in os.environ:
            raise ProblemError(f"the environment variable {variable} is not set.", *keys)
    try:
        # Without the file's text, which Dagster would show.
        return context.with_source_position_tree(None).resolve_value(value)  # type: ignore[arg-type]  # it may be None
    except ResolutionException as error:
        why = str(error).strip().splitlines()[-1].partition(", available scope")[0]
        raise ProblemError(f"the template cannot be filled in: {why}.", *keys) from None


def _refuse_empty(section: type[Section], value: Any) -> None:
    """Refuse a section that is named and has nothing below it: with or without it?"""
    for name, field in section.model_fields.items():
        if value.get(name, name) is None and _section_in(field.annotation):
            raise ProblemError(_A_SECTION, name)


def _keys_of(details: ErrorDetails) -> Keys:
    """Which part of a section a check of ours means."""
    problem = details.get("ctx", {}).get("error")
    if isinstance(problem, SettingError):
        return (problem.field,)
    return problem.keys if isinstance(problem, ProblemError) else ()


def _sentence(section: type[Section], details: ErrorDetails) -> str:
    """What is wrong; never with the value, which may be a secret."""
    problem = details.get("ctx", {}).get("error")
    if problem is not None:
        return str(problem)
    if details["type"] != "extra_forbidden":
        return _SENTENCES.get(details["type"], details["msg"])
    *above, name = details["loc"]
    near = get_close_matches(str(name), _fields_at(section, above), n=1)
    return f"is unknown; did you mean {near[0]}?" if near else "is unknown."


def _fields_at(section: type[Section], keys: Keys) -> list[str]:
    """What the section that keys lead to may say."""
    for key in keys:
        field = section.model_fields.get(str(key))
        section = (_section_in(field.annotation) if field else None) or section
    fields = section.model_fields.items()
    return [field.alias or name for name, field in fields if not field.exclude]


def _section_in(annotation: Any) -> type[Section] | None:
    """The section that a field holds, or holds a list of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)
