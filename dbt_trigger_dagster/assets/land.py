"""Hands out what runs leave at their end, and then says what went wrong.

Where the newest run ended badly, and that fails the step, nothing is materialized: a materialized
asset is green in Dagster and sets off what is downstream. Rows and files are kept all the same,
and observations tell of them.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import dagster as dg

from dbt_trigger_dagster.artifacts.download import StoredArtifact
from dbt_trigger_dagster.artifacts.node_rows import node_rows
from dbt_trigger_dagster.assets.checks import Evaluation, evaluations
from dbt_trigger_dagster.assets.collect import Landed, collect, looks_inside
from dbt_trigger_dagster.assets.failures import (
    as_failure,
    as_joint_failure,
    retry_outlook,
    run_error,
)
from dbt_trigger_dagster.assets.followed_run import FollowedRun
from dbt_trigger_dagster.assets.job import ARTIFACTS, NODE_RESULTS, RUN_RESULT
from dbt_trigger_dagster.assets.keeping import Keeping, Part
from dbt_trigger_dagster.assets.metadata import (
    RUN_LINK,
    batch_metadata,
    node_counts,
    outcome_metadata,
)
from dbt_trigger_dagster.assets.node_events import NodeEvent, node_events, unreported
from dbt_trigger_dagster.assets.run_report import store_report
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.node_tables import RUN_STEP
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, run_rows

_KEPT_HEADERS = ("content-type", "content-length", "etag", "last-modified")

Event = dg.Output[Any] | dg.AssetObservation | Evaluation | NodeEvent
"""What a step hands to Dagster."""


def land(
    step: Step, followed: Sequence[FollowedRun], keeping: Keeping
) -> Generator[Event, None, dg.Failure | None]:
    """Keep what runs leave that are over, and hand it out: files, then rows, then checks.

    Args:
        step: The step that has followed the runs.
        followed: What became of them.
        keeping: Where it goes.

    Returns:
        What the step is to fail with: a run was not over in time or ended badly, or something
        could not be fetched or kept. What there is has been handed out before.
    """
    landed = collect(step, followed, keeping)
    run_errors = [
        (error, each.run) for each in followed if (error := _error_of(step, each, landed))
    ]
    if landed.runs:
        parts = _parts(step, landed, keeping)
        if _is_good(landed, {run.run_id for _, run in run_errors if run}):
            yield from (dg.Output(p.rows, p.name, metadata=dict(p.metadata)) for p in parts)
        else:
            yield from _observations(parts, keeping, landed.errors)
        if RUN_RESULT in keeping.outputs:
            yield from evaluations(keeping, landed.judged)
        if step.config.emit_node_events:
            events = map(node_events, landed.runs, landed.found)
            yield from unreported(keeping.instance, chain.from_iterable(events))
    return _failure(step, landed, run_errors)


def _is_good(landed: Landed, failed: set[int]) -> bool:
    """Whether the newest of the runs leaves good assets, whatever older ones were."""
    return bool(landed.judged) and landed.judged[-1].run.run_id not in failed


def _observations(
    parts: Sequence[Part], keeping: Keeping, errors: list[DbtCloudError | StorageError]
) -> Iterator[dg.AssetObservation]:
    """Keep all parts, and tell of them.

    The run's own row comes last: a run that has one is landed, and is not looked for again.
    """
    try:
        kept = [keeping.observe(part) for part in reversed(parts)]
    except StorageError as error:
        errors.append(error)
    else:
        yield from reversed(kept)


def _parts(step: Step, landed: Landed, keeping: Keeping) -> list[Part]:
    """What each wanted asset gets."""
    parts = []
    about = {**_about(landed), **_reports(step, landed, keeping)}
    if RUN_RESULT in keeping.outputs:
        steps = RUN_STEP.rows(record for found in landed.found for record in found.steps)
        runs = run_rows(RUN, landed.runs, own=landed.own_columns)
        parts.append(Part(RUN_RESULT, [runs, steps], about))
    if landed.reports is not None and ARTIFACTS in keeping.outputs:
        parts.append(_artifacts(step, landed, keeping, _in_short(about)))
    if looks_inside(step, landed, keeping):
        metadata = {**node_counts(landed.judged), **_in_short(about)}
        parts.append(Part(NODE_RESULTS, node_rows(landed.found), metadata))
    return parts


def _about(landed: Landed) -> dict[str, Any]:
    """What Dagster shows of the runs."""
    shown = landed.judged or landed.outcomes
    return outcome_metadata(shown[0]) if len(shown) == 1 else batch_metadata(shown)


def _reports(step: Step, landed: Landed, keeping: Keeping) -> dict[str, Any]:
    """Store the reports of the runs; where that of the newest is."""
    uris = {
        run.run_id: landed.with_past(
            step.log,
            partial(
                store_report, landed.outcome_of(run), report.stored, keeping.artifacts, step.log
            ),
        )
        for run, report in zip(landed.runs, landed.reports or (), strict=False)
    }
    newest = (landed.judged or landed.outcomes)[-1].run.run_id
    uri = uris.get(newest)
    return {"report": dg.MetadataValue.path(uri)} if uri else {}


def _in_short(about: dict[str, Any]) -> dict[str, Any]:
    """Which run it is, for the other assets: Dagster stores metadata several times."""
    return {name: about[name] for name in (*RUN_LINK, "report") if name in about}


def _artifacts(step: Step, landed: Landed, keeping: Keeping, about: Mapping[str, Any]) -> Part:
    """The artifacts' rows."""
    stored = [each for report in landed.reports or () for each in report.stored]
    size_bytes = sum(artifact.download.size_bytes for artifact in stored)
    step.log.info("%d artifacts stored (%d bytes).", len(stored), size_bytes)
    metadata: dict[str, Any] = {"artifacts": len(stored), "size_bytes": size_bytes}
    if len(landed.runs) == 1:
        folder = keeping.artifacts.folder_of(landed.runs[0])
        metadata["path"] = dg.MetadataValue.path(keeping.artifacts.files().uri(folder))
    accounts = {run.run_id: run.account_id for run in landed.runs}
    rows = ARTIFACT.rows(_record(each, accounts[each.artifact.run_id]) for each in stored)
    return Part(ARTIFACTS, [rows], {**metadata, **about})


