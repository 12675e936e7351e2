"""What changed between two JSON values (as in RFC 6902), and a patch merged into one (RFC 7396)."""

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import UNSET, Struct

import toolbox
from toolbox_data.conventions import CATEGORY, MAX_CHARACTERS, PURE
from toolbox_data.pointers import write_pointer
from toolbox_data.values import require_json

Path = tuple[str | int, ...]


class JsonChange(Struct, frozen=True, omit_defaults=True):
    """One operation of a JSON Patch. `old` is not part of RFC 6902, which lets readers ignore it."""

    op: Literal["add", "remove", "replace"]
    path: str
    value: Any = UNSET
    old: Any = UNSET


class JsonDifference(Struct, frozen=True):
    """The changes that turn one value into the other, to be applied in this order; none if they are equal."""

    equal: bool
    changes: list[JsonChange]


@toolbox.tool(
    title="Compare JSON",
    category=CATEGORY,
    tags=["json", "diff", "compare", "patch", "rfc6902"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="what is different between these two JSON documents",
            arguments={
                "before": {"name": "demo", "port": 80, "tags": ["a", "b", "c"]},
                "after": {"name": "demo", "port": 8080, "tags": ["a", "c"], "tls": True},
            },
            result={
                "equal": False,
                "changes": [
                    {"op": "replace", "path": "/port", "value": 8080, "old": 80},
                    {"op": "remove", "path": "/tags/1", "old": "b"},
                    {"op": "add", "path": "/tls", "value": True},
                ],
            },
        ),
        toolbox.ToolExample(
            query="are these two JSON objects equal regardless of key order",
            arguments={"before": {"a": 1, "b": [2.0]}, "after": {"b": [2], "a": 1}},
            result={"equal": True, "changes": []},
        ),
    ],
)
def diff_json(before: Any, after: Any) -> JsonDifference:
    """Compare two JSON values and list what was added, removed or replaced, as a JSON Patch.

    The changes follow RFC 6902, with the old value beside the new one; applied in order they turn the first value
    into the second. Key order does not count, and 1 equals 1.0. In an array, equal elements at both ends are matched
    and what stands between is compared in pairs, so one insertion or removal shows as one change.

    Args:
        before: The first JSON value.
        after: The second JSON value.
    """
    require_json(before, "before")
    require_json(after, "after")
    changes = []
    characters = 0
    for change in _changes(before, after, ()):
        changes.append(change)
        characters += len(change.path)
        if characters > MAX_CHARACTERS:  # a long key is repeated in the path of each change below it
            raise toolbox.ToolError(f"the paths have more than {MAX_CHARACTERS:,} characters in all; compare parts")
    return JsonDifference(equal=not changes, changes=changes)


@toolbox.tool(
    title="Merge JSON",
    category=CATEGORY,
    tags=["json", "merge", "patch", "update", "config", "rfc7396"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="merge these settings over the defaults",
            arguments={
                "target": {"theme": "light", "editor": {"tab": 4, "wrap": True}},
                "patch": {"theme": "dark", "editor": {"tab": 2}},
            },
            result={"theme": "dark", "editor": {"tab": 2, "wrap": True}},
        ),
        toolbox.ToolExample(
            query="apply a JSON merge patch that deletes a key",
            arguments={"target": {"a": 1, "b": {"c": 2}}, "patch": {"b": None, "tags": ["x"]}},
            result={"a": 1, "tags": ["x"]},
        ),
    ],
)
def merge(target: Any, patch: Any) -> Any:
    """Deep-merge a JSON object into another, as a JSON Merge Patch: update nested keys, delete those set to null.

    Follows RFC 7396: objects are merged key by key, null removes a key, and everything else, arrays included,
    replaces what was there.

    Args:
        target: The JSON value to change; it is copied, not altered.
        patch: What to change; an object, or a value that replaces the whole target.
    """
    require_json(target, "target")
    require_json(patch, "patch")
    return _merged(target, patch)


def _changes(before: Any, after: Any, path: Path) -> Iterator[JsonChange]:
    match before, after:
        case dict(), dict():
            yield from _object_changes(before, after, path)
        case list(), list():
            yield from _array_changes(before, after, path)
        case _ if not _same(before, after):
            yield JsonChange("replace", write_pointer(path), value=after, old=before)


def _object_changes(before: dict[str, Any], after: dict[str, Any], path: Path) -> Iterator[JsonChange]:
    for key, old in before.items():
        if key in after:
            yield from _changes(old, after[key], (*path, key))
        else:
            yield JsonChange("remove", write_pointer((*path, key)), old=old)
    for key, new in after.items():
        if key not in before:
            yield JsonChange("add", write_pointer((*path, key)), value=new)


def _array_changes(before: list[Any], after: list[Any], path: Path) -> Iterator[JsonChange]:
    shorter = min(len(before), len(after))
    start = next((i for i in range(shorter) if not _same(before[i], after[i])), shorter)
    rest = shorter - start
    tail = next((i for i in range(rest) if not _same(before[-1 - i], after[-1 - i])), rest)
    paired = rest - tail
    for i in range(start, start + paired):
        yield from _changes(before[i], after[i], (*path, i))
    first = start + paired
    # Removed from the back, so that each position is still the one in `before`.
    for i in reversed(range(first, len(before) - tail)):
        yield JsonChange("remove", write_pointer((*path, i)), old=before[i])
    for i in range(first, len(after) - tail):
        yield JsonChange("add", write_pointer((*path, i)), value=after[i])


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON (RFC 6902, section 4.6): numbers by value, but true is not 1, as it is in Python."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_same(child, other[key]) for key, child in one.items())
        case list(), list():
            return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _merged(target: Any, patch: Any) -> Any:
    """The pseudocode of RFC 7396, section 2, without changing the target."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, change in patch.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), change)
    return result
