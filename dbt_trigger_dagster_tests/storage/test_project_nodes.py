"""A job's nodes in the table are those of the newest manifest that was landed, and what is gone."""

from datetime import datetime, timezone

import pytest

from dbt_trigger_dagster.storage.batches import Batches
from dbt_trigger_dagster.storage.node_tables import NODE
from dbt_trigger_dagster.storage.project_nodes import Project, with_gone
from dbt_trigger_dagster.storage.store import Store, open_store

_MONDAY = datetime(2026, 6, 1, tzinfo=timezone.utc)
_TUESDAY = datetime(2026, 6, 2, tzinfo=timezone.utc)


@pytest.fixture(name="store")
def _store(tmp_path) -> Store:
    return open_store(str(tmp_path / "t.duckdb"), schema="main")


def _nodes(run_id: int, *names: str, job_id: int = 3) -> Project:
    return {
        name: {
            "account_id": 1,
            "job_id": job_id,
            "unique_id": name,
            "manifest_run_id": run_id,
            "tags": ["a"],
        }
        for name in names
    }


def _land(store, *projects: Project, now: datetime = _MONDAY) -> None:
    for each in projects:
        store.upsert(with_gone(store, Batches(NODE, [each]), now))


def _held(store, job_id: int = 3) -> dict[str, datetime | None]:
    rows = store.read(NODE, job_id=job_id)
    return dict(zip(rows.columns["unique_id"], rows.columns["gone_at"], strict=True))


def test_what_the_newer_manifest_lacks_is_gone(store) -> None:
    """Its row stays, with everything in it, and says since when."""
    _land(store, _nodes(1, "a", "b"))
    _land(store, _nodes(2, "a", "c"), now=_TUESDAY)
    assert _held(store) == {"a": None, "b": _TUESDAY, "c": None}
    (gone,) = store.read(NODE, unique_id="b")
    assert (gone["manifest_run_id"], gone["tags"]) == (1, '["a"]')


def test_since_when_it_is_gone_stays_and_what_comes_back_is_there(store) -> None:
    """A later manifest without it is no news."""
    _land(store, _nodes(1, "a", "b"), _nodes(2, "a"))
    _land(store, _nodes(3, "a"), now=_TUESDAY)
    assert _held(store) == {"a": None, "b": _MONDAY}
    _land(store, _nodes(4, "a", "b"))
    assert _held(store) == {"a": None, "b": None}


def test_an_older_run_that_is_landed_late_changes_nothing(store) -> None:
    """As a backfill does; the same run again does no harm."""
    _land(store, _nodes(5, "a"), _nodes(2, "a", "b"), _nodes(5, "a"))
    assert _held(store) == {"a": None}
    assert list(store.read(NODE).columns["manifest_run_id"]) == [5]


def test_jobs_have_projects_of_their_own(store) -> None:
    """In one write of several jobs, too."""
    _land(store, _nodes(1, "a", "b"), _nodes(2, "x", job_id=4))
    both = [_nodes(3, "a"), _nodes(4, "x", "y", job_id=4)]
    store.upsert(with_gone(store, Batches(NODE, both), _TUESDAY))
    assert _held(store) == {"a": None, "b": _TUESDAY}
    assert _held(store, job_id=4) == {"x": None, "y": None}


def test_no_nodes_ask_nothing(store) -> None:
    """A run without a manifest leaves the table as it is."""
    _land(store, _nodes(1, "a"))
    store.upsert(with_gone(store, Batches(NODE, []), _TUESDAY))
    assert _held(store) == {"a": None}
