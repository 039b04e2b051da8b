"""The artifacts of a run that a download has stored, for those who read them again."""

from collections.abc import Iterable
from typing import BinaryIO

from dbt_trigger_dagster.artifacts.download import StoredArtifact
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
