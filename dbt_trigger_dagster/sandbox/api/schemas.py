"""Judges bodies and queries by JSON schemas, in the words that dbt Cloud uses, jsonschema's."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from dbt_trigger_dagster.sandbox.account.errors import ApiError, invalid
from dbt_trigger_dagster.sandbox.account.timestamps import parse_timestamp

try:
    from jsonschema import Draft4Validator, FormatChecker
    from jsonschema.protocols import Validator
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "The extra 'sandbox' brings what the sandbox needs: pip install '.[sandbox]'."
    ) from error


def _is_timestamp(value: object) -> bool:
    return not isinstance(value, str) or bool(parse_timestamp(value))


_formats = FormatChecker(formats=())
_formats.checks("date-time", raises=ValueError)(_is_timestamp)


class QuerySchema:
    """The keys that a query may have, each with the schema of its value."""

    def __init__(self, properties: Mapping[str, Mapping[str, Any]]) -> None:
        self._properties = properties
        self._validator = an_object(properties)

    def read(self, query: QueryParams) -> dict[str, Any]:
        """Read a query.

        Raises:
            ApiError: A key is unknown, or a value cannot be accepted.
        """
        values = {key: self._value(key, query.getlist(key)) for key in query}
        judge(self._validator, values)
        return values

    def _value(self, key: str, texts: list[str]) -> Any:
        if len(texts) > 1:  # an array is one JSON list, never a repeated key
            return [texts]
        schema = self._properties.get(key, {})
        if "enum" in schema or schema.get("type") == "string":
            return texts[0]
        try:
            return json.loads(texts[0].lower() if schema.get("type") == "boolean" else texts[0])
        except (ValueError, RecursionError):
            return texts[0]


def an_object(
    properties: Mapping[str, Mapping[str, Any]], required: tuple[str, ...] = ()
) -> Validator:
    """Return what judges an object that has these properties and no others."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
    }
    if required:
        schema["required"] = list(required)
    # Draft 4, because to later ones 1.0 is an integer.
    return Draft4Validator(schema, format_checker=_formats)


def judge(validator: Validator, instance: Any) -> None:
    """Refuse what a schema does not allow.

    Raises:
        ApiError: It does not; the error names each field that is wrong.
    """
    errors = list(validator.iter_errors(instance))
    for error in errors:
        if not error.absolute_path:
            raise invalid(error.message)
    if errors:
        raise invalid({str(error.absolute_path[0]): error.message for error in errors})


def read_json(body: bytes) -> Any:
    """Read a body of JSON.

    Raises:
        ApiError: It is none, or has text that no answer could repeat.
    """
    try:
        content = json.loads(body)
        json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair cannot be written
    except UnicodeEncodeError as error:
        raise invalid("JSON parse error - Unpaired surrogate in a string") from error
    except ValueError as error:  # a number may have too many digits
        raise invalid(f"JSON parse error - {error}") from error
    except RecursionError as error:
        raise too_deep() from error
    return content


def too_deep() -> ApiError:
    """Return the error for JSON that is nested too deeply."""
    return invalid("JSON parse error - Nested too deeply")
