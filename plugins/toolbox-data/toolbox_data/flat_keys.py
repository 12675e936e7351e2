r"""Nested JSON to a flat object with path-like keys, and back, without loss.

A path is keys joined by the separator, with array positions in brackets: `users[0].name`. Brackets keep arrays apart
from objects whose keys are numbers. A separator, bracket or backslash that belongs to a key is written with a
backslash before it, so that every path leads back to exactly one place.
"""

import functools
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

import toolbox
from toolbox_data.conventions import CATEGORY, MAX_CHARACTERS, MAX_DEPTH, MAX_VALUES, PURE
from toolbox_data.values import require_json, shown

Separator = Annotated[str, Meta(min_length=1, max_length=1, pattern=r"[^\\\[\]]")]

MAX_STEPS = 2 * MAX_VALUES
"""Steps of all paths together: each may become an object of its own."""

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

Step: TypeAlias = str | int


@toolbox.tool(
    title="Flatten nested JSON",
    category=CATEGORY,
    tags=["json", "flatten", "nested", "dotted-keys", "transform"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="flatten this nested JSON into dotted keys",
            arguments={"value": {"user": {"name": "Ann", "langs": ["en", "it"]}, "active": True}},
            result={"user.name": "Ann", "user.langs[0]": "en", "user.langs[1]": "it", "active": True},
        ),
        toolbox.ToolExample(
            query="make a nested config one level deep, keep lists as they are and join keys with underscores",
            arguments={"value": {"db": {"host": "x", "ports": [1, 2]}}, "separator": "_", "arrays": "keep"},
            result={"db_host": "x", "db_ports": [1, 2]},
        ),
    ],
)
def flatten(
    value: dict[str, Any] | list[Any],
    separator: Separator = ".",
    arrays: Literal["index", "keep"] = "index",
) -> dict[str, Any]:
    r"""Flatten nested JSON into one level with dotted keys, such as user.name or items[0].price.

    `unflatten` with the same separator gives the nested value back. Empty objects and arrays stay as values. A
    separator, bracket or backslash inside a key gets a backslash before it: the key `a.b` becomes `a\.b`. An empty
    key, or an empty array at the top, cannot be written as a path and is an error.

    Args:
        value: The JSON object or array to flatten.
        separator: The character between two keys; not a bracket or backslash.
        arrays: "index" gives each element a key with its position in brackets; "keep" leaves arrays as values.
    """
    require_json(value, "value")
    if isinstance(value, list) and (arrays == "keep" or not value):
        raise toolbox.ToolError("an array at the top cannot be kept as a value and has no key if it is empty")
    flat: dict[str, Any] = {}
    characters = 0
    for path, leaf in _leaves(value, "", separator, arrays):
        characters += len(path)
        if characters > MAX_CHARACTERS:  # a long key is repeated in the path of each value below it
            raise toolbox.ToolError(f"the flat keys would have more than {MAX_CHARACTERS:,} characters; flatten parts")
        flat[path] = leaf
    return flat


@toolbox.tool(
    title="Unflatten dotted keys",
    category=CATEGORY,
    tags=["json", "unflatten", "nested", "dotted-keys", "transform"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="turn dotted keys back into nested JSON",
            arguments={"flat": {"user.name": "Ann", "user.langs[0]": "en", "user.langs[1]": "it"}},
            result={"user": {"name": "Ann", "langs": ["en", "it"]}},
        ),
        toolbox.ToolExample(
            query="build a nested object from keys separated by slashes",
            arguments={"flat": {"server/host": "localhost", "server/port": 80}, "separator": "/"},
            result={"server": {"host": "localhost", "port": 80}},
        ),
    ],
)
def unflatten(flat: dict[str, Any], separator: Separator = ".") -> Any:
    r"""Build nested JSON from a flat object with dotted keys, such as user.name or items[0].price.

    The reverse of `flatten`. Numbers in brackets are array positions and must be complete from 0; a number between
    separators is an ordinary key. Paths that contradict each other (`a` and `a.b`) are an error that names them.

    Args:
        flat: An object whose keys are paths.
        separator: The character between two keys; not a bracket or backslash. In a key itself it is written with a
            backslash before it.
    """
    require_json(flat, "flat")
    root, steps_in_all = _Branch(), 0
    for path, value in flat.items():
        steps = _read_path(path, separator)
        steps_in_all += len(steps)
        if steps_in_all > MAX_STEPS:
            raise toolbox.ToolError(f"the paths have more than {MAX_STEPS:,} steps in all; unflatten parts")
        _plant(root, steps, value, path)
    result = _grown(root, "the top")
    require_json(result, "the result")
    return result


