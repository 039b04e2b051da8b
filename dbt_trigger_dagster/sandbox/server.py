"""The sandbox as a server in a thread of this process, for tests and for the command line."""

import asyncio
import contextlib
import errno
import os
import secrets
import socket
import threading
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import uvicorn
from starlette.applications import Starlette

from dbt_trigger_dagster.sandbox.account.archive import Archive
from dbt_trigger_dagster.sandbox.account.cloud import Cloud, installed_dbt_version
from dbt_trigger_dagster.sandbox.account.errors import SandboxError
from dbt_trigger_dagster.sandbox.account.faults import Fault, FaultBoard, RecordedRequest
from dbt_trigger_dagster.sandbox.account.jobs import SHOP_JOBS, SandboxJob
from dbt_trigger_dagster.sandbox.account.runner import Runner
from dbt_trigger_dagster.sandbox.account.runs import Run
from dbt_trigger_dagster.sandbox.account.scheduler import Scheduler
from dbt_trigger_dagster.sandbox.account.scripts import ScriptOutcome
from dbt_trigger_dagster.sandbox.account.timestamps import clock_that_is_off
from dbt_trigger_dagster.sandbox.api.app import build_app
from dbt_trigger_dagster.sandbox.api.connections import TrackedProtocol
from dbt_trigger_dagster.sandbox.runners.dbt_project import DbtProject, load_project
from dbt_trigger_dagster.sandbox.runners.dbt_runner import DbtRunner
from dbt_trigger_dagster.sandbox.runners.scripted_runner import Ending, ScriptedRunner
from dbt_trigger_dagster.sandbox.runners.seeds import SeededRun, Seeder

if TYPE_CHECKING:
    from typing_extensions import Self  # in the standard library from Python 3.11 on

Answer = TypeVar("Answer")


