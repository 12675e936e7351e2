"""The layer before the application that counts requests, also those to paths that do not exist.

Messages of MCP say only in their body what they want, so they are counted where that is read: this layer leaves the
way to do so in the request's state (`limit`).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import TypeAlias, cast

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from toolbox.auth.callers import NOBODY
from toolbox.auth.guard import caller_of
from toolbox.errors import RateLimited
from toolbox.problems import MEDIA_TYPE, Problem
from toolbox.rate_limiting.limiter import Category, Limiter

EXEMPT = frozenset({"/live", "/ready", "/health", "/health/live", "/health/ready", "/health/detailed", "/metrics"})
"""Whatever watches the server must be answered above all when it is busy."""

Limit: TypeAlias = Callable[[Category, int], Awaitable[object]]


class RateLimits:
    """Refuses what is too much with 429, and says how much is left of what is not."""

    def __init__(self, app: ASGIApp, get_limiter: Callable[[], Limiter]) -> None:
        self._app = app
        self._get_limiter = get_limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != ScopeType.HTTP or scope["path"] in EXEMPT:
            await self._app(scope, receive, send)
            return
        limiter, caller = self._get_limiter(), caller_of(scope)
        if not limiter.is_limited(caller) or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        if caller is not NOBODY and scope["method"] == "POST" and _is_mcp(scope["path"]):
            scope["state"]["limit"] = partial(limiter.take, caller, scope)
            await self._app(scope, receive, send)
            return
        try:
            verdict = await limiter.take(caller, scope, find_category(scope))
        except RateLimited as error:
            await _refuse(send, scope, error)
        else:
            headers = [
                (name.lower().encode(), value.encode()) for name, value in limiter.describe(caller, verdict).items()
            ]
            await self._app(scope, receive, _adding(send, headers))


def find_category(scope: HTTPScope) -> Category:
    """What a request is counted as."""
    path = scope["path"]
    if path == "/mcp/call_tool":
        return "call"
    return "admin" if path.startswith("/admin") else "search"


def _is_mcp(path: str) -> bool:
    path = path.rstrip("/")
    return path == "/mcp" or (path.startswith("/toolsets/") and path.endswith("/mcp"))


def _adding(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return send_with_headers


async def _refuse(send: Send, scope: HTTPScope, error: RateLimited) -> None:
    status = HTTPStatus.TOO_MANY_REQUESTS
    said: object
    if _is_mcp(scope["path"]):  # nobody knows yet what was asked, so there is no id to answer to
        said = {"jsonrpc": "2.0", "error": {"code": error.jsonrpc_code, "message": error.message}}
    else:
        request_id = scope["state"].get("request_id", "")
        said = Problem(status.phrase, status, error.code, error.message, request_id=request_id)
    given = {"content-type": MEDIA_TYPE if isinstance(said, Problem) else "application/json", **error.headers}
    headers = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    await send(cast("Message", {"type": "http.response.start", "status": int(status), "headers": headers}))
    await send(cast("Message", {"type": "http.response.body", "body": msgspec.json.encode(said), "more_body": False}))
