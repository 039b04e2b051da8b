"""A run's artifacts: which there are, which are wanted, and until when more may come."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Literal, TypeVar

from dbt_trigger_dagster.artifacts.paths import (
    OF_THE_RUN,
    Artifact,
    matches,
)
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError, DbtCloudNotFoundError
from dbt_trigger_dagster.dbt_cloud.models import Run

T = TypeVar("T")

ARTIFACT_LAG = 30.0
"""Seconds in which artifacts may still arrive in dbt Cloud after a run is over."""

ARTIFACT_LAG_OF_FAILED = 5.0
"""The same for a run that dbt Cloud says it keeps no artifacts of."""

LONG_AGO = timedelta(minutes=10)
"""The age of a run from which on nothing arrives any more."""

WELL_KNOWN = ("manifest.json", "run_results.json", "catalog.json", "sources.json")
"""What a dbt command may leave; dbt Cloud lists no artifacts of single steps."""

_LAG_RETRIES = 20
_LAG_DELAY = 0.5


def find_artifacts(
    client: DbtCloudClient,
    run: Run,
    *,
    steps: Literal["last", "all"],
    include: Sequence[str],
    exclude: Sequence[str],
    lag: Deadline | None = None,
) -> list[Artifact]:
    """The artifacts of a run that are wanted.

    Args:
        client: The account's client.
        run: The run, when it is over, with its steps.
        steps: ``last``: what dbt Cloud lists, which is of the last step; ``all``: also what each
            dbt command may have left (those that it did not leave are 404 on download).
        include: Patterns of wanted paths.
        exclude: Patterns of unwanted paths.
        lag: Until when to look again where dbt Cloud lists nothing, as `lag_of` says.
    """
    found = [Artifact(run.run_id, OF_THE_RUN, path) for path in _listed(client, run, lag)]
    if steps == "all":
        numbers = dict.fromkeys(step.index for step in run.steps if step.runs_dbt and step.index)
        found += [Artifact(run.run_id, step, path) for step in numbers for path in WELL_KNOWN]
    return [artifact for artifact in found if matches(artifact.path, include, exclude)]


class _NotListedYetError(DbtCloudError):
    pass


def _listed(client: DbtCloudClient, run: Run, lag: Deadline | None) -> list[str]:
    """What dbt Cloud lists; nothing where it has nothing, even after a while."""
    until_cancelled = client.with_options(deadline=client.until_cancelled())

    def attempt() -> list[str]:
        try:
            paths = until_cancelled.list_artifacts(run.run_id)
        except DbtCloudNotFoundError:
            paths = []
        if not paths:
            raise _NotListedYetError(f"dbt Cloud lists no artifacts of run {run.run_id} yet.")
        return paths

    try:
        return list(dict.fromkeys(despite_lag(lag, client, attempt)))
    except _NotListedYetError:
        return []


def lag_of(client: DbtCloudClient, run: Run) -> Deadline:
    """Until when artifacts of a run that is over may still arrive.

    dbt Cloud stores them after the end, and whether ``artifacts_saved`` is set at once is not
    known; so a run that failed in dbt gets some time too, and one that ended long ago gets none.
    """
    age = datetime.now(timezone.utc) - (run.finished_at or datetime.now(timezone.utc))
    seconds = 0.0
    if age < LONG_AGO and (run.artifacts_saved or run.is_success):
        seconds = ARTIFACT_LAG
    elif age < LONG_AGO and any(step.runs_dbt for step in run.steps):
        seconds = ARTIFACT_LAG_OF_FAILED
    return Deadline.after(seconds, client.clock)


def despite_lag(lag: Deadline | None, client: DbtCloudClient, attempt: Callable[[], T]) -> T:
    """Repeat what finds nothing because dbt Cloud has not stored it yet."""
    if lag is None:
        return attempt()
    policy = dataclasses.replace(
        client.retry_policy,
        max_retries=_LAG_RETRIES,
        delay=max(_LAG_DELAY, client.retry_policy.delay),
        level=logging.DEBUG,
    )
    return policy.call(
        attempt,
        retryable=lambda error: isinstance(error, DbtCloudNotFoundError | _NotListedYetError),
        deadline=lag,
    )
