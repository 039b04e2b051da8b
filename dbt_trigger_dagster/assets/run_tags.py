"""By what people find the Dagster run of a dbt Cloud run: tags that the UI can search."""

from collections.abc import Mapping, Sequence

import dagster as dg

from dbt_trigger_dagster.assets.dagster_run import tag
from dbt_trigger_dagster.assets.job import JOB_ID_TAG, RUN_ID_TAG, STATUS_TAG
from dbt_trigger_dagster.dbt_cloud.models import Run

_NOT_KNOWN = "Not known"


def tag_with_runs(
    context: dg.AssetExecutionContext, runs: Sequence[Run], more: Mapping[str, str] | None = None
) -> None:
    """Tag the Dagster run of a step with the dbt Cloud runs that it is about.

    One that re-executes another has inherited its tags, and one that runs several jobs has those of
    the last. No tag can be removed, so that of a status which is another run's is overwritten.

    Args:
        context: The step's.
        runs: The dbt Cloud runs.
        more: Further tags.
    """
    stored = context.instance.get_run_by_id(context.run.run_id) or context.run
    before = {STATUS_TAG: _NOT_KNOWN} if STATUS_TAG in stored.tags else {}
    tag(context, {**before, **(more or {}), **run_tags(runs)})


def run_tags(runs: Sequence[Run]) -> dict[str, str]:
    """The tags of a Dagster run that is about some dbt Cloud runs: those on which they agree.

    None tells the status of a run in flight: it would stay, whatever becomes of the run.
    """
    tags: dict[str, str] = {}
    for name, values in {
        JOB_ID_TAG: {str(run.job_id) for run in runs},
        RUN_ID_TAG: {str(run.run_id) for run in runs},
        STATUS_TAG: {run.status_name for run in runs if all(each.is_over for each in runs)},
    }.items():
        if len(values) == 1:
            tags[name] = values.pop()
    return tags
