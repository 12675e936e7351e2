"""Names of types in other languages, read as JSON Schema: `Optional[List[str]]`, `string[]`, `varchar(255)`.

Also how they are put together: `array of strings`, `int | None`, `Map<String, Integer>`, `'asc' | 'desc'`,
`string, optional`. Pure, and a text that is no type is never an error: descriptions stand where types belong.
"""

import re
from typing import Any, Final

_TYPES: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({"type": "string"}, "string str text char character varchar nvarchar charsequence password path file"),
    ({"type": "integer"}, "integer int long short bigint biginteger smallint tinyint uint ulong"),
    ({"type": "integer"}, "int8 int16 int32 int64 uint8 uint16 uint32 uint64"),
    ({"type": "number"}, "number float double decimal bigdecimal numeric real float32 float64 num"),
    ({"type": "boolean"}, "boolean bool"),
    ({"type": "array"}, "array list tuple sequence iterable collection arraylist vector"),
    ({"type": "array", "uniqueItems": True}, "set frozenset hashset"),
    ({"type": "object"}, "object dict dictionary map hashmap mapping record struct structure"),
    ({"type": "null"}, "null none nil void nonetype undefined"),
    ({}, "any mixed unknown dynamic variant document json jsonvalue"),
    ({"type": "string", "format": "date-time"}, "datetime date-time date_time timestamp"),
    ({"type": "string", "format": "date"}, "date"),
    ({"type": "string", "format": "uuid"}, "uuid"),
    ({"type": "string", "format": "email"}, "email"),
    ({"type": "string", "format": "uri"}, "uri url"),
    ({"type": "string", "contentEncoding": "base64"}, "blob bytes binary"),
)
_TYPE_NAMES: Final = {name: schema for schema, names in _TYPES for name in names.split()}
_WRAPPERS: Final = frozenset(("annotated", "required", "notrequired", "readonly", "final"))
_TYPE_TOKEN: Final = re.compile(r"""\s*('[^']*'|"[^"]*"|[A-Za-z_][A-Za-z0-9_.-]*|-?[0-9]+|\.\.\.|[][<>()|,?])\s*""")
_CLOSING: Final = {"[": "]", "<": ">", "(": ")"}
_MAX_TYPE_LENGTH: Final = 100


def read_types(declared: Any) -> dict[str, Any] | None:
    """The schema that a type name, or a list of them, stands for; None if any of them is not understood."""
    if isinstance(declared, str):
        return read_type(declared)
    if not isinstance(declared, list) or not declared:
        return None
    if any(isinstance(member, dict) for member in declared):  # draft 3 allows schemas among the names
        return {"anyOf": [member if isinstance(member, dict) else {"type": member} for member in declared]}
    branches = [read_type(member) if isinstance(member, str) else None for member in declared]
    known = [branch for branch in branches if branch is not None]
    return _union(known) if len(known) == len(branches) else None


def read_type(text: str) -> dict[str, Any] | None:
    """The schema that one type name stands for, `{}` if any value fits; None if it is not understood."""
    known = _TYPE_NAMES.get(text.strip().lower())
    if known is not None:
        return dict(known)
    if len(text) > _MAX_TYPE_LENGTH:
        return None
    try:
        return _TypeReader(text).read()
    except _NotATypeError:
        return None


class _NotATypeError(Exception):
    """The text is no type that we know."""


