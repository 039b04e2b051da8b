"""A dbt project's models as assets, as a file describes them."""

import dagster as dg
from pydantic import Field

from dbt_trigger_dagster.assets.model_assets import build_dbt_cloud_model_assets
from dbt_trigger_dagster.component.storage import Storage
from dbt_trigger_dagster.component.yaml_sections import ProblemError, Section
from dbt_trigger_dagster.storage.file_store import folder_below


class ModelSettings(Section):
    """Models, seeds, snapshots and sources as external assets, and tests as their checks."""

    manifest: str | None = Field(
        default=None,
        description="A manifest.json, or a folder of stored artifacts, of which each project's "
        "newest manifest counts; without it, the folder of all artifacts",
    )
    sources: bool = Field(
        default=True,
        description="Whether sources are assets too; false where other assets have their keys",
    )

    def build(self, storage: Storage | None) -> list[dg.AssetSpec | dg.AssetsDefinition]:
        """The assets.

        Args:
            storage: Where artifacts are stored.

        Raises:
            ProblemError: There is no such manifest.
        """
        if self.manifest is None and storage is None:
            raise ProblemError("there is no storage: say which manifest.")
        manifest = (storage or Storage()).build_artifacts().root
        if self.manifest is not None:
            manifest = folder_below(self.manifest, self.folder)
        try:
            return build_dbt_cloud_model_assets(manifest=manifest, sources=self.sources)
        except ValueError as error:
            raise ProblemError(str(error), *(["manifest"] if self.manifest else [])) from error
