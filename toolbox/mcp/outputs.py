"""Output schemas: wrapped for versions that know only objects, and checked before a promise is broken.

Pure module: no I/O.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, structs

from toolbox.definitions import TextContent, ToolDefinition, ToolResult
from toolbox.tools.arguments import compile_schema

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


class OutputChecker:
    """Holds tools to what they promise; validators are built once for each definition."""

    def __init__(self) -> None:
        self._validators = dict[str, tuple[ToolDefinition, Any]]()

    def check(self, outcome: Outcome) -> Outcome:
        """The outcome, or the failure that it is when a result does not fit the schema that its tool promises."""
        definition, result = outcome.definition, outcome.result
        if definition is None or definition.output_schema is None or result.is_error:
            return outcome
        try:
            value = msgspec.to_builtins(result.value)
            fits = self._get_validator(definition, definition.output_schema).is_valid(value)
        except (TypeError, ValueError, RecursionError):  # not JSON at all
            fits = False
        if not fits:
            broken = TextContent(f"{definition.name} answered with something else than its output schema promises")
            return Outcome(ToolResult((*result.content, broken), is_error=True), definition)
        if result.structured is UNSET:
            return Outcome(structs.replace(result, structured=value), definition)
        return outcome

    def _get_validator(self, definition: ToolDefinition, schema: dict[str, Any]) -> Any:
        compiled_for, validator = self._validators.get(definition.name, (None, None))
        if validator is None or compiled_for is not definition:
            validator = compile_schema(schema)
            self._validators[definition.name] = (definition, validator)
        return validator
