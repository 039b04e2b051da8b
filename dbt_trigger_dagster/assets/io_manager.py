"""The IO manager that keeps the tables' history.

A materialization adds its rows, or replaces those with the same primary key; all others stay.
People get DataFrames, and may hand them over; our own steps exchange `Rows`, without pandas.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, field_validator

from dbt_trigger_dagster.assets.latest_rows import latest_rows
from dbt_trigger_dagster.assets.resources import Options, Secret, value_of, values_of
from dbt_trigger_dagster.assets.table_metadata import PREVIEW_ROWS, preview
from dbt_trigger_dagster.storage.batches import Batches
from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.compatible_views import COMPATIBLE_VIEWS, views_like
from dbt_trigger_dagster.storage.database import WAIT_LIMIT
from dbt_trigger_dagster.storage.node_tables import NODE
from dbt_trigger_dagster.storage.project_nodes import with_gone
from dbt_trigger_dagster.storage.store import Store, open_store
from dbt_trigger_dagster.storage.tables import RUN, TABLES, TRIGGER
from dbt_trigger_dagster.storage.views import VIEWS

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

COMPATIBLE_VIEWS_DESCRIPTION = (
    "Packages whose tables are there as views, in schemas of their own: dbt_artifacts, elementary"
)
"""What the setting means, here and in a file."""


class DbtCloudTableIOManager(dg.ConfigurableIOManager):
    """Keeps the DataFrames of dbt Cloud's assets as tables with a history, in a database."""

    database: Secret = Field(
        default="data/dbt_cloud.duckdb",
        repr=False,
        description="Path of a DuckDB file, made when missing, or a URL: sqlite:///path, "
        "postgresql://user@host:5432/database, snowflake://user@account/database, "
        "bigquery://project/dataset or databricks://host?http_path=path. It counts as a "
        "secret, as a URL may have a password in it",
    )
    schema_: str = Field(
        default="",
        alias="schema",
        description="Schema of the tables, made when missing; by default the database's own: main, "
        "the first of PostgreSQL's search path, or the session's",
    )
    user: str = Field(default="", description="Whom to connect as, where the URL does not say")
    password: Secret = Field(
        default="",
        repr=False,
        description="The password, likewise; without one, the driver's own ways are taken, such "
        "as PGPASSFILE",
    )
    connection: Options = Field(
        default={},
        repr=False,
        description="For a URL: the driver's own arguments by name, such as sslmode; a value may "
        "be a dg.EnvVar",
    )
    compatible_views: list[str] = Field(default=[], description=COMPATIBLE_VIEWS_DESCRIPTION)

    @field_validator("compatible_views")
    @classmethod
    def _check_packages(cls, packages: list[str]) -> list[str]:
        for package in packages:
            if package not in COMPATIBLE_VIEWS:
                raise ValueError(f"{package!r} is none of {', '.join(COMPATIBLE_VIEWS)}.")
        return packages

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Fail before any job is triggered where its rows could not be kept.

        Only in a run: a sensor triggers nothing, and has no time to wait for writers.
        """
        if context.run is None:
            self.store()
        else:
            self.check()

    def check(self, wait_limit: float = WAIT_LIMIT) -> None:
        """Make sure that rows can be written: make tables and views, and try a write.

        Args:
            wait_limit: Seconds to wait for writers.

        Raises:
            StorageError: They cannot; the message says why.
        """
        self.store(wait_limit).check(TABLES.values(), [*VIEWS, *views_like(self.compatible_views)])

    def store(self, wait_limit: float = WAIT_LIMIT) -> Store:
        """The tables themselves.

        Args:
            wait_limit: Seconds to wait for writers.
        """
        return open_store(
            value_of(self.database),
            schema=self.schema_,
            user=self.user,
            password=value_of(self.password),
            connection=values_of(self.connection),
            wait_limit=wait_limit,
        )

    def rows_of_runs(
        self,
        table: Table,
        run_ids: Collection[int],
        *,
        column: str = "asset_key",
        account_id: int | None = None,
    ) -> dict[int, str]:
        """Of some dbt Cloud runs, those that a table holds, each with one column of its row.

        Args:
            table: `TRIGGER` or `RUN`.
            run_ids: The runs.
            column: The column, of text.
            account_id: The runs' account, where the tables may hold runs of several.

        Raises:
            StorageError: The database cannot be read.
        """
        if not run_ids:
            return {}
        of_the_account = {} if account_id is None else {"account_id": account_id}
        return self.store(LOOK_UP_WAIT_LIMIT).look_up(
            table, column, key="id", values=run_ids, **of_the_account
        )

    def open_runs(
        self, account_id: int, *, since: datetime, until: datetime, after: int, limit: int
    ) -> list[int]:
        """Runs that were triggered and are not held as they ended, lowest id first.

        Args:
            account_id: Their account.
            since: When the trigger's row was written, at the earliest.
            until: The same, at the latest.
            after: Only ids above this one.
            limit: Most ids.

        Raises:
            StorageError: The database cannot be read.
        """
        return self.store(LOOK_UP_WAIT_LIMIT).open_runs(
            TRIGGER,
            RUN,
            account_id=account_id,
            since=since,
            until=until,
            after=after,
            limit=limit,
        )

    def handle_output(
        self, context: dg.OutputContext, obj: "pd.DataFrame | Rows | Sequence[Rows | Batches]"
    ) -> None:
        """Write the rows of a materialization, all or none.

        Args:
            context: Of an asset whose definition metadata names a table.
            obj: The table's own columns; the last ones are filled in here. `Rows` may be of
                several tables.

        Raises:
            StorageError: They cannot be written; see `Store` for what has changed.
            ValueError: The asset has no table, or its DataFrame lacks columns.
        """
        table = _table_of(context, context.definition_metadata)
        rows = [obj] if isinstance(obj, Rows) else obj
        if not isinstance(rows, Sequence):
            rows = [table.rows_of_frame(rows)]
        context.add_output_metadata(
            self.store_rows(context.asset_key, context.run_id, rows, table=table)
        )

    def store_rows(
        self,
        asset_key: dg.AssetKey,
        dagster_run_id: str,
        rows: Iterable[Rows | Batches],
        *,
        table: Table,
    ) -> dict[str, Any]:
        """Write rows of an asset, all or none, whether or not that is a materialization.

        Args:
            asset_key: The asset that brings them.
            dagster_run_id: The Dagster run that brings them.
            rows: Of one table or of several; the lineage columns are filled in here.
            table: The asset's own table.

        Returns:
            What Dagster shows of the rows of the asset's own table, as metadata. The table's
            columns are not among it: Dagster would store them with each run, several times, and
            shows those of the asset's definition.

        Raises:
            StorageError: They cannot be written; see `Store` for what has changed.
        """
        now = datetime.now(timezone.utc)
        store = self.store()
        complete = [
            _of_the_project(store, each, now).filled(
                asset_key=asset_key.to_user_string(),
                dagster_run_id=dagster_run_id,
                loaded_at=now,
            )
            for each in rows
        ]
        store.upsert(*complete)
        own = next((each for each in complete if each.table is table), table.rows([]))
        return {
            "dagster/row_count": len(own),
            "dagster/relation_identifier": store.relation(table),
            **preview(own.first(PREVIEW_ROWS)),
        }

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame | Rows":
        """The rows that an asset's input metadata asks for, with all of the table's columns.

        Returns:
            A DataFrame; `Rows` for an input that is annotated with them.

        Raises:
            ValueError: The metadata asks for something else than this knows, or the asset has
                no rows yet.
            StorageError: The database cannot be read.
        """
        rows = self._load(context)
        return rows if context.dagster_type.typing_type is Rows else rows.frame()

    def _load(self, context: dg.InputContext) -> Rows:
        upstream = context.upstream_output
        table = _table_of(context, upstream.definition_metadata if upstream else {})
        wanted = (context.definition_metadata or {}).get(ROWS_KEY, LATEST_ROWS)
        store = self.store()
        if wanted == ALL_ROWS:
            return store.read(table)
        if wanted not in {LATEST_ROWS, ROWS_IF_ANY}:
            raise ValueError(
                f'The input {context.asset_key.to_user_string()} has the metadata "{ROWS_KEY}": '
                f'{wanted!r}; it can be "{LATEST_ROWS}", "{ALL_ROWS}" or "{ROWS_IF_ANY}".'
            )
        rows = latest_rows(store, context, table)
        if rows is None and wanted == LATEST_ROWS:
            raise ValueError(
                f"{context.asset_key.to_user_string()} has no rows in "
                f"{store.relation(table)} yet: materialize it first."
            )
        return table.rows([]) if rows is None else rows


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


def _of_the_project(store: Store, rows: Rows | Batches, now: datetime) -> Rows | Batches:
    """The same; of a project's nodes, those that are gone as well."""
    if isinstance(rows, Batches) and rows.table is NODE:
        return with_gone(store, rows, now)
    return rows
