"""The report of a run beside its artifacts: collects what it tells, and stores it."""

import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dbt_trigger_dagster.artifacts.download import StoredArtifact
from dbt_trigger_dagster.artifacts.report import LONGEST_TEXT, REPORT, report_html
from dbt_trigger_dagster.artifacts.spans import kind_of
from dbt_trigger_dagster.assets.outcome import Outcome
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.dbt_cloud.marker import without_marker
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore
from dbt_trigger_dagster.storage.node_statuses import FAILED, is_executed
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT
from dbt_trigger_dagster.storage.store import Store
from dbt_trigger_dagster.storage.tables import RUN

_PAST_RUNS = 20
_PAST_FAILURES = 2000
_COMPILED = 20
_NAMED = 10
_OF_A_RUN = (
    "id",
    "status",
    "status_humanized",
    "run_duration_seconds",
    "queued_duration_seconds",
)


def store_report(
    outcome: Outcome,
    stored: Sequence[StoredArtifact],
    artifacts: DbtCloudArtifactStore,
    log: logging.Logger,
    past: Store | None,
) -> str | None:
    """Store the report of a run; its address, or None where it cannot be stored.

    Args:
        outcome: What became of the run.
        stored: Its artifacts.
        artifacts: Where it goes.
        log: Where it tells why there is none.
        past: Where past runs are; None for a report without them.

    Raises:
        StorageError: Past runs cannot be read.
    """
    if any(each.artifact.place.as_posix() == REPORT for each in stored):
        log.warning("There is no report of the run: dbt Cloud has an artifact of its name.")
        return None
    files, folder = artifacts.files(), artifacts.folder_of(outcome.run)
    before = _Past.of(outcome.run, past) if past else _Past()
    page = report_html(
        {**outcome.row, "cause": without_marker(outcome.run.cause)},
        outcome.steps,
        outcome.results,
        changes=_changes(outcome, before) if past else [],
        since={row["unique_id"]: outcome.since(row["unique_id"]) for row in outcome.failing},
        history=before.history(outcome),
        compiled=dict(_compiled(outcome, files, folder, stored)),
    )
    try:
        return files.put(f"{folder}/{REPORT}", (piece.encode() for piece in page))
    except (StorageError, OSError) as error:
        log.warning("The report of dbt Cloud run %s is not stored: %s", outcome.run.run_id, error)
        return None


@dataclass
class _Past:
    """The runs of a job before one of them.

    Attributes:
        runs: Their rows, the newest first.
        failed: The nodes that failed in each, names by ids.
        known_since: The first of them of which all nodes that failed are known.
    """

    runs: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[int, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    known_since: int = 0

    @classmethod
    def of(cls, run: Run, store: Store) -> "_Past":
        """What a store holds of them.

        Raises:
            StorageError: It cannot be read.
        """
        job = {"account_id": run.account_id, "job_id": run.job_id}
        newest = store.newest(RUN, _OF_A_RUN, by="id", limit=_PAST_RUNS, **job)
        failures = store.newest(
            NODE_RESULT,
            ("run_id", "unique_id", "name", "executed"),
            by="run_id",
            limit=_PAST_FAILURES,
            status=FAILED,
            **job,
        )
        is_cut = len(failures) == _PAST_FAILURES
        past = cls(
            [row for row in newest if row["id"] < run.run_id],
            known_since=failures[-1]["run_id"] + 1 if is_cut else 0,
        )
        for row in filter(is_executed, failures):
            past.failed[row["run_id"]][row["unique_id"]] = row["name"] or row["unique_id"]
        return past

    def history(self, outcome: Outcome) -> list[Mapping[str, Any]]:
        """All of them and the run itself, the oldest first, with how many nodes failed."""
        past = [{**row, "nodes_failed": self._number_of(row["id"])} for row in self.runs]
        return [*reversed(past), {**outcome.row, "nodes_failed": len(outcome.failing)}]

    def _number_of(self, run_id: int) -> int | None:
        """How many nodes failed in one of them; None where that is not known."""
        return len(self.failed[run_id]) if run_id >= self.known_since else None

    def failed_last(self) -> dict[str, str]:
        """The nodes that failed in the run before."""
        return self.failed[self.runs[0]["id"]] if self.runs else {}


def _changes(outcome: Outcome, past: _Past) -> list[str]:
    """What is other than in the run before, a sentence each."""
    new = [row for row in outcome.failing if not outcome.failed_before.get(row["unique_id"])]
    well = {row["unique_id"] for row in outcome.executed if kind_of(row["status"] or "") == "good"}
    fixed = [name for unique_id, name in past.failed_last().items() if unique_id in well]
    told = {
        "Newly failing": [row["name"] or row["unique_id"] for row in new],
        "Works again": fixed,
    }
    return [f"{what}: {_listed(names)}." for what, names in told.items() if names]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _compiled(
    outcome: Outcome, files: FileStore, folder: str, stored: Sequence[StoredArtifact]
) -> Iterator[tuple[str, str]]:
    """The compiled code of nodes that failed, as far as it is among the artifacts."""
    places = {each.uri: each.artifact.place.as_posix() for each in stored}
    for row in outcome.failing[:_COMPILED]:
        place = places.get(row["compiled_code_path"] or "")
        if place is not None:
            with contextlib.suppress(StorageError, OSError):
                yield row["unique_id"], _beginning(files, f"{folder}/{place}")


def _beginning(files: FileStore, path: str) -> str:
    with files.open(path) as file:
        return file.read(4 * LONGEST_TEXT).decode("utf-8", "replace")
