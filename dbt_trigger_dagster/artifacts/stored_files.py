"""The artifacts that downloads have stored, for those who read them again."""

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from dbt_trigger_dagster.artifacts.deleted_runs import deleted_at
from dbt_trigger_dagster.artifacts.download import StoredArtifact
from dbt_trigger_dagster.artifacts.paths import Artifact
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore


class StoredFiles:
    """What is stored of one run.

    Args:
        files: Where files are kept.
        folder: The run's own folder in it.
        stored: The run's artifacts whose files are complete.
    """

    def __init__(self, files: FileStore, folder: str, stored: Iterable[StoredArtifact]) -> None:
        self._files = files
        self._folder = folder
        self._stored = {(each.artifact.step, each.artifact.path): each for each in stored}

    def open(self, step: int, path: str) -> BinaryIO | None:
        """An artifact from its beginning; None where it is not stored.

        Raises:
            StorageError: It cannot be read.
        """
        found = self._stored.get((step, path))
        if found is None:
            return None
        return self._files.open(f"{self._folder}/{found.artifact.place.as_posix()}")

    def uri(self, step: int, path: str) -> str | None:
        """Where an artifact is stored; None where it is not."""
        found = self._stored.get((step, path))
        return None if found is None else found.uri


def open_stored(files: FileStore, artifact: Artifact) -> BinaryIO:
    """A stored artifact of any run, from its beginning.

    Which account and job the run is of, the folders say: no database is asked.

    Raises:
        FileNotFoundError: It is not stored.
        StorageError: It cannot be read, or runs of several accounts have this id.
    """
    inside = f"{artifact.run_id}/{artifact.place.as_posix()}"
    jobs = (
        f"{account}/{job}"
        for account in files.list_folders()
        if account.isdecimal()  # beside "latest"
        for job in files.list_folders(account)
    )
    found = [path for job in jobs if files.exists(path := f"{job}/{inside}")]
    if len(found) > 1:
        raise StorageError(
            f"Several accounts have a run {artifact.run_id} with {artifact}: "
            f"{', '.join(map(files.uri, found))}. Keep their artifacts under roots of their own."
        )
    if not found:
        when = deleted_at(files, artifact.run_id)
        deleted = f": what was stored of the run was deleted at {when}" if when else ""
        raise FileNotFoundError(
            f"{artifact} of the run {artifact.run_id} is not stored in {files.uri('')}{deleted}."
        )
    return files.open(found[0])


def stored_path(files: FileStore, row: Mapping[str, Any]) -> str | None:
    """The path of a row's file below the root; None where it is not kept here.

    Args:
        files: Where files are kept.
        row: Of `dbt_cloud_artifact`.
    """
    artifact = Artifact(row["run_id"], row["step"], row["path"])
    try:
        inside = f"{artifact.run_id}/{artifact.place.as_posix()}"
    except StorageError:  # nothing of ours has such a path
        return None
    uri = row["uri"] or ""
    job = uri.removesuffix(f"/{inside}").rpartition("/")[2]
    path = f"{row['account_id']}/{job}/{inside}"
    return path if job.isdecimal() and files.uri(path) == uri else None
