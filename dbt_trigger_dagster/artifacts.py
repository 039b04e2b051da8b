"""A run's artifacts: which there are, which are wanted, and their way into files.

A file appears under its name only when all its bytes are there, and always inside the folder that
it belongs to. One artifact that cannot be had does not cost the others.
"""

import contextlib
import dataclasses
import itertools
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock, Timeout
from fsspec.utils import glob_translate

from dbt_trigger_dagster.api import Download
from dbt_trigger_dagster.client import DbtCloudClient
from dbt_trigger_dagster.errors import DbtCloudError, DbtCloudNotFoundError, StorageError
from dbt_trigger_dagster.models import Run
from dbt_trigger_dagster.timing import Deadline

T = TypeVar("T")

ARTIFACT_LAG = 30.0
"""Seconds in which artifacts may still arrive in dbt Cloud after a run is over."""

OF_THE_RUN = 0
"""The step number of what dbt Cloud lists for the run as a whole."""

WELL_KNOWN = ("manifest.json", "run_results.json", "catalog.json", "sources.json")
"""What a dbt command may leave; dbt Cloud lists no artifacts of single steps."""

_PARTIAL = ".partial-"
_IN_USE = ".in-use"
_LONGEST_NAME = 255
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f\ud800-\udfff]")
_LAG_RETRIES = 20
_LAG_DELAY = 0.5


@dataclass(frozen=True)
class Artifact:
    """One artifact of a run, or of one step of it.

    Attributes:
        run_id: dbt Cloud's id of the run.
        step: Number of the step, from 1; `OF_THE_RUN` for what dbt Cloud lists.
        path: The path in dbt Cloud.
    """

    run_id: int
    step: int
    path: str

    def __str__(self) -> str:
        return self.path if self.step == OF_THE_RUN else f"{self.path} of step {self.step}"


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


def safe_path(path: str) -> Path:
    """An artifact's path as a relative path that cannot leave the folder it is joined to.

    Raises:
        StorageError: It is absolute, has ``..`` or empty parts, a backslash, a control
            character or half of a surrogate pair, or a part that no file system takes as a name.
    """
    parts = path.split("/")
    if _FORBIDDEN.search(path) or any(
        part in {"", ".", ".."} or len(part.encode("utf-8", "replace")) > _LONGEST_NAME
        for part in parts
    ):
        raise StorageError(f"The artifact path {path!r} is not safe to store.")
    return Path(*parts)


