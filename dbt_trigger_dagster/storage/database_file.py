"""The file of a database that needs no server."""

import contextlib
from pathlib import Path

from dbt_trigger_dagster.storage.disk import ROOM, shortage_of
from dbt_trigger_dagster.storage.errors import StorageError

NAME_ANOTHER = (
    "Name another file (database, or DBT_TRIGGER_DATABASE), or give this user the right to write "
    "there."
)


def check_room(path: Path, room: int = ROOM) -> None:
    """Make sure that the disk has room for what a run leaves.

    Args:
        path: The file; its folder is there.
        room: Bytes that have to be free.

    Raises:
        StorageError: They are not.
    """
    if shortage := shortage_of(path.parent, room):
        raise StorageError(
            f"The disk of {path} {shortage}: make room, or name "
            "a file on another disk (database, or DBT_TRIGGER_DATABASE)."
        )


def make_folder(path: Path) -> None:
    """Make the folder of a file, for the owner and the group alone."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)


def keep_private(path: Path) -> None:
    """Let nobody but the owner and the group read a file that is new."""
    with contextlib.suppress(OSError):  # a file system may know no modes
        path.chmod(path.stat().st_mode & ~0o007)