class Sandbox:
    """dbt Cloud on a laptop, as a context manager.

    Example:
        >>> job = SandboxJob(name="nightly", script=Script(outcome="error"))
        >>> with Sandbox(jobs=[job]) as sandbox:
        ...     client = DbtCloudClient(
        ...         account_id=sandbox.account_id,
        ...         token=sandbox.token,
        ...         access_url=sandbox.access_url,
        ...     )
    """

    def __init__(
        self,
        jobs: Iterable[SandboxJob] = SHOP_JOBS,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        project: DbtProject | None = None,
        data_folder: Path | None = None,
        clock_offset: timedelta = timedelta(),
    ) -> None:
        """Make a sandbox that is not started yet.

        Args:
            jobs: The account's jobs.
            host: The address to listen on.
            port: The port to listen on; 0 takes a free one.
            token: The token that clients must send; by default one that is made anew, for whoever
                knows it runs dbt as the user who started the sandbox.
            project: The dbt project of the jobs without a script; by default the bundled shop.
            data_folder: Where runs and warehouses are kept; by default in a temporary folder. Runs
                of dbt that are there already are the account's, too.
            clock_offset: How far the account's clock is ahead of this machine's. It tells every
                moment that the API writes, the ``Date`` header among them.
        """
        self.token = token or secrets.token_urlsafe()
        self._host = host
        self._port = port
        self._board = FaultBoard()
        self._exit = contextlib.ExitStack()
        self._project = project
        self._data_folder = data_folder
        self._scripted_runner = ScriptedRunner()
        self._dbt_runner: Runner | None = None
        self._scheduler = Scheduler(self._runner_of)
        archive = None if data_folder is None else Archive(data_folder.resolve() / "runs")
        self._cloud = Cloud(jobs, self._scheduler, clock_that_is_off(clock_offset), archive)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def access_url(self) -> str:
        """The address of the sandbox."""
        # A server that listens on all addresses is reached on this machine by the loopback's.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104  # compared, not bound
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def account_id(self) -> int:
        """The id of the sandbox's one account."""
        return self._cloud.account_id

    @property
    def jobs(self) -> list[SandboxJob]:
        """The account's jobs, with their ids."""
        return list(self._cloud.jobs.values())

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests that came to the API, oldest first."""
        return self._board.requests

    def inject(self, fault: Fault) -> None:
        """Make something go wrong with requests to come."""
        self._board.inject(fault)

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._board.clear()

    def seed(self, runs: Iterable[SeededRun]) -> list[int]:
        """Put runs into the account that nobody triggered: old ones, or ones in flight.

        Returns:
            The runs' ids, in the order given, which is also theirs.

        Raises:
            SandboxError: A job is unknown, or the sandbox is not started.
        """
        return self._wait_for(self._seeder.seed(list(runs)))

    def finish(
        self,
        run_ids: Iterable[int],
        *,
        outcome: ScriptOutcome | None = None,
        finished_at: datetime | None = None,
    ) -> None:
        """End scripted runs in flight, seeded or triggered, before their scripts would.

        Args:
            run_ids: The runs.
            outcome: How they end; without one, as their scripts say.
            finished_at: When, by the account's clock, so that runs may share a moment or show up
                late; without it, now, each a little later than the one before.

        Raises:
            SandboxError: A run is not in flight or runs dbt, or the sandbox is not started.
        """
        self._wait_for(self._seeder.finish(list(run_ids), Ending(outcome, finished_at)))

    def environment(self, job_name: str | None = None) -> dict[str, str]:
        """Return the environment variables with which a client finds a job, or the first one.

        Raises:
            SandboxError: No job has that name.
        """
        jobs = [job for job in self.jobs if job_name in {None, job.name}]
        if not jobs:
            names = ", ".join(repr(job.name) for job in self.jobs)
            raise SandboxError(f"There is no job named {job_name!r}; the jobs are {names}.")
        return {
            "DBT_CLOUD_ACCOUNT_ID": str(self.account_id),
            "DBT_CLOUD_JOB_ID": str(jobs[0].id),
            "DBT_CLOUD_TOKEN": self.token,
            "DBT_CLOUD_ACCESS_URL": self.access_url,
        }

    def __enter__(self) -> "Self":
        with contextlib.ExitStack() as stack:
            if any(job.script is None for job in self.jobs):
                self._dbt_runner = self._new_dbt_runner(stack)
            listener = stack.enter_context(self._listen())
            self._port = listener.getsockname()[1]
            app = (self._cloud, self._board, self.token, self._host)
            self._loop = stack.enter_context(_serving(*app, listener))
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop = None
        self._exit.close()

    @property
    def _seeder(self) -> Seeder:
        return Seeder(self._cloud, self._scheduler, self._scripted_runner)

    def _wait_for(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        if self._loop is None:
            work.close()
            raise SandboxError("The sandbox is not started.")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _runner_of(self, run: Run) -> Runner:
        is_scripted = run.script or run.job.script
        if self._dbt_runner is None or is_scripted:
            return self._scripted_runner
        return self._dbt_runner

    def _new_dbt_runner(self, stack: contextlib.ExitStack) -> Runner:
        if installed_dbt_version() is None:
            raise SandboxError(
                "dbt is not installed; the extra 'sandbox' brings it: pip install '.[sandbox]'."
            )
        folder = self._data_folder
        if folder is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="dbt-cloud-sandbox-")))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SandboxError(f"Cannot make the folder {folder}: {error.strerror}.") from error
        return DbtRunner(self._project or load_project(), folder, self.account_id)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listener = socket.create_server((self._host, self._port), family=family, backlog=2048)
        except OSError as error:
            where = f"{self._host}:{self._port}"
            reason = os.strerror(error.errno) if error.errno else error
            is_taken = error.errno == errno.EADDRINUSE
            hint = " End what listens there, or name another --port." if is_taken else ""
            raise SandboxError(f"Cannot listen on {where}: {reason}.{hint}") from error
        # asyncio does so only for sockets of its own making; without it each answer waits 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener


class _Server(uvicorn.Server):
    """Stops when it is told to, where uvicorn looks ten times a second whether it was."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def main_loop(self) -> None:
        await self.on_tick(0)  # makes the headers of every answer
        await self._stopping.wait()


@contextlib.contextmanager
def _serving(
    cloud: Cloud, board: FaultBoard, token: str, host: str, listener: socket.socket
) -> Iterator[asyncio.AbstractEventLoop]:
    stopping = asyncio.Event()
    server = _Server(_config(build_app(cloud, board, token, host, stopping)), stopping)
    loop_known: Future[asyncio.AbstractEventLoop] = Future()

    async def serve() -> None:
        loop_known.set_result(asyncio.get_running_loop())
        await server.serve(sockets=[listener])

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="dbt-cloud-sandbox")
    thread.start()
    try:
        yield loop_known.result()
    finally:
        loop_known.result().call_soon_threadsafe(stopping.set)
        thread.join()


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=TrackedProtocol,
        ws="none",
        loop="asyncio",  # uvloop reaps subprocesses only in the main thread
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        date_header=False,  # the account's clock may differ from this machine's
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
