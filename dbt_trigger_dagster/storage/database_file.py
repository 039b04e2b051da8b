"""The file of a database that needs no server."""

import contextlib
import shutil
from pathlib import Path

from dbt_trigger_dagster.storage.errors import StorageError

ROOM = 16 * 2**20
"""Bytes that have to be free on the disk before a job is triggered."""


def check_room(path: Path, room: int = ROOM) -> None:
    """Make sure that the disk has room for what a run leaves.

    Args:
        path: The file; its folder is there.
        room: Bytes that have to be free.

    Raises:
        StorageError: They are not.
    """
    disk = shutil.disk_usage(path.parent)
    if disk.total and disk.free < room:
        raise StorageError(
            f"The disk of {path} is full but for {disk.free} bytes: make room, or name "
            "a file on another disk (database, or DBT_TRIGGER_DATABASE)."
        )


def make_folder(path: Path) -> None:
    """Make the folder of a file, for the owner and the group alone."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)


def keep_private(path: Path) -> None:
    """Let nobody but the owner and the group read a file that is new."""
    with contextlib.suppress(OSError):  # a file system may know no modes
        path.chmod(path.stat().st_mode & ~0o007)
