"""What a catalog.json says of relations: their columns' types, how many rows and bytes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dbt_trigger_dagster.artifacts.json_stream import OpenFile, plain, read_sections

CATALOG = "catalog.json"

_ROWS = ("row_count", "num_rows", "rows", "rows_count")
_BYTES = ("bytes", "num_bytes", "bytes_count")


@dataclass(frozen=True)
class Relation:
    """One relation of a catalog.

    Attributes:
        unique_id: The node that it is of.
        row_count: How many rows, where the adapter says.
        size_bytes: How many bytes, where the adapter says.
        types: The columns' types by their names, in the order of the relation.
    """

    unique_id: str
    row_count: int | None
    size_bytes: int | None
    types: Mapping[str, str]


def read_catalog(open_file: OpenFile) -> Iterator[Relation]:
    """The relations of a catalog.

    Raises:
        BrokenFileError: The file is broken; raised after everything that can be read.
    """
    for _, unique_id, found in read_sections(open_file, ("nodes", "sources")):
        if isinstance(found, Mapping) and unique_id:
            relation = plain(found)
            stats = relation.get("stats")
            stats = stats if isinstance(stats, Mapping) else {}
            yield Relation(
                unique_id, _number(stats, _ROWS), _number(stats, _BYTES), _types(relation)
            )


def with_types(columns: list[dict[str, Any]], types: Mapping[str, str]) -> list[dict[str, Any]]:
    """A node's columns as the relation has them, with what the manifest says of each."""
    described = {str(column.get("name")).lower(): column for column in columns}
    return [
        {**described.get(name.lower(), {}), "name": name, "data_type": data_type}
        for name, data_type in types.items()
    ] or columns


def _types(relation: Mapping[str, Any]) -> dict[str, str]:
    columns = relation.get("columns")
    found = columns.items() if isinstance(columns, Mapping) else ()
    ordered = sorted(
        ((str(name), column) for name, column in found if isinstance(column, Mapping)),
        key=lambda pair: _index(pair[1]),
    )
    return {name: str(column.get("type") or "") for name, column in ordered}


def _index(column: Mapping[str, Any]) -> float:
    index = column.get("index")
    return index if isinstance(index, int | float) else 0


def _number(stats: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """A statistic by the first of the adapters' names for it that has a number."""
    for name in names:
        statistic = stats.get(name)
        value = statistic.get("value") if isinstance(statistic, Mapping) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value)
    return None
