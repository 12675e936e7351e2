"""The keywords of JSON Schema 2020-12, and what a value means that is not quite what the keyword wants."""

import re
from collections.abc import Callable, Collection
from typing import Any, Final

from toolbox.tools.validity import compile_error

# By what their value is (2020-12 core, 10 and 11). Everything else is data, and is not looked into.
_SUBSCHEMAS = "items contains additionalProperties propertyNames not if then else contentSchema"
SCHEMAS: Final = frozenset((*_SUBSCHEMAS.split(), "unevaluatedItems", "unevaluatedProperties"))
SCHEMA_LISTS: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
SCHEMA_MAPS: Final = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
JSON_TYPES: Final = frozenset(("string", "integer", "number", "boolean", "array", "object", "null"))
_KNOWN_DRAFT: Final = re.compile(r"https?://json-schema\.org/(draft-0[467]|draft/2019-09|draft/2020-12)/schema#?")
DROP: Final = object()
"""In the place of a value that means nothing."""
ANCHOR: Final = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*")
"""What the value of `$anchor` looks like (2020-12 core, 8.2.2)."""


def read_value(keyword: str, value: Any) -> Any:
    """The value of a keyword: itself where it is valid or not ours to judge, else what it means, else DROP."""
    read = _VALUES.get(keyword)
    return read(value) if read else value


def _as_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if value and isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return str(value) if _is_number(value) else DROP


def as_flag(value: Any) -> Any:
    """Read a boolean."""
    return value if isinstance(value, bool) else from_text(value, "boolean")


def _as_number(value: Any) -> Any:
    return value if _is_number(value) else from_text(value, "number")


def _as_count(value: Any) -> Any:
    number = _as_number(value)
    return number if number is not DROP and number >= 0 and number == int(number) else DROP


def _as_divisor(value: Any) -> Any:
    number = _as_number(value)
    return number if number is not DROP and number > 0 else DROP


def as_pattern(value: Any) -> Any:
    """Read a regular expression."""
    return value if isinstance(value, str) and compile_error({"pattern": value}) is None else DROP


def _as_identifier(value: Any) -> Any:
    return value if isinstance(value, str) and compile_error({"$id": value}) is None else DROP


def _as_anchor(value: Any) -> Any:
    return value if isinstance(value, str) and ANCHOR.fullmatch(value) else DROP


def _as_reference(value: Any) -> Any:
    return value if isinstance(value, str) else DROP


def as_names(value: Any) -> Any:
    """Read a list of different names."""
    if is_names(value):
        return value
    names = [value] if isinstance(value, str) else value
    return list(dict.fromkeys(texts(names))) if isinstance(names, list) else DROP


def _as_names_by_name(value: Any) -> Any:
    if not isinstance(value, dict):
        return DROP
    names = {name: as_names(member) for name, member in value.items()}
    if all(names[name] is member for name, member in value.items()):
        return value
    return {name: member for name, member in names.items() if member is not DROP}


def _as_enum(value: Any) -> Any:
    return value if isinstance(value, list) else DROP


def _as_examples(value: Any) -> Any:
    if isinstance(value, list):
        return value
    return DROP if value is None else [value]


def as_draft(value: Any) -> Any:
    """Read `$schema`: validators look up the draft it names, and refuse or even fetch one that they do not know."""
    return value if isinstance(value, str) and _KNOWN_DRAFT.fullmatch(value) else DROP


def _as_vocabulary(value: Any) -> Any:
    return value if isinstance(value, dict) and compile_error({"$vocabulary": value}) is None else DROP


_VALUES: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("title", "description", "$comment", "format", "contentEncoding", "contentMediaType"), _as_text),
    **dict.fromkeys(("uniqueItems", "readOnly", "writeOnly", "deprecated"), as_flag),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _as_number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _as_count),
    **dict.fromkeys(("minContains", "maxContains"), _as_count),
    **dict.fromkeys(("$anchor", "$dynamicAnchor", "$recursiveAnchor"), _as_anchor),
    **dict.fromkeys(("$ref", "$dynamicRef", "$recursiveRef"), _as_reference),
    "multipleOf": _as_divisor,
    "pattern": as_pattern,
    "required": as_names,
    "dependentRequired": _as_names_by_name,
    "enum": _as_enum,
    "examples": _as_examples,
    "$id": _as_identifier,
    "$schema": as_draft,
    "$vocabulary": _as_vocabulary,
}
NEVER_OBJECTS: Final = (_VALUES.keys() | {"type"}) - {"dependentRequired", "$vocabulary"}
"""Keywords whose value is never an object."""
KEYWORDS: Final = _VALUES.keys() | SCHEMAS | SCHEMA_MAPS | SCHEMA_LISTS | {"type", "default", "const", "dependencies"}
"""All that are read here, those of older drafts among them."""


def fits(value: Any, declared: str | Collection[str]) -> bool:
    """Whether a value has the type, or one of them."""
    kinds = [declared] if isinstance(declared, str) else declared
    kind = type_of(value)
    return kind in kinds or (kind == "integer" and "number" in kinds)


def type_of(value: Any) -> str:
    """The narrowest type of a value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if value == int(value) else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object" if isinstance(value, dict) else "null"


def from_text(value: Any, declared: str | Collection[str]) -> Any:
    """The boolean or number that a text says, where the type allows it, else DROP."""
    text = value.strip().lower() if isinstance(value, str) else ""
    kinds = [declared] if isinstance(declared, str) else declared
    if text in ("true", "false") and "boolean" in kinds:
        return text == "true"
    if re.fullmatch(r"-?[0-9]{1,18}", text) and not {"integer", "number"}.isdisjoint(kinds):
        return int(text)
    if re.fullmatch(r"-?[0-9]{1,18}\.[0-9]{1,18}", text) and "number" in kinds:
        return float(text)
    return DROP


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def texts(values: list[Any]) -> list[str]:
    """The texts among several values."""
    return [value for value in values if isinstance(value, str)]


def is_names(value: Any) -> bool:
    """Whether it is a list of different texts."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)
