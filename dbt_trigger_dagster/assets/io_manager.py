"""The IO manager that keeps the tables' history.

A materialization adds its rows, or replaces those with the same primary key; all others stay.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from dbt_trigger_dagster.assets.resumption import resume_chain
from dbt_trigger_dagster.storage.columns import Kind, Table
from dbt_trigger_dagster.storage.duckdb import DuckDBStore, open_store
from dbt_trigger_dagster.storage.tables import TABLES

if TYPE_CHECKING:
    import pandas as pd

TABLE_KEY = "dbt_trigger_dagster/table"
"""The definition metadata that names the table of an asset."""

ROWS_KEY = "rows"
"""The input metadata that says which rows an asset wants; without it, `LATEST_ROWS`."""

LATEST_ROWS = "latest"
"""The rows of this Dagster run; where it wrote none, those of the latest materialization."""

ALL_ROWS = "all"
"""The whole table."""

ROWS_IF_ANY = "latest_if_any"
"""As `LATEST_ROWS`, but no rows instead of an error where there are none."""

LOOK_UP_WAIT_LIMIT = 10.0
"""Seconds that a look for runs waits for writers: a sensor has little time, and comes again."""

_PREVIEW_ROWS = 5
_TYPES = {
    Kind.INTEGER: "int",
    Kind.BOOLEAN: "bool",
    Kind.TEXT: "string",
    Kind.JSON: "json",
    Kind.TIMESTAMP: "timestamp",
    Kind.SECONDS: "int",
}


def column_schema(table: Table) -> dg.TableSchema:
    """A table's columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, type=_TYPES[column.kind], description=column.description)
            for column in table.columns
        ]
    )


class DbtCloudTableIOManager(dg.ConfigurableIOManager):
    """Keeps the DataFrames of dbt Cloud's assets as tables with a history, in DuckDB."""

    database: str = Field(
        default="data/dbt_cloud.duckdb",
        description="Path of a DuckDB file; it and its folder are made when missing",
    )
    schema_: str = Field(
        default="main", alias="schema", description="Schema of the tables; made when missing"
    )

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Fail before any job is triggered where its rows could not be kept.

        Only in a run: a sensor triggers nothing, and has no time to wait for writers.
        """
        store = self._store
        if context.run is not None:
            store.check()

    @property
    def _store(self) -> DuckDBStore:
        return open_store(self.database, schema=self.schema_)

    def rows_of_runs(
        self, table: Table, run_ids: Collection[int], *, column: str = "asset_key"
    ) -> dict[int, str]:
        """Of some dbt Cloud runs, those that a table holds, each with one column of its row.

        Args:
            table: `TRIGGER` or `RUN`.
            run_ids: The runs.
            column: The column, of text.

        Raises:
            StorageError: The database cannot be read.
        """
        if not run_ids:
            return {}
        store = open_store(self.database, schema=self.schema_, wait_limit=LOOK_UP_WAIT_LIMIT)
        return store.look_up(table, column, key="id", values=run_ids)

    def handle_output(self, context: dg.OutputContext, obj: "pd.DataFrame") -> None:
        """Write the rows of a materialization, all or none.

        Args:
            context: Of an asset whose definition metadata names a table.
            obj: The table's own columns; the last ones are filled in here.

        Raises:
            StorageError: They cannot be written; nothing has changed.
        """
        table = _table_of(context, context.definition_metadata)
        frame = obj.assign(
            asset_key=context.asset_key.to_user_string(),
            dagster_run_id=context.run_id,
            loaded_at=datetime.now(timezone.utc),
        ).astype(table.dtypes)
        self._store.upsert(table, frame)
        context.add_output_metadata(
            {
                "dagster/row_count": len(frame),
                "dagster/column_schema": column_schema(table),
                "dagster/relation_identifier": self._store.relation(table),
                "preview": _preview(table, frame),
            }
        )

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame":
        """The rows that an asset's input metadata asks for, with all of the table's columns.

        Raises:
            ValueError: The metadata asks for something else than this knows, or the asset has
                no rows yet.
            StorageError: The database cannot be read.
        """
        upstream = context.upstream_output
        table = _table_of(context, upstream.definition_metadata if upstream else {})
        wanted = (context.definition_metadata or {}).get(ROWS_KEY, LATEST_ROWS)
        if wanted == ALL_ROWS:
            return self._store.read(table)
        if wanted not in {LATEST_ROWS, ROWS_IF_ANY}:
            raise ValueError(
                f'The input {context.asset_key.to_user_string()} has the metadata "{ROWS_KEY}": '
                f'{wanted!r}; it can be "{LATEST_ROWS}", "{ALL_ROWS}" or "{ROWS_IF_ANY}".'
            )
        rows = self._latest(context, table)
        if rows is None and wanted == LATEST_ROWS:
            raise ValueError(
                f"{context.asset_key.to_user_string()} has no rows in "
                f"{self._store.relation(table)} yet: materialize it first."
            )
        return table.frame([]) if rows is None else rows

    def _latest(self, context: dg.InputContext, table: Table) -> "pd.DataFrame | None":
        """The rows of this run, of one that it resumes, or of the latest; None where none are."""
        asset_key = context.asset_key.to_user_string()
        event = context.instance.get_latest_materialization_event(context.asset_key)
        latest = [event.run_id] if event is not None else []
        for dagster_run_id in dict.fromkeys([*_this_run_and_those_before(context), *latest]):
            rows = self._store.read(table, asset_key=asset_key, dagster_run_id=dagster_run_id)
            # A materialization may well have no rows: a run without artifacts, for example.
            if not rows.empty or dagster_run_id in latest:
                return rows
        return None


def _this_run_and_those_before(context: dg.InputContext) -> list[str]:
    """The Dagster run, and those that it resumes from their failures."""
    try:
        run = context.step_context.dagster_run
    except dg.DagsterInvariantViolationError:  # a context that a test has built has no step
        return [context.upstream_output.run_id] if context.upstream_output else []
    return [chained.run_id for chained in resume_chain(context.instance, run)]


def _table_of(
    context: dg.InputContext | dg.OutputContext, metadata: Mapping[str, Any] | None
) -> Table:
    name = (metadata or {}).get(TABLE_KEY)
    if not isinstance(name, str) or name not in TABLES:
        raise ValueError(
            f"The asset {context.asset_key.to_user_string()} has no table: this IO manager keeps "
            f'only assets whose metadata has "{TABLE_KEY}", one of {", ".join(TABLES)}.'
        )
    return TABLES[name]


def _preview(table: Table, frame: "pd.DataFrame") -> dg.TableMetadataValue:
    """The first rows as a table of plain values: nothing that dbt Cloud says is rendered."""
    first = frame[list(table.preview)].head(_PREVIEW_ROWS)
    # Nulls last: as text they would come back as NaN, which is no JSON.
    rows = first.astype("str").astype("object").where(first.notna(), None).to_dict("records")
    return dg.MetadataValue.table(
        [dg.TableRecord({str(name): value for name, value in row.items()}) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(name) for name in table.preview]),
    )
