"""Hands out what runs leave at their end, and then says what went wrong.

Where the newest run ended badly, and that fails the step, nothing is materialized: a materialized
asset is green in Dagster and sets off what is downstream. Rows and files are kept all the same,
and observations tell of them.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import dagster as dg

from dbt_trigger_dagster.artifacts.arrival import Arrival
from dbt_trigger_dagster.artifacts.download import DownloadReport, StoredArtifact
from dbt_trigger_dagster.artifacts.listing import Wanted, lag_of
from dbt_trigger_dagster.artifacts.node_results import NodeResults, collect_node_results
from dbt_trigger_dagster.artifacts.node_rows import node_rows
from dbt_trigger_dagster.artifacts.stored_files import StoredFiles
from dbt_trigger_dagster.assets.checks import Evaluation, evaluations
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
from dbt_trigger_dagster.assets.outcome import Outcome
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.assets.run_report import store_report
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.node_tables import RUN_STEP
from dbt_trigger_dagster.storage.store import Store
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, run_rows

_KEPT_HEADERS = ("content-type", "content-length", "etag", "last-modified")

_Told = TypeVar("_Told")

Event = dg.Output[Any] | dg.AssetObservation | Evaluation | NodeEvent
"""What a step hands to Dagster."""


@dataclass
class _Landed:
    """What a step has of the runs that are over.

    Attributes:
        followed: All runs that were waited for.
        runs: Those that are over.
        reports: What became of the artifacts of each; None where none are wanted.
        found: What each run's files tell of its inside.
        unread: Runs whose files could not be read.
        past: Holds the runs before; None where they cannot be read.
        outcomes: What became of each.
        errors: What could not be fetched or kept.
    """

    followed: Sequence[FollowedRun]
    runs: list[Run]
    reports: list[DownloadReport] | None = None
    found: list[NodeResults] = field(default_factory=list)
    unread: set[int] = field(default_factory=set)
    past: Store | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[DbtCloudError | StorageError] = field(default_factory=list)

    @property
    def counting(self) -> list[FollowedRun]:
        """The runs that no other one continues."""
        return [each for each in self.followed if each.run and each.continued_by is None]

    @property
    def judged(self) -> list[Outcome]:
        """What became of those of them that are over, the newest last."""
        ids = {each.run.run_id for each in self.counting if each.run}
        judged = [each for each in self.outcomes if each.run.run_id in ids]
        return sorted(judged, key=lambda each: each.run.run_id)

    @property
    def own_columns(self) -> dict[int, dict[str, str | None]]:
        """What the runs' rows say beside what dbt Cloud does, by the runs' ids."""
        return {
            each.run.run_id: {"retry_decision": each.retry_decision or None}
            for each in self.followed
            if each.run is not None
        }

    def outcome_of(self, run: Run) -> Outcome:
        """What became of one of the runs."""
        return next(each for each in self.outcomes if each.run.run_id == run.run_id)

    def with_past(self, log: logging.Logger, tell: Callable[[Store | None], _Told]) -> _Told:
        """What is told by the runs before, and without them where they cannot be read."""
        try:
            return tell(self.past)
        except StorageError as error:
            log.warning("Earlier runs are not compared with: %s", error)
            self.past = None
            return tell(None)


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
    landed = _collect(step, followed, keeping)
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


def _collect(step: Step, followed: Sequence[FollowedRun], keeping: Keeping) -> _Landed:
    """Store the files of the runs that are over, and read them."""
    ended = [each for each in followed if each.run is not None and each.run.is_over]
    runs = _runs_of(ended)
    landed = _Landed(followed, runs)
    outputs = set(keeping.outputs)
    if runs and {ARTIFACTS, NODE_RESULTS} & outputs and step.config.store_artifacts:
        with step.termination.guarded(step.client):
            landed.reports = _store_artifacts(
                step, ended, keeping.artifacts, nodes=NODE_RESULTS in outputs
            )
        landed.errors += [error for report in landed.reports for _, error in report.errors]
        landed.errors += keeping.artifacts.publish(zip(runs, landed.reports, strict=True))
    landed.found = _read(step, landed, keeping)
    landed.past = keeping.tables.store()
    landed.outcomes = landed.with_past(
        step.log,
        lambda past: [
            Outcome.of(run, found, past)
            if _looks_inside(step, landed, keeping) and run.run_id not in landed.unread
            else Outcome.kept(run, RUN_STEP.rows(found.steps), past)
            for run, found in zip(runs, landed.found, strict=True)
        ],
    )
    return landed


def _looks_inside(step: Step, landed: _Landed, keeping: Keeping) -> bool:
    """Whether the runs' files are read, for what happened to nodes."""
    wanted = NODE_RESULTS in keeping.outputs and step.config.node_results
    return landed.reports is not None and wanted


