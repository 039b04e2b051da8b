"""Makes the runs of the corpus again, with the dbt Core that is installed.

``python -m dbt_trigger_dagster_tests.corpus.make_corpus [NAME…]`` runs each scenario step by step
as dbt Cloud does, keeps what dbt left after each step and the step's log, strips the manifests of
what no row is made of, and writes one zip for each run. What the scenario knows of its nodes is
compared with dbt's own structured log, so that a wrong expectation shows itself here.
"""

import fnmatch
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dbt_trigger_dagster_tests.corpus.scenarios import SCENARIOS, Command, Scenario

RUNS = Path(__file__).parent / "runs"
_CLI = "from dbt.cli.main import cli; cli(prog_name='dbt')"
_KEPT = ("manifest.json", "run_results.json", "catalog.json", "sources.json")
_STRIPPED = ("macros", "docs", "disabled", "parent_map", "child_map", "selectors")
_SUCCESS, _ERROR, _CANCELLED = 10, 20, 30


def main(names: list[str]) -> int:
    """Make the named runs, or all; tell what does not agree."""
    disagreements = 0
    for number, scenario in enumerate(SCENARIOS, start=70_000_001):
        if not names or scenario.name in names:
            with tempfile.TemporaryDirectory() as folder:
                for problem in Recorder(scenario, number, Path(folder)).record():
                    print(f"{scenario.name}: {problem}", flush=True)  # noqa: T201  # a script
                    disagreements += 1
            print(f"{scenario.name}: made", flush=True)  # noqa: T201  # as above
    return 1 if disagreements else 0


