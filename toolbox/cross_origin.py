"""Which web pages may read what is answered (CORS, of the Fetch standard), whoever answers it.

This is a layer around all others, because a page can do nothing about a refusal that it may not read: 401 says where
tokens come from, 429 when to come back.
"""

from collections.abc import Sequence
from typing import Any, cast

from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

MAX_AGE_SECONDS = 600
"""How long a browser need not ask again whether it may."""

METHODS = b"DELETE, GET, OPTIONS, POST, PUT"
_EXPOSED = b", ".join(
    [
        b"Link",
        b"Mcp-Session-Id",
        b"RateLimit",
        b"RateLimit-Policy",
        b"Retry-After",
        b"WWW-Authenticate",
        b"X-RateLimit-Limit",
        b"X-RateLimit-Remaining",
        b"X-RateLimit-Reset",
        b"X-Request-Id",
        b"X-Search-Degraded",
        b"X-Total-Count",
    ]
)
_ALLOW_ORIGIN = b"access-control-allow-origin"


class CrossOrigin:
    """Lets pages of some origins call and read; no cookies are used, so there are no credentials to allow."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(_as_browsers_write(origin) for origin in origins)
        self._allows_all = "*" in origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        origin = self._find_allowed(scope) if scope["type"] == ScopeType.HTTP else None
        if origin is None:
            await self._app(scope, receive, send)
        elif wanted := _find_wanted(cast("HTTPScope", scope)):
            await _allow(send, origin, *wanted)
        else:
            await self._app(scope, receive, _exposing(send, origin))

    def _find_allowed(self, scope: Scope) -> bytes | None:
        """The origin of the page that asks, if it may."""
        for name, value in scope["headers"]:
            if name == b"origin":
                if self._allows_all:
                    return b"*"
                return value if value.lower() in self._origins else None
        return None


def _as_browsers_write(origin: str) -> bytes:
    origin = origin.rstrip("/").lower()
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80").encode()


def _find_wanted(scope: HTTPScope) -> tuple[bytes] | None:
    """The headers that a page wants to send, where a browser asks for leave."""
    headers = dict(scope["headers"])
    if scope["method"] != HttpMethod.OPTIONS or b"access-control-request-method" not in headers:
        return None
    return (headers.get(b"access-control-request-headers", b""),)


async def _allow(send: Send, origin: bytes, wanted: bytes) -> None:
    """Any header may be sent: MCP has ever more of them."""
    headers = [
        (_ALLOW_ORIGIN, origin),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-max-age", b"%d" % MAX_AGE_SECONDS),
        (b"vary", b"Origin"),
    ]
    if wanted:
        headers.append((b"access-control-allow-headers", wanted))
    await send(cast("Message", {"type": "http.response.start", "status": 204, "headers": headers}))
    await send(cast("Message", {"type": "http.response.body", "body": b"", "more_body": False}))


def _exposing(send: Send, origin: bytes) -> Send:
    async def send_readable(message: Message) -> None:
        if message["type"] == "http.response.start":
            given: Any = message["headers"]
            if not any(name == _ALLOW_ORIGIN for name, _ in given):  # discovery may be read by every page
                added = [(_ALLOW_ORIGIN, origin), (b"access-control-expose-headers", _EXPOSED)]
                message["headers"] = [*given, *added, (b"vary", b"Origin")]
        await send(message)

    return send_readable
