"""Copies stored artifacts from one place to another, and has the rows name the new one.

A file of the same length that is there already, and is not older, is not copied again: it was
complete when it appeared. So a copy that was interrupted is started again.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dbt_trigger_dagster.artifacts.deleted_runs import DELETED
from dbt_trigger_dagster.artifacts.latest import LATEST
from dbt_trigger_dagster.dbt_cloud.clock import Cancellation
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.copy import Source
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT
from dbt_trigger_dagster.storage.stored_file import StoredFile
from dbt_trigger_dagster.storage.tables import ARTIFACT

_ADDRESSES: Mapping[Table, str] = {ARTIFACT: "uri", NODE_RESULT: "compiled_code_path"}
"""The columns that name stored files."""

_FILES_AT_ONCE = 100
_THREADS = 8
_PIECE = 1024 * 1024


@dataclass(frozen=True)
class FileProgress:
    """How far a copy is.

    Attributes:
        there: How many files are there, those that were there before among them.
        total: How many there are to be.
        copied: How many of them were copied.
        copied_bytes: Their bytes.
    """

    there: int
    total: int
    copied: int
    copied_bytes: int


def copy_artifacts(source: FileStore, target: FileStore) -> Iterator[FileProgress]:
    """Copy all artifacts, the latest ones too, and find at the end that all are there.

    Yields:
        Progress, first and after some files each.

    Raises:
        StorageError: There is none, one cannot be read or written, or is not there in the end.
            What has been copied stays.
    """
    wanted, before = _artifacts_in(source), _artifacts_in(target)
    if not wanted:
        raise StorageError(f"There are no artifacts in {source.uri('')}.")
    missing = [file for file in wanted.values() if not _is_copied(file, before.get(file.path))]
    copied_bytes, there = 0, len(wanted) - len(missing)
    yield FileProgress(there, len(wanted), 0, 0)
    for start in range(0, len(missing), _FILES_AT_ONCE):
        files = missing[start : start + _FILES_AT_ONCE]
        _copy(source, target, files)
        copied_bytes += sum(file.size_bytes for file in files)
        copied = start + len(files)
        yield FileProgress(there + copied, len(wanted), copied, copied_bytes)
    _check(wanted, _artifacts_in(target), target)


def moved(source: Source, target: FileStore) -> Source:
    """The same rows; those of files that the target has name them there.

    What they say of other files stays as it is.
    """
    paths = _artifacts_in(target)

    def address(uri: str | None, account_id: int, run_id: int) -> str | None:
        path = re.search(rf"/({account_id}/\d+/{run_id}/.+)\Z", uri or "", re.DOTALL)
        return target.uri(path[1]) if path and path[1] in paths else uri

    def read(table: Table) -> Iterator[Rows]:
        column = _ADDRESSES.get(table)
        for rows in source(table):
            yield rows if column is None else _with_addresses(rows, column, address)

    return read


def _with_addresses(
    rows: Rows, column: str, address: Callable[[str | None, int, int], str | None]
) -> Rows:
    columns = rows.columns
    uris = map(address, columns[column], columns["account_id"], columns["run_id"])
    return Rows(rows.table, {**columns, column: list(uris)})


def _artifacts_in(files: FileStore) -> dict[str, StoredFile]:
    """What is ours below a root, by path: somebody may keep other things there, too."""
    folders = [
        name for name in files.list_folders() if name.isdecimal() or name in {LATEST, DELETED}
    ]
    return {file.path: file for folder in folders for file in files.list_files(folder)}


def _is_copied(file: StoredFile, there: StoredFile | None) -> bool:
    """Whether a file is there as it is; a bucket knows whole seconds only."""
    return (
        there is not None
        and there.size_bytes == file.size_bytes
        and there.modified_at >= file.modified_at.replace(microsecond=0)
    )


def _copy(source: FileStore, target: FileStore, files: Sequence[StoredFile]) -> None:
    def copy(file: StoredFile) -> None:
        with source.open(file.path) as stream:
            target.put(file.path, iter(lambda: stream.read(_PIECE), b""))

    try:
        in_parallel(copy, files, max_parallel=_THREADS, cancellation=Cancellation())
    except OSError as error:
        raise StorageError(f"An artifact cannot be copied: {error}.") from error


def _check(
    wanted: Mapping[str, StoredFile], there: Mapping[str, StoredFile], target: FileStore
) -> None:
    missing = [
        path
        for path, file in wanted.items()
        if path not in there or there[path].size_bytes != file.size_bytes
    ]
    if missing:
        raise StorageError(
            f"{len(missing)} of {len(wanted)} files are not in {target.uri('')} as they were, "
            f"{missing[0]} among them: see what else changes them, and copy again."
        )
