"""The filters and orders of each list endpoint."""

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from operator import attrgetter
from typing import Any

from dbt_trigger_dagster.sandbox.account.cloud import Cloud
from dbt_trigger_dagster.sandbox.account.jobs import SandboxJob
from dbt_trigger_dagster.sandbox.account.runs import Run
from dbt_trigger_dagster.sandbox.api.filters import (
    BOOLEAN,
    INTEGER,
    INTEGERS,
    MOMENTS,
    TEXT,
    TEXTS,
    Candidates,
    Filter,
    Item,
    Listing,
    ListQuery,
    as_moments,
)
from dbt_trigger_dagster.sandbox.api.run_payloads import (
    has_docs_generated,
    has_sources_generated,
    run_dbt_version,
)

_FAR_FUTURE = datetime.max.replace(tzinfo=timezone.utc)


def jobs_listing() -> Listing[SandboxJob]:
    """Return what the jobs endpoint takes."""
    filters: dict[str, Filter[SandboxJob]] = {
        "pk": _equal(INTEGER, attrgetter("id")),
        "project_id": _equal(INTEGER, attrgetter("project_id")),
        "project_id__in": _among(INTEGERS, attrgetter("project_id")),
        "environment_id": _equal(INTEGER, attrgetter("environment_id")),
        "dbt_version__in": _among(TEXTS, lambda _: None),
        "name__icontains": Filter(TEXT, lambda job, part: part.lower() in job.name.lower()),
        "is_fusion_ready": _equal(BOOLEAN, lambda _: False),
        "is_system": _equal(BOOLEAN, lambda _: False),
        "triggers_schedule": _equal(BOOLEAN, lambda _: False),
    }
    return Listing(filters, {"id": attrgetter("id"), "name": attrgetter("name")})


def runs_listing(cloud: Cloud) -> Listing[Run]:
    """Return what the runs endpoint takes."""
    filters: dict[str, Filter[Run]] = {
        "pk": _equal(INTEGER, attrgetter("id")),
        "pk__in": _among(INTEGERS, attrgetter("id")),
        "id__gt": Filter(INTEGER, lambda run, run_id: run.id > run_id),
        "job_definition_id": _equal(INTEGER, attrgetter("job.id")),
        "project_id": _equal(INTEGER, attrgetter("job.project_id")),
        "project_id__in": _among(INTEGERS, attrgetter("job.project_id")),
        "environment_id": _equal(INTEGER, attrgetter("job.environment_id")),
        "status": _equal(INTEGER, attrgetter("status")),
        "status__in": _among(INTEGERS, attrgetter("status")),
        "created_at__range": _between(attrgetter("created_at")),
        "finished_at__range": _between(attrgetter("finished_at")),
        "dbt_version": _equal(TEXT, lambda run: run_dbt_version(cloud, run)),
        "dbt_version__in": _among(TEXTS, lambda run: run_dbt_version(cloud, run)),
        "deferring_run_id": _equal(INTEGER, lambda _: None),
        "has_docs_generated": _equal(BOOLEAN, has_docs_generated),
        "has_sources_generated": _equal(BOOLEAN, has_sources_generated),
    }
    orders: dict[str, Callable[[Run], Any]] = {
        "id": attrgetter("id"),
        "created_at": attrgetter("created_at", "id"),
        "finished_at": lambda run: (run.finished_at or _FAR_FUTURE, run.id),
    }
    return Listing(filters, orders, default_state="all")


def run_candidates(cloud: Cloud, query: ListQuery[Run]) -> Candidates[Run]:
    """Return the runs that a query can mean, found in the account's ledgers without a scan."""
    applied = query.applied
    ledger = cloud.ledger(applied.get("job_definition_id"))
    if "finished_at__range" in applied:
        settled = frozenset({"job_definition_id", "finished_at__range"})
        return Candidates(
            ledger.ended_between(*applied["finished_at__range"]), "finished_at", settled
        )
    if query.order_by.removeprefix("-") == "finished_at":
        return Candidates(ledger.by_end(), "finished_at", frozenset({"job_definition_id"}))
    settled = frozenset({"job_definition_id", "id__gt"})
    return Candidates(ledger.by_id(applied.get("id__gt")), settled=settled)


def payloads_listing() -> Listing[dict[str, Any]]:
    """Return what the small lists take: accounts, projects and environments."""
    filters: dict[str, Filter[dict[str, Any]]] = {
        "pk": _equal(INTEGER, lambda payload: payload["id"]),
        "project_id": _equal(INTEGER, lambda payload: payload.get("project_id")),
        "name__icontains": Filter(TEXT, lambda item, part: part.lower() in item["name"].lower()),
    }
    return Listing(filters, {"id": lambda payload: payload["id"]})


def _equal(schema: Mapping[str, Any], value_of: Callable[[Item], Any]) -> Filter[Item]:
    return Filter(schema, lambda item, value: value_of(item) == value)


def _among(schema: Mapping[str, Any], value_of: Callable[[Item], Any]) -> Filter[Item]:
    return Filter(schema, lambda item, values: value_of(item) in values, frozenset)


def _between(moment_of: Callable[[Item], datetime | None]) -> Filter[Item]:
    def keep(item: Item, ends: tuple[datetime, datetime]) -> bool:
        moment = moment_of(item)
        return moment is not None and ends[0] <= moment <= ends[1]

    return Filter(MOMENTS, keep, as_moments)
