"""Files in a bucket or container: Amazon S3 and what speaks its protocol, Google Cloud, Azure.

An object appears only when all of it has arrived: a stream that breaks aborts its upload. Known
ways to a cloud's credentials are the cloud's own (environment, instance or workload identity).
"""

import contextlib
import errno
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

try:
    import obstore
    from obstore.exceptions import BaseError
except ImportError as missing:
    raise ImportError(
        "Artifacts in a bucket need obstore: pip install 'dbt_trigger_dagster[objects]'"
    ) from missing

from dbt_trigger_dagster.dbt_cloud.text import one_line
from dbt_trigger_dagster.storage.bucket import check_root, open_bucket
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.stored_file import StoredFile

ONE_PUT = 8 * 1024 * 1024
"""Most bytes that are sent in one request; what is longer is sent in parts."""

PART = 5 * 1024 * 1024
"""Bytes of a part; S3 takes no smaller ones."""

PARTS_AT_ONCE = 2

PROBE = ".writable"
"""The object by which a check finds out whether objects can be written."""

_EXCERPT = 300
_READ = 1024 * 1024


class ObjectFiles:
    """Objects below a URL, under relative paths with slashes.

    Args:
        root: The URL of a bucket or container, and a prefix where one is wanted.
        options: Of obstore, under its names: those of the cloud's store and of its HTTP client.
            They may hold secrets and are shown nowhere.
        patience: Seconds for which one request is repeated on transient errors.

    Raises:
        StorageError: The URL or an option cannot be used.
    """

    def __init__(
        self, root: str, options: Mapping[str, Any] | None = None, *, patience: float = 60.0
    ) -> None:
        self.root = root.rstrip("/")
        self._options = dict(options or {})
        check_root(root)
        with self._told_as_ours(f"{root} cannot be used"):
            self._store = open_bucket(self.root, self._options, patience)

    def __repr__(self) -> str:
        return f"ObjectFiles({self.root!r})"

    def uri(self, path: str) -> str:
        """The address of an object."""
        return f"{self.root}/{path}"

    def check(self, folder: str = "") -> None:
        """Make sure that objects can be made in a folder, before anything is done that needs it.

        Raises:
            StorageError: They cannot; the message says what the cloud said.
        """
        path = f"{folder}/{PROBE}".lstrip("/")
        with self._told_as_ours(f"Artifacts cannot be stored in {self.uri(folder)}"):
            obstore.put(self._store, path, b"")
        with contextlib.suppress(BaseError, OSError):  # who may not delete may write all the same
            obstore.delete(self._store, path)

    @contextlib.contextmanager
    def writing(self, folder: str) -> Iterator["FolderWriter"]:
        """A writer for the objects of one folder, which many threads may use at once."""
        yield FolderWriter(self, folder)

    def put(self, path: str, chunks: Iterable[bytes]) -> str:
        """Keep one object, all of it or nothing; its address.

        An error of the chunks comes out as it is, and then nothing is kept.

        Raises:
            StorageError: It cannot be written.
        """
        rest = iter(chunks)
        beginning = list(_first_bytes(rest, ONE_PUT))
        following = next(rest, None)
        with self._told_as_ours(f"{self.uri(path)} cannot be written"):
            if following is None:
                obstore.put(self._store, path, b"".join(beginning), use_multipart=False)
            else:
                obstore.put(
                    self._store,
                    path,
                    chain(beginning, [following], rest),
                    use_multipart=True,
                    chunk_size=PART,
                    max_concurrency=PARTS_AT_ONCE,
                )
        return self.uri(path)

    def copy(self, source: str, target: str) -> None:
        """Keep a copy under another path, which replaces what is there at once.

        Raises:
            FileNotFoundError: There is no such object.
            StorageError: It cannot be copied.
        """
        with self._told_as_ours(f"{self.uri(source)} cannot be copied"):
            obstore.copy(self._store, source, target)

    def open(self, path: str) -> BinaryIO:
        """An object to read, in pieces as they are needed.

        Raises:
            FileNotFoundError: There is none.
            StorageError: It cannot be read; what is read later raises the same.
        """
        told = partial(self._told_as_ours, f"{self.uri(path)} cannot be read")
        with told():
            size = obstore.head(self._store, path)["size"]
        return io.BufferedReader(
            _Reader(partial(obstore.get_range, self._store, path), size, told), _READ
        )

    def exists(self, path: str) -> bool:
        """Whether there is such an object.

        Raises:
            StorageError: That cannot be found out.
        """
        try:
            with self._told_as_ours(f"{self.uri(path)} cannot be looked at"):
                obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True

    def list_files(self, folder: str) -> Iterator[StoredFile]:
        """All objects in a folder and below.

        Raises:
            StorageError: They cannot be listed.
        """
        with self._told_as_ours(f"{self.uri(folder)} cannot be listed"):
            for page in obstore.list(self._store, folder):
                for each in page:
                    yield StoredFile(each["path"], each["size"], each["last_modified"])

    def list_folders(self, folder: str = "") -> list[str]:
        """The names of the folders in a folder.

        Raises:
            StorageError: They cannot be listed.
        """
        with self._told_as_ours(f"{self.uri(folder)} cannot be listed"):
            found = obstore.list_with_delimiter(self._store, folder)["common_prefixes"]
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found)

    def delete(self, paths: Sequence[str]) -> None:
        """Remove objects, where they are there.

        Raises:
            StorageError: They cannot be removed.
        """
        with self._told_as_ours(f"Artifacts in {self.root} cannot be deleted"):
            try:
                obstore.delete(self._store, list(paths))
            except FileNotFoundError:  # Azure's word for one that is gone; then they go one by one
                for path in paths:
                    with contextlib.suppress(FileNotFoundError):
                        obstore.delete(self._store, path)

    @contextlib.contextmanager
    def _told_as_ours(self, what: str) -> Iterator[None]:
        """What obstore raises, as our error in one line and without a secret."""
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" not in str(error) and "ContainerNotFound" not in str(error):
                raise FileNotFoundError(errno.ENOENT, f"{what}: there is no such object") from None
            raise StorageError(f"{what}: there is no such bucket or container.") from None
        except (BaseError, OSError, TypeError, ValueError) as error:
            raise StorageError(f"{what}: {self._said(error)}") from None

    def _said(self, error: Exception) -> str:
        text = one_line(str(error).partition("Debug source:")[0])
        for name, value in self._options.items():
            if str(value):
                text = text.replace(str(value), f"(the option {name})")
        return text[:_EXCERPT].rstrip(". ") + "." + _hint(error)


