"""The way of a run's artifacts into files.

A file appears under its name only when all its bytes are there, and always inside the folder that
it belongs to; two artifacts never share a file. One that cannot be had does not cost the others.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from dbt_trigger_dagster.artifacts.listing import despite_lag
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN, Artifact, find_clashes, is_same_name
from dbt_trigger_dagster.dbt_cloud.api import Download
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError, DbtCloudNotFoundError
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.files import partial_folder, remove_what_the_dead_left


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact whose file is complete."""

    artifact: Artifact
    file: Path
    download: Download
    downloaded_at: datetime


@dataclass(frozen=True)
class DownloadReport:
    """What became of the artifacts that were wanted."""

    stored: tuple[StoredArtifact, ...]
    errors: tuple[tuple[Artifact, DbtCloudError | StorageError], ...]


def download_artifacts(
    client: DbtCloudClient,
    artifacts: Sequence[Artifact],
    folder: Path,
    *,
    max_parallel: int,
    lag: Deadline | None = None,
    same_name: Callable[[str, str], bool] | None = None,
) -> DownloadReport:
    """Store artifacts as files below a folder: ``<path>``, those of steps in ``steps/<number>/``.

    Args:
        client: The account's client.
        artifacts: Which; all of one run.
        folder: The run's own folder; made when missing.
        max_parallel: How many at the same time, each on a connection of its own.
        lag: Until when to ask again for one that is not there, as `lag_of` says.
        same_name: Whether two names are one for the folder's file system; it is tried by default.

    Raises:
        StorageError: The folder cannot be made.
    """
    if not artifacts:
        return DownloadReport((), ())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_what_the_dead_left(folder)
        with partial_folder(folder) as partial:
            is_same = same_name or functools.partial(is_same_name, partial)
            until_cancelled = client.with_options(deadline=client.until_cancelled())
            downloads = _Downloads(
                until_cancelled, folder, partial, lag, clashes=find_clashes(artifacts, is_same)
            )
            outcomes = in_parallel(
                downloads.outcome,
                list(enumerate(artifacts)),
                max_parallel=max_parallel,
                cancellation=client.cancellation,
            )
    except OSError as error:
        raise StorageError(f"Artifacts cannot be stored in {folder}: {error.strerror}.") from error
    return _report(zip(artifacts, outcomes, strict=True))


_Outcome = StoredArtifact | DbtCloudError | StorageError | None


@dataclass(frozen=True)
class _Downloads:
    """What the downloads of one run have in common."""

    client: DbtCloudClient
    folder: Path
    partial: Path
    lag: Deadline | None
    clashes: Mapping[Artifact, StorageError]

    def outcome(self, numbered: tuple[int, Artifact]) -> _Outcome:
        """The stored artifact, or why it is not stored, or None if its step did not leave it."""
        number, artifact = numbered
        try:
            return self.clashes.get(artifact) or self._store(artifact, self.partial / str(number))
        except DbtCloudNotFoundError as error:
            return error if artifact.step == OF_THE_RUN else None
        except (DbtCloudError, StorageError) as error:
            return error
        except OSError as error:
            return StorageError(f"{artifact} cannot be stored in {self.folder}: {error.strerror}.")

    def _store(self, artifact: Artifact, temporary: Path) -> StoredArtifact:
        file = self.folder / artifact.place
        with temporary.open("wb", buffering=0) as target:  # chunks are larger than a buffer

            def download() -> Download:
                return self.client.download_artifact(
                    artifact.run_id, artifact.path, target, step=artifact.step or None
                )

            lag = self.lag if artifact.step == OF_THE_RUN else None
            complete = despite_lag(lag, self.client, download)
        try:
            temporary.replace(file)
        except FileNotFoundError:
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(file)
        return StoredArtifact(artifact, file, complete, datetime.now(timezone.utc))


def _report(outcomes: Iterable[tuple[Artifact, _Outcome]]) -> DownloadReport:
    stored: list[StoredArtifact] = []
    errors: list[tuple[Artifact, DbtCloudError | StorageError]] = []
    for artifact, outcome in outcomes:
        if isinstance(outcome, StoredArtifact):
            stored.append(outcome)
        elif outcome is not None:
            errors.append((artifact, outcome))
    return DownloadReport(tuple(stored), tuple(errors))
