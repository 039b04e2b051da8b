"""Follows runs to their end, and hands out what they leave.

Rows first, then artifacts, and only then the failure: so a failed run leaves everything behind,
and nothing downstream runs.
"""

import json
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from dbt_trigger_dagster.artifacts import StoredArtifact, download_artifacts, find_artifacts, lag_of
from dbt_trigger_dagster.client import DbtCloudClient
from dbt_trigger_dagster.errors import (
    DbtCloudError,
    DbtCloudRunError,
    DbtCloudWaitTimeoutError,
    StorageError,
)
from dbt_trigger_dagster.failures import as_failure, as_joint_failure, run_error, run_metadata
from dbt_trigger_dagster.models import Run
from dbt_trigger_dagster.op_configs import DbtCloudRunConfig
from dbt_trigger_dagster.polling import wait_for_run
from dbt_trigger_dagster.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.tables import ARTIFACT, RUN, frame_of_runs
from dbt_trigger_dagster.termination import INTERRUPTS, Termination
from dbt_trigger_dagster.timing import Deadline

if TYPE_CHECKING:
    import pandas as pd

RUN_RESULT = "run_result"
"""The output with the runs' rows."""

ARTIFACTS = "artifacts"
"""The output with the artifacts' rows."""

ONE_LOOK = 2.0
"""Seconds for each of several runs whose turn comes after the deadline."""

CANCEL_WAIT = 60.0
"""Seconds to wait until a run that we have cancelled is over."""

_KEPT_HEADERS = ("content-type", "content-length", "etag", "last-modified")


