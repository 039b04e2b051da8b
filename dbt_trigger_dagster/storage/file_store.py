"""Where files are kept, whichever the place: a folder of this machine, or a bucket."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.files import LocalFiles
from dbt_trigger_dagster.storage.stored_file import StoredFile


class FolderWriter(Protocol):
    """Puts files into one folder; many threads may use it at once."""

    def put(self, path: str, chunks: Iterable[bytes]) -> str:
        """Keep one file, all of it or nothing; its address. What the chunks raise comes out."""

    def is_same_name(self, one: str, other: str) -> bool:
        """Whether two names are one in this place."""


class FileStore(Protocol):
    """Files under relative paths with slashes, each complete or absent.

    What goes wrong is a `StorageError` or an `OSError`; what is not there, a `FileNotFoundError`.
    """

    def uri(self, path: str) -> str:
        """The address of a file."""

    def check(self, folder: str = "") -> None:
        """Make sure that files can be made in a folder, before anything is done that needs it."""

    def writing(self, folder: str) -> AbstractContextManager[FolderWriter]:
        """A writer for the files of one folder."""

    def put(self, path: str, chunks: Iterable[bytes]) -> str:
        """Keep one file, all of it or nothing; its address. What the chunks raise comes out."""

    def copy(self, source: str, target: str) -> None:
        """Keep a copy under another path, which replaces what is there at once."""

    def open(self, path: str) -> BinaryIO:
        """A file to read; it can seek."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""

    def list_files(self, folder: str) -> Iterator[StoredFile]:
        """All complete files in a folder and below."""

    def list_folders(self, folder: str = "") -> list[str]:
        """The names of the folders in a folder, sorted."""

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files, where they are there."""


def folder_below(root: str, folder: Path) -> str:
    """The same setting; a relative path begins in the folder, and a URL is none."""
    return root if "://" in root else str(folder / Path(root).expanduser())


def open_file_store(root: str, options: Mapping[str, Any] | None = None) -> FileStore:
    """The store that a path or a URL names; nothing is asked of it yet.

    Args:
        root: The path of a folder, or a URL such as ``s3://bucket/prefix``.
        options: For a URL, obstore's options by name; they may hold secrets.

    Raises:
        StorageError: It names none, or an option cannot be used.
    """
    if "://" not in root:
        if options:
            raise StorageError(
                f"The artifacts' root {root!r} is a folder, which has no options: leave them out."
            )
        return LocalFiles(Path(root).expanduser().absolute())
    try:
        from dbt_trigger_dagster.storage.objects import ObjectFiles  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise StorageError(str(error)) from error
    return ObjectFiles(root, options)
