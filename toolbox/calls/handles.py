"""Handles: URIs under which a result is read again, page by page. Pure module: no I/O.

`result://{id}?at={pointer}&offset={n}&limit={n}`. The id cannot be guessed; `at` is a JSON Pointer (RFC 6901) to
the part of the result that is paged, and is left out where that is the result itself.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode
from uuid import UUID

from msgspec import Struct

from toolbox.calls.budgets import Path, follow, to_pointer
from toolbox.errors import InvalidRequest

SCHEME = "result://"
MAX_URI = 2_000
MAX_NUMBER = 1_000_000_000_000

_ADDRESS = re.compile(r"(?P<id>[0-9A-Fa-f-]{32,36})/?(\?(?P<query>.*))?", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,12}")


class Handle(Struct, frozen=True):
    """What to read: which result, which part of it, and which page of that."""

    id: UUID
    at: str = ""
    offset: int = 0
    limit: int | None = None

    @property
    def uri(self) -> str:
        """The URI."""
        query = self.query
        return f"{SCHEME}{self.id}?{query}" if query else f"{SCHEME}{self.id}"

    @property
    def path(self) -> str:
        """The path of the same page over REST."""
        query = self.query
        return f"/calls/{self.id}/result?{query}" if query else f"/calls/{self.id}/result"

    @property
    def query(self) -> str:
        """The part of a URL that says everything but the id."""
        given: list[tuple[str, Any]] = [("at", self.at)] if self.at else []
        given += [("offset", self.offset)] if self.offset else []
        given += [("limit", self.limit)] if self.limit is not None else []
        return urlencode(given, safe="/", quote_via=quote)


def read_handle(text: str) -> Handle:
    """A handle from its URI.

    Raises:
        InvalidRequest: It is none.
    """
    match = _ADDRESS.fullmatch(text.removeprefix(SCHEME))
    if match is None:
        raise InvalidRequest(f"{text[:200]!r} is no handle of a result: it looks like {SCHEME}ID?offset=20")
    given = dict(parse_qsl(match["query"] or "", keep_blank_values=True))
    unknown = sorted(given.keys() - {"at", "offset", "limit"})
    if unknown:
        raise InvalidRequest(f"{unknown[0][:100]!r} says nothing of a result: there are at, offset and limit")
    try:
        result_id = UUID(match["id"])
    except ValueError as error:
        raise InvalidRequest(f"{match['id']!r} is no id of a result") from error
    limit = _read_number("limit", given["limit"]) if given.get("limit") else None
    if limit == 0:
        raise InvalidRequest("limit must be at least 1")
    return Handle(result_id, given.get("at", ""), _read_number("offset", given.get("offset") or "0"), limit)


def unescape(address: str) -> str:
    """An address whose percent-encoding a router has taken off already, so that it can be read as it was."""
    head, mark, query = address.partition("?")
    parts = [part.partition("=") for part in re.split(r"&(?=(?:at|offset|limit)=)", query)] if mark else []
    return head + mark + "&".join(f"{name}{equals}{quote(value, safe='/')}" for name, equals, value in parts)


def make_link(handle: Handle, document: Any, path: Path, tokens: int) -> dict[str, str] | None:
    """What stands for a part that is too long for a page: a link (MCP, ResourceLink) to that part alone."""
    part = follow(document, path)
    is_text = isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    pointer = to_pointer((*path, "text") if is_text else path)
    uri = Handle(handle.id, pointer).uri
    if len(uri) > MAX_URI:
        return None
    name = unquote(pointer)[:100]
    return {"type": "resource_link", "uri": uri, "name": name, "description": f"about {tokens:,} tokens"}


def _read_number(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidRequest(f"{name} must be a whole number, not {text[:50]!r}")
    return int(text)
