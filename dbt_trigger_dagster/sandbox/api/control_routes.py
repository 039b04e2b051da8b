"""The sandbox's own endpoints, outside of the API: faults and recorded requests."""

import json
from dataclasses import asdict, fields
from http import HTTPStatus
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dbt_trigger_dagster.sandbox.account.errors import invalid, unexpected_keys
from dbt_trigger_dagster.sandbox.account.faults import Fault, FaultBoard, FaultKind, FaultTime

_CHOICES = {
    "kind": get_args(FaultKind),
    "when": get_args(FaultTime),
    "status": range(HTTPStatus.OK, 600),
}
_TYPES: dict[str, tuple[type, ...]] = {
    "method": (str,),
    "path": (str,),
    "skip": (int,),
    "count": (int, type(None)),
    "headers": (dict,),
    "seconds": (int, float),
}


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
            fault = _parse_fault(await request.json())
        except json.JSONDecodeError as error:
            raise invalid(f"JSON parse error - {error}") from error
        self._board.inject(fault)
        return JSONResponse(asdict(fault), status_code=HTTPStatus.CREATED)

    async def _clear(self, _: Request) -> Response:
        self._board.clear()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _requests(self, _: Request) -> Response:
        return JSONResponse([asdict(request) for request in self._board.requests])


def _parse_fault(body: Any) -> Fault:
    if not isinstance(body, dict):
        raise invalid("a fault is a JSON object")
    if unknown := sorted(set(body) - {field.name for field in fields(Fault)}):
        raise unexpected_keys(unknown)
    if wrong := {name: f"{body[name]!r} is not valid" for name in body if not _fits(name, body)}:
        raise invalid(wrong)
    return Fault(**body)


def _fits(name: str, body: dict[str, Any]) -> bool:
    value = body[name]
    if name in _CHOICES:
        return value in _CHOICES[name]
    return name not in _TYPES or (isinstance(value, _TYPES[name]) and not isinstance(value, bool))
