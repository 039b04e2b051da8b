"""What a job's project has and had: keeps `NODE` in step with the newest manifest."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.node_tables import NODE
from dbt_trigger_dagster.storage.store import Store

_MANIFEST = "manifest_run_id"
_NAMES = ("unique_id", "gone_at", _MANIFEST)
_MOST_NODES = 1_000_000


def with_gone(store: Store, nodes: Rows, now: datetime) -> Rows:
    """The nodes of newer manifests, and those that are gone since.

    Runs may be landed in any order: what an older run says of the project is left out. Of what the
    table holds, names are read, and whole rows of what is gone.

    Args:
        store: Where the table is kept.
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
        of_the_job = {"account_id": account_id, "job_id": job_id}
        known = store.newest(NODE, _NAMES, by=_MANIFEST, limit=_MOST_NODES, **of_the_job)
        newest = known[0][_MANIFEST] if known else None
        if newest is None or newest <= project.columns[_MANIFEST][0]:
            parts += [project, *_gone(store, project, known, now, of_the_job)]
    return Rows(
        NODE,
        {name: [value for part in parts for value in part.columns[name]] for name in nodes.columns},
    )


def _gone(
    store: Store,
    project: Rows,
    known: Sequence[dict[str, Any]],
    now: datetime,
    of_the_job: dict[str, int],
) -> list[Rows]:
    """The nodes that the project had until now."""
    there = set(project.columns["unique_id"])
    names = [
        node["unique_id"]
        for node in known
        if node["unique_id"] not in there and node["gone_at"] is None
    ]
    if not names:
        return []
    columns = [column.name for column in NODE.columns]
    found = store.newest(
        NODE, columns, by=_MANIFEST, limit=len(names), unique_id=names, **of_the_job
    )
    rows = Rows(NODE, {name: [node[name] for node in found] for name in columns})
    return [rows.filled(gone_at=now)]


def _picked(rows: Rows, numbers: Sequence[int]) -> Rows:
    return Rows(
        rows.table,
        {name: [column[n] for n in numbers] for name, column in rows.columns.items()},
    )
