"""The sandbox's own endpoints, outside of the API: faults and recorded requests."""

from dataclasses import asdict
from http import HTTPStatus

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dbt_trigger_dagster.sandbox.account.errors import invalid
from dbt_trigger_dagster.sandbox.account.faults import Fault, FaultBoard

_FAULT = TypeAdapter(Fault)


class ControlRoutes:
    """Injects and lifts faults, and tells which requests came."""

    def __init__(self, board: FaultBoard) -> None:
        self._board = board

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/sandbox/faults", self._inject, methods=["POST"]),
            Route("/sandbox/faults", self._clear, methods=["DELETE"]),
            Route("/sandbox/requests", self._requests, methods=["GET"]),
        ]

    async def _inject(self, request: Request) -> Response:
        try:
            fault = _FAULT.validate_json(await request.body(), strict=True)
        except ValidationError as error:
            problems = (f"{_field(each)}{each['msg']}" for each in error.errors())
            raise invalid("; ".join(problems)) from error
        self._board.inject(fault)
        return JSONResponse(asdict(fault), status_code=HTTPStatus.CREATED)

    async def _clear(self, _: Request) -> Response:
        self._board.clear()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _requests(self, _: Request) -> Response:
        return JSONResponse([asdict(request) for request in self._board.requests])


def _field(error: ErrorDetails) -> str:
    return f"{error['loc'][0]}: " if error["loc"] else ""
