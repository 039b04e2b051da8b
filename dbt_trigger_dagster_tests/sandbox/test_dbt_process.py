"""How the sandbox starts and stops dbt, with a dbt whose commands are what a test says."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbt_trigger_dagster.sandbox.runners.dbt_process import _FORK_SERVER, dbt_process
from dbt_trigger_dagster_tests.clocks import until

CLI = """
import os, sys
alive = os.open(os.environ["ALIVE"], os.O_WRONLY)  # until this process and its forks have ended
print("imported", flush=True)

def cli(prog_name):
    exec(sys.argv[1])
"""
INTERRUPTED = """
import subprocess, time
subprocess.Popen(["sh", "-c", "trap '' INT; sleep 1000"], pass_fds=[alive])
try:
    print("begun", flush=True)
    time.sleep(1000)
finally:
    time.sleep(0.1)
    print("ended", flush=True)
"""


@dataclass
class Dbt:
    """A folder with a dbt that runs Python, and what tells whether it does.

    Attributes:
        folder: The folder.
        reader: The end of a pipe whose other end all its processes hold.
    """

    folder: Path
    reader: int

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which this dbt is found."""
        found = {"PYTHONPATH": str(self.folder), "ALIVE": str(self.folder / "alive")}
        return {**os.environ, **found}

    def log(self, name: object) -> Path:
        """The file with a command's output."""
        return self.folder / f"{name}.log"

    def is_gone(self) -> bool:
        """Whether none of its processes is left."""
        try:
            return os.read(self.reader, 1) == b""
        except BlockingIOError:
            return False

    async def run(self, commands: Sequence[str]) -> list[int]:
        """Run commands; each logs to a file that is named after its position."""
        async with dbt_process(self.folder, self.environment) as process:
            return [
                await process.run([command], self.folder / f"logs {position}", self.log(position))
                for position, command in enumerate(commands)
            ]


@pytest.fixture
def dbt(tmp_path: Path) -> Iterator[Dbt]:
    """A dbt that is imported only from its own folder."""
    (tmp_path / "dbt" / "cli").mkdir(parents=True)
    (tmp_path / "dbt" / "__init__.py").touch()
    (tmp_path / "dbt" / "cli" / "main.py").write_text(CLI)
    os.mkfifo(tmp_path / "alive")
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    yield Dbt(tmp_path, reader)
    os.close(reader)


def test_dbt_is_imported_once_and_each_command_starts_anew(dbt: Dbt) -> None:
    """With its own log, no input, and nothing of what the one before it has changed."""
    show = "print(os.environ.get('LEFT'), os.environ['DBT_LOG_PATH'], repr(sys.stdin.read()))"
    commands = (f"{show}; os.environ['LEFT'] = 'something'", "os.kill(os.getpid(), 9)", show)
    assert asyncio.run(dbt.run([*commands, "sys.exit(2)"])) == [0, -9, 0, 2]
    assert dbt.log(0).read_text() == f"imported\nNone {dbt.folder / 'logs 0'} ''\n"
    assert dbt.log(1).read_text() == ""
    assert dbt.log(2).read_text() == f"None {dbt.folder / 'logs 2'} ''\n"
    until(dbt.is_gone, "it is stopped")


def test_a_command_that_is_cancelled_gets_time_to_end_and_nothing_is_left(dbt: Dbt) -> None:
    """It has ended when its caller knows; what it started itself is killed."""

    async def cancel() -> None:
        running = asyncio.create_task(dbt.run([INTERRUPTED]))
        log = dbt.log(0)
        await asyncio.to_thread(until, lambda: log.exists() and "begun" in log.read_text(), "it")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel())
    lines = dbt.log(0).read_text().splitlines()
    assert lines[:3] == ["imported", "begun", "ended"]
    assert lines[-1] == "KeyboardInterrupt"
    until(dbt.is_gone, "all of it is stopped")


def test_a_dbt_that_cannot_be_imported_says_so_in_the_output(dbt: Dbt) -> None:
    """As would one that was started for this command alone."""
    (dbt.folder / "dbt" / "cli" / "main.py").write_text("raise ImportError('half installed')")
    assert asyncio.run(dbt.run(["pass"])) == [1]
    assert dbt.log(0).read_text().splitlines()[-1] == "ImportError: half installed"


def test_a_folder_of_the_project_hides_no_module(dbt: Dbt, tmp_path: Path) -> None:
    """The project is the working directory, and not where Python looks for modules."""
    project = tmp_path / "project"
    (project / "dbt").mkdir(parents=True)
    (project / "dbt" / "__init__.py").write_text("raise ImportError('of the project')")

    async def run() -> int:
        async with dbt_process(project, dbt.environment) as process:
            return await process.run(["print(os.getcwd())"], project, dbt.log(0))

    assert asyncio.run(run()) == 0
    assert dbt.log(0).read_text() == f"imported\n{project.resolve()}\n"


def test_when_the_sandbox_is_killed_dbt_ends_after_its_command(dbt: Dbt) -> None:
    """Its pipes are closed then, which is no matter for the log."""
    go = dbt.folder / "go"
    os.mkfifo(go)
    command = [[f"open({str(go)!r}).read()"], str(dbt.folder), str(dbt.log(0))]
    with subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, _FORK_SERVER],
        env=dbt.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(f"{json.dumps(command)}\n".encode())
        server.stdin.close()
        server.stdout.close()
        go.write_text("on")
    assert server.returncode == 0
    assert dbt.log(0).read_text() == "imported\n"
    until(dbt.is_gone, "it has ended")