class Recorder:
    """Executes one scenario, and keeps what there is after each step."""

    def __init__(self, scenario: Scenario, run_id: int, folder: Path, runs: Path = RUNS) -> None:
        self._runs = runs
        self._scenario = scenario
        self._run_id = run_id
        self._project = folder / "project"
        self._target = self._project / "target"
        self._kept = folder / "kept"
        self._logs = folder / "logs"
        self._steps: list[dict[str, Any]] = []
        self._environment = {
            **os.environ,
            "CORPUS_DATABASE": str(folder / "orders.duckdb"),
            "DBT_PROFILES_DIR": str(self._project),
            "DBT_LOG_FORMAT_FILE": "json",
            "DBT_LOG_PATH": str(self._logs),
            "DBT_USE_COLORS": "true",
            "DBT_VERSION_CHECK": "false",
        }

    def record(self) -> Iterator[str]:
        """Execute the run and write its zip; yields what dbt saw otherwise than the scenario."""
        for name, content in self._scenario.project.items():
            file = self._project / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        self._add_step("Clone git repository", "Successfully cloned repository.", _SUCCESS)
        name = "Create profile from connection DuckDB"
        self._add_step(name, name, _SUCCESS)
        self._invoke(Command("dbt deps"))
        for command in self._scenario.before:
            self._dbt([*shlex.split(command)], self._logs / "before.txt", Command(""))
        if "retry" not in self._scenario.commands[0].text:
            shutil.rmtree(self._target, ignore_errors=True)
        for command in self._scenario.commands:
            status = self._invoke(command)
            yield from self._disagreements(command)
            if status != _SUCCESS and "freshness" not in command.text:
                break
        ended = {_SUCCESS: _SUCCESS}.get(status, self._scenario.status)
        if ended != self._scenario.status:
            yield f"ended with {ended}, not {self._scenario.status}"
        self._write(ended)

    def _invoke(self, command: Command) -> int:
        index = len(self._steps) + 1
        started = datetime.now(timezone.utc)
        log = self._logs / f"{index}.txt"
        shutil.rmtree(self._logs, ignore_errors=True)
        self._logs.mkdir()
        succeeded = self._dbt(shlex.split(command.text)[1:], log, command)
        for name in _KEPT:
            if (self._target / name).exists():
                self._keep(self._target / name, self._kept / f"steps/{index}" / name)
        status = (
            _SUCCESS
            if succeeded
            else _CANCELLED
            if command.signal == 2 and command.kill_at
            else _ERROR
        )
        self._add_step(f"Invoke dbt with `{command.text}`", log.read_text(), status, started)
        return status

    def _dbt(self, arguments: list[str], log: Path, command: Command) -> bool:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  # dbt, with the scenario's arguments
                [sys.executable, "-c", _CLI, *arguments],
                cwd=self._project,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while command.kill_at and process.poll() is None:
            if command.kill_at in log.read_text():
                time.sleep(1)
                os.killpg(process.pid, command.signal)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, 9)
                break
            time.sleep(0.2)
        return process.wait() == 0

    def _add_step(self, name: str, logs: str, status: int, started: datetime | None = None) -> None:
        now = datetime.now(timezone.utc)
        started = started or now
        index = len(self._steps) + 1
        self._steps.append(
            {
                "id": self._run_id * 10 + index,
                "run_id": self._run_id,
                "account_id": 1,
                "index": index,
                "name": name,
                "logs": logs.replace(str(self._project), "."),
                "status": status,
                "status_humanized": {10: "Success", 20: "Error", 30: "Cancelled"}[status],
                "started_at": started.isoformat(),
                "finished_at": now.isoformat(),
                "duration": str(now - started).split(".")[0].zfill(8),
            }
        )

    def _keep(self, file: Path, kept: Path) -> None:
        content = self._stripped(json.loads(file.read_text()))
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(content))

    def _stripped(self, content: dict[str, Any]) -> dict[str, Any]:
        """A file without what no row is made of."""
        return {name: {} if name in _STRIPPED else value for name, value in content.items()}

    def _disagreements(self, command: Command) -> Iterator[str]:
        """What dbt's structured log says of nodes that the scenario says otherwise."""
        events = [json.loads(line) for line in (self._logs / "dbt.log").read_text().splitlines()]
        seen = dict(
            filter(None, (_finished(event["data"].get("node_info") or {}) for event in events))
        )
        known = known_of(command.known + "\n" + command.freshness)
        for unique_id, status in seen.items():
            expected = next((s for p, s in known.items() if fnmatch.fnmatch(unique_id, p)), None)
            if expected != status:
                yield f"{command.text}: {unique_id} is {status} in dbt's log, {expected} here"

    def _write(self, status: int) -> None:
        self._runs.mkdir(exist_ok=True)
        run = {
            "id": self._run_id,
            "account_id": 1,
            "project_id": 4,
            "job_definition_id": 300,
            "status": status,
            "status_humanized": {10: "Success", 20: "Error", 30: "Cancelled"}[status],
            "status_message": "dbt command failed" if status == _ERROR else None,
            "is_complete": True,
            "is_success": status == _SUCCESS,
            "is_error": status == _ERROR,
            "is_cancelled": status == _CANCELLED,
            "created_at": self._steps[0]["started_at"],
            "started_at": self._steps[0]["started_at"],
            "finished_at": self._steps[-1]["finished_at"],
            "href": f"https://cloud.example.com/deploy/1/projects/4/runs/{self._run_id}",
            "run_steps": self._steps,
        }
        with zipfile.ZipFile(
            self._runs / f"{self._scenario.name}.zip", "w", zipfile.ZIP_DEFLATED
        ) as archive:
            archive.writestr("run.json", json.dumps(run, indent=1))
            for file in sorted(self._kept.rglob("*.json")):
                archive.write(file, str(file.relative_to(self._kept)))


def _finished(node: Mapping[str, Any]) -> tuple[str, str] | None:
    """A node of a structured event that has ended, with dbt's word for how."""
    status = node.get("node_status")
    if not node.get("unique_id") or status in {None, "None", "started", "compiling", "executing"}:
        return None
    if node.get("materialized") == "ephemeral":
        return None  # it is written into those that use it, and has no result of its own
    return node["unique_id"], status


def known_of(text: str) -> dict[str, str]:
    """Lines of ``status unique_id``, as statuses by ids."""
    pairs = (line.rsplit(maxsplit=1) for line in text.splitlines() if line.strip())
    return {unique_id: status.strip() for status, unique_id in pairs}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
