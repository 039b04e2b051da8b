"""YAML documents as PyYAML reads them, with the line on which each part stands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Keys = Sequence[str | int]
"""They lead from a document to a part of it: names in mappings, positions in lists."""

_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """PyYAML's, but a time stays text, and a key may stand in a mapping once only."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as PyYAML has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping, and refuse a key that is given twice."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            name, line = _name_of(key), _line_of(key)
            if name in lines:
                raise ValueError(
                    f"{self.name}:{line}: {name} is given twice, first on line {lines[name]}: give "
                    "it once."
                )
            lines[name] = line
        return node


@dataclass(frozen=True)
class Document:
    """A YAML document of a file.

    Attributes:
        file: The file, as it is told.
        value: What the document says.
        node: PyYAML's root node of it.
    """

    file: str
    value: Any
    node: yaml.Node

    @property
    def line(self) -> int:
        """The line that it begins on; the first is 1."""
        return _line_of(self.node)

    def known(self, keys: Keys) -> tuple[str | int, ...]:
        """The keys, as far as there are such parts."""
        return tuple(key for key, _, _ in self._walk(keys))

    def place_of(self, keys: Keys) -> str:
        """The place ``file:line`` of a part, or of what it is missing in."""
        lines = [self.line, *(line for _, line, _ in self._walk(keys))]
        return f"{self.file}:{lines[-1]}"

    def _walk(self, keys: Keys) -> Iterator[tuple[str | int, int, yaml.Node]]:
        node = self.node
        for key in keys:
            parts = {name: (line, part) for name, line, part in _parts_of(node)}
            if key not in parts:
                return
            line, node = parts[key]
            yield key, line, node


def _parts_of(node: yaml.Node) -> Iterator[tuple[Any, int, yaml.Node]]:
    """What a node holds: the name or position, the line, and the node of each part."""
    if isinstance(node, yaml.MappingNode):
        for key, part in node.value:
            yield _name_of(key), _line_of(key), part
    elif isinstance(node, yaml.SequenceNode):
        for position, part in enumerate(node.value):
            yield position, _line_of(part), part


def _name_of(key: yaml.Node) -> Any:
    return key.value if isinstance(key, yaml.ScalarNode) else id(key)


def _line_of(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1


def read_documents(file: Path) -> list[Document]:
    """All documents of a file.

    Raises:
        ValueError: It cannot be read, is no YAML, or gives a key twice; the message begins with the
            file, and the line where it is known.
    """
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        loader.name = str(file)
        return list(_documents(loader))
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text.") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{file}{line}: this is not YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not YAML: {' '.join(str(error).split())}") from error


def _documents(loader: _Loader) -> Iterator[Document]:
    while loader.check_node():
        node: Any = loader.get_node()
        # Fills in what is merged (<<) in the nodes, too.
        yield Document(loader.name, loader.construct_document(node), node)
