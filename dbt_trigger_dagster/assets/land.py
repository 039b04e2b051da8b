"""Hands out what runs leave at their end.

Rows first, then artifacts, and only then the failure: so a failed run leaves everything behind,
and nothing downstream runs.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import dagster as dg

from dbt_trigger_dagster.artifacts.arrival import Arrival
from dbt_trigger_dagster.artifacts.download import DownloadReport, StoredArtifact
from dbt_trigger_dagster.artifacts.listing import Wanted, lag_of
from dbt_trigger_dagster.artifacts.node_results import NodeResults, collect_node_results
from dbt_trigger_dagster.artifacts.node_rows import node_rows
from dbt_trigger_dagster.artifacts.run_steps import step_records
from dbt_trigger_dagster.artifacts.stored_files import StoredFiles
from dbt_trigger_dagster.assets.failures import (
    as_failure,
    as_joint_failure,
    retry_outlook,
    run_error,
    run_metadata,
)
from dbt_trigger_dagster.assets.follow import FollowedRun
from dbt_trigger_dagster.assets.job import ARTIFACTS, NODE_RESULTS, RUN_RESULT
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError, DbtCloudRunError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.dbt_cloud.text import one_line
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.node_tables import RUN_STEP
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, run_rows

_KEPT_HEADERS = ("content-type", "content-length", "etag", "last-modified")


def land(
    step: Step,
    followed: Sequence[FollowedRun],
    store: DbtCloudArtifactStore,
    outputs: Collection[str],
) -> Iterator[dg.Output[Any]]:
    """Yield the rows of runs that are over, and those of their artifacts, which are stored here.

    Args:
        step: The step that has followed the runs.
        followed: What became of them.
        store: Where artifacts go.
        outputs: The outputs that are wanted, of `RUN_RESULT`, `ARTIFACTS` and `NODE_RESULTS`.

    Raises:
        dg.Failure: A run was not over in time or ended badly, or artifacts are missing; what there
            is has been yielded before.
    """
    ended = [each for each in followed if each.run is not None and each.run.is_over]
    runs = _runs_of(ended)
    artifact_errors: list[DbtCloudError | StorageError] = []
    if ended and RUN_RESULT in outputs:
        steps = RUN_STEP.rows(record for run in runs for record in step_records(run))
        yield dg.Output([run_rows(RUN, runs), steps], RUN_RESULT, metadata=_metadata(ended))
    if ended and {ARTIFACTS, NODE_RESULTS} & set(outputs) and step.config.store_artifacts:
        with step.termination.guarded(step.client):
            reports = _store_artifacts(step, ended, store, nodes=NODE_RESULTS in outputs)
        artifact_errors += [error for report in reports for _, error in report.errors]
        if ARTIFACTS in outputs:
            yield _artifacts(step, ended, reports, store)
        if NODE_RESULTS in outputs and step.config.node_results:
            yield _node_results(step, ended, reports, store)
    _raise_what_went_wrong(step, followed, artifact_errors)


def _artifacts(
    step: Step,
    ended: Sequence[FollowedRun],
    reports: Sequence[DownloadReport],
    store: DbtCloudArtifactStore,
) -> dg.Output[Any]:
    """The artifacts' rows."""
    runs = _runs_of(ended)
    stored = [each for report in reports for each in report.stored]
    size_bytes = sum(artifact.download.size_bytes for artifact in stored)
    step.log.info("%d artifacts stored (%d bytes).", len(stored), size_bytes)
    metadata: dict[str, Any] = {"size_bytes": size_bytes, **_metadata(ended)}
    if len(runs) == 1:
        metadata["path"] = dg.MetadataValue.path(store.files().uri(store.folder_of(runs[0])))
    accounts = {run.run_id: run.account_id for run in runs}
    rows = ARTIFACT.rows(_record(each, accounts[each.artifact.run_id]) for each in stored)
    return dg.Output(rows, ARTIFACTS, metadata=metadata)


def _node_results(
    step: Step,
    ended: Sequence[FollowedRun],
    reports: Sequence[DownloadReport],
    store: DbtCloudArtifactStore,
) -> dg.Output[Any]:
    """What happened to nodes and sources, as the stored files tell."""
    files = store.files()
    found = [
        collect_node_results(run, StoredFiles(files, store.folder_of(run), report.stored))
        for run, report in zip(_runs_of(ended), reports, strict=True)
    ]
    for warning in (warning for each in found for warning in each.warnings):
        step.log.warning("%s", warning)
    metadata: dict[str, Any] = {**_status_counts(found), **_metadata(ended)}
    return dg.Output(node_rows(found), NODE_RESULTS, metadata=metadata)


