"""What has changed from one JSON value to another. Pure module: no I/O."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

MAX_CHANGES = 200


class Change(Struct, frozen=True):
    """One difference: where (a JSON Pointer, RFC 6901), and both values, each where there is one."""

    kind: Literal["added", "removed", "changed"]
    path: str
    before: Any | UnsetType = UNSET
    after: Any | UnsetType = UNSET


def find_changes(before: Any, after: Any) -> list[Change]:
    """The differences in the order of their paths, members before what is in them; at most MAX_CHANGES."""
    changes: list[Change] = []
    _compare(before, after, "", changes)
    return changes[:MAX_CHANGES]


def apply_changes(value: Any, changes: list[Change]) -> Any:
    """The value with changes made that were found: what `find_changes` says is all that there is to say."""
    for change in changes:
        value = _apply(value, [_unescape(part) for part in change.path.split("/")[1:]], change)
    return value


def _compare(before: Any, after: Any, path: str, changes: list[Change]) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            where = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in after:
                changes.append(Change("removed", where, before=before[name]))
            elif name not in before:
                changes.append(Change("added", where, after=after[name]))
            else:
                _compare(before[name], after[name], where, changes)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (first, second) in enumerate(zip(before, after, strict=True)):
            _compare(first, second, f"{path}/{index}", changes)
    elif before != after or type(before) is not type(after):
        changes.append(Change("changed", path, before=before, after=after))


def _apply(value: Any, path: list[str], change: Change) -> Any:
    if not path:
        return change.after
    name, rest = path[0], path[1:]
    if isinstance(value, list):
        index = int(name)
        return [*value[:index], _apply(value[index], rest, change), *value[index + 1 :]]
    if not rest and change.kind == "removed":
        return {key: part for key, part in value.items() if key != name}
    return value | {name: _apply(value.get(name), rest, change)}


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