class _TypeReader:
    """A recursive descent through the tokens of one type name."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        position = 0
        while position < len(text):
            match = _TYPE_TOKEN.match(text, position)
            if match is None:
                raise _NotATypeError
            self._tokens.append(match[1] if match[1][0] in "'\"" else match[1].lower())
            position = match.end()
        self._tokens.reverse()

    def read(self) -> dict[str, Any]:
        schema = self._branches()
        while self._take(","):  # "string, optional"
            if not self._take("optional", "required"):
                raise _NotATypeError
        if self._tokens:
            raise _NotATypeError
        return schema

    def _take(self, *wanted: str) -> str | None:
        return self._tokens.pop() if self._tokens and self._tokens[-1] in wanted else None

    def _branches(self) -> dict[str, Any]:
        branches = [self._one()]
        while self._take("|", "or"):
            branches.append(self._one())
        return _union(branches)

    def _one(self) -> dict[str, Any]:
        nullable = False
        while self._take("?", "nullable"):
            nullable = True
        schema = self._named()
        while suffix := self._take("?", "["):
            nullable = nullable or suffix == "?"
            if suffix == "[":
                self._expect("]")
                schema = {"type": "array", "items": schema}
        return _union([schema, {"type": "null"}]) if nullable else schema

    def _named(self) -> dict[str, Any]:
        if not self._tokens:
            raise _NotATypeError
        token = self._tokens.pop()
        if token[0] in "'\"":
            return {"enum": [token[1:-1]]}
        if re.fullmatch(r"-?[0-9]+", token):
            return {"enum": [int(token)]}
        name = token.rsplit(".", 1)[-1]
        known = _TYPE_NAMES.get(name, _TYPE_NAMES.get(name.removesuffix("s")))
        if self._take("of"):
            return _generic(name, known, [self._one()], repeated=True)
        if self._tokens[-2:] == ["]", "["]:
            return _generic(name, known, [], repeated=False)
        opening = self._take(*_CLOSING)
        if opening is None:
            return _generic(name, known, [], repeated=False)
        if known and known["type"] not in ("array", "object"):
            while self._tokens and self._tokens[-1] != _CLOSING[opening]:  # "varchar(255)", "string (optional)"
                self._tokens.pop()
            self._expect(_CLOSING[opening])
            return dict(known)
        return self._arguments(name, known, _CLOSING[opening])

    def _arguments(self, name: str, known: dict[str, Any] | None, closing: str) -> dict[str, Any]:
        arguments, repeated = [self._branches()], False
        while self._take(","):
            if self._take("..."):
                repeated = True
            else:
                arguments.append(self._branches())
        self._expect(closing)
        return _generic(name, known, arguments, repeated=repeated)

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise _NotATypeError


def _generic(
    name: str, known: dict[str, Any] | None, arguments: list[dict[str, Any]], *, repeated: bool
) -> dict[str, Any]:
    """A type of other types; `repeated` is the `...` of `tuple[int, ...]`."""
    if arguments and name == "optional":
        return _union([arguments[0], {"type": "null"}])
    if arguments and name in ("union", "literal"):
        return _union(arguments)
    if arguments and name in _WRAPPERS:
        return arguments[0]
    if known is None:
        raise _NotATypeError
    if not arguments:
        return dict(known)
    if name == "tuple" and not repeated:
        return {"type": "array", "prefixItems": arguments, "minItems": len(arguments), "maxItems": len(arguments)}
    if known.get("type") == "array":
        return known | {"items": arguments[0]}
    if known.get("type") == "object":
        return known | {"additionalProperties": arguments[-1]}
    raise _NotATypeError


def _union(branches: list[dict[str, Any]]) -> dict[str, Any]:
    """One schema for any of several, in the shortest form."""
    distinct = [branch for position, branch in enumerate(branches) if branch not in branches[:position]]
    if len(distinct) == 1 or {} in distinct:
        return distinct[0] if len(distinct) == 1 else {}
    if all(branch.keys() == {"enum"} for branch in distinct):
        return {"enum": [value for branch in distinct for value in branch["enum"]]}
    if all(branch.keys() == {"type"} for branch in distinct):
        return {"type": _flat_types(distinct)}
    others = [branch for branch in distinct if branch != {"type": "null"}]
    if len(others) == 1 and "type" in others[0] and "enum" not in others[0]:
        return others[0] | {"type": _flat_types([others[0], {"type": "null"}])}
    return {"anyOf": distinct}


def _flat_types(branches: list[dict[str, Any]]) -> list[str]:
    types: dict[str, None] = {}
    for branch in branches:
        types |= dict.fromkeys([branch["type"]] if isinstance(branch["type"], str) else branch["type"])
    return list(types)
