"""Folders for files that are not complete: who uses one keeps it, what the dead left goes.

Several processes may store the artifacts of one run at the same time. A folder is in use while its
lock is held; any other may be removed by anybody, so whoever makes one is sure of it only when it
is locked.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from dbt_trigger_dagster.artifact_paths import PARTIAL
from dbt_trigger_dagster.errors import StorageError

IN_USE = ".in-use"
"""The file in such a folder that is locked while the folder is in use."""

_ATTEMPTS = 20

Lock = Callable[[Path], contextlib.AbstractContextManager[object]]


def _lock_at_once(file: Path) -> FileLock:
    return FileLock(file, timeout=0)


def remove_what_the_dead_left(folder: Path) -> None:
    """Remove the partial files of processes that were killed, as far as that can be done."""
    for partial in folder.glob(f"{PARTIAL}*"):
        # Where it fails, somebody else uses it (a Timeout is an OSError too) or removes it.
        with contextlib.suppress(OSError), _lock_at_once(partial / IN_USE):
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def partial_folder(folder: Path, lock: Lock = _lock_at_once) -> Iterator[Path]:
    """A new folder in a folder, which is in use until the end and then removed.

    Args:
        folder: Where it is made.
        lock: Holds the lock of a file, without waiting for it.

    Raises:
        StorageError: Nothing can be locked there.
    """
    with contextlib.ExitStack() as stack:
        made = (_make_and_lock(folder, lock, stack) for _ in range(_ATTEMPTS))
        partial = next(filter(None, made), None)
        if partial is None:
            raise StorageError(
                f"Files in {folder} cannot be locked: keep artifacts on another file system."
            )
        yield partial


def _make_and_lock(folder: Path, lock: Lock, stack: contextlib.ExitStack) -> Path | None:
    """A new folder that is in use until the stack ends.

    None where another process took it for a dead one's, in the moment before it was locked.
    """
    with contextlib.ExitStack() as own:
        made = tempfile.TemporaryDirectory(prefix=PARTIAL, dir=folder, ignore_cleanup_errors=True)
        partial = Path(own.enter_context(made))
        try:
            own.enter_context(lock(partial / IN_USE))
        except (Timeout, FileNotFoundError, FileExistsError):
            return None
        if not (partial / IN_USE).exists():  # what was locked had been removed
            return None
        stack.push(own.pop_all())
    return partial
