"""Sections of a YAML file: typed, and what is wrong with one is told with file and line.

They are Dagster's ``Resolvable``: the same classes read a component's ``defs.yaml`` and the file
that ``DBT_TRIGGER_JOBS`` names, and ``dg`` makes the editors' JSON schema of them.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

import dagster as dg
import yaml
from dagster.components.resolved.errors import ResolutionException
from dagster_shared.yaml_utils import parse_yamls_with_source_position
from dagster_shared.yaml_utils.source_position import SourcePositionTree, ValueAndSourcePositionTree
from pydantic import (
    AfterValidator,
    BaseModel,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from typing_extensions import Self

from dbt_trigger_dagster.dbt_cloud.errors import SettingError

Keys = Sequence[str | int]
SectionType = TypeVar("SectionType", bound="Section")


class ProblemError(ValueError):
    """What is wrong with a section, and with which part of it.

    Args:
        sentence: What is wrong, and what to do.
        keys: They lead from the section to the part.
    """

    def __init__(self, sentence: str, *keys: str | int) -> None:
        super().__init__(sentence)
        self.keys = keys


def _as_template(text: str) -> str:
    if "{{" not in text:
        raise ValueError("or a template in double braces")
    return text


_Template = Annotated[str, AfterValidator(_as_template)]
_VARIABLE = re.compile(r"\{\{\s*env\.(\w+)\s*\}\}")  # Dagster makes None of one that is not set
_IS_TEMPLATE = {"type": "string", "pattern": r"\{\{"}

_MODELS: dict[type["Section"], type[BaseModel]] = {}


class Section(dg.Resolvable, dg.Model):
    """A section of a YAML file; its validators raise `ProblemError`."""

    yaml_schema: ClassVar[Mapping[str, Any]] = {}
    """What its JSON schema says beyond its fields."""

    @classmethod
    def model(cls) -> type[BaseModel]:
        """What the YAML must look like.

        Dagster lets any field be text, because text may be a template. Here it must be one: else
        a wrong type would only be told where the value is used.
        """
        if cls not in _MODELS:
            loose = super().model()
            fields = {
                name: _yaml_field(cls, name, field) for name, field in loose.model_fields.items()
            }
            name = loose.__name__
            model = create_model(name, __base__=loose, __doc__=cls.__doc__, **fields)
            extra: Any = loose.model_config["json_schema_extra"]
            model.model_config["json_schema_extra"] = {**extra, **cls.yaml_schema}
            _MODELS[cls] = model
        return _MODELS[cls]

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """The section, with its templates filled in.

        Raises:
            ResolutionException: A value cannot be used; the message says where it stands.
        """
        names = {name: field.alias or name for name, field in cls.model_fields.items()}
        values = {
            names[name]: _resolved(context.at_path(names[name]), getattr(model, name))
            for name in model.model_fields_set
        }
        try:
            return cls(**values)
        except ValidationError as error:
            lines = _lines_of(error, context.source_position_tree, context.path)
            # Not from that error: it would show the values, one of which may be a secret.
            raise ResolutionException("\n".join(lines)) from None


def _resolved(context: dg.ResolutionContext, value: Any) -> Any:
    """A value with its templates filled in; other text stays as it is.

    Dagster would take every text for a template, and give the number 1.1 for the text "1.10".
    """
    if isinstance(value, str):
        for variable in _VARIABLE.findall(value):
            if variable not in os.environ:
                place = _place(context.source_position_tree, context.path)
                sentence = f"the environment variable {variable} is not set."
                raise ResolutionException(": ".join([*place, sentence]))
        return context.resolve_value(value) if "{{" in value else value
    if isinstance(value, list | tuple):
        return [_resolved(context.at_path(at), each) for at, each in enumerate(value)]
    if isinstance(value, dict):
        return {key: _resolved(context.at_path(key), each) for key, each in value.items()}
    for section, model in _MODELS.items():
        if type(value) is model:
            return section.resolve_from_model(context, value)
    return value


def read_section(section: type[SectionType], file: Path) -> SectionType:
    """Read a file that is one section.

    Raises:
        ValueError: The file cannot be read, or what it says cannot be used; the message has a
            line ``file:line: what: why`` for each problem.
    """
    parsed = _parse(file)
    if isinstance(parsed.value, dict) and {"type", "attributes"} <= parsed.value.keys():
        raise ValueError(
            f"{file} is a file for dg: give one that has what stands under attributes."
        )
    try:
        model = section.model().model_validate(parsed.value)
        context = dg.ResolutionContext.default(parsed.source_position_tree)
        return section.resolve_from_model(context, model)
    except ValidationError as error:
        lines = _lines_of(error, parsed.source_position_tree, [])
        raise ValueError("\n".join(lines)) from None
    except ResolutionException as error:
        raise ValueError(str(error)) from None


def _parse(file: Path) -> ValueAndSourcePositionTree:
    try:
        documents = parse_yamls_with_source_position(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text.") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{file}{line}: this is not YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if len(documents) != 1:
        raise ValueError(f"{file} has {len(documents)} YAML documents; it needs one.")
    return documents[0]


# Types


def _yaml_field(section: type[Section], name: str, loose: FieldInfo) -> Any:
    """A field as it stands in YAML, with the description that Dagster drops."""
    meant = section.model_fields[name]
    field = copy(loose)
    field.description = meant.description
    return _strict(meant.annotation, loose.annotation), field


def _strict(meant: Any, loose: Any) -> Any:
    """A field's type in YAML.

    Args:
        meant: The field's type in Python.
        loose: The type that Dagster has made of it: that, or any text.
    """
    members = [each for each in _members(loose) if each is not str]
    if _has_sections(meant):
        # Without null or templates: in a union, nobody could tell where in a section an error is.
        return Union[tuple(each for each in members if each is not type(None))]  # noqa: UP007  # as many as there are
    if {str, Any} & set(_members(meant)):
        return Annotated[loose, WithJsonSchema(_one_schema(meant))]
    # "if" and "else", for a checker then tells what is wrong with the "else".
    schema = {"if": _IS_TEMPLATE, "else": _one_schema(meant)}
    return Annotated[Union[(*members, _Template)], WithJsonSchema(schema)]  # as above


def _one_schema(annotation: Any) -> dict[str, Any]:
    """A type's JSON schema, not as one of several, for a checker would only say that none fits."""
    schema = TypeAdapter(annotation).json_schema()
    several = schema.pop("anyOf", [])
    for each in several:
        schema.update(each)
    if several:
        schema["type"] = [each["type"] for each in several]
    return schema


