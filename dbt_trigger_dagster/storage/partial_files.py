"""Folders for files that are not complete yet, and the end of those that were left over.

Several processes may store the artifacts of one run at the same time. A folder is made and locked
under one name and used under another, so what has the second and is not locked is a dead one's. A
folder that still has the first name is anybody's: a rename decides, and who loses makes another.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

IN_USE = ".in-use"
"""The file in such a folder that is locked while the folder is in use."""

PARTIAL = ".partial-"
"""What the names of folders begin with that hold files which are not complete."""

NEW_PARTIAL = ".partial.new-"
"""What they begin with for the moment in which the folder is made."""

_ATTEMPTS = 100


def is_partial(name: str) -> bool:
    """Whether a folder of this name holds files that are not complete."""
    return name.startswith((PARTIAL, NEW_PARTIAL))


def remove_left_over_partial_files(folder: Path) -> None:
    """Remove partial files of processes that were killed, as far as that can be done.

    A link is none of ours: it is removed, and what it leads to is left alone.
    """
    for new in folder.glob(f"{NEW_PARTIAL}*"):
        with contextlib.suppress(OSError):  # somebody else was faster
            new.rename(_named(new, PARTIAL, ".dead"))
    for partial in folder.glob(f"{PARTIAL}*"):
        _remove_link(partial)
        if not partial.is_dir():
            continue
        _remove_link(partial / IN_USE)
        # Where it fails, somebody else uses it (a Timeout is an OSError too) or removes it.
        with contextlib.suppress(OSError), FileLock(partial / IN_USE, timeout=0):
            shutil.rmtree(partial, ignore_errors=True)


def _remove_link(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_symlink():
            path.unlink()


@contextlib.contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """A new folder in a folder, which is in use until the end and then removed.

    Raises:
        OSError: It cannot be made.
    """
    with contextlib.ExitStack() as stack:
        for attempt in range(_ATTEMPTS):
            new = Path(tempfile.mkdtemp(prefix=NEW_PARTIAL, dir=folder))
            try:
                partial = stack.enter_context(_in_use(new))
                break
            except OSError:
                if attempt + 1 == _ATTEMPTS:
                    raise
        yield partial


@contextlib.contextmanager
def _in_use(new: Path) -> Iterator[Path]:
    """A folder under the name under which it is used; an error where another process took it."""
    partial = _named(new, PARTIAL)
    try:
        with FileLock(new / IN_USE, timeout=0):
            new.rename(partial)
            try:
                yield partial
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    finally:
        for left in (new, _named(new, PARTIAL, ".dead")):
            shutil.rmtree(left, ignore_errors=True)


def _named(new: Path, prefix: str, suffix: str = "") -> Path:
    return new.with_name(prefix + new.name.removeprefix(NEW_PARTIAL) + suffix)
