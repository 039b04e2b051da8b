"""What a table that is there already lacks, and whether it is ours at all."""

from collections.abc import Callable, Collection, Mapping

from dbt_trigger_dagster.storage.columns import Column, Kind, Rows, Table
from dbt_trigger_dagster.storage.errors import StorageError

_NOBODYS_KEY = {Kind.INTEGER: -1, Kind.TEXT: ""}


def missing_columns(
    table: Table,
    existing: Mapping[str, str],
    *,
    relation: str,
    types_of: Callable[[Kind], Collection[str]],
) -> list[Column]:
    """The columns that a table of an older version of ours lacks.

    Args:
        table: As it is declared.
        existing: The type of each column that is there, by its name, as the database says them.
        relation: The table's full name, for the message.
        types_of: The types, as the database says them, that a kind may be kept as.

    Raises:
        StorageError: Columns are of other types: somebody else made the table.
    """
    foreign = [
        f"{column.name} is {existing[column.name]} and not {next(iter(types_of(column.kind)))}"
        for column in table.columns
        if column.name in existing and existing[column.name] not in types_of(column.kind)
    ]
    if foreign:
        raise StorageError(
            f"{relation} was made by something else, and is left alone: its column "
            f"{', '.join(foreign)}. Name another schema for our tables (schema), or rename it."
        )
    return [column for column in table.columns if column.name not in existing]


def probe_of(table: Table) -> Rows:
    """A row of nobody's, to try a write with that is rolled back.

    Whatever makes a table refuse rows, such as a column of somebody else's that must not be null,
    is found so before a job is triggered.
    """
    keys = {
        column.name: _NOBODYS_KEY.get(column.kind)
        for column in table.columns
        if column.name in table.primary_key
    }
    return table.rows([{**keys, "loaded_at": "1970-01-01T00:00:00Z", "raw": {}}])
