"""Files on disk: each appears under its name only when it is complete, and never outside its root.

A file is written in a folder for partial files (`storage.partial_files`) and renamed.
"""

import contextlib
import itertools
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dbt_trigger_dagster.storage.disk import ROOM, shortage_of
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.partial_files import (
    is_partial,
    partial_folder,
    remove_left_over_partial_files,
)
from dbt_trigger_dagster.storage.stored_file import StoredFile

FILE_MODE = 0o640
"""Logs are in artifacts: their owner's group reads them at most, or who the umask says."""

FOLDER_MODE = 0o750
"""The same for the folders that are made for them."""

_PIECE = 1024 * 1024


@dataclass(frozen=True)
class LocalFiles:
    """Files below a folder of this machine, under relative paths with slashes.

    Args:
        root: The folder, as an absolute path; made when it is first needed.
    """

    root: Path

    def uri(self, path: str) -> str:
        """The address of a file: its absolute path."""
        return str(self.root / path)

    def check(self, folder: str = "") -> None:
        """Make sure that files can be made in a folder, before anything is done that needs it.

        Raises:
            StorageError: They cannot, or a link leads out of the root.
        """
        _check_within(self.root, self.root / folder)
        check_writable(self.root / folder)

    @contextlib.contextmanager
    def writing(self, folder: str) -> Iterator["FolderWriter"]:
        """A writer for the files of one folder, which many threads may use at once.

        Raises:
            OSError: The folder cannot be made.
            StorageError: A link leads out of the root.
        """
        inside = self.root / folder
        _check_within(self.root, inside)
        make_folders(inside)
        remove_left_over_partial_files(inside)
        with partial_folder(inside) as partial:
            yield FolderWriter(inside, partial)

    def put(self, path: str, chunks: Iterable[bytes]) -> str:
        """Keep one file, all of it or nothing; its address.

        Raises:
            OSError: It cannot be written.
        """
        place = PurePosixPath(path)
        with self.writing(str(place.parent)) as writer:
            return writer.put(place.name, chunks)

    def copy(self, source: str, target: str) -> None:
        """Keep a copy under another path, which replaces what is there at once.

        Raises:
            FileNotFoundError: There is no such file.
        """
        with self.open(source) as file:
            self.put(target, iter(lambda: file.read(_PIECE), b""))

    def open(self, path: str) -> BinaryIO:
        """A file to read.

        Raises:
            FileNotFoundError: There is none.
            StorageError: A link leads out of the root.
        """
        file = self.root / path
        _check_within(self.root, file)
        return file.open("rb")

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return (self.root / path).is_file()

    def list_files(self, folder: str) -> Iterator[StoredFile]:
        """All complete files in a folder and below; links are left out.

        Raises:
            StorageError: A folder cannot be read.
        """
        for parent, folders, names in os.walk(self.root / folder, onerror=_tell_unless_gone):
            folders[:] = [each for each in folders if not is_partial(each)]
            for name in names:
                file = Path(parent, name)
                with contextlib.suppress(FileNotFoundError):  # somebody has deleted it meanwhile
                    about = file.lstat()
                    if not stat.S_ISLNK(about.st_mode):
                        yield StoredFile(
                            file.relative_to(self.root).as_posix(),
                            about.st_size,
                            datetime.fromtimestamp(about.st_mtime, timezone.utc),
                        )

    def list_folders(self, folder: str = "") -> list[str]:
        """The names of the folders in a folder.

        Raises:
            StorageError: It cannot be read.
        """
        try:
            return sorted(each.name for each in (self.root / folder).iterdir() if each.is_dir())
        except OSError as error:
            _tell_unless_gone(error)
        return []

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files, where they are there, and the folders that are empty then.

        Raises:
            OSError: One cannot be removed.
            StorageError: There is a link on the way to one, wherever it leads.
        """
        for path in paths:
            file = self.root / path
            _check_no_link(self.root, file.parent)
            file.unlink(missing_ok=True)
            for folder in itertools.takewhile(lambda parent: parent != self.root, file.parents):
                try:
                    folder.rmdir()
                except OSError:  # something is in it still, or somebody else was faster
                    break


@dataclass(frozen=True)
class FolderWriter:
    """Puts files into one folder.

    Args:
        folder: Where they belong.
        partial: Where they are until they are complete; on the same file system.
    """

    folder: Path
    partial: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _safe: set[Path] = field(default_factory=set)

    def put(self, path: str, chunks: Iterable[bytes]) -> str:
        """Keep one file, all of it or nothing; its address.

        Raises:
            OSError: It cannot be written.
            StorageError: A link leads out of the folder.
        """
        file = self.folder / path
        _check_encodable(path)
        temporary = self.partial / str(next(self._numbers))
        try:
            with open(temporary, "xb", opener=_private) as target:  # Path has no opener
                target.writelines(chunks)
            self._prepare(file.parent)
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return str(file)

    def is_same_name(self, one: str, other: str) -> bool:
        """Whether the file system takes two names for one, by trying it.

        Not by a rule: it differs between file systems, and between their settings.
        """
        with (
            tempfile.TemporaryDirectory(dir=self.partial) as trial,
            contextlib.suppress(OSError, ValueError),
        ):
            Path(trial, one).touch()
            return Path(trial, other).exists()
        return False  # a name that cannot be used is told when the file is stored

    def _prepare(self, parent: Path) -> None:
        if parent not in self._safe:
            _check_within(self.folder, parent)
            make_folders(parent)
            self._safe.add(parent)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, as far as they are missing.

    Raises:
        OSError: One cannot be made.
    """
    if folder.is_dir():
        return
    make_folders(folder.parent)
    try:
        folder.mkdir(FOLDER_MODE)
    except FileExistsError:
        if not folder.is_dir():
            raise


