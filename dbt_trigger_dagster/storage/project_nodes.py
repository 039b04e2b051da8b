"""What a job's project has and had: keeps `NODE` in step with the newest manifest."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.node_tables import NODE


class Reader(Protocol):
    """What rows can be read from."""

    def read(self, table: Table, **equal: str | int) -> Rows:
        """Rows whose columns equal the given values."""


def with_gone(reader: Reader, nodes: Rows, now: datetime) -> Rows:
    """The nodes of newer manifests, and those that are gone since.

    Runs may be landed in any order: what an older run says of the project is left out.

    Args:
        reader: Where the table is kept.
        nodes: Rows of `NODE`, of one manifest for each job.
        now: When nodes that are not among them are found to be gone.

    Raises:
        StorageError: The table cannot be read.
    """
    projects = list(zip(nodes.columns["account_id"], nodes.columns["job_id"], strict=True))
    parts: list[Rows] = []
    for account_id, job_id in dict.fromkeys(projects):
        numbers = [n for n, project in enumerate(projects) if project == (account_id, job_id)]
        project = _picked(nodes, numbers)
        known = reader.read(NODE, account_id=account_id, job_id=job_id)
        if not _is_older(project, known):
            parts += [project, _gone(project, known).filled(gone_at=now)]
    return Rows(
        NODE,
        {name: [value for part in parts for value in part.columns[name]] for name in nodes.columns},
    )


def _is_older(project: Rows, known: Rows) -> bool:
    newest = max(filter(None, known.columns["manifest_run_id"]), default=0)
    return bool(newest > project.columns["manifest_run_id"][0])


def _gone(project: Rows, known: Rows) -> Rows:
    """The nodes that the project had until now."""
    there = set(project.columns["unique_id"])
    names = zip(known.columns["unique_id"], known.columns["gone_at"], strict=True)
    return _picked(
        known,
        [
            n
            for n, (unique_id, gone_at) in enumerate(names)
            if unique_id not in there and gone_at is None
        ],
    )


def _picked(rows: Rows, numbers: Sequence[int]) -> Rows:
    return Rows(
        rows.table,
        {name: [column[n] for n in numbers] for name, column in rows.columns.items()},
    )
