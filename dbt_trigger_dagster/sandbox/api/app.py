"""The sandbox as an ASGI application: faults around access around the API's routes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount, Route, Router

from dbt_trigger_dagster.sandbox.account.cloud import Cloud
from dbt_trigger_dagster.sandbox.account.errors import ApiError
from dbt_trigger_dagster.sandbox.account.faults import FaultBoard
from dbt_trigger_dagster.sandbox.api.access import (
    AccountScope,
    TokenBackend,
    is_loopback,
    own_hosts,
)
from dbt_trigger_dagster.sandbox.api.account_routes import AccountRoutes, JobRoutes
from dbt_trigger_dagster.sandbox.api.connections import Connections, new_connection_state
from dbt_trigger_dagster.sandbox.api.control_routes import ControlRoutes
from dbt_trigger_dagster.sandbox.api.date_header import DateHeader
from dbt_trigger_dagster.sandbox.api.envelopes import (
    refusal,
    server_error,
    unauthenticated,
    unrouted,
    wrong_method,
)
from dbt_trigger_dagster.sandbox.api.fault_middleware import FaultMiddleware
from dbt_trigger_dagster.sandbox.api.paths import register_ids
from dbt_trigger_dagster.sandbox.api.run_routes import ArtifactRoutes, RunRoutes
from dbt_trigger_dagster.sandbox.pages.routes import Pages


def build_app(
    cloud: Cloud, board: FaultBoard, token: str, host: str, stopping: asyncio.Event
) -> Starlette:
    """Return the application that serves an account.

    Args:
        cloud: The account.
        board: Where faults come from and requests are recorded.
        token: The account's token.
        host: The address that the server listens on.
        stopping: Set when the server is to stop; ends requests that hang.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Connections]]:
        yield new_connection_state()
        await cloud.close()

    register_ids()
    app = Starlette(
        routes=[*_pages(cloud, host), _api(cloud, board, token)],
        middleware=[
            Middleware(DateHeader, clock=cloud.clock),
            Middleware(TrustedHostMiddleware, allowed_hosts=own_hosts(host), www_redirect=False),
            Middleware(FaultMiddleware, board=board, stopping=stopping),
        ],
        exception_handlers={
            ApiError: refusal,
            HTTPStatus.NOT_FOUND: unrouted,
            HTTPStatus.METHOD_NOT_ALLOWED: wrong_method,
            HTTPStatus.INTERNAL_SERVER_ERROR: server_error,
        },
        lifespan=lifespan,
    )
    # Starlette would redirect with 307; dbt Cloud does with 308, and so does "unrouted".
    app.router.redirect_slashes = False
    return app


def _pages(cloud: Cloud, host: str) -> list[Route | Mount]:
    """What a browser gets without a token: on this machine only."""
    return Pages(cloud).routes() if is_loopback(host) else []


def _api(cloud: Cloud, board: FaultBoard, token: str) -> Mount:
    accounts = AccountRoutes(cloud)
    below_account: list[Route] = [
        *accounts.routes(),
        *JobRoutes(cloud).routes(),
        *RunRoutes(cloud).routes(),
        *ArtifactRoutes(cloud).routes(),
    ]
    scope = Middleware(AccountScope, account_id=cloud.account_id)
    router = Router(below_account, redirect_slashes=False)
    routes: list[Route | Mount] = [
        *ControlRoutes(board).routes(),
        accounts.accounts_route(),
        Mount("/api/v2/accounts/{account_id:id}", app=router, middleware=[scope]),
    ]
    access = Middleware(
        AuthenticationMiddleware, backend=TokenBackend(token), on_error=unauthenticated
    )
    return Mount("", app=Router(routes, redirect_slashes=False), middleware=[access])
