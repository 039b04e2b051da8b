"""Holds what dbt Cloud has against what was kept: duplicates, lost rows, torn and stray files.

Reads tables and files without any of the package's code.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dbt_trigger_dagster_tests.harness import Place

_FINISHED = {10, 20, 30}
_FAILED = 20
_CANCELLED = 30
_LOCK = ".lock"
_REPORT = "report.html"
_WRONG = (
    "duplicates",
    "missing",
    "lost_rows",
    "extra_rows",
    "lost_files",
    "torn_files",
    "stray_files",
)


@dataclass(frozen=True)
class Findings:
    """What was found.

    Attributes:
        wanted: How many dbt runs were wanted.
        started: How many dbt Cloud has.
        duplicates: Runs beyond the first for one wish, and runs that nobody wished for.
        missing: Wishes without a run.
        trigger_rows: Rows of ``dbt_cloud_trigger``.
        run_rows: Rows of ``dbt_cloud_run``.
        files: Files below the artifacts' root, without the reports of runs.
        lost_rows: Rows that should be there and are not, or not as they should be.
        extra_rows: Rows that should not be there.
        lost_files: Artifacts without a file.
        torn_files: Files that are not, byte for byte, what dbt Cloud has.
        stray_files: Anything else in the folder.
    """

    wanted: int = 0
    started: int = 0
    duplicates: int = 0
    missing: int = 0
    trigger_rows: int = 0
    run_rows: int = 0
    files: int = 0
    lost_rows: int = 0
    extra_rows: int = 0
    lost_files: int = 0
    torn_files: int = 0
    stray_files: int = 0

    def __add__(self, other: "Findings") -> "Findings":
        names = [field.name for field in fields(self)]
        return Findings(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def wrong(self) -> dict[str, int]:
        """What should be 0, by name."""
        return {name.replace("_", " "): getattr(self, name) for name in _WRONG}

    @property
    def problems(self) -> str:
        """What is wrong, in words; empty where nothing is."""
        return ", ".join(f"{count} {name}" for name, count in self.wrong.items() if count)

    @property
    def sentence(self) -> str:
        """What was started and what is wrong, in words."""
        counts = ", ".join(f"{name}: {count}" for name, count in self.wrong.items())
        return f"dbt runs wanted: {self.wanted}, started: {self.started}; {counts}."


def take_stock(
    place: Place,
    runs: Collection[Mapping[str, Any]],
    wishes: Collection[str],
    artifacts: Mapping[str, bytes],
) -> Findings:
    """Compare.

    Args:
        place: Where rows and files are kept.
        runs: What dbt Cloud says of its runs, with their triggers.
        wishes: The Dagster runs that each want one dbt run. They were resumed until they
            succeeded: so each dbt run that failed wants one that continues it, too.
        artifacts: What each run leaves, by path; a cancelled one leaves nothing.
    """
    wishes = [*wishes, *(_retry_of(run["id"]) for run in runs if run["status"] == _FAILED)]
    wished = Counter(_wish_of(run, wishes) for run in runs)
    unasked = wished.pop("", 0)
    expected = {
        (run["id"], path): content
        for run in runs
        if run["status"] != _CANCELLED
        for path, content in artifacts.items()
    }
    return (
        Findings(
            wanted=len(wishes),
            started=len(runs),
            duplicates=unasked + sum(count - 1 for count in wished.values()),
            missing=len(wishes) - len(wished),
        )
        + _of_rows(place, runs, expected)
        + _of_files(place, runs, expected)
    )


def _retry_of(run_id: int) -> str:
    return f"retry of {run_id}"


def _wish_of(run: Mapping[str, Any], wishes: Collection[str]) -> str:
    retry = _retry_of(run["retrying_run_id"])
    if retry in wishes:
        return retry
    cause = run["trigger"]["cause"]
    return next((wish for wish in wishes if cause.endswith(f"[dagster {wish}]")), "")


def _of_rows(
    place: Place,
    runs: Collection[Mapping[str, Any]],
    expected: Mapping[tuple[int, str], bytes],
) -> Findings:
    triggers = [row["id"] for row in place.rows("dbt_cloud_trigger")]
    results = [
        (row["id"], row["status"])
        for row in place.rows("dbt_cloud_run")
        if row["status"] in _FINISHED
    ]
    records = [
        (row["run_id"], row["path"], row["size_bytes"], row["sha256"])
        for row in place.rows("dbt_cloud_artifact")
    ]
    due = {
        "trigger": (triggers, [run["id"] for run in runs if run["retrying_run_id"] is None]),
        "run": (results, [(run["id"], run["status"]) for run in runs]),
        "artifact": (
            records,
            [
                (run_id, path, len(content), hashlib.sha256(content).hexdigest())
                for (run_id, path), content in expected.items()
            ],
        ),
    }
    return Findings(
        trigger_rows=len(triggers),
        run_rows=len(results),
        lost_rows=sum(_beyond(wanted, found) for found, wanted in due.values()),
        extra_rows=sum(_beyond(found, wanted) for found, wanted in due.values()),
    )


def _beyond(these: Collection[Any], those: Collection[Any]) -> int:
    """How many of these are not among those."""
    return (Counter(these) - Counter(those)).total()


def _of_files(
    place: Place,
    runs: Collection[Mapping[str, Any]],
    expected: Mapping[tuple[int, str], bytes],
) -> Findings:
    folders = {
        run["id"]: place.artifacts
        / str(run["account_id"])
        / str(run["job_definition_id"])
        / str(run["id"])
        for run in runs
    }
    wanted = {folders[run_id] / path: content for (run_id, path), content in expected.items()}
    reports = {folder / _REPORT for folder in folders.values()}
    found = {path for path in place.artifacts.rglob("*") if path.is_file()} - reports
    return Findings(
        files=len(found),
        lost_files=len(wanted.keys() - found),
        torn_files=sum(path.read_bytes() != wanted[path] for path in wanted.keys() & found),
        stray_files=len({*_strays(place, wanted, folders.values())} - reports),
    )


def _strays(
    place: Place, wanted: Mapping[Path, bytes], folders: Collection[Path]
) -> Iterator[Path]:
    """Files and folders that belong to nothing; an artifact's folders belong to it.

    So do those of its job, which are tried before the job is triggered, and of its run, which are
    made for files that may turn out not to be there.
    """
    database = place.database
    known = {database, database.with_name(database.name + _LOCK), place.artifacts, *wanted}
    known.update(folders)
    known.update(parent for path in [*wanted, *folders] for parent in path.parents)
    yield from (path for path in place.data.rglob("*") if path not in known)
