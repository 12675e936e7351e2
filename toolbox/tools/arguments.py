"""Arguments against a schema: what is wrong, each with its path."""

from typing import Any

import jsonschema_rs
import msgspec

from toolbox.errors import Violation

MAX_VIOLATIONS = 20
MAX_ARGUMENT_BYTES = 8 * 1024 * 1024
"""The largest arguments that a call takes, as JSON, wherever they come from: a request, a task, another tool."""


def measure(arguments: Any) -> int:
    """How many bytes arguments have as JSON; 0 for what is none, which others complain of."""
    try:
        return len(msgspec.json.encode(arguments))
    except (TypeError, ValueError, RecursionError):
        return 0


def compile_schema(schema: dict[str, Any]) -> Any:
    """A validator of the schema's own draft, 2020-12 if it names none; nothing is ever fetched."""
    return jsonschema_rs.validator_for(schema, offline=True)


def find_violations(validator: Any, arguments: Any) -> list[Violation]:
    """The first MAX_VIOLATIONS things wrong; empty if all fits. A missing or unknown property is named by its path."""
    violations: list[Violation] = []
    try:
        if validator.is_valid(arguments):
            return []
        for error in validator.iter_errors(arguments):
            violations += _explain(error)
            if len(violations) >= MAX_VIOLATIONS:
                break
    except ValueError:  # the validator goes only so deep
        return [Violation("", "it is nested too deeply")]
    return list(dict.fromkeys(violations))[:MAX_VIOLATIONS]


def _explain(error: Any) -> list[Violation]:
    pointer = "".join(f"/{_escape(part)}" for part in error.instance_path)
    if error.kind.name == "required":
        return [Violation(f"{pointer}/{_escape(error.kind.property)}", "it is required")]
    if error.kind.name == "additionalProperties":
        return [Violation(f"{pointer}/{_escape(name)}", "there is no such property") for name in error.kind.unexpected]
    if error.kind.name in {"anyOf", "oneOf"} and (meant := _find_meant(error)):
        return [violation for one in meant for violation in _explain(one)]
    if _wants_any_text(error.kind):
        return [Violation(pointer, "it is empty or blank, and must say something")]
    return [Violation(pointer, _shorten(error.message))]


def _find_meant(error: Any) -> list[Any]:
    """What is wrong by the one alternative that takes values of this type, as with a number or null; else nothing."""
    place = list(error.instance_path)
    meant = [
        errors
        for errors in getattr(error.kind, "context", ())  # a value that fits several alternatives has none
        if not any(one.kind.name == "type" and list(one.instance_path) == place for one in errors)
    ]
    return meant[0] if len(meant) == 1 else []


def _wants_any_text(kind: Any) -> bool:
    """Whether it is one of the two ways in which a schema says that a text may not be empty."""
    if kind.name == "minLength":
        return bool(kind.limit == 1)
    return bool(kind.name == "pattern" and kind.pattern == r"\S")


def _shorten(message: str) -> str:
    """The message quotes the value, however long, and says what is wrong with it at the end."""
    return message if len(message) <= 300 else f"{message[:100]} ... {message[-180:]}"


def _escape(part: str | int) -> str:
    """RFC 6901, 3."""
    return str(part).replace("~", "~0").replace("/", "~1")
