"""The outermost layer of the server: gives every request an id, writes one log line for each, and knows HEAD.

It wraps the whole application, because middleware inside the framework never sees an unknown path. It also knows which
requests run, so that a server that ends can say what it waits for, and stop waiting.
"""

import asyncio
import random
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from toolbox.errors import ToolboxError
from toolbox.request_context import request_id as current_request_id
from toolbox.version import REPORT_AGENT

logger = structlog.get_logger("toolbox.access")

_PROBED = frozenset({"/live", "/ready", "/health", "/health/live", "/health/ready", "/health/detailed"})
"""Asked every few seconds by whatever watches the server; they would drown the rest of the log."""

_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class RequestLog:
    """Takes over the caller's X-Request-Id where it is harmless, gives it back, and logs what came of the request.

    Neither headers nor bodies are logged: arguments of tools may be secret.
    """

    def __init__(self, app: ASGIApp, why_not_started: Callable[[], ToolboxError | None]) -> None:
        """`why_not_started` says why the start was refused, where it was refused for a reason that we understand."""
        self._app = app
        self.why_not_started = why_not_started
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] == ScopeType.HTTP:
            await self._serve(scope, receive, send)
        else:
            await self._app(scope, receive, self._explaining(send))

    def say_what_runs(self) -> None:
        """Tell whoever has ended the server what keeps it."""
        if number := len(self._running):
            requests = "1 request" if number == 1 else f"{number} requests"
            logger.warning("stopping: waiting for %s to be answered; Ctrl-C again stops at once", requests)

    def stop_waiting(self) -> None:
        """Answer what still runs with 503, now."""
        for task in list(self._running):
            task.cancel()

    def _explaining(self, send: Send) -> Send:
        """A refused start is said in one sentence; without one of ours, with the framework's traceback."""

        async def send_reason(message: Message) -> None:
            kind: str = message["type"]
            if kind == "lifespan.startup.failed" and (error := self.why_not_started()):
                message = cast("Message", {"type": kind, "message": error.message})
            await send(message)

        return send_reason

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        request_id = _inherited_id(scope) or _new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        current_request_id.set(request_id)
        start, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._running.add(task)
        try:
            if scope["method"] == "HEAD":
                await self._app(_as_get(scope), receive, _without_body(send_with_id))
            else:
                await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            # Only the end of the server cancels requests, and it waits for this one still.
            if not status:
                await _answer_ending(send_with_id, request_id)
        finally:
            self._running.discard(task)
            log = logger.debug if scope["path"] in _PROBED or _is_our_own(scope) else logger.info
            log(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round((time.perf_counter() - start) * 1000, 2),
                request_id=request_id,
            )


async def _answer_ending(send: Send, request_id: str) -> None:
    body = msgspec.json.encode(
        {
            "title": HTTPStatus.SERVICE_UNAVAILABLE.phrase,
            "status": HTTPStatus.SERVICE_UNAVAILABLE,
            "code": "stopping",
            "detail": "the server ends, and did not wait for this request any longer; ask again when it is back",
            "request_id": request_id,
        }
    )
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1"), (b"connection", b"close")]
    start = {"type": "http.response.start", "status": HTTPStatus.SERVICE_UNAVAILABLE.value, "headers": headers}
    await send(cast("Message", start))
    await send(cast("Message", {"type": "http.response.body", "body": body, "more_body": False}))


def _new_id() -> str:
    """It need not be hard to guess, and randomness of the system costs more than the rest of this layer."""
    return f"{random.getrandbits(128):032x}"


def _is_our_own(scope: HTTPScope) -> bool:
    """Whether the start-up report asks. Anyone may claim that, so it hides no more than reading what it reads."""
    return (
        (scope["path"] in {"/stats", "/admin/plugins"} or scope["path"].startswith("/tools/"))
        and scope["method"] == "GET"
        and (b"user-agent", REPORT_AGENT.encode()) in scope["headers"]
    )


def _as_get(scope: HTTPScope) -> HTTPScope:
    """HEAD is answered as GET without the body (RFC 9110, 9.3.2); the framework would refuse it."""
    return cast("HTTPScope", {**scope, "method": "GET"})


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = cast("Message", {**message, "body": b""})
        await send(message)

    return send_head


def _inherited_id(scope: HTTPScope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SAFE_ID.fullmatch(value):
            return value.decode()
    return None
