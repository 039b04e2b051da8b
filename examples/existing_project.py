"""A dbt Cloud job in the middle of a Dagster project: after its raw data, before its report.

Try it without an account; the sandbox plays dbt Cloud::

    python -m dbt_trigger_dagster.sandbox -- \
        dagster asset materialize --select '*' -f examples/existing_project.py

The assets and the resource that were there before are marked; all the rest is what it takes.
"""

import dagster as dg
import pandas as pd

from dbt_trigger_dagster import (
    DbtCloudArtifactStore,
    DbtCloudResource,
    DbtCloudTableIOManager,
    build_dbt_cloud_job_assets,
)


class Mailer(dg.ConfigurableResource):
    """Was there before: it would send mail."""

    recipient: str

    def send(self, text: str) -> str:
        """Return what would be sent."""
        return f"To {self.recipient}: {text}"


@dg.asset
def raw_orders() -> None:
    """Was there before: loads what the dbt job transforms."""


@dg.asset(ins={"artifacts": dg.AssetIn(key=["shop", "artifacts"])})
def model_report(
    context: dg.AssetExecutionContext,
    artifacts: pd.DataFrame,
    dbt_cloud_artifacts: DbtCloudArtifactStore,
    mailer: Mailer,
) -> dg.MaterializeResult[None]:
    """Was there before: reports on the dbt models, now from the run's own artifacts.

    ``artifacts`` has a row for each file of the run that has just ended well; after a run that
    failed, this asset is not materialized.
    """
    run_id = int(artifacts["run_id"].max())
    nodes = dbt_cloud_artifacts.load_artifact(run_id, "manifest.json")["nodes"].values()
    models = [node["name"] for node in nodes if node["resource_type"] == "model"]
    mail = mailer.send(f"{len(models)} models: {', '.join(sorted(models))}")
    context.log.info(mail)
    return dg.MaterializeResult(metadata={"mail": mail})


defs = dg.Definitions(
    assets=[
        raw_orders,
        model_report,
        *build_dbt_cloud_job_assets(
            job_id=dg.EnvVar.int("DBT_CLOUD_JOB_ID"),
            key_prefix="shop",
            group_name="dbt_cloud",
            deps=[raw_orders],
        ),
    ],
    resources={
        "mailer": Mailer(recipient="data@example.com"),
        "dbt_cloud": DbtCloudResource(
            account_id=dg.EnvVar.int("DBT_CLOUD_ACCOUNT_ID"),
            token=dg.EnvVar("DBT_CLOUD_TOKEN"),
            access_url=dg.EnvVar("DBT_CLOUD_ACCESS_URL"),
        ),
        "dbt_cloud_tables": DbtCloudTableIOManager(database="data/dbt_cloud.duckdb"),
        "dbt_cloud_artifacts": DbtCloudArtifactStore(root="data/artifacts"),
    },
)
