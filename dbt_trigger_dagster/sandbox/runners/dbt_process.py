"""Runs one dbt command in a process group of its own, and stops it when the task is cancelled."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from pathlib import Path

_CLI = "from dbt.cli.main import cli; cli(prog_name='dbt')"
_GRACE_SECONDS = 5


async def run_dbt(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], log_file: Path
) -> int:
    """Run dbt and return its exit code.

    Args:
        arguments: What follows ``dbt`` on the command line.
        folder: The working directory.
        environment: The process's whole environment.
        log_file: What its output is added to.
    """
    with log_file.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _CLI,
            *arguments,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return await process.wait()
    finally:
        await _stop(process)


async def _stop(process: Process) -> None:
    """End what is left of a process group: dbt gets the time to cancel its queries."""
    try:
        if process.returncode is None:
            _signal_group(process, signal.SIGINT)
            await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
    except asyncio.TimeoutError:
        pass
    finally:
        _signal_group(process, signal.SIGKILL)
    await process.wait()


def _signal_group(process: Process, signal_number: signal.Signals) -> None:
    # Nothing is left of the group, which macOS reports as a lack of permission.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal_number)
