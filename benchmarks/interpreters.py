"""Fresh Python interpreters, and a sandbox in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbt_trigger_dagster import DbtCloudClient, Run, TriggerRequest
from dbt_trigger_dagster_tests.harness import settings_of

ROOT = Path(__file__).resolve().parent.parent
"""The checkout, from which fresh interpreters import."""

_SETTINGS = ("DBT_CLOUD_", "DBT_TRIGGER_", "DAGSTER_")


def clean_environment(**variables: str) -> dict[str, str]:
    """This environment without settings of dbt Cloud and Dagster, and with some of one's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return {**kept, "DAGSTER_DISABLE_TELEMETRY": "yes", **variables}


def python(*arguments: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """What a fresh interpreter prints.

    Raises:
        RuntimeError: It failed; the message is what it said.
    """
    done = subprocess.run(  # noqa: S603  # our own modules
        [sys.executable, *arguments],
        cwd=cwd,
        env=clean_environment() if environment is None else dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class ServedSandbox:
    """A sandbox in another process, with scripted jobs."""

    process: "subprocess.Popen[str]"
    job_ids: tuple[int, ...]
    variables: Mapping[str, str]

    @property
    def account_id(self) -> int:
        """The account's id."""
        return int(self.variables["DBT_CLOUD_ACCOUNT_ID"])

    @property
    def token(self) -> str:
        """What opens it."""
        return self.variables["DBT_CLOUD_TOKEN"]

    @property
    def access_url(self) -> str:
        """Where it is served."""
        return self.variables["DBT_CLOUD_ACCESS_URL"]

    @property
    def job_id(self) -> int:
        """The first job."""
        return self.job_ids[0]

    def cpu_seconds(self) -> float:
        """Processor time that the server has used so far."""
        return float(self._ask("cpu"))

    def request_count(self) -> int:
        """How many requests the server has got so far."""
        return int(self._ask("requests"))

    def add_old_runs(self, count: int) -> list[int]:
        """Put runs into the account that ended long ago, and return their ids."""
        return list(self._ask(f"old {count}"))

    def add_runs_in_flight(self, count: int) -> None:
        """Put runs into the account that are in flight."""
        self._ask(f"open {count}")

    def finish_runs(self, count: int) -> None:
        """End so many of them."""
        self._ask(f"finish {count}")

    def delay_answers(self, milliseconds: int) -> None:
        """Let each answer come so much later, as over a network; 0: no more."""
        self._ask(f"delay {milliseconds}")

    def _ask(self, command: str) -> Any:
        return _ask(self.process, command)

    def client(self) -> DbtCloudClient:
        """A client for the sandbox, to be closed after use."""
        return DbtCloudClient(**settings_of(self))

    def environment(self) -> dict[str, str]:
        """The variables with which a client finds the first job."""
        return dict(self.variables)

    def finished_run(self, client: DbtCloudClient) -> Run:
        """A run that is over, with its artifacts."""
        run = client.trigger_run(self.job_id, TriggerRequest(cause="benchmark"))
        while not run.is_over:
            run = client.get_run(run.run_id)
        return run


@dataclass(frozen=True)
class ServedBucket:
    """A bucket in another process.

    Attributes:
        process: Which.
        url: Its URL, without a prefix.
        options: What opens it.
    """

    process: "subprocess.Popen[str]"
    url: str
    options: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        """The variables that open it."""
        return {f"AWS_{name.upper()}": value for name, value in self.options.items()}

    def cpu_seconds(self) -> float:
        """Processor time that the server has used so far."""
        return float(_ask(self.process, "cpu"))


@contextmanager
def served_bucket() -> Iterator[ServedBucket]:
    """A bucket that speaks S3's protocol, which ends with the block."""
    with _serving("benchmarks.serve_bucket") as process:
        yield ServedBucket(process, **json.loads(_read_line(process)))


@contextmanager
def served_sandbox(
    kind: str, count: int, size: int, *, jobs: int = 1, seconds: int = 0
) -> Iterator[ServedSandbox]:
    """A sandbox in a process of its own, so that it shares no interpreter with its client.

    Args:
        kind: ``distinct`` artifacts, held in memory, or ``generated`` ones, which take none.
        count: How many.
        size: Bytes of each.
        jobs: How many jobs the account has.
        seconds: How long their runs take.
    """
    numbers = map(str, (count, size, jobs, seconds))
    with _serving("benchmarks.serve", kind, *numbers) as process:
        variables = json.loads(_read_line(process))
        yield ServedSandbox(process, tuple(variables.pop("JOB_IDS")), variables)


def _serving(module: str, *arguments: str) -> "subprocess.Popen[str]":
    """A server; leaving its block closes its input, with which it ends, and waits for it."""
    return subprocess.Popen(  # noqa: S603  # our own modules
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _ask(process: "subprocess.Popen[str]", command: str) -> Any:
    if process.stdin is None:
        raise RuntimeError("The server has no input.")
    process.stdin.write(f"{command}\n")
    process.stdin.flush()
    return json.loads(_read_line(process))


def _read_line(process: "subprocess.Popen[str]") -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError("The server did not start.")
    return line
