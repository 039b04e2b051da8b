"""Runs the dbt commands of a run in a process group of their own, and stops what is left of it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import cast

_FORK_SERVER = Path(__file__).with_name("dbt_fork_server.py")
_GRACE_SECONDS = 5


class DbtProcess:
    """Has imported dbt, and runs commands one after another."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def run(self, arguments: Sequence[str], log_folder: Path, output: Path) -> int:
        """Run a command and return its exit code; a cancelled one has ended, and is the last.

        Args:
            arguments: What follows ``dbt`` on the command line.
            log_folder: Where dbt writes its own log.
            output: The file that the command's output is added to.
        """
        commands = cast("StreamWriter", self._process.stdin)
        answers = cast("StreamReader", self._process.stdout)
        command = json.dumps([arguments, str(log_folder), str(output)])
        commands.write(f"{command}\n".encode())
        exit_code = b""
        try:
            exit_code = await answers.readline()
        finally:
            if not exit_code:
                await _stop(self._process)
        return int(exit_code) if exit_code else await self._process.wait()


@contextlib.asynccontextmanager
async def dbt_process(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[DbtProcess]:
    """Start dbt, and stop it in the end.

    Args:
        folder: The working directory.
        environment: The whole environment, but for the path of dbt's log.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_FORK_SERVER),
        cwd=folder,
        env=environment,
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,
    )
    try:
        yield DbtProcess(process)
    finally:
        if process.returncode is None:
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
