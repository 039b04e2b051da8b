"""An asset after a dbt Cloud job that reads the run's manifest, wherever artifacts are kept.

Try it without an account; the sandbox plays dbt Cloud::

    python -m dbt_trigger_dagster.sandbox -- \
        dagster asset materialize --select '*' -f examples/newest_manifest.py

With ``DBT_TRIGGER_ARTIFACTS=s3://bucket/prefix`` it reads from a bucket, and nothing else changes.
"""

import os

import dagster as dg
import pandas as pd

from dbt_trigger_dagster import (
    DbtCloudArtifactStore,
    DbtCloudResource,
    DbtCloudTableIOManager,
    build_dbt_cloud_job_assets,
)


@dg.asset
def undocumented_models(
    context: dg.AssetExecutionContext,
    artifacts: pd.DataFrame,
    dbt_cloud_artifacts: DbtCloudArtifactStore,
) -> dg.MaterializeResult[None]:
    """Models that have no description, from the manifest of the newest good run."""
    manifest = dbt_cloud_artifacts.load_artifact(int(artifacts["run_id"].max()), "manifest.json")
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    names = sorted(node["name"] for node in models if not node["description"])
    context.log.info("%d of %d models have no description", len(names), len(models))
    return dg.MaterializeResult(metadata={"models": len(models), "undocumented": names})


defs = dg.Definitions(
    assets=[
        undocumented_models,
        *build_dbt_cloud_job_assets(job_id=dg.EnvVar.int("DBT_CLOUD_JOB_ID")),
    ],
    resources={
        "dbt_cloud": DbtCloudResource(
            account_id=dg.EnvVar.int("DBT_CLOUD_ACCOUNT_ID"),
            token=dg.EnvVar("DBT_CLOUD_TOKEN"),
            access_url=dg.EnvVar("DBT_CLOUD_ACCESS_URL"),
        ),
        "dbt_cloud_tables": DbtCloudTableIOManager(
            database=os.environ.get("DBT_TRIGGER_DATABASE", "data/dbt_cloud.duckdb")
        ),
        "dbt_cloud_artifacts": DbtCloudArtifactStore(
            root=os.environ.get("DBT_TRIGGER_ARTIFACTS", "data/artifacts")
        ),
    },
)
