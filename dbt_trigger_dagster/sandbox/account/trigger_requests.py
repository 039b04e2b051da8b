"""The body of a trigger: what may stand in it, and what dbt Cloud says of one that may not."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from dbt_trigger_dagster.sandbox.account.errors import invalid, unexpected_keys

CAUSE_MAX_LENGTH = 255


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """What a run is asked to do, under the API's own names; ``None`` overrides nothing."""

    cause: str
    git_sha: str | None = None
    git_branch: str | None = None
    azure_pull_request_id: int | None = None
    github_pull_request_id: int | None = None
    gitlab_merge_request_id: int | None = None
    non_native_pull_request_id: int | None = None
    schema_override: str | None = None
    dbt_version_override: str | None = None
    threads_override: int | None = None
    target_name_override: str | None = None
    generate_docs_override: bool | None = None
    timeout_seconds_override: int | None = None
    steps_override: tuple[str, ...] | None = None


def parse_trigger_request(body: Any) -> TriggerRequest:
    """Read the body of a trigger.

    Raises:
        ApiError: Something in the body is missing, unknown or of the wrong type.
    """
    if not isinstance(body, dict):
        raise invalid(f"{body!r} is not of type 'object'")
    known = {field.name for field in fields(TriggerRequest)}
    if unknown := sorted(set(body) - known):
        raise unexpected_keys(unknown)
    given = {name: value for name, value in body.items() if value is not None}
    if problems := _problems(given):
        raise invalid(problems)
    if "steps_override" in given:
        given["steps_override"] = tuple(given["steps_override"])
    return TriggerRequest(**given)


def _problems(given: dict[str, Any]) -> dict[str, str]:
    problems = {} if "cause" in given else {"cause": "This field is required."}
    for name, value in given.items():
        if problem := _check_of(name)(value):
            problems[name] = problem
    return problems


def _check_of(name: str) -> Callable[[Any], str | None]:
    if name == "cause":
        return _cause_problem
    if name == "generate_docs_override":
        return _boolean_problem
    if name == "steps_override":
        return _steps_problem
    if name in {"threads_override", "timeout_seconds_override"} or name.endswith("_request_id"):
        return _integer_problem
    return _text_problem


def _cause_problem(value: Any) -> str | None:
    if isinstance(value, str) and len(value) > CAUSE_MAX_LENGTH:
        return f"{value!r} is too long"
    return _text_problem(value)


def _text_problem(value: Any) -> str | None:
    if not isinstance(value, str):
        return f"{value!r} is not of type 'string'"
    return None if value else f"{value!r} is too short"


def _integer_problem(value: Any) -> str | None:
    # True and False are integers to Python, but not to JSON.
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return None if is_integer else f"{value!r} is not of type 'integer'"


def _boolean_problem(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"{value!r} is not of type 'boolean'"


def _steps_problem(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(step, str) for step in value):
        return None
    return f"{value!r} is not of type 'array' of strings"
