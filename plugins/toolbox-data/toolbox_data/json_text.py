"""JSON as text: check it, say where it breaks, and write it anew without changing a value."""

import collections
import itertools
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

import toolbox
from toolbox_data.conventions import CATEGORY, PURE, Text
from toolbox_data.pointers import write_pointer
from toolbox_data.values import shown, steps_to, walk

MAX_REPORTED = 20

_TEXT_OR_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)')


@toolbox.tool(
    title="Format JSON",
    category=CATEGORY,
    tags=["json", "format", "pretty-print", "minify", "sort-keys"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="pretty print this JSON with sorted keys",
            arguments={"text": '{"b": 1.10, "a": [true]}', "sort_keys": True},
            result='{\n  "a": [\n    true\n  ],\n  "b": 1.10\n}',
        ),
        toolbox.ToolExample(
            query="minify a JSON document",
            arguments={"text": '{\n  "id": 12345678901234567890,\n  "ok": null\n}', "style": "compact"},
            result='{"id":12345678901234567890,"ok":null}',
        ),
    ],
)
def format_json(
    text: Text,
    style: Literal["pretty", "compact"] = "pretty",
    indent: Annotated[int, Meta(ge=1, le=8)] = 2,
    sort_keys: bool = False,
) -> str:
    """Pretty-print or minify JSON text, with its keys sorted if wanted.

    Numbers stay exactly as they are written, however long; keys keep their order unless sorted. Text that is not
    valid JSON is an error that names line and column, and so is an object with the same key twice, of which
    formatting would lose one.

    Args:
        text: The JSON text.
        style: "pretty" puts each value on a line of its own; "compact" leaves out all white space.
        indent: Spaces for each level of the pretty style.
        sort_keys: Whether to sort the keys of every object, by code point.
    """
    try:
        document = _parse(text)
    except json.JSONDecodeError as error:
        raise toolbox.ToolError(
            f"not valid JSON: {_problem(error)} at line {error.lineno}, column {error.colno}"
        ) from error
    if repeated := next(_repeated_keys(document), None):
        raise toolbox.ToolError(f"the key at {shown(repeated)} stands there twice, and formatting would lose one")
    try:
        encoded = msgspec.json.encode(document, order="deterministic" if sort_keys else None)
    except UnicodeEncodeError as error:
        raise toolbox.ToolError("a text has an escape for half of a surrogate pair, which UTF-8 cannot hold") from error
    return msgspec.json.format(encoded, indent=indent if style == "pretty" else -1).decode()


class JsonCheck(Struct, frozen=True):
    """Whether a text is valid JSON; if not, what is wrong and where, counted from 1."""

    valid: bool
    problem: str | None = None
    line: int | None = None
    column: int | None = None
    repeated_keys: list[str] = []
    """JSON Pointers of keys that stand twice in one object: allowed, but readers disagree on which one counts.

    At most 20 are listed.
    """


@toolbox.tool(
    title="Validate JSON",
    category=CATEGORY,
    tags=["json", "validate", "check", "syntax", "lint"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="is this valid JSON and if not, on which line is the error",
            arguments={"text": '{\n  "name": "Ann",\n  "score": NaN\n}'},
            result={
                "valid": False,
                "problem": "NaN is not a JSON value",
                "line": 3,
                "column": 12,
                "repeated_keys": [],
            },
        ),
        toolbox.ToolExample(
            query="check a JSON document for syntax errors and duplicate keys",
            arguments={"text": '{"a": {"b": 1, "b": 2}}'},
            result={"valid": True, "problem": None, "line": None, "column": None, "repeated_keys": ["/a/b"]},
        ),
    ],
)
def validate_json(text: Text) -> JsonCheck:
    """Check whether a text is valid JSON, and say the line and column of the first syntax error.

    Strict, as RFC 8259 says: no comments, trailing commas, single quotes, NaN or Infinity. Keys that stand twice in
    one object are reported although the syntax allows them.

    Args:
        text: The text to check.
    """
    try:
        document = _parse(text)
    except json.JSONDecodeError as error:
        return JsonCheck(valid=False, problem=_problem(error), line=error.lineno, column=error.colno)
    return JsonCheck(valid=True, repeated_keys=list(itertools.islice(_repeated_keys(document), MAX_REPORTED)))


class _Object(dict[str, Any]):
    """A JSON object that remembers which keys stood in it more than once."""

    repeated_keys: tuple[str, ...] = ()


def _parse(text: str) -> Any:
    """The document, with its numbers as `msgspec.Raw`: written back digit by digit, whatever a float makes of them.

    Raises:
        json.JSONDecodeError: The text is not JSON.
        ToolError: It nests too deeply to be read.
    """
    try:
        return _DECODER.decode(text)
    except _ConstantFound as error:
        start = next(match.start() for match in _TEXT_OR_CONSTANT.finditer(text) if match[1])
        raise json.JSONDecodeError(f"{error} is not a JSON value", text, start) from error
    except RecursionError as error:
        raise toolbox.ToolError("the document nests too deeply to be read") from error


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) < len(pairs):
        counts = collections.Counter(key for key, _ in pairs)
        found.repeated_keys = tuple(key for key, count in counts.items() if count > 1)
    return found


class _ConstantFound(Exception):
    """Python's JSON reader knows NaN, Infinity and -Infinity, and says which it met but not where."""


def _refuse_constant(name: str) -> None:
    raise _ConstantFound(name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=msgspec.Raw,
    parse_float=msgspec.Raw,
    parse_constant=_refuse_constant,
)


def _problem(error: json.JSONDecodeError) -> str:
    """Python's words for it, which begin with a capital."""
    return error.msg if error.msg.startswith(("NaN", "Infinity")) else error.msg[:1].lower() + error.msg[1:]


def _repeated_keys(document: Any) -> Iterator[str]:
    for place, value in walk(document, "the document"):
        if isinstance(value, _Object):
            for key in value.repeated_keys:
                yield write_pointer([*steps_to(place), key])
