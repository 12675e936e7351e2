"""What schemas become, in short."""

from typing import Any

from jsonschema_rs import Draft202012Validator

from toolbox.tools.dialects import to_json_schema


def properties_of(schema: object) -> Any:
    return to_json_schema(schema).schema["properties"]


def property_of(value: object) -> Any:
    """What a property of an otherwise valid schema becomes."""
    return properties_of({"type": "object", "properties": {"a": value}})["a"]


def kinds_of(schema: object) -> list[str]:
    return [change.kind for change in to_json_schema(schema).changes]


def accepts(schema: dict[str, Any], value: object) -> bool:
    return Draft202012Validator(schema, offline=True).is_valid(value)
