"""The pages of the account, its jobs and its runs: plain HTML, without a token and without scripts.

Served to this machine only, see ``access``; they show, and change nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.templating import Jinja2Templates

from dbt_trigger_dagster.dbt_cloud.text import lines
from dbt_trigger_dagster.sandbox.account.artifacts import as_response
from dbt_trigger_dagster.sandbox.account.cloud import Cloud
from dbt_trigger_dagster.sandbox.account.errors import ApiError, not_found
from dbt_trigger_dagster.sandbox.account.logs import read_tail
from dbt_trigger_dagster.sandbox.account.runs import Run, Step
from dbt_trigger_dagster.sandbox.account.timestamps import humanized
from dbt_trigger_dagster.sandbox.pages.addresses import (
    account_address,
    artifact_address,
    job_address,
    run_address,
)

MOST_RUNS = 100
"""Most runs that a page lists."""

_Endpoint = Callable[[Request], Awaitable[Response]]
_ALL = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_PAGE = {
    **_ALL,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}
# dbt's docs are an artifact: a page with scripts of its own, which reads the artifacts beside it.
_ARTIFACT = {
    **_ALL,
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


class Pages:
    """What a browser gets."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._templates = Jinja2Templates(env=_environment(cloud))

    def routes(self) -> list[Route | Mount]:
        """Return the routes, from the root on."""
        project = "/{account_id:id}/projects/{project_id:id}"
        endpoints: dict[str, _Endpoint] = {
            "/{account_id:id}/": self._account,
            f"{project}/jobs/{{job_id:id}}/": self._job,
            f"{project}/runs/{{run_id:id}}/": self._run,
            f"{project}/runs/{{run_id:id}}/artifacts/{{path:path}}": self._artifact,
        }
        below = [Route(path, self._told(each), methods=["GET"]) for path, each in endpoints.items()]
        return [Route("/", self._root, methods=["GET"]), Mount("/deploy", app=Router(below))]

    def _told(self, endpoint: _Endpoint) -> _Endpoint:
        """An endpoint whose refusals are pages, too."""

        async def answer(request: Request) -> Response:
            try:
                if request.path_params.get("account_id", self._cloud.account_id) != (
                    self._cloud.account_id
                ):
                    raise not_found()
                return await endpoint(request)
            except ApiError as error:
                return self._page(request, "missing.html", error.status)

        return answer

    def _page(
        self, request: Request, template: str, status: HTTPStatus = HTTPStatus.OK, **values: Any
    ) -> Response:
        return self._templates.TemplateResponse(
            request, template, {"cloud": self._cloud, **values}, status, _PAGE
        )

    async def _root(self, _: Request) -> Response:
        return RedirectResponse(account_address(self._cloud.account_id))

    async def _account(self, request: Request) -> Response:
        jobs = [(job, self._cloud.latest_run(job)) for job in self._cloud.jobs.values()]
        return self._page(request, "account.html", jobs=jobs, runs=self._newest_runs(None))

    async def _job(self, request: Request) -> Response:
        job = self._cloud.job(request.path_params["job_id"])
        return self._page(request, "job.html", job=job, runs=self._newest_runs(job.id))

    async def _run(self, request: Request) -> Response:
        run = self._cloud.run(request.path_params["run_id"])
        artifacts = run.artifacts_at(None)
        paths = await asyncio.to_thread(artifacts.paths) if artifacts else []
        logs = {step.id: await asyncio.to_thread(_log, step) for step in run.steps}
        return self._page(
            request,
            "run.html",
            run=run,
            blocker=self._cloud.blocker_of(run),
            logs=logs,
            files=[path for path in paths if "/" not in path],
            deeper=[path for path in paths if "/" in path],
        )

    async def _artifact(self, request: Request) -> Response:
        artifacts = self._cloud.run(request.path_params["run_id"]).artifacts_at(None)
        path = request.path_params["path"]
        content = artifacts.find(path) if artifacts else None
        if content is None:
            raise not_found()
        response = as_response(path, content)
        response.headers.update(_ARTIFACT)
        return response

    def _newest_runs(self, job_id: int | None) -> list[Run]:
        return list(islice(reversed(self._cloud.ledger(job_id).by_id()), MOST_RUNS))


def _environment(cloud: Cloud) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    account_id = cloud.account_id
    environment.filters |= {
        "address_of_job": lambda job: job_address(account_id, job),
        "address_of_run": lambda run: run_address(account_id, run),
        "address_of_artifact": lambda path, run: artifact_address(account_id, run, path),
        "moment": _moment,
        "took": _took,
    }
    environment.globals |= {"account_address": account_address(account_id)}
    return environment


def _log(step: Step) -> str:
    return "\n".join(lines(read_tail(step.logs)))


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def _took(timed: Run | Step) -> str:
    """How long something took, or has been going on."""
    if timed.started_at is None:
        return ""
    duration = (timed.finished_at or timed.clock()) - timed.started_at
    if duration < timedelta(minutes=1):
        return f"{max(0, duration.total_seconds()):.1f} s"  # scripted runs may end in their past
    return humanized(duration)
