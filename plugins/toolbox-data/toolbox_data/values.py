"""JSON values as Python holds them: walk over all of one, and refuse what is too large or has no JSON form."""

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import toolbox
from toolbox_data.conventions import MAX_CHARACTERS, MAX_DEPTH, MAX_VALUES
from toolbox_data.pointers import write_pointer

Place: TypeAlias = "tuple[Place, str | int] | None"
"""Where a value is: the place of its parent and the step from there. A link costs less than a path for each value."""

MAX_INTEGER_BITS = 1024
"""What a 64-bit float can reach. Python prints longer integers slowly and most readers of JSON refuse them."""


def require_json(value: Any, name: str) -> None:
    """Refuse a value that is too large, too deep, or cannot be written as JSON.

    Raises:
        ToolError: Says what is wrong, and where as a JSON Pointer; `name` is what the caller knows the value by.
    """
    for place, item in walk(value, name):
        if problem := _problem(item):
            where = shown(write_pointer(steps_to(place))) if place else "the top"
            raise toolbox.ToolError(f"{name} has {problem} at {where}, which JSON cannot hold")


def walk(value: Any, name: str) -> Iterator[tuple[Place, Any]]:
    """Give each value inside a value, itself first, with its place.

    Raises:
        ToolError: The value is larger than the limits in `conventions`.
    """
    # Not recursive: shared parts (of YAML aliases, say) may unfold to any depth, and the limits must stop that.
    pending: list[tuple[Place, Any, int]] = [(None, value, 0)]
    values, characters = 1, 0
    while pending:
        place, item, depth = pending.pop()
        yield place, item
        if isinstance(item, str):
            characters += len(item)
        elif isinstance(item, dict | list):
            children = item.items() if isinstance(item, dict) else enumerate(item)
            values += len(item)
            characters += sum(len(key) for key in item if isinstance(key, str)) if isinstance(item, dict) else 0
            if item and depth == MAX_DEPTH:
                raise toolbox.ToolError(f"{name} nests more than {MAX_DEPTH} levels deep")
            if values <= MAX_VALUES:
                pending.extend(((place, step), child, depth + 1) for step, child in children)
        if values > MAX_VALUES or characters > MAX_CHARACTERS:
            raise toolbox.ToolError(
                f"{name} is too large: at most {MAX_VALUES:,} values and {MAX_CHARACTERS:,} characters"
            )


def steps_to(place: Place) -> list[str | int]:
    """The keys and array positions that lead to a place, outermost first."""
    steps: list[str | int] = []
    while place:
        place, step = place
        steps.append(step)
    return steps[::-1]


def shown(text: str) -> str:
    """A text of the caller as an error message shows it: quoted, and cut if it is long."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}..."


def has_half_character(text: str) -> bool:
    """Whether a text has half of a surrogate pair: JSON can escape one (RFC 8259, 8.2), UTF-8 cannot carry it."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _problem(item: Any) -> str | None:
    """What about this one value JSON cannot hold."""
    match item:
        case float() if not math.isfinite(item):
            return f"the number {item}"
        case int() if item.bit_length() > MAX_INTEGER_BITS:
            return f"a number of more than {MAX_INTEGER_BITS} bits"
        case str() if has_half_character(item):
            return "half of a surrogate pair in a text"
        case dict() if any(not isinstance(key, str) or has_half_character(key) for key in item):
            return "a key that is not text, or has half of a surrogate pair"
        case None | bool() | int() | float() | str() | list() | dict():
            return None
    return f"a value of type {type(item).__name__}"