def matches(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a path is wanted: some pattern includes it and none excludes it.

    ``*`` stays within one part of the path, ``**`` spans parts.
    """
    return _any_matches(include, path) and not _any_matches(exclude, path)


def check_patterns(patterns: Sequence[str]) -> None:
    """Make sure that patterns can be matched, before a run is waited for.

    Raises:
        ValueError: One cannot.
    """
    for pattern in patterns:
        try:
            glob_translate(pattern)
        except ValueError as error:
            raise ValueError(
                f"The artifact pattern {pattern!r} cannot be used: {error}."
            ) from error


def _any_matches(patterns: Sequence[str], path: str) -> bool:
    return any(re.match(glob_translate(pattern), path) for pattern in patterns)


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
            "one, or give this user the right to write there."
        ) from error


def find_artifacts(
    client: DbtCloudClient,
    run: Run,
    *,
    steps: Literal["last", "all"],
    include: Sequence[str],
    exclude: Sequence[str],
) -> list[Artifact]:
    """The artifacts of a run that are wanted.

    Args:
        client: The account's client.
        run: The run, when it is over, with its steps.
        steps: ``last``: what dbt Cloud lists, which is of the last step; ``all``: also what each
            dbt command may have left (those that it did not leave are 404 on download).
        include: Patterns of wanted paths.
        exclude: Patterns of unwanted paths.
    """
    found = [Artifact(run.run_id, OF_THE_RUN, path) for path in _listed(client, run)]
    if steps == "all":
        numbers = [step.index for step in run.steps if step.runs_dbt]
        found += [Artifact(run.run_id, step, path) for step in numbers for path in WELL_KNOWN]
    return [artifact for artifact in found if matches(artifact.path, include, exclude)]


class _NotListedYetError(DbtCloudError):
    pass


def _listed(client: DbtCloudClient, run: Run) -> list[str]:
    """What dbt Cloud lists; nothing where it has nothing, even after a while."""
    expected = run.artifacts_saved or run.is_success

    def attempt() -> list[str]:
        try:
            paths = client.list_artifacts(run.run_id)
        except DbtCloudNotFoundError:
            paths = []
        if expected and not paths:
            raise _NotListedYetError(f"dbt Cloud lists no artifacts of run {run.run_id} yet.")
        return paths

    try:
        return list(dict.fromkeys(_despite_lag(client, attempt)))
    except _NotListedYetError:
        return []


def _despite_lag(client: DbtCloudClient, attempt: Callable[[], T]) -> T:
    """Repeat what finds nothing because dbt Cloud has not stored it yet."""
    policy = dataclasses.replace(
        client.retry_policy,
        max_retries=_LAG_RETRIES,
        delay=max(_LAG_DELAY, client.retry_policy.delay),
    )
    return policy.call(
        attempt,
        retryable=lambda error: isinstance(error, DbtCloudNotFoundError | _NotListedYetError),
        deadline=Deadline.after(ARTIFACT_LAG, client.clock),
    )


def download_artifacts(
    client: DbtCloudClient, artifacts: Sequence[Artifact], folder: Path, *, max_parallel: int
) -> DownloadReport:
    """Store artifacts as files below a folder: ``<path>``, those of steps in ``steps/<number>/``.

    Args:
        client: The account's client.
        artifacts: Which; all of one run.
        folder: The run's own folder; made when missing.
        max_parallel: How many at the same time, each on a connection of its own.

    Raises:
        StorageError: The folder cannot be made.
    """
    if not artifacts:
        return DownloadReport((), ())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_what_the_dead_left(folder)
        with (
            tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=folder) as partial,
            FileLock(Path(partial, _IN_USE)),
        ):
            outcomes = _in_parallel(
                lambda artifact, number: _outcome(
                    client, artifact, folder, Path(partial, str(number))
                ),
                artifacts,
                max_parallel,
            )
    except OSError as error:
        raise StorageError(f"Artifacts cannot be stored in {folder}: {error.strerror}.") from error
    return _report(zip(artifacts, outcomes, strict=True))


def _remove_what_the_dead_left(folder: Path) -> None:
    """Remove the partial files of a process that was killed; those in use are locked."""
    for partial in folder.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(Timeout), FileLock(partial / _IN_USE, timeout=0):
            shutil.rmtree(partial, ignore_errors=True)


def _in_parallel(
    function: Callable[[Artifact, int], T], artifacts: Sequence[Artifact], max_parallel: int
) -> list[T]:
    """Call for each, and its number; an interrupt leaves those that have not begun."""
    executor = ThreadPoolExecutor(max_workers=min(max_parallel, len(artifacts)))
    try:
        return list(executor.map(function, artifacts, itertools.count()))
    finally:
        executor.shutdown(cancel_futures=True)


_Outcome = StoredArtifact | DbtCloudError | StorageError | None


def _outcome(client: DbtCloudClient, artifact: Artifact, folder: Path, temporary: Path) -> _Outcome:
    """The stored artifact, or why it is not stored, or None for one that its step did not leave."""
    try:
        return _store(client, artifact, folder, temporary)
    except DbtCloudNotFoundError as error:
        return error if artifact.step == OF_THE_RUN else None
    except (DbtCloudError, StorageError) as error:
        return error
    except OSError as error:
        return StorageError(f"{artifact} cannot be stored in {folder}: {error.strerror}.")


def _store(
    client: DbtCloudClient, artifact: Artifact, folder: Path, temporary: Path
) -> StoredArtifact:
    relative = safe_path(artifact.path)
    if artifact.step != OF_THE_RUN:
        relative = Path("steps", str(artifact.step)) / relative
    with temporary.open("wb", buffering=0) as target:  # chunks are larger than a buffer

        def download() -> Download:
            return client.download_artifact(
                artifact.run_id, artifact.path, target, step=artifact.step or None
            )

        complete = _despite_lag(client, download) if artifact.step == OF_THE_RUN else download()
    file = folder / relative
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
