"""Processes that a test starts, and that are gone when it ends."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def a_short_folder() -> Iterator[Path]:
    """A folder for sockets, whose paths have 103 characters at most; gone in the end."""
    with tempfile.TemporaryDirectory(
        prefix="dbt-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@contextmanager
def a_process(command: Sequence[Any], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a group of its own, which is ended with all that it has started."""
    arguments = [str(argument) for argument in command]
    with subprocess.Popen(arguments, start_new_session=True, **options) as process:  # noqa: S603  # our own
        try:
            yield process
        finally:
            kill_all(process)


def kill_all(process: "subprocess.Popen[bytes]") -> None:
    """Kill -9 a process and all that it has started, as when a container ends."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
