"""URLs of requests: arguments and secrets in the path and the query, never in the scheme, the host or the port."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from toolbox.errors import InvalidDefinition, ToolError
from toolbox.tools.templates import Template

_URL = re.compile(r"(https?)://([A-Za-z0-9._\-:\[\]]+)((?:/[^?#]*)?)((?:\?[^#]*)?)", re.IGNORECASE)

LITERAL = "/:@!$&'()*+,;=-._~%"


class Target(Struct, frozen=True):
    """Where a request goes: an origin, and what stands behind it in the request line."""

    scheme: bytes
    host: bytes
    port: int | None
    path: str

    @property
    def origin(self) -> tuple[bytes, bytes, int | None]:
        """What credentials are for."""
        return self.scheme, self.host, self.port or {b"https": 443, b"http": 80}[self.scheme]


class UrlTemplate:
    """A URL whose path and query may hold arguments and secrets, but never its scheme, host or port."""

    def __init__(self, url: str, where: str = "implementation/url") -> None:
        """Read it.

        Raises:
            InvalidDefinition: It is no such URL.
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise InvalidDefinition(
                f"{where}: an http or https URL is expected, with no argument, user or `#` before or in its host"
            )
        try:
            address = urlsplit(f"{found[1]}://{found[2]}")
            self.port = address.port
            self.host = (address.hostname or "").encode("ascii" if found[2].startswith("[") else "idna")
        except ValueError as error:
            raise InvalidDefinition(f"{where}: the host {found[2][:100]!r} is none: {error}") from error
        if not self.host:
            raise InvalidDefinition(f"{where}: it names no host")
        self.scheme = found[1].lower().encode()
        self._segments = [Template(segment, where) for segment in (found[3] or "/").split("/")]
        self._query = Template(found[4].removeprefix("?"), where)
        templates = [*self._segments, self._query]
        self.arguments = tuple(name for template in templates for name in template.arguments)
        self.secrets = tuple(name for template in templates for name in template.secrets)

    def fill(self, arguments: Mapping[str, Any], secrets: Mapping[str, str], query: Sequence[str] = ()) -> Target:
        """The URL for a call, with further parts of the query.

        Raises:
            ToolError: An argument would lead out of its segment, or is missing.
        """
        segments = [_fill_segment(template, arguments, secrets) for template in self._segments]
        own = self._query.fill(arguments, secrets, encode, encode_literal)
        joined = "&".join(part for part in (own, *query) if part)
        return Target(self.scheme, self.host, self.port, "/".join(segments) + (f"?{joined}" if joined else ""))


def encode(text: str) -> str:
    """A text as one part of a URL."""
    return quote(text, safe="")


def encode_literal(text: str) -> str:
    """A text of the definition's own, in which separators stay."""
    return quote(text, safe=LITERAL + "?")


def _fill_segment(template: Template, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
    filled = template.fill(arguments, secrets, encode, encode_literal)
    if not template.arguments and not template.secrets:
        return filled
    missing = [name for name in template.arguments if arguments.get(name) is None]
    if missing:
        raise ToolError(f"{missing[0]}: it is part of the address, and cannot be left out")
    # Servers that decode twice, or take %2F and \ for separators, must find no step up or aside either.
    text, seen = filled, ""
    while text != seen:
        text, seen = unquote(text), text
    if not filled or any(piece in {".", ".."} for piece in re.split(r"[/\\]", text)):
        names = ", ".join(template.arguments)
        raise ToolError(
            f"{names}: it is empty, `.` or `..`, or has such a step in it, and would lead to another address"
        )
    return filled
