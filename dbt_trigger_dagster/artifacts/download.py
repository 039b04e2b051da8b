"""The way of a run's artifacts into a store of files.

A file appears under its name only when all its bytes are there, and always inside the folder that
it belongs to; two artifacts never share a file. One that cannot be had does not cost the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from dbt_trigger_dagster.artifacts.listing import Lag, despite_lag
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN, Artifact, find_clashes
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.downloads import Download
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError, DbtCloudNotFoundError
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore, FolderWriter


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact whose file is complete.

    Attributes:
        artifact: Which.
        uri: The file's address: a path, or a URL.
        download: What is known of its bytes.
        downloaded_at: When it was complete, in UTC.
    """

    artifact: Artifact
    uri: str
    download: Download
    downloaded_at: datetime


@dataclass(frozen=True)
class DownloadReport:
    """What became of the artifacts that were wanted.

    Attributes:
        stored: Those whose files are complete.
        errors: Those that cannot be had, and why; in neither is what a step did not leave.
    """

    stored: tuple[StoredArtifact, ...] = ()
    errors: tuple[tuple[Artifact, DbtCloudError | StorageError], ...] = ()

    def __add__(self, other: "DownloadReport") -> "DownloadReport":
        return DownloadReport(self.stored + other.stored, self.errors + other.errors)

    @property
    def artifacts(self) -> list[Artifact]:
        """All that something became of."""
        return [
            *(each.artifact for each in self.stored),
            *(artifact for artifact, _ in self.errors),
        ]


def download_artifacts(
    client: DbtCloudClient,
    artifacts: Sequence[Artifact],
    files: FileStore,
    folder: str,
    *,
    max_parallel: int,
    lag: Lag | None = None,
    beside: Sequence[Artifact] = (),
    same_name: Callable[[str, str], bool] | None = None,
) -> DownloadReport:
    """Store artifacts as files below a folder: ``<path>``, those of steps in ``steps/<number>/``.

    Args:
        client: The account's client.
        artifacts: Which; all of one run.
        files: Where they are kept.
        folder: The run's own folder in it; made when missing.
        max_parallel: How many at the same time, each on a connection of its own.
        lag: Until when to ask again for one that is not there, as `lag_of` says.
        beside: Those that have their places there already.
        same_name: Whether two names are one where the files are kept; it is tried by default.

    Raises:
        StorageError: The folder cannot be made.
    """
    if not artifacts:
        return DownloadReport()
    try:
        with files.writing(folder) as writer:
            clashes = find_clashes([*beside, *artifacts], same_name or writer.is_same_name)
            until_cancelled = client.with_options(deadline=client.until_cancelled())
            downloads = _Downloads(until_cancelled, writer, lag, clashes)
            outcomes = in_parallel(
                downloads.outcome,
                artifacts,
                max_parallel=max_parallel,
                cancellation=client.cancellation,
            )
    except OSError as error:
        where = files.uri(folder)
        raise StorageError(f"Artifacts cannot be stored in {where}: {error.strerror}.") from error
    return _report(zip(artifacts, outcomes, strict=True))


_Outcome = StoredArtifact | DbtCloudError | StorageError | None


@dataclass(frozen=True)
class _Downloads:
    """What the downloads of one run have in common."""

    client: DbtCloudClient
    writer: FolderWriter
    lag: Lag | None
    clashes: Mapping[Artifact, StorageError]

    def outcome(self, artifact: Artifact) -> _Outcome:
        """The stored artifact, or why it is not stored, or None if its step did not leave it."""
        try:
            return self.clashes.get(artifact) or self._store(artifact)
        except DbtCloudNotFoundError as error:
            return error if artifact.step == OF_THE_RUN else None
        except (DbtCloudError, StorageError) as error:
            return error
        except OSError as error:
            return StorageError(f"{artifact} cannot be stored: {error.strerror}.")

    def _store(self, artifact: Artifact) -> StoredArtifact:
        place = str(artifact.place)
        kept: list[str] = []

        def keep(chunks: Iterator[bytes]) -> None:
            kept.append(self.writer.put(place, chunks))

        def download() -> Download:
            return self.client.stream_artifact(
                artifact.run_id, artifact.path, keep, step=artifact.step or None
            )

        lag = self.lag if artifact.step == OF_THE_RUN else None
        complete = despite_lag(lag, self.client.cancellation, download)
        return StoredArtifact(artifact, kept[-1], complete, datetime.now(timezone.utc))


def _report(outcomes: Iterable[tuple[Artifact, _Outcome]]) -> DownloadReport:
    stored: list[StoredArtifact] = []
    errors: list[tuple[Artifact, DbtCloudError | StorageError]] = []
    for artifact, outcome in outcomes:
        if isinstance(outcome, StoredArtifact):
            stored.append(outcome)
        elif outcome is not None:
            errors.append((artifact, outcome))
    return DownloadReport(tuple(stored), tuple(errors))