def _read(step: Step, landed: _Landed, keeping: Keeping) -> list[NodeResults]:
    """What happened inside the runs, as the stored files tell; of the rest, the steps alone."""
    if landed.reports is None or not _looks_inside(step, landed, keeping):
        found = [NodeResults.of_steps(run) for run in landed.runs]
    else:
        store, files = keeping.artifacts, keeping.artifacts.files()
        found = [
            _read_files(landed, run, StoredFiles(files, store.folder_of(run), report.stored))
            for run, report in zip(landed.runs, landed.reports, strict=True)
        ]
    for warning in (warning for each in found for warning in each.warnings):
        step.log.warning("%s", warning)
    return found


def _read_files(landed: _Landed, run: Run, files: StoredFiles) -> NodeResults:
    """What they tell; where they cannot be had again, the run is kept all the same."""
    try:
        return collect_node_results(run, files)
    except (StorageError, OSError) as error:
        landed.unread.add(run.run_id)
        found = NodeResults.of_steps(run)
        found.warnings.append(
            f"What dbt Cloud run {run.run_id} did to each node is not kept: {error}"
        )
        return found


def _runs_of(ended: Sequence[FollowedRun]) -> list[Run]:
    return [each.run for each in ended if each.run is not None]


def _is_good(landed: _Landed, failed: set[int]) -> bool:
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


def _parts(step: Step, landed: _Landed, keeping: Keeping) -> list[Part]:
    """What each wanted asset gets."""
    parts = []
    about = {**_about(landed), **_reports(step, landed, keeping)}
    if RUN_RESULT in keeping.outputs:
        steps = RUN_STEP.rows(record for found in landed.found for record in found.steps)
        runs = run_rows(RUN, landed.runs, own=landed.own_columns)
        parts.append(Part(RUN_RESULT, [runs, steps], about))
    if landed.reports is not None and ARTIFACTS in keeping.outputs:
        parts.append(_artifacts(step, landed, keeping, _in_short(about)))
    if _looks_inside(step, landed, keeping):
        metadata = {**node_counts(landed.judged), **_in_short(about)}
        parts.append(Part(NODE_RESULTS, node_rows(landed.found), metadata))
    return parts


def _about(landed: _Landed) -> dict[str, Any]:
    """What Dagster shows of the runs."""
    shown = landed.judged or landed.outcomes
    return outcome_metadata(shown[0]) if len(shown) == 1 else batch_metadata(shown)


def _reports(step: Step, landed: _Landed, keeping: Keeping) -> dict[str, Any]:
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


def _artifacts(step: Step, landed: _Landed, keeping: Keeping, about: Mapping[str, Any]) -> Part:
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
    step: Step, landed: _Landed, run_errors: Sequence[tuple[DbtCloudError, Run | None]]
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


def _error_of(step: Step, each: FollowedRun, landed: _Landed) -> DbtCloudError | None:
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
        "length_known": stored.download.is_length_known,
        "downloaded_at": stored.downloaded_at,
        "raw": {name: headers[name] for name in _KEPT_HEADERS if name in headers},
    }
