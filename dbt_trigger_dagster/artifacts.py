"""A run's artifacts: which there are, which are wanted, and their way into files.

A file appears under its name only when all its bytes are there, and always inside the folder that
it belongs to; two artifacts never share a file. One that cannot be had does not cost the others.
"""

import dataclasses
import functools
import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal, TypeVar

from dbt_trigger_dagster.api import Download
from dbt_trigger_dagster.artifact_paths import (
    OF_THE_RUN,
    Artifact,
    find_clashes,
    is_same_name,
    matches,
)
from dbt_trigger_dagster.client import DbtCloudClient
from dbt_trigger_dagster.errors import DbtCloudError, DbtCloudNotFoundError, StorageError
from dbt_trigger_dagster.models import Run
from dbt_trigger_dagster.parallel import in_parallel
from dbt_trigger_dagster.partial_files import partial_folder, remove_what_the_dead_left
from dbt_trigger_dagster.timing import Deadline

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


def check_writable(folder: Path) -> None:
    """Make sure that files can be made in a folder, before anything is done that needs it.

    Raises:
        StorageError: They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(
            f"The artifacts' folder {folder} cannot be written ({error.strerror}): name another "
            "one (root, or DBT_TRIGGER_ARTIFACTS), or give this user the right to write there."
        ) from error


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

    def attempt() -> list[str]:
        try:
            paths = client.list_artifacts(run.run_id, deadline=Deadline.when_stopped(client.clock))
        except DbtCloudNotFoundError:
            paths = []
        if not paths:
            raise _NotListedYetError(f"dbt Cloud lists no artifacts of run {run.run_id} yet.")
        return paths

    try:
        return list(dict.fromkeys(_despite(lag, client, attempt)))
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


def _despite(lag: Deadline | None, client: DbtCloudClient, attempt: Callable[[], T]) -> T:
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
            downloads = _Downloads(
                client, folder, partial, lag, clashes=find_clashes(artifacts, is_same)
            )
            outcomes = in_parallel(
                downloads.outcome,
                list(enumerate(artifacts)),
                max_parallel=max_parallel,
                clock=client.clock,
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
                    artifact.run_id,
                    artifact.path,
                    target,
                    step=artifact.step or None,
                    deadline=Deadline.when_stopped(self.client.clock),
                )

            lag = self.lag if artifact.step == OF_THE_RUN else None
            complete = _despite(lag, self.client, download)
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
