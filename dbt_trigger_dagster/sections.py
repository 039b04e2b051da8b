"""Sections of a YAML file: typed, and what is wrong with one is told with file and line.

They are Dagster's ``Resolvable``: the same classes read a component's ``defs.yaml`` and the file
that ``DBT_TRIGGER_JOBS`` names, and ``dg`` makes the editors' JSON schema of them.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import dagster as dg
import yaml
from dagster.components.resolved.errors import ResolutionException
from dagster_shared.yaml_utils import parse_yamls_with_source_position
from dagster_shared.yaml_utils.source_position import SourcePositionTree, ValueAndSourcePositionTree
from pydantic import AfterValidator, BaseModel, Field, ValidationError, create_model
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import Self

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
        raise PydanticCustomError("template", "or a template in double braces")
    return text


Template = Annotated[
    str, AfterValidator(_as_template), Field(json_schema_extra={"pattern": r"\{\{"})
]
"""Text that stands for a value of another type."""

_MODELS: dict[type["Section"], type[BaseModel]] = {}


class Section(dg.Resolvable, dg.Model):
    """A section of a YAML file; its validators raise `ProblemError`."""

    @classmethod
    def model(cls) -> type[BaseModel]:
        """What the YAML must look like.

        Dagster lets any field be text, because text may be a template. Here it must be one: else
        a wrong type would only be told where the value is used.
        """
        if cls not in _MODELS:
            loose = super().model()
            fields: dict[str, Any] = {
                name: (_strict(cls.model_fields[name].annotation, field.annotation), field)
                for name, field in loose.model_fields.items()
            }
            name = loose.__name__
            _MODELS[cls] = create_model(name, __base__=loose, __doc__=cls.__doc__, **fields)
        return _MODELS[cls]

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """The section, with its templates filled in.

        Raises:
            ResolutionException: A value cannot be used; the message says where it stands.
        """
        try:
            section: Self = super().resolve_from_model(context, model)
        except ValidationError as error:
            lines = _lines_of(error, context.source_position_tree, context.path)
            raise ResolutionException("\n".join(lines)) from error
        return section


def read_section(section: type[SectionType], file: Path) -> SectionType:
    """Read a file that is one section.

    Raises:
        ValueError: The file cannot be read, or what it says cannot be used; the message has a
            line ``file:line: what: why`` for each problem.
    """
    parsed = _parse(file)
    try:
        model = section.model().model_validate(parsed.value)
        context = dg.ResolutionContext.default(parsed.source_position_tree)
        return section.resolve_from_model(context, model)
    except ValidationError as error:
        lines = _lines_of(error, parsed.source_position_tree, [])
        raise ValueError("\n".join(lines)) from error
    except ResolutionException as error:
        raise ValueError(str(error)) from error


def _parse(file: Path) -> ValueAndSourcePositionTree:
    try:
        documents = parse_yamls_with_source_position(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if len(documents) != 1:
        raise ValueError(f"{file} has {len(documents)} YAML documents; it needs one.")
    return documents[0]


# Types


def _strict(meant: Any, loose: Any) -> Any:
    """A field's type in YAML, given the type that is meant and Dagster's: that one, or text."""
    if {str, Any} & set(_members(meant)):
        return loose
    # A whole section is no template: in a union, pydantic would lose track of where it stands.
    text: tuple[Any, ...] = () if _has_sections(meant) else (Template,)
    return Union[
        (*(each for each in _members(loose) if each is not str), *text)
    ]  # of as many as there are


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
        problem = details.get("ctx", {}).get("error")
        below = problem.keys if isinstance(problem, ProblemError) else ()
        keys = _known(tree, (*above, *details["loc"], *below), details)
        found.setdefault(keys, []).append(_sentence(details))
    for keys, sentences in found.items():
        yield ": ".join([*_place(tree, keys), ", ".join(dict.fromkeys(sentences))])


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
    if details["type"] == "extra_forbidden":
        names = {name for model in _MODELS.values() for name in model.model_fields}
        near = get_close_matches(str(details["loc"][-1]), names, n=1)
        return f"is unknown; did you mean {near[0]}?" if near else "is unknown."
    return details["msg"]
