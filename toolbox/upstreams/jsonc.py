"""JSON with comments and trailing commas, as editors write it: read, and changed in one place with all else kept.

Pure module: no I/O.
"""

import json
import re
from typing import Any

from toolbox.errors import InvalidRequest

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")


def to_json(text: str) -> str:
    """The same without comments and trailing commas; every other character stays at its place."""
    blank = _TOKEN.sub(lambda match: match[0] if match[0][0] == '"' else _blank(match[0]), text)
    return _TRAILING_COMMA.sub(lambda match: match[0] if match[0][0] == '"' else " ", blank)


def read(text: str) -> Any:
    """The value.

    Raises:
        InvalidRequest: It is not JSON; says where.
    """
    try:
        return json.loads(to_json(text.removeprefix("\ufeff")))
    except (json.JSONDecodeError, RecursionError) as error:
        where = f"line {error.lineno}, column {error.colno}: " if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidRequest(f"it is not JSON: {where}{getattr(error, 'msg', error)}") from error


def put_member(text: str, path: tuple[str, ...], value: Any) -> str:
    """The text with a member set, and nothing else changed; objects on the way that are not there are made.

    Raises:
        InvalidRequest: The text is no JSON object, or something on the way is none.
    """
    if not text.strip():
        text = "{}\n"
    read(text)
    clean = to_json(text)
    start = _skip(clean, 0)
    for depth, name in enumerate(path):
        if clean[start] != "{":
            raise InvalidRequest(f"{'/'.join(path[:depth]) or 'its root'} is no JSON object")
        members = _members(clean, start)
        span = members.get(name)
        if span is None:
            inner = value
            for missing in reversed(path[depth + 1 :]):
                inner = {missing: inner}
            return _insert(text, clean, start, members, name, inner, depth + 1)
        if depth + 1 < len(path):
            start = span[0]
    begin, end = members[path[-1]]
    return text[:begin] + _write(value, _indent_of(text, begin)) + text[end:]


def remove_member(text: str, path: tuple[str, ...]) -> str:
    """The text without a member; the same text where there is none."""
    if not text.strip():
        return text
    read(text)
    clean = to_json(text)
    start = _skip(clean, 0)
    for name in path[:-1]:
        span = _members(clean, start).get(name) if clean[start] == "{" else None
        if span is None:
            return text
        start = span[0]
    if clean[start] != "{" or path[-1] not in _members(clean, start):
        return text
    begin, end = _members(clean, start)[path[-1]]
    key = clean.rindex(json.dumps(path[-1]), start, begin)
    after = _skip(clean, end)
    if text[after] == ",":
        return text[:key] + text[_skip(clean, after + 1) :]
    before = len(clean[:key].rstrip())
    if text[before - 1] == ",":
        return text[: before - 1] + text[end:]
    return text[:key].rstrip() + text[end:]


def _members(clean: str, start: int) -> dict[str, tuple[int, int]]:
    """Where the values of an object's members begin and end."""
    found, at = dict[str, tuple[int, int]](), _skip(clean, start + 1)
    while clean[at] == '"':
        name, at = _DECODER.raw_decode(clean, at)
        begin = _skip(clean, _skip(clean, at) + 1)
        _, end = _DECODER.raw_decode(clean, begin)
        found[name] = (begin, end)
        at = _skip(clean, end)
        if clean[at] == ",":
            at = _skip(clean, at + 1)
    return found


def _insert(
    text: str, clean: str, start: int, members: dict[str, tuple[int, int]], name: str, value: Any, depth: int
) -> str:
    indent = "  " * depth
    if members:
        last_begin, last_end = max(members.values())
        indent = _indent_of(text, last_begin)
        written = f"{json.dumps(name)}: {_write(value, indent)}"
        comma = _find_comma(text, last_end, _skip(clean, last_end))
        if comma is not None:  # one that trails
            return f"{text[: comma + 1]}\n{indent}{written}{text[comma + 1 :]}"
        return f"{text[:last_end]},\n{indent}{written}{text[last_end:]}"
    end = _skip(clean, start + 1)
    kept = text[start + 1 : end].rstrip()
    outer = "  " * (depth - 1)
    return f"{text[: start + 1]}{kept}\n{indent}{json.dumps(name)}: {_write(value, indent)}\n{outer}{text[end:]}"


def _find_comma(text: str, begin: int, end: int) -> int | None:
    """Where there is a comma between two places, outside of comments."""
    found = _TOKEN.sub(lambda match: _blank(match[0]), text[begin:end]).find(",")
    return None if found < 0 else begin + found


def _write(value: Any, indent: str) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", f"\n{indent}")


def _indent_of(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _skip(clean: str, at: int) -> int:
    match = _SPACE.match(clean, at)
    return match.end() if match else at


def _blank(comment: str) -> str:
    return re.sub(r"[^\n]", " ", comment)
