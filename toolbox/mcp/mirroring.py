"""Arguments that a client repeats as headers, so that proxies can route by them (2026-07-28, x-mcp-header).

Pure module: no I/O.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from toolbox.mcp.http import decode_value

_KEYWORD = "x-mcp-header"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2
_TYPES = frozenset({"string", "integer", "boolean"})


class Mirrored(Struct, frozen=True):
    """An argument, by its path, and the lower-case rest of the header behind `Mcp-Param-`."""

    path: tuple[str, ...]
    header: str


def find_mirrored(schema: Mapping[str, Any]) -> tuple[Mirrored, ...]:
    """The arguments that a schema wants repeated; none if it says so against the rules: clients refuse such a tool."""
    try:
        found = tuple(_walk(schema, ()))
    except ValueError:
        return ()
    headers = [mirrored.header for mirrored in found]
    return found if len(set(headers)) == len(headers) else ()


def find_mismatch(mirrored: tuple[Mirrored, ...], arguments: Any, headers: Mapping[str, str]) -> str | None:
    """What is wrong with the headers of a call, if anything is."""
    for wanted in mirrored:
        value = _look_up(arguments, wanted.path)
        header = headers.get(wanted.header)
        if (value is None) != (header is None):
            where = "in the header but not in the body" if value is None else "in the body but not in the header"
            return f"Mcp-Param-{wanted.header}: the argument /{'/'.join(wanted.path)} is {where}"
        if header is not None and not _is_same(value, decode_value(header)):
            return f"Mcp-Param-{wanted.header} does not match the argument /{'/'.join(wanted.path)}"
    return None


def _walk(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Mirrored]:
    properties = schema.get("properties")
    for name, part in properties.items() if isinstance(properties, dict) else ():
        if not isinstance(part, dict):
            continue
        if _KEYWORD in part:
            yield Mirrored((*path, name), _read_header(part))
        yield from _walk(part, (*path, name))


def _read_header(part: Mapping[str, Any]) -> str:
    header = part[_KEYWORD]
    if not isinstance(header, str) or not _TOKEN.fullmatch(header) or part.get("type") not in _TYPES:
        raise ValueError(header)
    return header.lower()


def _look_up(arguments: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        arguments = arguments.get(name) if isinstance(arguments, dict) else None
    return arguments


def _is_same(value: Any, header: str | None) -> bool:
    """Whether a header spells an argument: numbers by their value, everything else to the letter."""
    if header is None:
        return False
    if isinstance(value, bool):
        return header == ("true" if value else "false")
    if isinstance(value, int | float):
        try:
            return bool(msgspec.json.decode(header, type=int | float) == value)
        except (msgspec.DecodeError, UnicodeError):
            return False
    return bool(header == value)
