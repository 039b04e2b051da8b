"""Stored artifacts are read by run and path, wherever they are kept and from anywhere."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from dbt_trigger_dagster import DbtCloudArtifactStore, StorageError
from dbt_trigger_dagster_tests.buckets import an_s3_server
from dbt_trigger_dagster_tests.graphs import Project, a_project

MANIFEST = "manifest.json"


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DbtCloudArtifactStore]:
    """A store with artifacts of two runs of two jobs, and the latest beside them."""
    contents = {
        "7/9/42/manifest.json": b'{"nodes": {"a": 1}}',
        "7/9/42/steps/4/manifest.json": b'{"nodes": {"of step": 4}}',
        "7/9/42/compiled/orders.sql": b"SELECT 1",
        "7/8/41/manifest.json": b'{"nodes": {"another": 1}}',
        "latest/7/9/manifest.json": b'{"nodes": {"latest": 1}}',
    }
    if request.param == "folder":
        made = DbtCloudArtifactStore(root=str(tmp_path))
        put(made, contents)
        yield made
    else:
        with an_s3_server() as server:
            made = DbtCloudArtifactStore(root=server.new_root(), options=server.options)
            put(made, contents)
            yield made


def put(store: DbtCloudArtifactStore, contents: dict[str, bytes]) -> None:
    """Keep files."""
    for path, content in contents.items():
        store.files().put(path, [content])


def test_an_artifact_is_found_by_its_run(store: DbtCloudArtifactStore) -> None:
    """That of the run, of a step, and of a run of another job; never the latest."""
    assert store.load_artifact(42, MANIFEST) == {"nodes": {"a": 1}}
    assert store.load_artifact(42, MANIFEST, step=4) == {"nodes": {"of step": 4}}
    assert store.load_artifact(41, MANIFEST) == {"nodes": {"another": 1}}


def test_an_artifact_is_a_stream_of_bytes(store: DbtCloudArtifactStore) -> None:
    """Whatever it is made of."""
    with store.open_artifact(42, "compiled/orders.sql") as file:
        assert file.read() == b"SELECT 1"
        assert file.seek(7) == 7
        assert file.read() == b"1"


def test_what_is_not_stored_is_told(store: DbtCloudArtifactStore) -> None:
    """With the run and the place."""
    with pytest.raises(FileNotFoundError, match=r"catalog\.json of the run 42 is not stored in "):
        store.open_artifact(42, "catalog.json")
    with pytest.raises(FileNotFoundError, match=r"manifest\.json of step 5 of the run 42"):
        store.load_artifact(42, MANIFEST, step=5)
    with pytest.raises(FileNotFoundError, match="the run 43"):
        store.load_artifact(43, MANIFEST)


def test_what_is_no_json_is_told(store: DbtCloudArtifactStore) -> None:
    """And how it is read."""
    with pytest.raises(StorageError, match=r"orders\.sql of the run 42 is not JSON.*open_artifact"):
        store.load_artifact(42, "compiled/orders.sql")


def test_no_path_leads_out_of_the_run(store: DbtCloudArtifactStore) -> None:
    """As none does where artifacts are stored."""
    with pytest.raises(StorageError, match="not safe"):
        store.open_artifact(42, "../41/manifest.json")


def test_a_run_of_two_accounts_is_told(store: DbtCloudArtifactStore) -> None:
    """Accounts on different hosts may have runs of one id; neither is taken for the other."""
    put(store, {"70/9/42/manifest.json": b"{}"})
    with pytest.raises(StorageError, match=r"Several accounts have a run 42 with manifest\.json"):
        store.load_artifact(42, MANIFEST)


def test_a_place_without_artifacts_has_none(tmp_path: Path) -> None:
    """It may not even be there."""
    with pytest.raises(FileNotFoundError, match="the run 42 is not stored"):
        DbtCloudArtifactStore(root=str(tmp_path / "none")).open_artifact(42, MANIFEST)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project whose job has been materialized."""
    with a_project(tmp_path) as made:
        assert made.materialize(assets=made.assets(key_prefix="shop")).success
        yield made


def test_another_location_reads_the_newest_run(project: Project) -> None:
    """It names the asset and its table, and has the same two stores."""
    artifacts = dg.AssetSpec(
        ["shop", "artifacts"], metadata={"dbt_trigger_dagster/table": "dbt_cloud_artifact"}
    ).with_io_manager_key("dbt_cloud_tables")

    @dg.asset(ins={"artifacts": dg.AssetIn(["shop", "artifacts"])})
    def nodes(artifacts: pd.DataFrame, dbt_cloud_artifacts: DbtCloudArtifactStore) -> list[str]:
        newest = int(artifacts["run_id"].max())
        return sorted(dbt_cloud_artifacts.load_artifact(newest, MANIFEST))

    resources = {
        name: project.resources()[name] for name in ("dbt_cloud_tables", "dbt_cloud_artifacts")
    }
    result = dg.materialize(
        [nodes, artifacts],
        selection=[nodes],
        resources={**resources, "io_manager": dg.mem_io_manager},
        instance=project.instance,
    )
    assert result.output_for_node("nodes") == ["nodes"]