@dataclass
class Landing:
    """One step that follows runs to their end.

    Args:
        client: The account's client.
        config: The wait policy and the artifact policy.
        store: Where artifacts go.
        termination: Tells whether an interrupt is a person's wish.
        outputs: The outputs that are wanted: `RUN_RESULT`, `ARTIFACTS` or both.
        log: Where it tells what happens.
    """

    client: DbtCloudClient
    config: DbtCloudRunConfig
    store: DbtCloudArtifactStore
    termination: Termination
    outputs: Collection[str]
    log: logging.Logger
    _run_errors: list[DbtCloudError] = field(init=False, default_factory=list)
    _artifact_errors: list[DbtCloudError | StorageError] = field(init=False, default_factory=list)

    def find(self, run_ids: Sequence[int]) -> list[Run]:
        """The runs that have these numbers; what keeps one from being found is told at the end."""
        runs = []
        for run_id in dict.fromkeys(run_ids):
            try:
                runs.append(self.client.get_run(run_id))
            except DbtCloudError as error:
                self._run_errors.append(error)
        return runs

    def land(self, runs: Sequence[Run]) -> Iterator["dg.Output[pd.DataFrame]"]:
        """Wait for runs, then yield their rows and their artifacts' rows.

        Args:
            runs: The runs as last seen.

        Raises:
            dg.Failure: A run was not over in time or ended badly, or artifacts are missing; what
                there is has been yielded before.
        """
        ended = self._wait_for_all(runs)
        if ended and RUN_RESULT in self.outputs:
            metadata = run_metadata(ended[0]) if len(ended) == 1 else {}
            yield dg.Output(frame_of_runs(RUN, ended), RUN_RESULT, metadata=metadata)
        if ended and ARTIFACTS in self.outputs and self.config.store_artifacts:
            yield self._artifacts(ended)
        if self.config.raise_on_failed_run:
            known = {
                error.run.run_id
                for error in self._run_errors
                if isinstance(error, DbtCloudRunError)
            }
            others = (run for run in ended if run.run_id not in known)
            self._run_errors += filter(None, map(run_error, others))
        self._raise_what_went_wrong([*runs, *ended])

    def _raise_what_went_wrong(self, seen: Sequence[Run]) -> None:
        """Fail with everything that went wrong; of the runs, what was seen last counts."""
        errors = [*self._run_errors, *self._artifact_errors]
        runs = list({run.run_id: run for run in seen}.values())
        if len(errors) == 1:
            raise as_failure(errors[0], run=runs[0] if len(runs) == 1 else None) from errors[0]
        if errors:
            failure = as_joint_failure(runs, self._run_errors, self._artifact_errors)
            raise failure from errors[0]

    # Waiting

    def _wait_for_all(self, runs: Sequence[Run]) -> list[Run]:
        """The runs that are over in time."""
        seconds = self.config.max_wait_time
        deadline = None if seconds is None else Deadline.after(seconds, self.client.clock)
        waiting = list(runs)
        ended = []
        with self.termination.watched():
            try:
                while waiting:
                    run = self._wait_for(waiting[0], self._not_before_one_look(deadline))
                    waiting.pop(0)
                    if run is not None:
                        ended.append(run)
            except INTERRUPTS as interrupt:
                self.termination.end(
                    self.client,
                    waiting,
                    interrupt,
                    cancel=self.config.cancel_on_termination,
                    log=self.log,
                )
        return ended

    def _not_before_one_look(self, deadline: Deadline | None) -> Deadline | None:
        """The deadline; where it is over, one that leaves time to see whether a run is over too."""
        if deadline is None or not deadline.is_over:
            return deadline
        return Deadline.after(ONE_LOOK, self.client.clock)

    def _wait_for(self, run: Run, deadline: Deadline | None) -> Run | None:
        """The run when it is over; None when it is not in time."""
        try:
            return self._wait_until(run, deadline)
        except DbtCloudWaitTimeoutError as error:
            return self._on_timeout(error)
        except DbtCloudError as error:
            self._run_errors.append(error)
            return None

    def _wait_until(self, run: Run, deadline: Deadline | None) -> Run:
        return wait_for_run(
            self.client,
            run,
            deadline=deadline,
            poll_interval=self.config.poll_interval,
            log=self.log,
        )

    def _on_timeout(self, error: DbtCloudWaitTimeoutError) -> Run | None:
        if self.config.on_timeout == "leave":
            self.log.warning("%s It goes on: %s", error, error.run.href)
            return None
        ended = self._cancel_and_wait(error.run) if self.config.on_timeout == "cancel" else None
        self._run_errors.append(DbtCloudWaitTimeoutError(str(error), run=ended or error.run))
        return ended

    def _cancel_and_wait(self, run: Run) -> Run | None:
        """Cancel a run, and give it some time to end; None when it does not."""
        try:
            cancelled = self.client.cancel_run(run.run_id)
            self.log.info("dbt Cloud run %s is cancelled: %s", run.run_id, run.href)
            return self._wait_until(cancelled, Deadline.after(CANCEL_WAIT, self.client.clock))
        except DbtCloudError as error:
            self.log.error(  # noqa: TRY400  # the sentence is enough; the step fails anyway
                "dbt Cloud run %s was to be cancelled: %s %s", run.run_id, error, run.href
            )
            return None

    # Artifacts

    def _artifacts(self, runs: Sequence[Run]) -> "dg.Output[pd.DataFrame]":
        stored = [artifact for run in runs for artifact in self._store_artifacts(run)]
        size_bytes = sum(artifact.download.size_bytes for artifact in stored)
        self.log.info("%d artifacts stored (%d bytes).", len(stored), size_bytes)
        return dg.Output(
            ARTIFACT.frame(map(_record, stored)),
            ARTIFACTS,
            metadata={"size_bytes": size_bytes, **self._metadata(runs)},
        )

    def _metadata(self, runs: Sequence[Run]) -> dict[str, dg.MetadataValue]:
        """Of a single run: what it is, and where its files are."""
        if len(runs) > 1:
            return {}
        folder = str(self.store.folder_of(runs[0]))
        return {**run_metadata(runs[0]), "path": dg.MetadataValue.path(folder)}

    def _store_artifacts(self, run: Run) -> Sequence[StoredArtifact]:
        """What could be stored of one run's artifacts."""
        try:
            lag = lag_of(self.client, run)
            wanted = find_artifacts(
                self.client,
                run,
                steps=self.config.artifact_steps,
                include=self.config.include_artifacts,
                exclude=self.config.exclude_artifacts,
                lag=lag,
            )
            report = download_artifacts(
                self.client,
                wanted,
                self.store.folder_of(run),
                max_parallel=self.config.max_parallel_downloads,
                lag=lag,
            )
        except (DbtCloudError, StorageError) as error:
            self._artifact_errors.append(error)
            return ()
        self._artifact_errors += [error for _, error in report.errors]
        return report.stored


def _record(stored: StoredArtifact) -> dict[str, Any]:
    """A stored artifact's row."""
    headers = {name.lower(): value for name, value in stored.download.headers.items()}
    return {
        "run_id": stored.artifact.run_id,
        "step": stored.artifact.step,
        "path": stored.artifact.path,
        "uri": str(stored.file),
        "size_bytes": stored.download.size_bytes,
        "sha256": stored.download.sha256,
        "content_type": stored.download.content_type,
        "downloaded_at": stored.downloaded_at,
        "raw": {name: headers[name] for name in _KEPT_HEADERS if name in headers},
    }


def run_of_rows(rows: "pd.DataFrame") -> Run:
    """The run of the newest row of `TRIGGER` or `RUN`.

    Raises:
        ValueError: There are no rows.
    """
    if rows.empty:
        raise ValueError(
            "There is no dbt Cloud run to wait for: this Dagster instance (DAGSTER_HOME) knows of "
            "none. Materialize trigger_response first, or name runs in run_ids."
        )
    newest = rows.sort_values("loaded_at").iloc[-1]
    return Run.from_payload(json.loads(newest["raw"]))
