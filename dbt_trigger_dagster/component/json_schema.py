"""The JSON schema of a section: what editors and ``dg check yaml`` know of it."""

from typing import Any

from pydantic import BaseModel

_TEMPLATE = {"type": "string", "pattern": r"\{\{"}


def json_schema(section: type[BaseModel]) -> dict[str, Any]:
    """Pydantic's schema of a section, in which every value may be a template.

    Shaped so that a checker tells what is wrong with a value, and not that none of several schemas
    fits it.
    """
    schema = section.model_json_schema()
    for each in (schema, *schema.get("$defs", {}).values()):
        fields = each.get("properties", {})
        each["properties"] = {name: _field(field) for name, field in fields.items()}
    return schema


def _field(schema: dict[str, Any]) -> dict[str, Any]:
    about = {key: schema[key] for key in ("description", "default") if key in schema}
    kinds = [_without(each, "title") for each in schema.get("anyOf", [schema])]
    sections = [each for each in kinds if "$ref" in each or "$ref" in each.get("items", {})]
    if sections:
        return {**_without(sections[0], *about), **about}  # and not null: its fields are missing
    kind = {key: value for each in kinds for key, value in _without(each, *about).items()}
    types = [each["type"] for each in kinds if "type" in each]
    if len(types) > 1:
        kind["type"] = types
    if not types or ("string" in types and "enum" not in kind):
        return {**kind, **about}  # a template is text
    # "if" and "else", for a checker then tells what is wrong with the "else".
    return {"if": _TEMPLATE, "else": kind, **about}


def _without(schema: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in keys}