def _leaves(value: Any, path: str, separator: str, arrays: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, child in value.items():
            if not key:
                where = f"the object at {shown(path)}" if path else "the top object"
                raise toolbox.ToolError(f"{where} has an empty key, which cannot be written as a path")
            step = re.sub(rf"[{re.escape(separator)}\[\]\\]", r"\\\g<0>", key)
            yield from _leaves(child, f"{path}{separator}{step}" if path else step, separator, arrays)
    elif isinstance(value, list) and value and arrays == "index":
        for position, child in enumerate(value):
            yield from _leaves(child, f"{path}[{position}]", separator, arrays)
    elif path:  # only an empty object at the top has no path
        yield path, value


def _read_path(path: str, separator: str) -> list[Step]:
    """The steps of a path, outermost first: keys as texts, array positions as integers."""
    whole_path, one_step = _grammar(separator)
    if not whole_path.fullmatch(path):
        raise toolbox.ToolError(
            f"the key {shown(path)} is no path: write keys with {separator!r} between them and array positions as [0]; "
            rf"{separator} [ ] \ inside a key need a backslash before them"
        )
    steps = [
        int(match["position"]) if match["position"] else _ESCAPED.sub(r"\1", match["key"])
        for match in one_step.finditer(path)
    ]
    if len(steps) > MAX_DEPTH:
        raise toolbox.ToolError(f"the key {shown(path)} has more than {MAX_DEPTH} steps")
    return steps


@functools.lru_cache(maxsize=16)
def _grammar(separator: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What a whole path looks like, and one step of it."""
    special = re.escape(f"{separator}[]\\")
    key = rf"(?:[^{special}]|\\[{special}])+"
    position = r"(?:0|[1-9][0-9]{0,5})"
    whole_path = rf"(?:{key}|\[{position}\])(?:{re.escape(separator)}{key}|\[{position}\])*"
    return re.compile(whole_path), re.compile(rf"(?P<key>{key})|\[(?P<position>{position})\]")


class _Branch(dict[Step, Any]):
    """An object or array that paths lead through, as opposed to one that stands as a value at the end of a path."""


def _plant(root: _Branch, steps: list[Step], value: Any, path: str) -> None:
    branch = root
    for step in steps[:-1]:
        child = branch.setdefault(step, _Branch())
        if not isinstance(child, _Branch):
            raise toolbox.ToolError(
                f"{shown(path)} leads through {shown(str(step))}, to which another key gives a value"
            )
        branch = child
    if steps[-1] in branch:
        raise toolbox.ToolError(
            f"{shown(path)} gives a value to {shown(str(steps[-1]))}, through which another key leads"
        )
    branch[steps[-1]] = value


def _grown(branch: _Branch, where: str) -> Any:
    """The object or array that a branch stands for."""
    children = {
        step: _grown(child, shown(str(step))) if isinstance(child, _Branch) else child for step, child in branch.items()
    }
    positions = [step for step in children if isinstance(step, int)]
    if not positions:
        return children
    if len(positions) < len(children):
        raise toolbox.ToolError(f"{where} has both keys and array positions")
    missing = next((position for position in range(len(children)) if position not in children), None)
    if missing is not None:
        raise toolbox.ToolError(f"the array at {where} has position {max(positions)} but lacks position {missing}")
    return [children[position] for position in range(len(children))]
