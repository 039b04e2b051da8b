"""The same lost answer to a trigger, for other clients and for this one.

Each client comes from PyPI into a virtual environment of its own, and triggers one job once, by
its usual public call, with its default settings.
"""

import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob, Script
from dbt_trigger_dagster_tests.harness import Place, dbt_runs
from faults.kinds import BEFORE, TRIGGER
from faults.pool import in_parallel
from faults.report import Report
from faults.tls import https_for

_HEADINGS = ("client", "answer to the trigger", "runs started", "what the caller got")
_DRIVERS = Path(__file__).parent / "peers"
_ROOT = Path(__file__).parent.parent
_SETTINGS = ("DBT_", "DAGSTER_", "AIRFLOW_", "PREFECT_", "PYTHON")
_LATE = 35.0
_PATIENCE = 300.0
_LONGEST = 56
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(:|$)")
_GOOD = ("1", "the run's id")

_AFTER = {
    name: TRIGGER.fault(replace(BEFORE[name], when="after")) for name in ("reset after", "502 HTML")
}
_ARRIVES = "arrives"
_LOST: Mapping[str, Fault | None] = {
    _ARRIVES: None,
    "reset, once": _AFTER["reset after"],
    "reset, always": replace(_AFTER["reset after"], count=None),
    "502, once": _AFTER["502 HTML"],
    "502, always": replace(_AFTER["502 HTML"], count=None),
    f"{_LATE:.0f} s late, once": TRIGGER.fault(Fault("hang", when="after", seconds=_LATE)),
}


@dataclass(frozen=True)
class Client:
    """A client of dbt Cloud.

    Attributes:
        name: Its distribution on PyPI.
        driver: The script that uses it.
        needs: What is installed along with it.
    """

    name: str
    driver: str
    needs: tuple[str, ...] = ()


OURS = Client("dbt_trigger_dagster", "with_ours.py")
# What a client needs beyond what pip finds for it by itself, and why.
PEERS = (
    # It imports dateutil without asking for it.
    Client("dagster-dbt", "with_dagster_dbt.py", ("python-dateutil",)),
    Client("apache-airflow-providers-dbt-cloud", "with_airflow.py"),
    # dbt-core 1.12's parser package downloads a binary at install time: closed networks fail.
    # prefect uses a keyword that newer versions of fastapi no longer take.
    Client("prefect-dbt", "with_prefect.py", ("dbt-core<1.12", "fastapi<0.140")),
    # Its pandas needs a NumPy that is too old for a newer pyarrow.
    Client("dbtc", "with_dbtc.py", ("pyarrow<20",)),
)


@dataclass(frozen=True)
class Installed:
    """A client that can be run, or the reason why not.

    Attributes:
        client: Which.
        python: The interpreter that has it.
        version: Its version.
        obstacle: Why it cannot be had.
    """

    client: Client
    python: Path
    version: str = ""
    obstacle: str = ""

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.client.name} {self.version}".rstrip()


@dataclass(frozen=True)
class Case:
    """A client, and what happens to the answers to its triggers."""

    installed: Installed
    answer: str


def _install(client: Client, folder: Path) -> Installed:
    home = folder / client.name
    python = home / "bin" / "python"
    stamp = home / "installed"
    wanted = " ".join([client.name, *client.needs])
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(home, with_pip=True, clear=True)
        done = _run(python, "-m", "pip", "install", "-qq", client.name, *client.needs)
        if done.returncode:
            reason = _last_line(done.stderr)
            return Installed(client, python, obstacle=f"could not be installed: {reason}")
        stamp.write_text(wanted)
    return _with_version(client, python)


def _with_version(client: Client, python: Path) -> Installed:
    code = f"from importlib.metadata import version; print(version({client.name!r}))"
    return Installed(client, python, version=_run(python, "-c", code).stdout.strip())


def _run(
    python: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run an interpreter in an environment without settings of dbt Cloud and orchestrators."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return subprocess.run(  # noqa: S603  # our own scripts
        [str(python), *arguments],
        env={**kept, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE if environment else None,
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _exception_of(stderr: str) -> str:
    """The exception that a traceback ends in, without its module; logs may come after it."""
    said = [line for line in stderr.splitlines() if _EXCEPTION.match(line)]
    name, _, message = (said or [_last_line(stderr)])[-1].partition(": ")
    text = ": ".join(filter(None, (name.rpartition(".")[2], message)))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def run_case(case: Case) -> tuple[str, ...]:
    """Trigger once, and count the runs."""
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        Sandbox(jobs=[SandboxJob(name="nightly", script=Script())]) as sandbox,
    ):
        fault = _LOST[case.answer]
        if fault is not None:
            sandbox.inject(fault)
        told = _drive(case.installed, sandbox, Path(folder))
        sandbox.clear_faults()
        return (case.installed.label, case.answer, str(len(dbt_runs(sandbox))), told)


def _drive(installed: Installed, sandbox: Sandbox, folder: Path) -> str:
    """What the client's user got: the run's id, or an error."""
    try:
        with https_for(sandbox.access_url, folder) as address:
            environment = {
                **Place(folder).variables(sandbox),
                **address.trusted_by,
                **_homes(folder),
                "PEER_HOST": address.host,
            }
            if installed.client == OURS:  # it has crossed into another process
                environment["PYTHONPATH"] = str(_ROOT)
            script = str(_DRIVERS / installed.client.driver)
            done = _run(installed.python, script, environment=environment)
    except subprocess.TimeoutExpired:
        return f"nothing in {_PATIENCE:.0f} s"
    except OSError as error:
        return f"could not be driven: {error}"
    if done.returncode:
        return f"an error: {_exception_of(done.stderr)}"
    run_ids = {str(run["id"]) for run in dbt_runs(sandbox)}
    return _GOOD[1] if _last_line(done.stdout) in run_ids else "something else"


def _homes(folder: Path) -> dict[str, str]:
    """Where clients keep their own things; nothing of this machine's user is touched."""
    return {
        "HOME": str(folder),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "PREFECT_HOME": str(folder / "prefect"),
    }


def measure(venvs: Path) -> Report:
    """Install what is missing, then run every client through every lost answer."""
    sys.stderr.write(f"peers: installing into {venvs}, unless they are there\n")
    with ThreadPoolExecutor() as executor:
        peers = list(executor.map(lambda peer: _install(peer, venvs.absolute()), PEERS))
    ours = _with_version(OURS, Path(sys.executable))
    clients = [ours, *peers]
    usual = [Case(client, _ARRIVES) for client in clients if not client.obstacle]
    good = in_parallel("peers, without faults", run_case, usual)
    driven = [case.installed for case, row in zip(usual, good, strict=True) if row[2:] == _GOOD]
    cases = [Case(client, answer) for client in driven for answer in _LOST if answer != _ARRIVES]
    lost = in_parallel("peers", run_case, cases)
    obstacles = [(client.label, "", "", client.obstacle) for client in clients if client.obstacle]
    rows = sorted(
        [*good, *lost], key=lambda row: [client.label for client in clients].index(row[0])
    )
    return Report(
        title="One trigger whose answer is lost after its effect: runs started by each client",
        headings=_HEADINGS,
        rows=[*rows, *obstacles],
        summary=("Each triggered one job once, by its usual public call, with its defaults.",),
        is_good=all(row[2:] == _GOOD for row in rows if row[0] == ours.label),
    )
