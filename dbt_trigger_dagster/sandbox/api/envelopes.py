"""The bodies that dbt Cloud wraps its answers in, and those that it answers errors with."""

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dbt_trigger_dagster.sandbox.account.errors import NOT_FOUND, ApiError


def success(data: Any, extra: dict[str, Any] | None = None) -> JSONResponse:
    """Return an answer with data."""
    body = {**_status(HTTPStatus.OK, "Success!", ""), "data": data}
    return JSONResponse(body if extra is None else {**body, "extra": extra})


def refusal(_: Request, error: Exception) -> Response:
    """Answer a request that was refused."""
    if not isinstance(error, ApiError):  # Starlette types handlers by the base class
        raise error
    if error.status == HTTPStatus.BAD_REQUEST:
        body = _status(error.status, error.user_message, "")
        more = {"data": error.data, "extra": {}, "error_code": None}
        return JSONResponse({**body, **more}, status_code=error.status)
    return bare_refusal(error.status, error.user_message)


def bare_refusal(status: HTTPStatus, user_message: str) -> JSONResponse:
    """Return an error without data, as 401, 403 and 404 are."""
    body = {**_status(status, user_message, None), "data": None}
    return JSONResponse(body, status_code=status)


def unauthenticated(_: HTTPConnection, error: Exception) -> JSONResponse:
    """Answer a request whose token is missing or wrong."""
    if str(error) == MISSING_CREDENTIALS:
        return JSONResponse({"detail": MISSING_CREDENTIALS}, status_code=HTTPStatus.UNAUTHORIZED)
    return bare_refusal(HTTPStatus.UNAUTHORIZED, str(error))


def unrouted(request: Request, error: Exception) -> Response:
    """Answer a request that no route takes: a redirect to the slash that is missing, or a 404."""
    if request.url.path.startswith("/api/") and not request.url.path.endswith("/"):
        target = request.url.replace(path=request.url.path + "/")
        return RedirectResponse(str(target), status_code=HTTPStatus.PERMANENT_REDIRECT)
    del error
    return bare_refusal(HTTPStatus.NOT_FOUND, NOT_FOUND)


def wrong_method(request: Request, error: Exception) -> Response:
    """Answer a method that a route does not take, without an envelope."""
    headers = error.headers if isinstance(error, HTTPException) else None
    body = {"detail": f'Method "{request.method}" not allowed.'}
    return JSONResponse(body, status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers=headers)


def server_error(_: Request, __: Exception) -> Response:
    """Answer a request that broke the sandbox, as dbt Cloud's servers do."""
    body = {"detail": "There was a server error. Please contact support at support@getdbt.com."}
    return JSONResponse(body, status_code=HTTPStatus.INTERNAL_SERVER_ERROR)


MISSING_CREDENTIALS = "Authentication credentials were not provided."


def _status(
    status: HTTPStatus, user_message: str, developer_message: str | None
) -> dict[str, dict[str, Any]]:
    return {
        "status": {
            "code": status,
            "is_success": status < HTTPStatus.BAD_REQUEST,
            "user_message": user_message,
            "developer_message": developer_message,
        }
    }
