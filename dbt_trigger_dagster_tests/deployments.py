"""Dagster beyond one process: PostgreSQL, a bucket, code servers, daemon, webserver, all real."""

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import psycopg.rows
import psycopg.sql
import requests
import yaml

from dbt_trigger_dagster_tests.buckets import Bucket, an_s3_server
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.databases import (
    a_postgres_cluster,
    as_libpq_takes_it,
    missing_programs,
)
from dbt_trigger_dagster_tests.harness import REPORT, Account, Place
from dbt_trigger_dagster_tests.processes import a_process, a_short_folder, kill_all
from dbt_trigger_dagster_tests.servers import free_port

DEPLOY = Path(__file__).parent.parent / "deploy"
"""What people deploy with."""

JOB = "dbt_cloud_job"
"""The job of each code location."""

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
    if importlib.util.find_spec("dagster_postgres") is None:
        return "not found: the Python package dagster-postgres"
    return missing_programs()


@dataclasses.dataclass(frozen=True)
class Deployment(Place):
    """Dagster's processes around one PostgreSQL and one bucket, set up by the files in `DEPLOY`.

    Attributes:
        locations: What each code server loads, as arguments, by the location's name.
        environment: What all processes find in their environment.
        bucket: Where artifacts go.
    """

    locations: Mapping[str, Sequence[Any]]
    environment: Mapping[str, str]
    bucket: Bucket
    _processes: ExitStack
    _servers: dict[str, Popen[bytes]] = dataclasses.field(default_factory=dict)
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
        """Kill -9 everything but PostgreSQL and the bucket."""
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
        url = as_libpq_takes_it(self.environment["DAGSTER_POSTGRES_URL"])
        with psycopg.connect(url) as connection:
            (count,) = connection.execute("SELECT count(*) FROM runs").fetchall()[0]
            return int(count)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table's rows, read without any of our code; none where there is no table."""
        url = as_libpq_takes_it(self.environment["DBT_TRIGGER_DATABASE"])
        with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
            if connection.execute("SELECT to_regclass(%s) AS it", [table]).fetchone() == {
                "it": None
            }:
                return []
            statement = psycopg.sql.SQL("SELECT * FROM {} ORDER BY 1, 2, 3")
            return connection.execute(statement.format(psycopg.sql.Identifier(table))).fetchall()

    def files(self) -> dict[str, bytes]:
        """All artifacts by their path below the root; not the reports of their runs."""
        found = self.bucket.files()
        return {path: found[path] for path in found if not path.endswith(f"/{REPORT}")}

    def logs(self) -> list[Path]:
        """The files with what the processes wrote; a code server's has its workers' too."""
        return sorted(self.folder.glob("*.log"))

    def _socket(self, name: str) -> Path:
        return self.folder / f"{name}.sock"

    def _start(self, name: str, *arguments: Any) -> Popen[bytes]:
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
def a_deployment(locations: Mapping[str, Sequence[Any]], account: Account) -> Iterator[Deployment]:
    """A deployment to start; it is gone in the end, processes and folders."""
    with (
        a_postgres_cluster() as url,
        an_s3_server() as bucket,
        a_short_folder() as folder,
        ExitStack() as processes,
    ):
        home = folder / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text(yaml.safe_dump(quick_settings()))
        everywhere = {
            **Place(folder).variables(account),
            "DAGSTER_HOME": str(home),
            "DAGSTER_POSTGRES_URL": url,
            "DBT_TRIGGER_DATABASE": _with_the_tables(url),
            "DBT_TRIGGER_ARTIFACTS": bucket.url,
            **{f"AWS_{name.upper()}": value for name, value in bucket.options.items()},
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
        }
        yield Deployment(folder, locations, everywhere, bucket, processes)


def _with_the_tables(url: str) -> str:
    """The URL of the database that PostgreSQL gets for the tables when it is new."""
    statement = (DEPLOY / "tables.sql").read_text()
    with psycopg.connect(as_libpq_takes_it(url), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]  # a file of our own
    return url.replace("/postgres?", "/dbt_cloud?")


def quick_settings() -> dict[str, Any]:
    """The Dagster settings that people deploy with, but for the pauses."""
    settings: dict[str, Any] = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    settings["run_coordinator"]["config"]["dequeue_interval_seconds"] = 1
    settings["run_coordinator"]["config"]["user_code_failure_retry_delay"] = 1
    settings["run_monitoring"]["poll_interval_seconds"] = 1
    return settings
