"""What a table that is there already lacks, and whether it is ours at all."""

from collections.abc import Mapping
from dataclasses import dataclass

from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.kinds import Kind

_NOBODYS_KEY = {Kind.INTEGER: -1, Kind.TEXT: ""}
_NOBODYS_ACCOUNTS = (-1, -2)


@dataclass(frozen=True)
class Existing:
    """A table or view that is there.

    Attributes:
        columns: The type of each column, as the database says it, by the column's name.
        is_view: Whether it is none that rows can be written to.
        required: Columns that must be given, where a write that is taken back does not tell.
    """

    columns: Mapping[str, str]
    is_view: bool = False
    required: frozenset[str] = frozenset()


def missing_columns(
    table: Table,
    existing: Mapping[str, str],
    *,
    relation: str,
    types: Mapping[Kind, str],
) -> list[Column]:
    """The columns that a table of an older version of ours lacks.

    Args:
        table: As it is declared.
        existing: The type of each column that is there, by its name, as the database says them.
        relation: The table's full name, for the message.
        types: The type of each kind of column, as the database says it.

    Raises:
        StorageError: Columns are of other types: somebody else made the table.
    """
    foreign = [
        f"{column.name} is {existing[column.name]} and not {types[column.kind]}"
        for column in table.columns
        if column.name in existing and existing[column.name] != types[column.kind]
    ]
    if foreign:
        raise StorageError(
            f"{relation} was made by something else, and is left alone: its column "
            f"{', '.join(foreign)}. Name another schema for our tables (schema), or rename it."
        )
    return [column for column in table.columns if column.name not in existing]


def probe_of(table: Table) -> Rows:
    """Rows of nobody's, to try a write with that is rolled back.

    Whatever makes a table refuse rows is found so before a job is triggered: a column of somebody
    else's that must not be null, or a key that two accounts cannot share.
    """
    keys = {
        column.name: _NOBODYS_KEY.get(column.kind)
        for column in table.columns
        if column.name in table.primary_key
    }
    probe = {**keys, "loaded_at": "1970-01-01T00:00:00Z", "raw": {}}
    return table.rows({**probe, "account_id": account} for account in _NOBODYS_ACCOUNTS)
