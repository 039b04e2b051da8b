"""The endpoints of runs, their steps and their artifacts."""

import asyncio
from collections.abc import Collection
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dbt_trigger_dagster.sandbox.account.artifacts import as_response
from dbt_trigger_dagster.sandbox.account.cloud import Cloud
from dbt_trigger_dagster.sandbox.account.errors import invalid, not_found
from dbt_trigger_dagster.sandbox.account.runs import Run
from dbt_trigger_dagster.sandbox.api.envelopes import success
from dbt_trigger_dagster.sandbox.api.filters import INTEGER, RELATED_ONLY, related_names
from dbt_trigger_dagster.sandbox.api.job_payloads import nested_job_payload
from dbt_trigger_dagster.sandbox.api.listings import run_candidates, runs_listing
from dbt_trigger_dagster.sandbox.api.run_payloads import (
    RELATED_TO_NEW_RUNS,
    run_payload,
    step_payload,
    trigger_payload,
)
from dbt_trigger_dagster.sandbox.api.schemas import QuerySchema

_RELATED_IN_LISTS = frozenset({"trigger", "job", "audit"})
_STEP_QUERY = QuerySchema({"step": {**INTEGER, "minimum": 1}, "include_related": {}})


class RunRoutes:
    """Runs: listed, followed, cancelled and retried."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._listing = runs_listing(cloud)

    def routes(self) -> list[Route]:
        """Return the routes below the account."""
        return [
            Route("/runs/", self._list, methods=["GET"]),
            Route("/runs/{run_id:id}/", self._get, methods=["GET"]),
            Route("/runs/{run_id:id}/cancel/", self._cancel, methods=["POST"]),
            Route("/runs/{run_id:id}/retry/", self._retry, methods=["POST"]),
            Route("/runs/{run_id:id}/retry/", self._retry_details, methods=["GET"]),
            Route("/steps/{step_id:id}/", self._get_step, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        query = self._listing.read(request.query_params)
        page = query.page(run_candidates(self._cloud, query))
        related = related_names(request.query_params) & _RELATED_IN_LISTS
        payloads = [self._payload(run, request, related) for run in page.items]
        return success(payloads, query.description(self._cloud.account_id, page))

    async def _get(self, request: Request) -> Response:
        RELATED_ONLY.read(request.query_params)
        run = self._run_of(request)
        return success(self._payload(run, request, related_names(request.query_params)))

    async def _cancel(self, request: Request) -> Response:
        run = self._run_of(request)
        self._cloud.cancel(run)
        return success(self._payload(run, request, ()))

    async def _retry(self, request: Request) -> Response:
        run = self._cloud.retry(self._run_of(request))
        return success(self._payload(run, request, RELATED_TO_NEW_RUNS))

    async def _retry_details(self, request: Request) -> Response:
        run = self._run_of(request)
        failed = run.failed_command
        if obstacle := self._cloud.retry_obstacle(run):
            raise invalid(obstacle)
        if failed is None:
            raise not_found()
        return success({"failed_step": failed.command, "skipped_steps": list(failed.skipped)})

    async def _get_step(self, request: Request) -> Response:
        RELATED_ONLY.read(request.query_params)
        related = related_names(request.query_params)
        run, step = self._cloud.step(request.path_params["step_id"])
        payload = step_payload(self._cloud, step, whole_logs="debug_logs" in related)
        if "trigger" in related:
            payload["trigger"] = trigger_payload(run)
        if "job" in related:
            payload["job"] = nested_job_payload(self._cloud, run.job)
        return success(payload)

    def _run_of(self, request: Request) -> Run:
        return self._cloud.run(request.path_params["run_id"])

    def _payload(self, run: Run, request: Request, related: Collection[str]) -> dict[str, Any]:
        return run_payload(self._cloud, run, str(request.base_url), related)


class ArtifactRoutes:
    """Artifacts: listed and downloaded."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        """Return the routes below the account."""
        return [
            Route("/runs/{run_id:id}/artifacts/", self._list, methods=["GET"]),
            Route("/runs/{run_id:id}/artifacts/{path:path}", self._get, methods=["GET"]),
            Route("/jobs/{job_id:id}/artifacts/{path:path}", self._get_latest, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        # dbt Cloud takes "step" here, and always lists the last step.
        _STEP_QUERY.read(request.query_params)
        artifacts = self._cloud.run(request.path_params["run_id"]).artifacts_at(None)
        paths = await asyncio.to_thread(artifacts.paths) if artifacts else []
        return success(paths or None)

    async def _get(self, request: Request) -> Response:
        return self._artifact(self._cloud.run(request.path_params["run_id"]), request)

    async def _get_latest(self, request: Request) -> Response:
        job = self._cloud.job(request.path_params["job_id"])
        runs = reversed(self._cloud.ledger(job.id).by_id())
        run = next((run for run in runs if run.artifacts_at(None) is not None), None)
        if run is None:
            raise not_found()
        return self._artifact(run, request)

    def _artifact(self, run: Run, request: Request) -> Response:
        query = _STEP_QUERY.read(request.query_params)
        path = request.path_params["path"]
        artifacts = run.artifacts_at(query.get("step"))
        content = artifacts.find(path) if artifacts else None
        if content is None:
            raise not_found()
        return as_response(path, content)