def _tell_unless_gone(error: OSError) -> None:
    """Say that a folder cannot be read: what cannot be seen must not be taken for nothing.

    Raises:
        StorageError: It is there.
    """
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise StorageError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def _check_encodable(path: str) -> None:
    """Refuse a name that the file system's encoding has no characters for.

    Raises:
        StorageError: It is one.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise StorageError(
            f"{path!r} cannot be the name of a file here: its encoding is "
            f"{sys.getfilesystemencoding()}. Run with PYTHONUTF8=1, or set LANG to a UTF-8 locale."
        ) from error


def _check_within(root: Path, path: Path) -> None:
    """Refuse a path that a link leads out of its root.

    Raises:
        StorageError: It does.
    """
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise StorageError(
            f"{path} is not used: a link there leads out of {root}. Remove the link."
        )


def _check_no_link(root: Path, folder: Path) -> None:
    """Refuse a folder below a root that is, or is in, something else under another name.

    Raises:
        StorageError: It is.
    """
    real_root = os.path.realpath(root)
    if os.path.realpath(folder) != os.path.normpath(Path(real_root, folder.relative_to(root))):
        raise StorageError(f"Nothing is deleted in {folder}: a link leads elsewhere from there.")


def check_writable(folder: Path, room: int = ROOM) -> None:
    """Make sure that files can be made in a folder, before anything is done that needs it.

    Args:
        folder: The folder; made when missing.
        room: Bytes that have to be free on its disk.

    Raises:
        StorageError: They cannot.
    """
    try:
        make_folders(folder)
        with partial_folder(folder):  # where a lock cannot be had, nothing can be kept
            pass
    except OSError as error:
        raise StorageError(
            f"The artifacts' folder {folder} cannot be written ({error.strerror}): name another "
            "one (root, or DBT_TRIGGER_ARTIFACTS), or give this user the right to write there."
        ) from error
    if shortage := shortage_of(folder, room):
        raise StorageError(
            f"The disk of the artifacts' folder {folder} {shortage}: make room, or name a folder "
            "on another disk (root, or DBT_TRIGGER_ARTIFACTS)."
        )
