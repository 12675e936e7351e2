"""Whether a schema can be used: it is small enough to be handled safely, and compiles without fetching anything."""

import math
from collections.abc import Callable, Collection
from typing import Any

from jsonschema_rs import Draft202012Validator, ReferencingError, ValidationError, Validator, validator_for

from toolbox.definitions import TOOL_NAME, ToolDefinition
from toolbox.errors import InvalidDefinition
from toolbox.tools.references import check_expansion

MAX_DEPTH = 64
"""How deep a schema may be nested, in JSON values: the walk takes five Python frames a level, and has 1,000 in all."""
MAX_VALUES = 20_000
"""How many JSON values a schema may hold; compiling takes quadratic time in a chain of references."""
MAX_INTEGER_BITS = 8192
"""How large an integer may be: Python refuses to write those of more than 4,300 digits, and so would any message."""


def check_extent(value: object, what: str = "the schema") -> None:
    """Refuse what is no JSON value, or is nested too deeply or too large to be handled safely.

    Raises:
        InvalidDefinition: Says which.
    """
    level: list[object] = [value]
    depth = count = 0
    while level:
        depth += 1
        count += len(level)
        if depth > MAX_DEPTH:
            raise InvalidDefinition(f"{what} is nested more than {MAX_DEPTH} levels deep")
        if count > MAX_VALUES:
            raise InvalidDefinition(f"{what} holds more than {MAX_VALUES:,} values")
        level = [member for current in level for member in _members_of(current, what)]


def _members_of(value: object, what: str) -> Collection[object]:
    if value is None or isinstance(value, str):
        return ()
    if isinstance(value, int):
        if value.bit_length() > MAX_INTEGER_BITS:
            raise InvalidDefinition(f"{what} holds an integer of more than {MAX_INTEGER_BITS:,} bits")
        return ()
    if isinstance(value, dict):
        if not all(issubclass(kind, str) for kind in set(map(type, value))):
            raise InvalidDefinition(f"{what} has a key that is not text")
        return value.values()
    if isinstance(value, list):
        return value
    if not isinstance(value, float):
        raise InvalidDefinition(f"{what} holds a value that is not JSON: {type(value).__name__}")
    if not math.isfinite(value):
        raise InvalidDefinition(f"{what} holds {value}, which JSON cannot say")
    return ()


def compile_error(schema: dict[str, Any], compiler: Callable[..., Validator] = Draft202012Validator) -> str | None:
    """Why a schema does not compile, or None; `validator_for` as compiler takes the `$schema` at its word.

    `jsonschema_rs.meta` is not used: it fetches the `$schema` that a schema names.
    """
    try:
        compiler(schema, offline=True)
        check_expansion(schema)
    except InvalidDefinition as error:
        return error.message
    except ValidationError as error:
        return f"{'/'.join(map(str, error.instance_path)) or 'root'}: {error.message[:200]}"
    except (ReferencingError, ValueError) as error:  # a lone surrogate is a ValueError
        return str(error)[:200]
    return None


def check_definition(definition: ToolDefinition) -> None:
    """Refuse a definition that somebody has written by hand, where it cannot be used.

    Raises:
        InvalidDefinition: The name is none, a part of it is too large or no JSON, or a schema is not valid.
    """
    if not TOOL_NAME.fullmatch(definition.name):
        raise InvalidDefinition(f"the name {definition.name[:100]!r} is none: letters, digits, _ and -, at most 64")
    if definition.timeout_seconds is not None and not 0 < definition.timeout_seconds < math.inf:
        raise InvalidDefinition(f"{definition.name}: timeout_seconds must be above 0")
    for what in ("input_schema", "output_schema", "metadata"):
        check_extent(getattr(definition, what), f"{definition.name}: the {what.replace('_', ' ')}")
    check_schemas(definition)


def check_schemas(definition: ToolDefinition) -> None:
    """Refuse schemas that no validator could use.

    Raises:
        InvalidDefinition: A schema is not valid in its draft, or the input's root is no object.
    """
    if definition.input_schema.get("type") != "object":
        raise InvalidDefinition(f"{definition.name}: the input schema's root must have type object")
    for what, schema in (("input", definition.input_schema), ("output", definition.output_schema)):
        error = None if schema is None else compile_error(schema, validator_for)
        if error is not None:
            raise InvalidDefinition(f"{definition.name}: the {what} schema is not JSON Schema: {error}")