def _status_counts(found: Sequence[NodeResults]) -> dict[str, int]:
    """How many executed nodes ended how."""
    counts = Counter(
        f"nodes_{one_line(str(record['status'])).replace(' ', '_').replace('-', '_')}"
        for each in found
        for record in each.results
        if record["executed"]
    )
    return dict(sorted(counts.items()))


def _runs_of(ended: Sequence[FollowedRun]) -> list[Run]:
    return [each.run for each in ended if each.run is not None]


def _metadata(ended: Sequence[FollowedRun]) -> dict[str, dg.MetadataValue]:
    """Of the one run that counts, what it is; nothing where there are several."""
    counts = _that_count(ended)
    return run_metadata(counts[0]) if len(counts) == 1 else {}


def _that_count(followed: Sequence[FollowedRun]) -> list[Run]:
    """The runs that no other one continues."""
    return [each.run for each in followed if each.run is not None and each.continued_by is None]


def _raise_what_went_wrong(
    step: Step,
    followed: Sequence[FollowedRun],
    artifact_errors: Sequence[DbtCloudError | StorageError],
) -> None:
    runs = _that_count(followed)
    of_the_run = runs[0] if len(runs) == 1 else None
    run_errors = [(each.error or _run_error(step, each), each.run) for each in followed]
    found = [(error, run) for error, run in run_errors if error is not None]
    errors = [*found, *((error, of_the_run) for error in artifact_errors)]
    retry = step.config.retry_failed_run
    if len(errors) == 1:
        error, run = errors[0]
        raise as_failure(error, run=run, retry_failed_run=retry) from error
    if errors:
        failure = as_joint_failure(
            runs, [error for error, _ in found], artifact_errors, retry_failed_run=retry
        )
        raise failure from errors[0][0]


def _run_error(step: Step, each: FollowedRun) -> DbtCloudRunError | None:
    """What a run's end means for the step: nothing where another run continues it."""
    is_judged = step.config.raise_on_failed_run and each.continued_by is None
    if each.run is None or not each.run.is_over or not is_judged:
        return None
    if not step.config.retry_failed_run:
        return run_error(each.run)
    return run_error(each.run, retry_outlook(each.run, each.not_retried))


def _store_artifacts(
    step: Step, ended: Sequence[FollowedRun], store: DbtCloudArtifactStore, *, nodes: bool
) -> list[DownloadReport]:
    """What became of the artifacts of each run.

    Runs share the parallel downloads, and the time for which late artifacts are waited for.
    """
    config, runs = step.config, _runs_of(ended)
    at_once = min(config.max_parallel_downloads, len(runs))
    wanted = Wanted(
        config.artifact_steps,
        config.include_artifacts,
        config.exclude_artifacts,
        node_results=nodes and config.node_results,
    )
    per_run = config.max_parallel_downloads // at_once
    arrival = Arrival(step.client, wanted, store.files(), per_run)
    seen = {each.run.run_id for each in ended if each.run is not None and each.saw_end}
    lags = {
        run.run_id: lag_of(step.client, run, saw_end=run.run_id in seen, log=step.log)
        for run in runs
    }
    return in_parallel(
        lambda run: arrival.store(run, store.folder_of(run), lags[run.run_id]),
        runs,
        max_parallel=at_once,
        cancellation=step.client.cancellation,
    )


def _record(stored: StoredArtifact, account_id: int) -> dict[str, Any]:
    """A stored artifact's row."""
    headers = {name.lower(): value for name, value in stored.download.headers.items()}
    return {
        "account_id": account_id,
        "run_id": stored.artifact.run_id,
        "step": stored.artifact.step,
        "path": stored.artifact.path,
        "uri": stored.uri,
        "size_bytes": stored.download.size_bytes,
        "sha256": stored.download.sha256,
        "content_type": stored.download.content_type,
        "downloaded_at": stored.downloaded_at,
        "raw": {name: headers[name] for name in _KEPT_HEADERS if name in headers},
    }
