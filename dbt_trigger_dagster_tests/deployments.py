"""Dagster beyond one process: PostgreSQL, code servers, daemon and webserver, all real."""

import contextlib
import dataclasses
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.graphs import Place
from dbt_trigger_dagster_tests.servers import free_port

DEPLOY = Path(__file__).parent.parent / "deploy"
"""What people deploy with."""

JOB = "dbt_cloud_job"
"""The job of each code location."""

_WHERE_POSTGRES_MAY_BE = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/*/bin")
_GRACE = 20.0
_LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
_LOCATIONS = (
    "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } } }"
)
_RUNS = "{ runsOrError { ... on Runs { results { runId rootRunId jobName status } } } }"
_EVENTS = """
query ($id: ID!) {
  logsForRun(runId: $id) {
    ... on EventConnection {
      events { ... on EngineEvent { metadataEntries { label ... on TextMetadataEntry { text } } } }
    }
  }
}
"""


def missing() -> str:
    """What a deployment lacks on this machine, as a reason to skip a test; empty for nothing."""
    programs = [name for name in ("initdb", "postgres") if not _postgres_program(name)]
    lacking = [f"PostgreSQL's {name}" for name in programs]
    if importlib.util.find_spec("dagster_postgres") is None:
        lacking.append("the Python package dagster-postgres")
    return f"not found: {', '.join(lacking)}" if lacking else ""


def _postgres_program(name: str) -> str | None:
    """Where a program of PostgreSQL's is; the newest, where none is on the path."""
    folders = sorted(folder for each in _WHERE_POSTGRES_MAY_BE for folder in Path("/").glob(each))
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, reversed(folders))])
    return shutil.which(name, path=path)


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


@contextmanager
def a_postgres_cluster() -> Iterator[str]:
    """A throw-away PostgreSQL that listens on a socket in a folder of its own; its URL."""
    with a_short_folder() as folder, (folder / "log").open("wb") as log:
        options = {"cwd": folder, "stdout": log, "stderr": log, **_owner(folder)}
        initdb = [_postgres_program("initdb"), "-D", folder / "data", "-U", "dagster"]
        initdb += ["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        server = [_postgres_program("postgres"), "-D", folder / "data", "-k", folder]
        server += ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]
        with a_process(initdb, **options) as process:
            assert process.wait() == 0, (folder / "log").read_text()
        with a_process(server, **options) as process:
            try:
                until(lambda: _accepts(folder), "PostgreSQL accepts connections")
                yield f"postgresql+psycopg2://dagster@/postgres?host={folder}"
            finally:
                # Its processes are in groups of their own, and its memory is shared: a kill -9
                # would leave them to clean up after it.
                process.send_signal(signal.SIGINT)
                process.wait(_GRACE)


def _owner(folder: Path) -> dict[str, Any]:
    """As whom PostgreSQL runs: it refuses to be root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _accepts(folder: Path) -> bool:
    import psycopg2  # noqa: PLC0415  # it comes with dagster-postgres, which may be missing

    try:
        psycopg2.connect(host=str(folder), user="dagster", dbname="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Deployment(Place):
    """Dagster's processes around one PostgreSQL, set up by the files in `DEPLOY`.

    Attributes:
        locations: What each code server loads, as arguments, by the location's name.
        environment: What all processes find in their environment.
    """

    locations: Mapping[str, Sequence[Any]]
    environment: Mapping[str, str]
    _processes: ExitStack
    _servers: "dict[str, subprocess.Popen[bytes]]" = dataclasses.field(default_factory=dict)
    _ports: list[int] = dataclasses.field(default_factory=list)

    def start(self) -> None:
        """Start everything in the order that the Compose file has, and wait until it is there."""
        workspace = self.folder / "workspace.yaml"
        servers = [
            {"grpc_server": {"socket": str(self._socket(name)), "location_name": name}}
            for name in self.locations
        ]
        workspace.write_text(yaml.safe_dump({"load_from": servers}))
        for name in self.locations:
            self.start_code_server(name)
            # The first one makes the tables in PostgreSQL.
            until(self._socket(name).exists, f"the code server of {name} listens")
        self._start("daemon", "-m", "dagster._daemon", "run", "-w", workspace)
        until(lambda: self._serves(workspace), "the webserver knows the locations")

    def start_code_server(self, name: str) -> None:
        """Do what the container of a code location does when it starts."""
        self._socket(name).unlink(missing_ok=True)
        lock = self.folder / f"{name}.lock"
        address = ("--lock-file", lock, "--location-name", name, "-s", self._socket(name))
        command = (DEPLOY / "start_code_server.py", *address, *self.locations[name])
        self._servers[name] = self._start(name, *command)

    def end_container(self, name: str) -> None:
        """Kill -9 a code server and its runs' workers."""
        kill_all(self._servers[name])

    def stop(self) -> None:
        """Kill -9 everything but PostgreSQL."""
        self._processes.close()

    def launch(self, location: str, **ops: Mapping[str, Any]) -> str:
        """Put a run of a location's job into the queue, as the UI does; the Dagster run's id.

        Args:
            location: The location's name.
            ops: Config by op.
        """
        selector = {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": JOB,
        }
        config = {"ops": {name: {"config": config} for name, config in ops.items()}}
        params = {"selector": selector, "runConfigData": config, "mode": "default"}
        launched = self.ask(_LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The webserver's answer to a question in GraphQL."""
        answer = requests.post(
            f"http://127.0.0.1:{self._ports[-1]}/graphql",
            json={"query": query, "variables": variables},
            timeout=30,
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()["data"]
        return found

    def worker_of(self, dagster_run_id: str) -> int:
        """The process that executes a run, once there is one."""

        def pids() -> list[int]:
            events = self.ask(_EVENTS, id=dagster_run_id)["logsForRun"]["events"]
            entries = [entry for event in events for entry in event.get("metadataEntries", [])]
            return [int(entry["text"]) for entry in entries if entry["label"] == "pid"]

        return int(until(pids, f"run {dagster_run_id} has a process")[0])

    def runs(self) -> list[dict[str, str]]:
        """All Dagster runs, oldest first."""
        found = self.ask(_RUNS)["runsOrError"]["results"]
        return list(reversed(found))

    def outcomes(self, job_name: str) -> dict[str, str]:
        """By a job's first Dagster run of each chain of retries, the newest one's status."""
        runs = [run for run in self.runs() if run["jobName"] == job_name]
        return {run["rootRunId"] or run["runId"]: run["status"] for run in runs}

    def runs_in_postgres(self) -> int:
        """How many Dagster runs PostgreSQL holds, asked without Dagster."""
        import psycopg2  # noqa: PLC0415  # as above

        url = self.environment["DAGSTER_POSTGRES_URL"].replace("+psycopg2", "")
        with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM runs")
            return int(cursor.fetchone()[0])

    def logs(self) -> str:
        """What all processes wrote."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text()}" for file in files)

    def _socket(self, name: str) -> Path:
        return self.folder / f"{name}.sock"

    def _start(self, name: str, *arguments: Any) -> "subprocess.Popen[bytes]":
        log = self._processes.enter_context((self.folder / f"{name}.log").open("ab"))
        environment = {**os.environ, **self.environment}
        options = {"env": environment, "cwd": self.folder, "stdout": log, "stderr": log}
        return self._processes.enter_context(a_process([sys.executable, *arguments], **options))

    def _serves(self, workspace: Path) -> bool:
        """Whether the webserver knows the locations; started anew where its port was taken."""
        if "webserver" not in self._servers or self._servers["webserver"].poll() is not None:
            self._ports.append(free_port())
            command = ("-m", "dagster_webserver", "-w", workspace, "-p", self._ports[-1])
            self._servers["webserver"] = self._start("webserver", *command)
        try:
            found = self.ask(_LOCATIONS)["repositoriesOrError"]
        except requests.RequestException:
            return False
        return {node["location"]["name"] for node in found.get("nodes", [])} == set(self.locations)


@contextmanager
def a_deployment(
    locations: Mapping[str, Sequence[Any]], environment: Mapping[str, str]
) -> Iterator[Deployment]:
    """A deployment that is gone in the end, processes and folders; a failure shows its logs."""
    with a_postgres_cluster() as url, a_short_folder() as folder, ExitStack() as processes:
        place = Place(folder)
        home = folder / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text(yaml.safe_dump(quick_settings()))
        everywhere = {
            **environment,
            "DAGSTER_HOME": str(home),
            "DAGSTER_POSTGRES_URL": url,
            "DBT_TRIGGER_DATABASE": str(place.database),
            "DBT_TRIGGER_ARTIFACTS": str(place.artifacts),
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
        }
        deployment = Deployment(folder, locations, everywhere, processes)
        try:
            deployment.start()
            yield deployment
        except BaseException:
            sys.stdout.write(deployment.logs())  # pytest shows it
            raise


def quick_settings() -> dict[str, Any]:
    """The Dagster settings that people deploy with, but for the pauses."""
    settings: dict[str, Any] = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    settings["run_coordinator"]["config"]["dequeue_interval_seconds"] = 1
    settings["run_coordinator"]["config"]["user_code_failure_retry_delay"] = 1
    settings["run_monitoring"]["poll_interval_seconds"] = 1
    return settings
