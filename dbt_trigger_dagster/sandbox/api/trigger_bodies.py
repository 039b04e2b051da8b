"""What may stand in the body of a trigger."""

from dataclasses import fields
from typing import Any

from dbt_trigger_dagster.sandbox.account.errors import invalid
from dbt_trigger_dagster.sandbox.account.trigger_requests import TriggerRequest
from dbt_trigger_dagster.sandbox.api.paths import LARGEST_ID
from dbt_trigger_dagster.sandbox.api.schemas import an_object, judge, read_json, too_deep

CAUSE_MAX_LENGTH = 255
_TEXT = {"type": "string", "minLength": 1}
_ID = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
_OVERRIDES: dict[str, dict[str, Any]] = {
    "cause": {**_TEXT, "maxLength": CAUSE_MAX_LENGTH},
    "generate_docs_override": {"type": "boolean"},
    "steps_override": {"type": "array", "items": _TEXT, "minItems": 1},
    "threads_override": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "timeout_seconds_override": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
}
_TRIGGER = an_object(
    {
        field.name: _OVERRIDES.get(field.name, _ID if field.name.endswith("_id") else _TEXT)
        for field in fields(TriggerRequest)
    },
    required=("cause",),
)


def read_trigger_request(body: bytes) -> TriggerRequest:
    """Read the body of a trigger.

    Raises:
        ApiError: Something in the body is missing, unknown or cannot be accepted.
    """
    content = read_json(body)
    if isinstance(content, dict):  # clients send null for what they do not override
        content = {name: value for name, value in content.items() if value is not None}
    try:
        judge(_TRIGGER, content)
    except RecursionError as error:  # its message would repeat the whole of it
        raise too_deep() from error
    if {"git_branch", "git_sha"} <= content.keys():
        raise invalid("git_branch and git_sha cannot both be given")
    if "steps_override" in content:
        content["steps_override"] = tuple(content["steps_override"])
    return TriggerRequest(**content)
