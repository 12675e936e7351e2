"""What msgspec says of a value that does not fit, for those who wrote it: they write JSON or TOML, and not Python."""

import re
from typing import Any

import msgspec
from msgspec import inspect

_PLAIN_WORDS = {
    "'data'": "it is empty; send a JSON object",
    "Object contains unknown field ": "there is no field ",
    "Object missing required field ": "it lacks the field ",
    "Invalid enum value ": "it may not be ",
    "Invalid RFC3339 encoded datetime": "expected a time, as 2026-01-31T12:00:00Z",
}
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "datetime": "a time, as 2026-01-31T12:00:00Z",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def say_plainly(message: str, choices: tuple[Any, ...] = ()) -> str:
    """The same without msgspec's names for types, and with the values that there are to choose from."""
    if message.startswith("Expected"):
        named = re.sub("`([a-z |]+)`", lambda match: " or ".join(_name_types(match[1])), message)
        return named.replace("Expected", "expected").replace(" matching regex ", " that matches ")
    for said, plain in _PLAIN_WORDS.items():
        if message.startswith(said):
            allowed = f"; allowed are {', '.join(map(str, choices))}" if choices else ""
            return plain + message.removeprefix(said) + allowed
    return message


def not_json(said: str) -> str:
    """What msgspec says of JSON that it cannot read."""
    if "truncated" in said:
        return "it ends in the middle of the JSON"
    if "out of range" in said:
        return "it holds a number that is too large"
    return f"it is not JSON: {said.removeprefix('JSON is malformed: ')}"


def explain(error: msgspec.ValidationError, shape: Any, root: str = "") -> str:
    """Where and what, in one sentence: "rules.include[0]: there is no field `nam`"; `root` says what all of it is."""
    path, said = locate(error, shape)
    where = path if not root else f"{root}.{path}" if path else root
    return f"{where}: {said}" if where else said


def locate(error: msgspec.ValidationError, shape: Any) -> tuple[str, str]:
    """Where, as in `rules.include[0]` (empty for all of it), and what."""
    message, _, place = str(error).partition(" - at ")
    path = place.strip("`").removeprefix("$").removeprefix(".")
    return path, say_plainly(message, find_choices(shape, path) if message.startswith("Invalid enum") else ())


def find_choices(shape: Any, path: str) -> tuple[Any, ...]:
    """The values that may stand at a place of what a type describes; none if it is not a choice between some."""
    try:
        found = [inspect.type_info(shape)]
    except TypeError:  # a type that msgspec does not know by itself
        return ()
    for step in re.findall(r"[^.\[\]]+|\[[^\]]*\]", path):
        found = [inner for each in _alternatives(found) for inner in _members(each, step)]
    return tuple(value for each in _alternatives(found) for value in getattr(each, "values", ()))


def _alternatives(found: list[inspect.Type]) -> list[inspect.Type]:
    """Each type, with those of a union in its place, and without what is said about it."""
    plain = [each.type if isinstance(each, inspect.Metadata) else each for each in found]
    return [inner for each in plain for inner in (each.types if isinstance(each, inspect.UnionType) else (each,))]


def _members(kind: inspect.Type, step: str) -> list[inspect.Type]:
    if isinstance(kind, inspect.StructType):
        return [field.type for field in kind.fields if field.encode_name == step]
    if isinstance(kind, inspect.DictType):
        return [kind.value_type]
    if isinstance(kind, inspect.ListType | inspect.VarTupleType | inspect.SetType | inspect.FrozenSetType):
        return [kind.item_type]
    return []


def _name_types(types: str) -> list[str]:
    return [_TYPES.get(name, name) for name in types.split(" | ")]
