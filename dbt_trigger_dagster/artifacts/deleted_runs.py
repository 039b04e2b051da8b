"""Which runs' artifacts were deleted and when, told beside the artifacts: no database is asked.

There is a note for each job, ``deleted/<account_id>/<job_id>.json``. It counts only where a file
is not there, so it may be written before the files go.
"""

import json
from collections.abc import Iterable
from datetime import datetime

from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore

DELETED = "deleted"
"""The folder below the root in which the notes stand."""


def note_deleted(
    files: FileStore, account_id: int, job_id: int, run_ids: Iterable[int], when: datetime
) -> None:
    """Tell that the artifacts of a job's runs are deleted.

    Raises:
        StorageError: That cannot be written.
    """
    path = f"{DELETED}/{account_id}/{job_id}.json"
    told = when.isoformat(timespec="seconds")
    try:
        note = {**_read(files, path), **{str(run_id): told for run_id in run_ids}}
        files.put(path, [json.dumps(note).encode()])
    except OSError as error:
        raise StorageError(f"{files.uri(path)} cannot be written: {error.strerror}.") from error


def deleted_at(files: FileStore, run_id: int) -> str | None:
    """When a run's artifacts were deleted, in ISO 8601; None where they were not.

    Raises:
        StorageError: That cannot be read.
    """
    notes = (_read(files, each.path) for each in files.list_files(DELETED))
    return next((note[str(run_id)] for note in notes if str(run_id) in note), None)


def _read(files: FileStore, path: str) -> dict[str, str]:
    try:
        with files.open(path) as file:
            note = json.load(file)
    except (FileNotFoundError, ValueError):  # a damaged one is a hint less, and no more
        return {}
    return note if isinstance(note, dict) else {}
