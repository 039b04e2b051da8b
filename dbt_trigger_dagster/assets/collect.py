"""Collects what runs leave that are over: stores their files, and reads what happened in them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dbt_trigger_dagster.artifacts.arrival import Arrival
from dbt_trigger_dagster.artifacts.download import DownloadReport
from dbt_trigger_dagster.artifacts.listing import Wanted, lag_of
from dbt_trigger_dagster.artifacts.node_results import NodeResults, collect_node_results
from dbt_trigger_dagster.artifacts.stored_files import StoredFiles
from dbt_trigger_dagster.assets.followed_run import FollowedRun
from dbt_trigger_dagster.assets.job import ARTIFACTS, NODE_RESULTS
from dbt_trigger_dagster.assets.keeping import Keeping
from dbt_trigger_dagster.assets.outcome import Outcome
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.node_tables import RUN_STEP
from dbt_trigger_dagster.storage.store import Store

_Told = TypeVar("_Told")


@dataclass
class Landed:
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


def collect(step: Step, followed: Sequence[FollowedRun], keeping: Keeping) -> Landed:
    """Store the files of the runs that are over, and read them."""
    ended = [each for each in followed if each.run is not None and each.run.is_over]
    runs = _runs_of(ended)
    landed = Landed(followed, runs)
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
            if looks_inside(step, landed, keeping) and run.run_id not in landed.unread
            else Outcome.kept(run, RUN_STEP.rows(found.steps), past)
            for run, found in zip(runs, landed.found, strict=True)
        ],
    )
    return landed


def looks_inside(step: Step, landed: Landed, keeping: Keeping) -> bool:
    """Whether the runs' files are read, for what happened to nodes."""
    wanted = NODE_RESULTS in keeping.outputs and step.config.node_results
    return landed.reports is not None and wanted


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


def _read(step: Step, landed: Landed, keeping: Keeping) -> list[NodeResults]:
    """What happened inside the runs, as the stored files tell; of the rest, the steps alone."""
    if landed.reports is None or not looks_inside(step, landed, keeping):
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


def _read_files(landed: Landed, run: Run, files: StoredFiles) -> NodeResults:
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
