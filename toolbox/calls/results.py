"""Results, held to what their tools promise: JSON that fits the output schema. Pure module: no I/O."""

from typing import Any

import msgspec
from msgspec import UNSET, structs

from toolbox.definitions import ToolDefinition, ToolResult, find_non_finite
from toolbox.tools.arguments import compile_schema, find_violations

MAX_RESULT_BYTES = 32 * 1024 * 1024
"""The largest result that is given, kept and checked at all; whoever has more gives links."""
MAX_NAMED = 3
"""Broken places that are named: the rest says no more about the tool."""


def is_too_large(result: ToolResult) -> bool:
    """Whether a result has more than MAX_RESULT_BYTES; what is no JSON is for others to complain of."""
    size = 0
    for part in result.content:
        size += len(getattr(part, "text", None) or getattr(part, "data", None) or "")
        resource = getattr(part, "resource", None)
        size += len(resource.text or resource.blob or "") if resource else 0
    return size > MAX_RESULT_BYTES


class ResultTooLarge(Exception):
    """A value has more than MAX_RESULT_BYTES as JSON."""


class ResultChecker:
    """Says what is wrong with results; validators are built once for each definition."""

    def __init__(self) -> None:
        self._validators = dict[str, tuple[ToolDefinition, Any]]()

    def check(self, definition: ToolDefinition, result: ToolResult) -> tuple[ToolResult, str | None]:
        """The result with its value where a value is promised, and what is wrong with it, if anything.

        Raises:
            ResultTooLarge: It is too large for anybody to look at it.
        """
        if result.is_error or (result.structured is UNSET and definition.output_schema is None):
            return result, None
        value = result.value
        try:
            encoded = msgspec.json.encode(value)
            if len(encoded) > MAX_RESULT_BYTES:
                raise ResultTooLarge
            if b"null" in encoded and (path := find_non_finite(value)) is not None:
                return result, f"{path or 'its value'} is NaN or infinite, unknown to JSON"
            read = msgspec.json.decode(encoded)
        except (TypeError, ValueError, RecursionError) as error:
            return result, f"it cannot be written as JSON: {error}"
        if definition.output_schema is None:
            return result, None
        violations = find_violations(self._get_validator(definition, definition.output_schema), read)
        if violations:
            places = [f"{violation.path or 'its value'}: {violation.message}" for violation in violations[:MAX_NAMED]]
            return result, f"it is not what its output schema promises: {'; '.join(places)}"
        return structs.replace(result, structured=read) if result.structured is UNSET else result, None

    def _get_validator(self, definition: ToolDefinition, schema: dict[str, Any]) -> Any:
        """Looked up by name, and by identity because a definition may change."""
        compiled_for, validator = self._validators.get(definition.name, (None, None))
        if compiled_for is not definition:
            validator = compile_schema(schema)
            self._validators[definition.name] = (definition, validator)
        return validator
