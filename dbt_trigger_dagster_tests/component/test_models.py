"""A dbt project's models as a file describes them."""

import inspect
from pathlib import Path

import dagster as dg
import pytest

from dbt_trigger_dagster import build_dbt_cloud_model_assets
from dbt_trigger_dagster.component.code_location import JobsFile
from dbt_trigger_dagster.component.models import ModelSettings
from dbt_trigger_dagster.component.storage import Storage
from dbt_trigger_dagster.component.yaml_sections import read_section
from dbt_trigger_dagster_tests.artifacts.projects import manifest_of, node, stored

_PROJECT = manifest_of(node("model.shop.orders"), node("source.shop.erp.raw", source_name="erp"))


def _defs(folder: Path, text: str) -> dg.Definitions:
    file = folder / "jobs.yaml"
    file.write_text(f"jobs:\n  - job_id: 300\nstorage:\n  artifacts: {folder}/kept\n{text}")
    return read_section(JobsFile, file).build_definitions()


def _keys(definitions: dg.Definitions) -> set[str]:
    found = {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()}
    return found - {"trigger_response", "run_result", "artifacts", "node_results"}


def test_it_has_the_builders_arguments() -> None:
    """So that a file and Python say the same by the same names."""
    assert set(ModelSettings.model_fields) == set(
        inspect.signature(build_dbt_cloud_model_assets).parameters
    )


def test_the_newest_stored_manifest_counts(tmp_path: Path) -> None:
    """Of what the jobs have left; before the first landing there is none."""
    assert _keys(_defs(tmp_path, "models: {}")) == set()
    stored(tmp_path / "kept/1/300/7", _PROJECT)
    assert _keys(_defs(tmp_path, "models: {}")) == {"orders", "erp/raw"}
    assert _keys(_defs(tmp_path, "models:\n  sources: false")) == {"orders"}
    assert _keys(_defs(tmp_path, "")) == set()


def test_a_manifest_can_be_named(tmp_path: Path) -> None:
    """For artifacts in a bucket, or another project's."""
    file = stored(tmp_path, _PROJECT)
    assert _keys(_defs(tmp_path, f"models:\n  manifest: {file}")) == {"orders", "erp/raw"}


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        ("manifest: gone.json", "jobs.yaml:6: models.manifest: manifest '{}' is not there."),
        ("sources: perhaps", "jobs.yaml:6: models.sources: "),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line(
    tmp_path: Path, models: str, problem: str
) -> None:
    """As for all of the file."""
    with pytest.raises(ValueError, match="models") as caught:
        _defs(tmp_path, f"models:\n  {models}")
    assert problem.format(tmp_path / "gone.json") in str(caught.value)


def test_a_bucket_is_not_asked_when_the_project_is_loaded() -> None:
    """The manifest has to be named."""
    with pytest.raises(ValueError, match="is a URL"):
        ModelSettings().build(Storage(artifacts="s3://bucket/kept"))
    with pytest.raises(ValueError, match="there is no storage"):
        ModelSettings().build(None)
