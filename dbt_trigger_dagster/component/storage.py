"""Where the tables and the artifacts are kept, as a file says or the environment does."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Literal

import dagster as dg
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from dbt_trigger_dagster.assets.io_manager import (
    COMPATIBLE_VIEWS_DESCRIPTION,
    DbtCloudTableIOManager,
)
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.component.variables import check_variables, value_of
from dbt_trigger_dagster.component.yaml_sections import Section
from dbt_trigger_dagster.storage.file_store import folder_below
from dbt_trigger_dagster.storage.store import database_below

_DATABASE = DbtCloudTableIOManager.model_fields["database"].default
_SCHEMA = DbtCloudTableIOManager.model_fields["schema_"].default
_ARTIFACTS = DbtCloudArtifactStore.model_fields["root"].default


class Storage(Section):
    """Where the tables and the artifacts are kept.

    Fields that end in `_env` name environment variables; they are read when a run starts. Relative
    paths, of the fields as of the variables, begin in the project, or beside the file that
    DBT_TRIGGER_JOBS names.
    """

    model_config = ConfigDict(frozen=True)

    database: str | None = Field(
        default=None,
        repr=False,
        description="The database of the tables, where database_env is not set; without both, "
        f"{_DATABASE}",
    )
    database_env: str = Field(
        default="DBT_TRIGGER_DATABASE",
        description="The variable with the database; it comes before database",
    )
    schema_: str = Field(
        default=_SCHEMA,
        alias="schema",
        description="Schema of the tables, where it is not the database's own",
    )
    compatible_views: tuple[Literal["dbt_artifacts", "elementary"], ...] = Field(
        default=(), description=COMPATIBLE_VIEWS_DESCRIPTION
    )
    artifacts: str | None = Field(
        default=None,
        description="The folder of the artifacts, where artifacts_env is not set; without both, "
        f"{_ARTIFACTS}",
    )
    artifacts_env: str = Field(
        default="DBT_TRIGGER_ARTIFACTS",
        description="The variable with that folder; it comes before artifacts",
    )

    publish_latest: bool = Field(
        default=False,
        description="Also keep the newest artifacts of good runs below latest/, at a steady "
        "address for each job and environment",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_variables(self, "database_env", "artifacts_env")
        return self

    def build_tables(self) -> DbtCloudTableIOManager:
        """The tables' IO manager, with what the environment says now."""
        return DbtCloudTableIOManager(
            database=self.database_now(),
            schema=self.schema_,
            compatible_views=list(self.compatible_views),
        )

    def database_now(self) -> str:
        """The database with what the environment says now; it may have a password in it."""
        return self._placed_database(value_of(self.database_env) or self.database)

    def build_artifacts(self) -> DbtCloudArtifactStore:
        """The artifacts' store, likewise."""
        root = self._placed_artifacts(value_of(self.artifacts_env) or self.artifacts)
        return DbtCloudArtifactStore(root=root, publish_latest=self.publish_latest)

    def _placed_database(self, database: str | None) -> str:
        return database_below(database or _DATABASE, self.folder)

    def _placed_artifacts(self, root: str | None) -> str:
        return folder_below(root or _ARTIFACTS, self.folder)

    @property
    def tables_description(self) -> str:
        """Where the tables are."""
        return _description("tables", self.database_env, self._placed_database(self.database))

    @property
    def artifacts_description(self) -> str:
        """Where the artifacts are."""
        return _description("artifacts", self.artifacts_env, self._placed_artifacts(self.artifacts))


def _description(what: str, variable: str, place: str) -> str:
    """What the UI shows of a store: no variable's value, and nothing that may have a password."""
    may_be_secret = {":", "="} & set(place)
    where = "as the project's file says" if may_be_secret else f"in {os.path.normpath(place)}"
    return f"The {what} of the dbt Cloud runs: as {variable} says; where it is not set, {where}."


@cache
def storage_resources(storage: Storage) -> Mapping[str, dg.ResourceDefinition]:
    """The resources `dbt_cloud_tables` and `dbt_cloud_artifacts`, likewise."""

    @dg.io_manager(description=storage.tables_description)
    def dbt_cloud_tables(context: dg.InitResourceContext) -> DbtCloudTableIOManager:
        tables = storage.build_tables()
        tables.setup_for_execution(context)
        return tables

    @dg.resource(description=storage.artifacts_description)
    def dbt_cloud_artifacts(_context: dg.InitResourceContext) -> DbtCloudArtifactStore:
        return storage.build_artifacts()

    return {"dbt_cloud_tables": dbt_cloud_tables, "dbt_cloud_artifacts": dbt_cloud_artifacts}
