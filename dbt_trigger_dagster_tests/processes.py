"""Processes that a test starts, and that are gone when it ends.

What is imported in each takes longer than what most of them do: where the start is no subject,
a fork server starts them.
"""

import contextlib
import functools
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_IMPORTED = (
    "dagster._cli",
    "dagster._core.definitions.antlr_asset_selection.antlr_asset_selection",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon.controller",
    "dbt_trigger_dagster_tests.databases",
    "dbt_trigger_dagster_tests.graphs",
    "structlog",
)


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


@functools.cache
def fork_server() -> multiprocessing.context.ForkServerContext:
    """Starts processes that have imported everything, in a few milliseconds.

    They have the environment of whoever asked first.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


class DagsterCommand:
    """The ``dagster`` command line in a process of its own, without the start of Python.

    Speaks as `subprocess.Popen` does, as far as it is needed.

    Args:
        arguments: Of the command.
        folder: Where it runs; its output is kept there.
        environment: All its variables.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self._output = folder / "output"
        start = (list(arguments), folder, self._output, dict(environment))
        self._process = fork_server().Process(target=_be_dagster, args=start)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """Its exit code; a signal's number below zero, and None before its end."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float) -> tuple[str, None]:
        """Wait so many seconds for its end; all that it wrote."""
        self._process.join(timeout)
        assert self.returncode is not None, "it does not end"
        return self._output.read_text(), None

    def kill(self) -> None:
        """Kill -9 it."""
        self._process.kill()

    def wait(self) -> None:
        """Wait for its end."""
        self._process.join()


def _be_dagster(
    arguments: list[str], folder: Path, output: Path, environment: dict[str, str]
) -> None:
    """What a process of the fork server does to be the command line."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # Who is not multiprocessing's child is a person's, whose Ctrl-C is meant.
    multiprocessing.process._parent_process = None  # type: ignore[attr-defined]  # has no setter
    sys.argv = ["dagster", *arguments]
    runpy.run_module("dagster", run_name="__main__")
