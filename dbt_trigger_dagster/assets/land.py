"""Hands out what runs leave at their end.

Rows first, then artifacts, and only then the failure: so a failed run leaves everything behind,
and nothing downstream runs.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dbt_trigger_dagster.artifacts.download import (
    DownloadReport,
    StoredArtifact,
    download_artifacts,
)
from dbt_trigger_dagster.artifacts.listing import find_artifacts, lag_of
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN, Artifact
from dbt_trigger_dagster.assets.config import DbtCloudRunConfig
from dbt_trigger_dagster.assets.failures import (
    as_failure,
    as_joint_failure,
    retry_outlook,
    run_error,
    run_metadata,
)
from dbt_trigger_dagster.assets.follow import Following
from dbt_trigger_dagster.assets.job import ARTIFACTS, RUN_RESULT
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError, DbtCloudRunError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, run_rows

_KEPT_HEADERS = ("content-type", "content-length", "etag", "last-modified")


@dataclass
class Landing:
    """One step that stores what runs leave.

    Args:
        following: Follows the runs to their end.
        config: The artifact policy, and what a failed run means.
        store: Where artifacts go.
        outputs: The outputs that are wanted: `RUN_RESULT`, `ARTIFACTS` or both.
    """

    following: Following
    config: DbtCloudRunConfig
    store: DbtCloudArtifactStore
    outputs: Collection[str]

    def land(self, runs: Sequence[Run]) -> Iterator[dg.Output[Rows]]:
        """Wait for runs, then yield their rows and their artifacts' rows.

        Args:
            runs: The runs as last seen.

        Raises:
            dg.Failure: A run was not over in time or ended badly, or artifacts are missing; what
                there is has been yielded before.
        """
        ended = self.following.to_the_end(runs)
        artifact_errors: list[DbtCloudError | StorageError] = []
        if ended and RUN_RESULT in self.outputs:
            metadata = self._metadata(ended)
            yield dg.Output(run_rows(RUN, ended), RUN_RESULT, metadata=metadata)
        if ended and ARTIFACTS in self.outputs and self.config.store_artifacts:
            with self.following.termination.guarded(self.following.client):
                reports = self._store_artifacts(ended)
            artifact_errors += [error for report in reports for _, error in report.errors]
            yield self._artifacts(ended, [each for report in reports for each in report.stored])
        seen = {run.run_id: run for run in [*runs, *ended]}
        judged = [run for run in seen.values() if run.run_id not in self.following.continued]
        self._raise_what_went_wrong(judged, self._run_errors(ended), artifact_errors)

    def _run_errors(self, ended: Sequence[Run]) -> list[tuple[DbtCloudError, Run | None]]:
        """What is wrong with the runs, those that were not followed to their end included."""
        errors = list(self.following.errors)
        if not self.config.raise_on_failed_run:
            return errors
        told = {error.run.run_id for error, _ in errors if isinstance(error, DbtCloudRunError)}
        others = (run for run in ended if run.run_id not in told | self.following.continued)
        return [*errors, *((error, error.run) for error in map(self._run_error, others) if error)]

    def _run_error(self, run: Run) -> DbtCloudRunError | None:
        if not self.config.retry_failed_run:
            return run_error(run)
        return run_error(run, retry_outlook(run, self.following.not_retried.get(run.run_id)))

    def _raise_what_went_wrong(
        self,
        runs: Sequence[Run],
        run_errors: Sequence[tuple[DbtCloudError, Run | None]],
        artifact_errors: Sequence[DbtCloudError | StorageError],
    ) -> None:
        of_the_run = runs[0] if len(runs) == 1 else None
        errors = [*run_errors, *((error, of_the_run) for error in artifact_errors)]
        retry = self.config.retry_failed_run
        if len(errors) == 1:
            error, run = errors[0]
            raise as_failure(error, run=run, retry_failed_run=retry) from error
        if errors:
            failure = as_joint_failure(
                runs,
                [error for error, _ in run_errors],
                artifact_errors,
                retry_failed_run=retry,
            )
            raise failure from errors[0][0]

    def _metadata(self, ended: Sequence[Run]) -> dict[str, dg.MetadataValue]:
        """Of the one run that counts, what it is; nothing where there are several."""
        counts = [run for run in ended if run.run_id not in self.following.continued]
        return run_metadata(counts[0]) if len(counts) == 1 else {}

    # Artifacts

    def _artifacts(self, runs: Sequence[Run], stored: Sequence[StoredArtifact]) -> dg.Output[Rows]:
        size_bytes = sum(artifact.download.size_bytes for artifact in stored)
        self.following.log.info("%d artifacts stored (%d bytes).", len(stored), size_bytes)
        metadata: dict[str, Any] = {"size_bytes": size_bytes, **self._metadata(runs)}
        if len(runs) == 1:
            metadata["path"] = dg.MetadataValue.path(str(self.store.folder_of(runs[0])))
        return dg.Output(ARTIFACT.rows(map(_record, stored)), ARTIFACTS, metadata=metadata)

    def _store_artifacts(self, runs: Sequence[Run]) -> list[DownloadReport]:
        """What became of the artifacts of each run.

        Runs share the parallel downloads, and the time for which late artifacts are waited for.
        """
        most = self.config.max_parallel_downloads
        at_once = min(most, len(runs))
        client = self.following.client
        lags = {run.run_id: lag_of(client, run) for run in runs}
        return in_parallel(
            lambda run: self._store_artifacts_of(run, lags[run.run_id], most // at_once),
            runs,
            max_parallel=at_once,
            clock=client.clock,
        )

    def _store_artifacts_of(self, run: Run, lag: Deadline, max_parallel: int) -> DownloadReport:
        client = self.following.client
        try:
            wanted = find_artifacts(
                client,
                run,
                steps=self.config.artifact_steps,
                include=self.config.include_artifacts,
                exclude=self.config.exclude_artifacts,
                lag=lag,
            )
            return download_artifacts(
                client, wanted, self.store.folder_of(run), max_parallel=max_parallel, lag=lag
            )
        except (DbtCloudError, StorageError) as error:
            all_of_them = Artifact(run.run_id, OF_THE_RUN, "")
            return DownloadReport((), ((all_of_them, error),))


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
