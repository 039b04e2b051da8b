"""What goes wrong in the sandbox: requests it refuses, and set-ups it cannot start with.

- ``SandboxError``: the sandbox cannot start or run as asked; the text is one clear sentence.
- ``ApiError``: a request is answered with one of dbt Cloud's error bodies.
"""

from http import HTTPStatus
from typing import Any

NOT_FOUND = (
    "The requested resource was not found. Please check that you have the proper permissions."
)
INVALID = "The request was invalid. Please double check the provided data and try again."


class SandboxError(Exception):
    """The sandbox cannot start as asked."""


class ApiError(Exception):
    """A request is refused, in the words of dbt Cloud."""

    def __init__(self, status: HTTPStatus, user_message: str, data: Any = None) -> None:
        super().__init__(user_message)
        self.status = status
        self.user_message = user_message
        self.data = data


def not_found() -> ApiError:
    """Return the error for an id or a path that does not exist."""
    return ApiError(HTTPStatus.NOT_FOUND, NOT_FOUND)


def invalid(data: dict[str, str] | str) -> ApiError:
    """Return the error for a query or body that cannot be accepted; ``data`` says why."""
    return ApiError(HTTPStatus.BAD_REQUEST, INVALID, data)
