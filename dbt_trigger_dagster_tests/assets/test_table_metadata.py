"""What Dagster shows of tables."""

import pytest

from dbt_trigger_dagster.assets.table_metadata import column_schema
from dbt_trigger_dagster.storage.columns import Table
from dbt_trigger_dagster.storage.tables import TABLES


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_the_column_schema_is_the_declared_one(table: Table) -> None:
    """Every column, in order, with a type and the description that the table declares."""
    schema = column_schema(table)
    assert [(column.name, column.description) for column in schema.columns] == [
        (column.name, column.description) for column in table.columns
    ]
    assert {column.type for column in schema.columns} <= {
        "float",
        "int",
        "bool",
        "string",
        "json",
        "timestamp",
    }
    assert all(column.description for column in schema.columns)
