"""The sandbox on the command line: starts it, says how to reach it, and stops it."""

import argparse
import contextlib
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO

from dbt_trigger_dagster.sandbox.account.errors import SandboxError
from dbt_trigger_dagster.sandbox.account.jobs import SHOP_JOBS, SandboxJob
from dbt_trigger_dagster.sandbox.api.access import is_loopback
from dbt_trigger_dagster.sandbox.jobs_file import read_jobs_file
from dbt_trigger_dagster.sandbox.runners.dbt_project import SHOP_FOLDER, DbtProject, load_project
from dbt_trigger_dagster.sandbox.server import Sandbox

DEFAULT_PORT = 8580
DEFAULT_DATA_FOLDER = Path("data/sandbox")
_CANNOT_START = 2
_PORTS = 65_536
_KILLED_BY_SIGNAL = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox until it is interrupted or its command has ended; return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.WARNING if options.command else logging.INFO, format="%(asctime)s %(message)s"
    )
    try:
        with _sandbox(options) as sandbox:
            environment = sandbox.environment(options.job)
            _introduce(sandbox, environment, options)
            if options.command:
                return _run_command(options.command, environment)
            _wait_for_interrupt()
            return 0
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return _CANNOT_START


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dbt_trigger_dagster.sandbox",
        description="dbt Cloud on a laptop: the API that clients use, with dbt Core behind it.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add(
        "--port",
        type=_port_number,
        help=f"default: {DEFAULT_PORT}; with a COMMAND a free one, if that is taken",
    )
    add("--project-dir", type=Path, help="a dbt project of your own, instead of the shop")
    add("--profiles-dir", type=Path, help="where its profiles.yml is; by default as dbt does")
    add("--jobs", type=Path, metavar="FILE", help="a YAML list of jobs")
    add("--data-dir", type=Path, default=DEFAULT_DATA_FOLDER, help="default: %(default)s")
    add("--job", metavar="NAME", help="the job that DBT_CLOUD_JOB_ID names; default: the first")
    add("command", nargs="*", metavar="-- COMMAND", help="run it against the sandbox, then stop")
    return parser


def _port_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= _PORTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number below {_PORTS}.")
    return int(text)


def _sandbox(options: argparse.Namespace) -> Sandbox:
    own_project: Path | None = options.project_dir
    project = load_project(own_project or SHOP_FOLDER, options.profiles_dir)
    return Sandbox(
        read_jobs_file(options.jobs) if options.jobs else _usual_jobs(own_project, project),
        host=options.host,
        port=_port(options),
        project=project,
        data_folder=options.data_dir,
    )


def _port(options: argparse.Namespace) -> int:
    asked: int | None = options.port
    if asked is not None:
        return asked
    return 0 if options.command and _is_taken(options.host) else DEFAULT_PORT


def _is_taken(host: str) -> bool:
    try:
        socket.create_server((host, DEFAULT_PORT)).close()
    except OSError:
        return True
    return False


def _usual_jobs(own_project: Path | None, project: DbtProject) -> Sequence[SandboxJob]:
    return [SandboxJob(name=project.name, generate_docs=True)] if own_project else SHOP_JOBS


def _introduce(sandbox: Sandbox, environment: dict[str, str], options: argparse.Namespace) -> None:
    # What the command writes must not be mixed with what is said here.
    output: TextIO = sys.stderr if options.command else sys.stdout
    jobs = "\n".join(f"  job      {job.id}  {job.name}" for job in sandbox.jobs)
    output.write(
        f"dbt Cloud sandbox: {sandbox.access_url}\n"
        f"  account  {sandbox.account_id}\n{jobs}\n"
        f"  token    {sandbox.token}\n"
        f"  data     {options.data_dir}\n\n"
    )
    if not options.command:  # which has them
        exports = (f"export {name}={shlex.quote(environment[name])}\n" for name in environment)
        output.writelines(exports)
    if not is_loopback(options.host):
        output.write(f"\nWarning: anyone who reaches {options.host} can run dbt here.\n")
    output.flush()


def _run_command(command: list[str], environment: dict[str, str]) -> int:
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        # The terminal sends an interrupt to the command by itself.
        if number == signal.SIGTERM:
            for process in running:
                process.terminate()

    # Before it starts: a command inherits an interrupt that is ignored, as in the background of a
    # script, and not one that is handled.
    signal.signal(signal.SIGINT, pass_on)
    signal.signal(signal.SIGTERM, pass_on)
    try:
        running.append(subprocess.Popen(command, env={**os.environ, **environment}))  # noqa: S603  # the user's own command
    except OSError as error:
        raise SandboxError(f"Cannot run {command[0]}: {error.strerror}.") from error
    exit_code = running[0].wait()
    return exit_code if exit_code >= 0 else _KILLED_BY_SIGNAL - exit_code


def _wait_for_interrupt() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
