"""What comes after dbt Cloud runs: a message for those that fail, a report on those that do not.

Try it without an account; the sandbox plays dbt Cloud. Two of its jobs run every minute, and one
of them fails. Wait for a minute or two, look at ``data/alerts.txt``, and press Ctrl-C::

    python -m dbt_trigger_dagster.sandbox -- dagster dev -f examples/alerts_and_reports.py

In a project of your own, `send` writes to your chat, and the schedules are yours.
"""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from dbt_trigger_dagster import (
    DbtCloudArtifactStore,
    DbtCloudResource,
    DbtCloudTableIOManager,
    build_dbt_cloud_job_assets,
    build_dbt_cloud_schedule,
    failing_nodes,
)

ALERTS = Path("data/alerts.txt")
TABLES = DbtCloudTableIOManager(database="data/dbt_cloud.duckdb")


def send(text: str) -> None:
    """Where the messages go."""
    ALERTS.parent.mkdir(exist_ok=True)
    with ALERTS.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


@dg.run_failure_sensor(minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def tell_of_failures(context: dg.RunFailureSensorContext) -> None:
    """Sends a line for each step that failed, and one to whoever owns what is newly failing."""
    for event in context.get_step_failure_events():
        failure = event.step_failure_data.user_failure_data
        metadata = failure.metadata if failure is not None else {}
        page = metadata.get("dbt_cloud_run_url")
        status = metadata.get("dbt_cloud_status")
        told = [event.step_key, status and status.value, page and page.value]
        send(" ".join(str(each) for each in told if each))
        run_id = metadata.get("dbt_cloud_run_id")
        for node in failing_nodes(TABLES, *([str(run_id.value)] if run_id else [])):
            if node.is_new:
                send(
                    f"to {node.owner or 'the team'}: {node.resource_type} {node.name} fails, "
                    f"{node.message.partition(chr(10))[0].strip()} {node.run_url}"
                )


@dg.asset(ins={"run": dg.AssetIn(key=["nightly", "run_result"])})
def duration_report(run: pd.DataFrame) -> dg.MaterializeResult[Any]:
    """How long the run took; materialized only after runs that ended well."""
    # A step that Dagster has retried leaves a row for each dbt Cloud run; the last ended well.
    last = run.sort_values("id").iloc[-1]
    seconds = int(last["run_duration_seconds"])
    return dg.MaterializeResult(metadata={"seconds": seconds, "run_id": int(last["id"])})


nightly = build_dbt_cloud_job_assets(job_name="Shop nightly build", key_prefix="nightly")
broken = build_dbt_cloud_job_assets(job_name="Shop broken build", key_prefix="broken")

nightly_and_report = dg.ScheduleDefinition(
    name="nightly_and_report",
    target=dg.AssetSelection.assets(*nightly, duration_report),
    cron_schedule="* * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

defs = dg.Definitions(
    assets=[*nightly, *broken, duration_report],
    schedules=[
        nightly_and_report,
        build_dbt_cloud_schedule(
            broken,
            cron_schedule="* * * * *",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        ),
    ],
    sensors=[tell_of_failures],
    resources={
        "dbt_cloud": DbtCloudResource(
            account_id=dg.EnvVar.int("DBT_CLOUD_ACCOUNT_ID"),
            token=dg.EnvVar("DBT_CLOUD_TOKEN"),
            access_url=dg.EnvVar("DBT_CLOUD_ACCESS_URL"),
        ),
        "dbt_cloud_tables": TABLES,
        "dbt_cloud_artifacts": DbtCloudArtifactStore(root="data/artifacts"),
    },
)
