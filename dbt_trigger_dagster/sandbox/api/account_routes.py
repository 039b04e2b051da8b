"""The endpoints of accounts, projects, environments and jobs."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dbt_trigger_dagster.sandbox.account.cloud import Cloud
from dbt_trigger_dagster.sandbox.account.errors import not_found
from dbt_trigger_dagster.sandbox.account.jobs import SandboxJob
from dbt_trigger_dagster.sandbox.account.runs import Run
from dbt_trigger_dagster.sandbox.api.envelopes import success
from dbt_trigger_dagster.sandbox.api.filters import RELATED_ONLY, Candidates, related_names
from dbt_trigger_dagster.sandbox.api.job_payloads import (
    account_payload,
    environment_payload,
    job_payload,
    project_payload,
)
from dbt_trigger_dagster.sandbox.api.listings import jobs_listing, payloads_listing
from dbt_trigger_dagster.sandbox.api.run_payloads import RELATED_TO_NEW_RUNS, run_payload
from dbt_trigger_dagster.sandbox.api.trigger_bodies import read_trigger_request


class AccountRoutes:
    """Lists of accounts, projects and environments, each with its members one by one."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def accounts_route(self) -> Route:
        """Return the route of the list of accounts, which stands above the account."""
        return Route("/api/v2/accounts/", self._listed(self._accounts), methods=["GET"])

    def routes(self) -> list[Route]:
        """Return the routes below the account."""
        routes = [Route("/", self._get_account, methods=["GET"])]
        for name, members in (("projects", self._projects), ("environments", self._environments)):
            routes += [
                Route(f"/{name}/", self._listed(members), methods=["GET"]),
                Route(f"/{name}/{{member_id:id}}/", self._got(members), methods=["GET"]),
            ]
        return routes

    def _accounts(self) -> list[dict[str, Any]]:
        return [account_payload(self._cloud)]

    def _projects(self) -> list[dict[str, Any]]:
        project_ids = sorted({job.project_id for job in self._cloud.jobs.values()})
        return [project_payload(self._cloud, project_id) for project_id in project_ids]

    def _environments(self) -> list[dict[str, Any]]:
        by_id = {job.environment_id: job for job in self._cloud.jobs.values()}
        return [environment_payload(self._cloud, by_id[key]) for key in sorted(by_id)]

    async def _get_account(self, _: Request) -> Response:
        return success(account_payload(self._cloud))

    def _listed(self, members: Callable[[], list[dict[str, Any]]]) -> Callable[[Request], Any]:
        async def list_members(request: Request) -> Response:
            query = payloads_listing().read(request.query_params)
            page = query.page(Candidates(members()))
            return success(page.items, query.description(self._cloud.account_id, page))

        return list_members

    def _got(self, members: Callable[[], list[dict[str, Any]]]) -> Callable[[Request], Any]:
        async def get_member(request: Request) -> Response:
            RELATED_ONLY.read(request.query_params)
            member_id = request.path_params["member_id"]
            for member in members():
                if member["id"] == member_id:
                    return success(member)
            raise not_found()

        return get_member


class JobRoutes:
    """Jobs, and the two ways to start them."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        """Return the routes below the account."""
        return [
            Route("/jobs/", self._list, methods=["GET"]),
            Route("/jobs/{job_id:id}/", self._get, methods=["GET"]),
            Route("/jobs/{job_id:id}/run/", self._trigger, methods=["POST"]),
            Route("/jobs/{job_id:id}/rerun/", self._rerun, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        query = jobs_listing().read(request.query_params)
        jobs = sorted(self._cloud.jobs.values(), key=lambda job: job.id)
        page = query.page(Candidates(jobs))
        related = related_names(request.query_params)
        payloads = [self._payload(job, request, related) for job in page.items]
        return success(payloads, query.description(self._cloud.account_id, page))

    async def _get(self, request: Request) -> Response:
        RELATED_ONLY.read(request.query_params)
        job = self._job_of(request)
        return success(self._payload(job, request, related_names(request.query_params)))

    async def _trigger(self, request: Request) -> Response:
        job = self._job_of(request)
        run = self._cloud.trigger(job, read_trigger_request(await request.body()))
        return self._started(request, run)

    async def _rerun(self, request: Request) -> Response:
        return self._started(request, self._cloud.rerun(self._job_of(request)))

    def _job_of(self, request: Request) -> SandboxJob:
        return self._cloud.job(request.path_params["job_id"])

    def _started(self, request: Request, run: Run) -> Response:
        return success(run_payload(self._cloud, run, str(request.base_url), RELATED_TO_NEW_RUNS))

    def _payload(self, job: SandboxJob, request: Request, related: set[str]) -> dict[str, Any]:
        cloud = self._cloud
        builders: dict[str, Callable[[], Any]] = {
            "account": lambda: account_payload(cloud),
            "project": lambda: project_payload(cloud, job.project_id),
            "environment": lambda: environment_payload(cloud, job),
            "custom_environment_variables": list,
            "most_recent_run": lambda: self._recent_run(job, request, completed=False),
            "most_recent_completed_run": lambda: self._recent_run(job, request, completed=True),
        }
        wanted = {name: build() for name, build in builders.items() if name in related}
        return {**job_payload(cloud, job), **wanted}

    def _recent_run(
        self, job: SandboxJob, request: Request, *, completed: bool
    ) -> dict[str, Any] | None:
        runs = reversed(self._cloud.ledger(job.id).by_id())
        run = next((run for run in runs if not (completed and run.in_progress)), None)
        return run_payload(self._cloud, run, str(request.base_url), ()) if run else None
