"""Where the tables and the artifacts are kept, as a file says or the environment does."""

from collections.abc import Mapping
from functools import cache

import dagster as dg
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.component.variables import check_variables, value_of
from dbt_trigger_dagster.component.yaml_sections import Section

_DATABASE = DbtCloudTableIOManager.model_fields["database"].default
_SCHEMA = DbtCloudTableIOManager.model_fields["schema_"].default
_ARTIFACTS = DbtCloudArtifactStore.model_fields["root"].default


class Storage(Section):
    """Where the tables and the artifacts are kept.

    Fields that end in `_env` name environment variables; they are read when a run starts.
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
    artifacts: str | None = Field(
        default=None,
        description="The folder of the artifacts, where artifacts_env is not set; without both, "
        f"{_ARTIFACTS}",
    )
    artifacts_env: str = Field(
        default="DBT_TRIGGER_ARTIFACTS",
        description="The variable with that folder; it comes before artifacts",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_variables(self, "database_env", "artifacts_env")
        return self

    def build_tables(self) -> DbtCloudTableIOManager:
        """The tables' IO manager, with what the environment says now."""
        database = value_of(self.database_env) or self.database or _DATABASE
        return DbtCloudTableIOManager(database=database, schema=self.schema_)

    def build_artifacts(self) -> DbtCloudArtifactStore:
        """The artifacts' store, likewise."""
        root = value_of(self.artifacts_env) or self.artifacts or _ARTIFACTS
        return DbtCloudArtifactStore(root=root)


@cache
def storage_resources(storage: Storage) -> Mapping[str, dg.ResourceDefinition]:
    """The resources `dbt_cloud_tables` and `dbt_cloud_artifacts`, likewise."""

    @dg.io_manager(description="The tables of the dbt Cloud runs")
    def dbt_cloud_tables(context: dg.InitResourceContext) -> DbtCloudTableIOManager:
        tables = storage.build_tables()
        tables.setup_for_execution(context)
        return tables

    @dg.resource(description="The artifacts of the dbt Cloud runs")
    def dbt_cloud_artifacts(_context: dg.InitResourceContext) -> DbtCloudArtifactStore:
        return storage.build_artifacts()

    return {"dbt_cloud_tables": dbt_cloud_tables, "dbt_cloud_artifacts": dbt_cloud_artifacts}