def _failure(
    step: Step, landed: Landed, run_errors: Sequence[tuple[DbtCloudError, Run | None]]
) -> dg.Failure | None:
    """All that went wrong."""
    runs = [each.run for each in landed.counting if each.run is not None]
    of_the_run = runs[0] if len(runs) == 1 else None
    errors = [*run_errors, *((error, of_the_run) for error in landed.errors)]
    if not errors:
        return None
    lasts = any(each.lasting for each in landed.counting)
    retry = step.config.retry_failed_run != "never" and not lasts
    if len(errors) == 1:
        error, run = errors[0]
        return as_failure(error, run=run, retry_failed_run=retry)
    return as_joint_failure(
        runs, [error for error, _ in run_errors], landed.errors, retry_failed_run=retry
    )


def _error_of(step: Step, each: FollowedRun, landed: Landed) -> DbtCloudError | None:
    """What a run means for the step: its end means nothing where another run continues it."""
    if each.error is not None:
        return each.error
    is_judged = step.config.raise_on_failed_run and each.continued_by is None
    if each.run is None or not each.run.is_over or not is_judged:
        return None
    outcome = landed.outcome_of(each.run)
    if step.config.retry_failed_run == "never":
        return run_error(outcome)
    return run_error(outcome, retry_outlook(outcome, each.not_retried, lasting=each.lasting))


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
        "length_known": stored.download.is_length_known,
        "downloaded_at": stored.downloaded_at,
        "raw": {name: headers[name] for name in _KEPT_HEADERS if name in headers},
    }