def _members(annotation: Any) -> tuple[Any, ...]:
    is_union = get_origin(annotation) in {Union, UnionType}
    return get_args(annotation) if is_union else (annotation,)


def _has_sections(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return True
    return any(_has_sections(each) for each in get_args(annotation))


# Problems


def _lines_of(
    error: ValidationError, tree: SourcePositionTree | None, above: Keys
) -> Iterator[str]:
    """A line for each part that is wrong.

    Args:
        error: What pydantic says of a section.
        tree: Where the parts of the file stand; None for what is in no file.
        above: The keys that lead to the section.
    """
    found: dict[tuple[str | int, ...], list[str]] = {}
    for details in error.errors():
        keys = _known(tree, (*above, *details["loc"], *_keys_of(details)), details)
        found.setdefault(keys, []).append(_sentence(details))
    for keys, sentences in found.items():
        yield ": ".join([*_place(tree, keys), ", ".join(dict.fromkeys(sentences))])


def _keys_of(details: ErrorDetails) -> Keys:
    """Which part of a section a check of ours means."""
    problem = details.get("ctx", {}).get("error")
    if isinstance(problem, SettingError):
        return (problem.field,)
    return problem.keys if isinstance(problem, ProblemError) else ()


def _known(
    tree: SourcePositionTree | None, keys: tuple[str | int, ...], details: ErrorDetails
) -> tuple[str | int, ...]:
    """Without the names that pydantic gives to the members of a union."""
    if tree is None or details["type"] == "missing":
        return keys
    for position, key in enumerate(keys):
        if key not in tree.children:
            return keys[:position]
        tree = tree.children[key]
    return keys


def _place(tree: SourcePositionTree | None, keys: Keys) -> Iterator[str]:
    if tree is not None:
        yield str(tree.lookup_closest_and_path(keys, None)[0])
    if keys:
        yield ".".join(map(str, keys))


def _sentence(details: ErrorDetails) -> str:
    """What is wrong; never with the value, which may be a secret."""
    problem = details.get("ctx", {}).get("error")
    if problem is not None:
        return str(problem)
    if details["type"] == "missing":
        return "is missing."
    if details["type"] == "model_type":
        return "write its fields below it, or {} for its defaults."
    if details["type"] in {"list_type", "tuple_type"}:
        return "write a list below it, each item after a dash."
    if details["type"] == "extra_forbidden":
        names = {name for model in _MODELS.values() for name in model.model_fields}
        near = get_close_matches(str(details["loc"][-1]), names, n=1)
        return f"is unknown; did you mean {near[0]}?" if near else "is unknown."
    return details["msg"]
