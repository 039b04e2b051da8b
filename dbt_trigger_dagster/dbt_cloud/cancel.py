"""Cancelling a run: what has become of it is told by a look, not by the answer to the request.

A run that ends at the same moment makes dbt Cloud answer oddly, and it may have ended well.
"""

from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run


def cancel_and_look(client: DbtCloudClient, run_id: int) -> Run:
    """Cancel a run, and see what has become of it.

    Returns:
        The run; where it is not over, dbt Cloud has taken the wish and has not fulfilled it yet.

    Raises:
        DbtCloudError: It could not be cancelled, and goes on as far as is known.
    """
    refusal: DbtCloudError | None = None
    answer: Run | None = None
    try:
        answer = client.cancel_run(run_id)
    except DbtCloudError as error:
        refusal = error
    try:
        run = client.get_run(run_id)
    except DbtCloudError as error:
        if answer is None:
            raise refusal or error from error
        return answer
    if refusal is not None and not run.is_over:
        raise refusal
    return run


def became(run: Run) -> str:
    """What has become of a run that was to be cancelled, as it stands in a sentence."""
    if not run.is_over:
        return "is asked to be cancelled"
    return "is cancelled" if run.is_cancelled else f"had ended before: {run.status_name}"
