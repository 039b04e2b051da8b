"""What a job's project has and had: keeps `NODE` in step with the newest manifest."""

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime
from typing import Any

from dbt_trigger_dagster.storage.batches import Batches
from dbt_trigger_dagster.storage.kinds import JsonText, Kind
from dbt_trigger_dagster.storage.node_tables import NODE
from dbt_trigger_dagster.storage.store import Store

Project = MutableMapping[str, dict[str, Any]]
"""Records of `NODE` by their ids, all of one manifest, at least one."""

_MANIFEST = "manifest_run_id"
_NAMES = ("unique_id", "gone_at", _MANIFEST)
_MOST_NODES = 1_000_000
_JSON = [column.name for column in NODE.columns if column.kind is Kind.JSON]


def with_gone(store: Store, nodes: Batches, now: datetime) -> Batches:
    """The nodes of newer manifests, and those that are gone since.

    Runs may be landed in any order: what an older run says of the project is left out. Of what the
    table holds, names are read, and whole rows of what is gone.

    Args:
        store: Where the table is kept.
        nodes: Rows of `NODE`; each part is a `Project` of another job.
        now: When nodes that are not among them are found to be gone.

    Raises:
        StorageError: The table cannot be read.
    """
    return Batches(NODE, list(_projects(store, nodes.parts, now)))


def _projects(store: Store, projects: Iterable[Project], now: datetime) -> Iterator[Project]:
    for project in projects:
        any_node = next(iter(project.values()))
        of_the_job = {name: any_node[name] for name in ("account_id", "job_id")}
        known = store.newest(NODE, _NAMES, by=_MANIFEST, limit=_MOST_NODES, **of_the_job)
        newest = known[0][_MANIFEST] if known else None
        if newest is not None and newest > any_node[_MANIFEST]:
            continue
        names = [
            node["unique_id"]
            for node in known
            if node["unique_id"] not in project and node["gone_at"] is None
        ]
        yield ChainMap(_gone(store, names, now, of_the_job), project)


def _gone(store: Store, names: list[str], now: datetime, of_the_job: Mapping[str, int]) -> Project:
    """The nodes that the project had until now, as the table has them."""
    if not names:
        return {}
    columns = [column.name for column in NODE.columns]
    found = store.newest(
        NODE, columns, by=_MANIFEST, limit=len(names), unique_id=names, **of_the_job
    )
    return {
        node["unique_id"]: {
            **node,
            **{name: JsonText(node[name]) for name in _JSON if node[name] is not None},
            "gone_at": now,
        }
        for node in found
    }