@dataclass(frozen=True)
class FolderWriter:
    """Puts objects into one folder.

    Args:
        files: Where.
        folder: Which folder.
    """

    files: ObjectFiles
    folder: str

    def put(self, path: str, chunks: Iterable[bytes]) -> str:
        """Keep one object, as `ObjectFiles.put` does."""
        return self.files.put(f"{self.folder}/{path}", chunks)

    def is_same_name(self, one: str, other: str) -> bool:
        """Whether two names are one: the clouds tell all apart."""
        return one == other


class _Reader(io.RawIOBase):
    """An object as a file of Python's.

    obstore's own readers look for it in the wrong place where a store has a prefix, up to 0.11,
    the last version for Python 3.10.
    """

    def __init__(
        self,
        get_range: Callable[..., Any],
        size: int,
        told: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._get_range = get_range
        self._size = size
        self._told_as_ours = told
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self._size - self._position)
        if length <= 0:
            return 0
        with self._told_as_ours():
            piece = memoryview(self._get_range(start=self._position, length=length))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position


def _first_bytes(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Chunks, until they are a size together; the last may go beyond it."""
    while size > 0 and (chunk := next(chunks, None)) is not None:
        size -= len(chunk)
        yield chunk


def _hint(error: Exception) -> str:
    text = str(error)
    if "169.254.169.254" in text or "metadata.google" in text:
        return " No credentials were found: set them in the environment, or as options."
    if isinstance(error, PermissionError) or "403" in text:
        return " The credentials may not do this."
    return ""
