"""Runs that are named by their ids: whether they are those of the assets that are to hold them."""

from collections.abc import Sequence

from dbt_trigger_dagster.assets.job import JobGraph, JobReference
from dbt_trigger_dagster.assets.resumption import is_key_of
from dbt_trigger_dagster.assets.trigger_step import triggered_run
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import SettingError
from dbt_trigger_dagster.dbt_cloud.marker import marker_key
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.columns import Rows


def runs_to_follow(run_ids: Sequence[int], rows: Rows) -> list[Run | int]:
    """The runs that are named, each once; where none is, the one that was triggered last.

    Args:
        run_ids: The runs that are named.
        rows: Of the triggers.

    Raises:
        ValueError: None is named, and none was triggered.
    """
    return [*dict.fromkeys(run_ids)] or [triggered_run(rows)]


def check_job(client: DbtCloudClient, run: Run, graph: JobGraph) -> None:
    """Refuse a run of another job.

    But not one that these assets have triggered, for a run's config may name another job; nor what
    dbt Cloud has made of it since by a retry.

    Args:
        client: The account's client.
        run: The run, with its trigger and its job.
        graph: Of the assets.

    Raises:
        SettingError: It is one.
        DbtCloudError: The run that it retries cannot be asked for.
    """
    job = graph.job.known()
    if not _is_of_another(run, job):
        return
    first, seen = run, {run.run_id}
    while first.retrying_run_id is not None and first.retrying_run_id not in seen:
        first = client.get_run(first.retrying_run_id, include_related=("trigger",))
        seen.add(first.run_id)
    key = marker_key(first)
    if key is None or not is_key_of(key, graph.prefix):
        named = f"{run.job_name!r} ({run.job_id})" if run.job_name else str(run.job_id)
        raise SettingError(
            "run_ids",
            f"has run {run.run_id}, which is of the job {named} and not of {job}: its rows belong "
            f"to the assets of its own job. {run.href}".rstrip(),
        )


def _is_of_another(run: Run, job: JobReference) -> bool:
    """Whether it is, as far as is known."""
    if job.job_id is not None:
        return run.job_id not in {0, job.job_id}
    return None not in {job.job_name, run.job_name} and run.job_name != job.job_name
