"""What Dagster shows of tables: their columns, and a few rows of what was written."""

from typing import Any

import dagster as dg

from dbt_trigger_dagster.assets.metadata import cut
from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.kinds import Kind

PREVIEW_ROWS = 3
"""How many rows are shown; Dagster stores them several times."""

_TYPES = {
    Kind.INTEGER: "int",
    Kind.BOOLEAN: "bool",
    Kind.TEXT: "string",
    Kind.JSON: "json",
    Kind.TIMESTAMP: "timestamp",
    Kind.SECONDS: "int",
    Kind.NUMBER: "float",
}


def column_schema(table: Table) -> dg.TableSchema:
    """A table's columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, type=_TYPES[column.kind], description=column.description)
            for column in table.columns
        ]
    )


def preview(rows: Rows) -> dict[str, Any]:
    """Rows as a table of plain values: nothing that dbt Cloud says is rendered."""
    names = rows.table.preview
    if not names:
        return {}
    columns = [rows.columns[name] for name in names]
    records = [
        dg.TableRecord(
            {
                name: None if value is None else cut(str(value))
                for name, value in zip(names, row, strict=True)
            }
        )
        for row in zip(*columns, strict=True)
    ]
    schema = dg.TableSchema([dg.TableColumn(name) for name in names])
    return {"preview": dg.MetadataValue.table(records, schema=schema)}
