"""Whether what made a run fail may heal by itself: its nodes are asked before it is landed."""

import tempfile
from pathlib import Path

from dbt_trigger_dagster.artifacts.arrival import Arrival
from dbt_trigger_dagster.artifacts.listing import Wanted, lag_of
from dbt_trigger_dagster.artifacts.node_results import collect_node_results
from dbt_trigger_dagster.artifacts.run_results import RUN_RESULTS
from dbt_trigger_dagster.artifacts.stored_files import StoredFiles
from dbt_trigger_dagster.artifacts.transient import why_transient
from dbt_trigger_dagster.assets.outcome import failing
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.files import LocalFiles
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT

_TELLING = Wanted("all", include=(RUN_RESULTS, "metadata/telemetry-*-otel.parquet"))
_FOLDER = "run"


def is_transient_failure(step: Step, run: Run, *, saw_end: bool) -> tuple[bool, str]:
    """Whether all that failed in a run may heal by itself, and in words why, or why not.

    Its files come from dbt Cloud, whatever is stored of them, for what is stored is a choice of
    its own; they are gone again afterwards.

    Args:
        step: Whose run it is.
        run: The run, with its steps and their logs.
        saw_end: Whether it ended just now, so that its files may still arrive.

    Raises:
        DbtCloudCancelledError: The step was interrupted.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = LocalFiles(Path(folder).resolve())
        arrival = Arrival(step.client, _TELLING, files, step.config.max_parallel_downloads)
        report = arrival.store(run, _FOLDER, lag_of(step.client, run, saw_end=saw_end))
        if step.client.cancellation.is_cancelled:
            raise DbtCloudCancelledError("The step was interrupted.")
        found = collect_node_results(run, StoredFiles(files, _FOLDER, report.stored))
    return why_transient(failing(NODE_RESULT.rows(found.results.values())))
