"""Output schemas, wrapped for versions that know only objects.

Pure module: no I/O.
"""

from typing import Any

from msgspec import Struct

from toolbox.definitions import ToolDefinition, ToolResult

WRAPPER = "result"
"""The member that holds a value which is no object, where structured results must be objects."""

_DATA_KEYWORDS = frozenset({"const", "enum", "default", "examples"})
"""What is under these is data, even where it looks like a schema."""

_NAMING_KEYWORDS = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
"""Under these are schemas by name, and a name may spell any keyword."""


def is_object_schema(schema: dict[str, Any]) -> bool:
    """Whether every value of the schema is an object, said at the root, where clients of the handshake era look."""
    return schema.get("type") == "object"


def wrap_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of `{"result": value}`, where the value is one of the given schema.

    References that start at the root (RFC 6901) follow their target to its new place.
    """
    inner = _move_references(schema)
    dialect = {"$schema": inner.pop("$schema")} if "$schema" in inner and inner is not schema else {}
    return dialect | {"type": "object", "properties": {WRAPPER: inner}, "required": [WRAPPER]}


def _move_references(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_move_references(part) for part in schema]
    if not isinstance(schema, dict) or "$id" in schema:  # a schema with an $id is a root of its own
        return schema
    return {keyword: _move_references_under(keyword, value) for keyword, value in schema.items()}


def _move_references_under(keyword: str, value: Any) -> Any:
    if keyword in {"$ref", "$dynamicRef"} and isinstance(value, str):
        return f"#/properties/{WRAPPER}{value[1:]}" if value == "#" or value.startswith("#/") else value
    if keyword in _NAMING_KEYWORDS and isinstance(value, dict):
        return {name: _move_references(part) for name, part in value.items()}
    return value if keyword in _DATA_KEYWORDS else _move_references(value)


class Outcome(Struct, frozen=True):
    """What tools/call came to, and the definition of the tool whose output schema the client may have read."""

    result: ToolResult
    definition: ToolDefinition | None = None
