"""Reads the CSV exports of the tables that Keboola's dbt Cloud Job Trigger wrote.

What is nested stands there in Python's notation, which is read as literals: nothing is evaluated.
"""

import ast
import csv
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.copy import Source
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.tables import RUN, TRIGGER

_ROWS = 100
_LONGEST_CELL = 2**31 - 1
_EXCERPT = 60
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def rows_of_exports(folder: Path, tell: Callable[[str], None]) -> Source:
    """The rows of ``dbt_cloud_trigger.csv`` and ``dbt_cloud_run.csv`` in a folder.

    They have no lineage: no Dagster asset wrote them.

    Args:
        folder: The folder; one of the files may be missing.
        tell: Gets a sentence about each row that cannot be read and is left out.

    Raises:
        StorageError: Neither file is there.
    """
    files = {table: folder / f"{table.name}.csv" for table in (TRIGGER, RUN)}
    if not any(file.is_file() for file in files.values()):
        raise StorageError(
            f"{folder} has neither {TRIGGER.name}.csv nor {RUN.name}.csv: name the folder with "
            "Keboola's exports."
        )

    def read(table: Table) -> Iterator[Rows]:
        file = files.get(table)
        if file is None or not file.is_file():
            return
        records = _records(file, table, tell)
        while batch := list(islice(records, _ROWS)):
            yield table.rows(batch)

    return read


def _records(file: Path, table: Table, tell: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    kinds = {column.source: column.kind for column in table.columns if column.source}
    csv.field_size_limit(_LONGEST_CELL)  # a run's steps with their logs are one cell
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            for line, cells in _rows(csv.reader(lines)):
                try:
                    yield _record(cells, kinds, table)
                except ValueError as error:
                    tell(f"{file.name}, line {line}: {error}")
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror}.") from error


def _rows(reader: Any) -> Iterator[tuple[int, Mapping[str, str] | csv.Error | list[str]]]:
    """Each row with the line that it begins in, or what is wrong with it."""
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, error
            continue
        if not header:
            header = cells
        elif len(cells) == len(header):
            yield line, dict(zip(header, cells, strict=True))
        elif cells:  # no blank line
            yield line, cells


def _record(
    cells: Mapping[str, str] | csv.Error | list[str], kinds: Mapping[str, Kind], table: Table
) -> dict[str, Any]:
    """A row's values.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    if isinstance(cells, csv.Error):
        raise ValueError(f"{cells}.")  # noqa: TRY004  # of a file
    if isinstance(cells, list):
        raise ValueError(f"it has {len(cells)} cells, which is not what the header has.")  # noqa: TRY004  # of a file
    payload = {name: _value(name, cell, kinds.get(name)) for name, cell in cells.items()}
    record = table.record(payload)
    lacking = [name for name in table.primary_key if record.get(name) is None]
    if lacking:
        raise ValueError(f"it has no {' and no '.join(lacking)}.")
    return record


def _value(name: str, cell: str, kind: Kind | None) -> Any:
    """What a cell says of the API's field.

    Raises:
        ValueError: It cannot be read as what the field holds.
    """
    if not cell:
        return None
    try:
        cell.encode()
        if kind is Kind.INTEGER:
            return None if cell == "None" else int(cell)
        if kind is Kind.BOOLEAN:
            return None if cell == "None" else _BOOLEANS[cell.lower()]
        return _nested(cell) if kind is Kind.JSON else cell
    except (KeyError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError) as error:
        what = "UTF-8" if isinstance(error, UnicodeEncodeError) else _WORDS.get(kind, "text")
        shown = cell.encode(errors="replace").decode()[:_EXCERPT]
        raise ValueError(f"{name} is not {what}: {shown!r}.") from error


_WORDS: Mapping[Kind | None, str] = {
    Kind.INTEGER: "a whole number",
    Kind.BOOLEAN: "True or False",
    Kind.JSON: "a literal of Python's or JSON",
}


def _nested(cell: str) -> Any:
    try:
        value = ast.literal_eval(cell)
    except (SyntaxError, ValueError):
        return json.loads(cell)
    json.dumps(value, default=str)  # a TypeError where keys are no names
    return value
