"""HTTP as far as MCP looks at it: the head of a request, and a reply. Pure module: no I/O."""

import binascii
from base64 import b64decode
from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

_FIELDS = {
    b"host": "host",
    b"origin": "origin",
    b"content-type": "content_type",
    b"accept": "accept",
    b"mcp-protocol-version": "version",
    b"mcp-method": "method",
    b"mcp-name": "name",
    b"mcp-session-id": "session",
    b"last-event-id": "last_event_id",
}
_PARAMETER_PREFIX = b"mcp-param-"

_BASE64_START, _BASE64_END = "=?base64?", "?="
_JSON = frozenset({"application/json"})
_JSON_RANGES = _JSON | {"application/*", "*/*"}
_STREAM = "text/event-stream"


class Head(Struct, frozen=True):
    """Header values without the blanks around them; None where a header is absent."""

    host: str | None = None
    origin: str | None = None
    content_type: str | None = None
    accept: str | None = None
    version: str | None = None
    method: str | None = None
    name: str | None = None
    session: str | None = None
    last_event_id: str | None = None
    parameters: dict[str, str] = {}
    """Values of `Mcp-Param-*`, by the lower-case rest of the header's name."""
    repeated: tuple[str, ...] = ()
    """Headers of MCP that were sent more than once: nobody can say which of them counts."""

    @property
    def has_json(self) -> bool:
        """Whether the body is announced as JSON.

        Pages of other sites can send any other type, or none, without asking the browser for leave first.
        """
        return self.content_type is not None and not _JSON.isdisjoint(_media_types(self.content_type))

    @property
    def accepts_json(self) -> bool:
        """Whether the client takes JSON as an answer; one that says nothing takes anything."""
        return self.accept is None or not _JSON_RANGES.isdisjoint(_media_types(self.accept))

    @property
    def accepts_stream(self) -> bool:
        """Whether the client takes a stream of events as an answer; it must say so."""
        return self.accept is not None and _STREAM in _media_types(self.accept)


class Reply(Struct, frozen=True):
    """What goes back: JSON, or nothing."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


def read_head(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """The head in the form in which ASGI gives it: lower-case names, raw values."""
    values: dict[str, str] = {}
    parameters: dict[str, str] = {}
    repeated: list[str] = []
    for name, raw in headers:
        field = _FIELDS.get(name)
        if field is not None:
            value = raw.decode("latin-1").strip(" \t")
            if field not in values:
                values[field] = value
            elif name.startswith(b"mcp-"):
                repeated.append(name.decode())
            elif field == "accept":
                values[field] += f",{value}"
        elif name.startswith(_PARAMETER_PREFIX):
            header = name[len(_PARAMETER_PREFIX) :].decode("latin-1")
            if header in parameters:
                repeated.append(name.decode("latin-1"))
            parameters[header] = raw.decode("latin-1").strip(" \t")
    return Head(**values, parameters=parameters, repeated=tuple(repeated))


def decode_value(value: str) -> str | None:
    """A value that may be written as `=?base64?...?=`, because headers hold no Unicode; None if that cannot be read."""
    if not (value.startswith(_BASE64_START) and value.endswith(_BASE64_END)):
        return value
    try:
        return b64decode(value[len(_BASE64_START) : -len(_BASE64_END)], validate=True).decode()
    except (binascii.Error, ValueError):
        return None


@lru_cache(1024)  # clients send the same few values again and again
def _media_types(value: str) -> frozenset[str]:
    return frozenset(part.partition(";")[0].strip().lower() for part in value.split(","))
