"""The outermost layer of the server: gives every request an id, a span, a log line and a place in the metrics.

It wraps the whole application, because middleware inside the framework never sees an unknown path; it knows HEAD, too.
It also knows which requests run, so that a server that ends can say what it waits for, and stop waiting.
"""

import asyncio
import contextlib
import logging
import random
import re
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, cast
from uuid import uuid4

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from toolbox.errors import FAULT, ToolboxError
from toolbox.logs import REQUEST_LINES, RequestLine, is_written
from toolbox.metrics import OTHER, REQUESTS
from toolbox.request_context import REQUEST, RequestFacts, explain
from toolbox.telemetry import Span, current_ids, is_tracing, span
from toolbox.version import REPORT_AGENT

logger = structlog.get_logger("toolbox.access")

_PROBED = frozenset({"/live", "/ready", "/health", "/health/live", "/health/ready", "/health/detailed", "/metrics"})
"""Asked every few seconds by whatever watches the server; they would drown the rest of the log."""

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
NO_ROUTE = "(none)"
_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class RequestLog:
    """Takes over the caller's X-Request-Id where it is harmless, gives it back, and logs what came of the request.

    Neither headers nor bodies are logged: arguments of tools may be secret.
    """

    def __init__(
        self, app: ASGIApp, why_not_started: Callable[[], ToolboxError | None], *, explains_errors: bool = False
    ) -> None:
        """`why_not_started` says why the start was refused, where it was refused for a reason that we understand."""
        self._app = app
        self._explains_errors = explains_errors
        self.why_not_started = why_not_started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._none_runs: asyncio.Event | None = None
        """Set when nothing runs; there is one as soon as the server is to end."""
        self._drained = self._cut = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] == ScopeType.HTTP:
            await self._serve(scope, receive, send)
        else:
            await self._app(scope, receive, self._explaining(send))

    @property
    def running(self) -> int:
        """How many requests are being answered."""
        return len(self._running)

    @property
    def is_ending(self) -> bool:
        """Whether the server is to end, so that no more requests should come here."""
        return self._none_runs is not None

    async def drain(self, seconds: float) -> None:
        """Wait until nothing runs any more, at most so long; requests that still come are answered."""
        self._none_runs = asyncio.Event()
        if self._running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._none_runs.wait(), seconds)

    def say_what_runs(self) -> None:
        """Tell whoever has ended the server what keeps it."""
        if number := len(self._running):
            requests = "1 request" if number == 1 else f"{number} requests"
            logger.warning("stopping: waiting for %s to be answered; Ctrl-C again stops at once", requests)

    def say_what_came_of_them(self) -> None:
        """Tell how the requests ended that ran when the server was to end, or came after."""
        if self.is_ending:
            logger.info("stopped", drained=self._drained, cut=self._cut)

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
        facts = RequestFacts(_inherited_id(scope) or _new_id(), explains_errors=self._explains_errors)
        scope.setdefault("state", {})["request_id"] = facts.request_id
        token = REQUEST.set(facts)
        try:
            if is_tracing() and scope["path"] not in _PROBED:
                with span(scope["method"], _describe(scope), kind="server", carrier=_carrier(scope)) as recorded:
                    await self._answer(scope, receive, send, facts, recorded)
            else:
                await self._answer(scope, receive, send, facts, None)
        finally:
            REQUEST.reset(token)

    async def _answer(
        self, scope: HTTPScope, receive: Receive, send: Send, facts: RequestFacts, recorded: Span | None
    ) -> None:
        start, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (b"x-request-id", facts.request_id.encode())]
                if self._none_runs:  # the next request is better sent elsewhere
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        loop = self._find_loop()
        # Without the loop it would ask the system for the process's id, at the price of all the rest here.
        task = cast("asyncio.Task[Any]", asyncio.current_task(loop))
        inner, passed_on = scope, cast("Send", send_with_id)
        if scope["method"] == "HEAD":
            inner, passed_on = _as_get(scope), _without_body(send_with_id)
        self._running.add(task)
        is_cut = False
        try:
            await self._app(inner, receive, passed_on)
        except asyncio.CancelledError:
            # Only the end of the server cancels requests, and it waits for this one still.
            is_cut = True
            if not status:
                await _answer_ending(send_with_id, facts.request_id)
        except Exception as error:
            # The framework answers for its handlers; this is of a layer around it, and says as little.
            if status:
                raise
            await _answer_fault(send_with_id, scope, facts.request_id, error)
        finally:
            self._end(task, is_cut=is_cut)
            self._record(inner, facts, status, time.perf_counter() - start, loop, recorded)

    def _find_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _end(self, task: "asyncio.Task[Any]", *, is_cut: bool) -> None:
        self._running.discard(task)
        if self._none_runs is None:
            return
        if is_cut:
            self._cut += 1
        else:
            self._drained += 1
        if not self._running:
            self._none_runs.set()

    def _record(
        self,
        scope: HTTPScope,
        facts: RequestFacts,
        status: int,
        seconds: float,
        loop: asyncio.AbstractEventLoop,
        recorded: Span | None,
    ) -> None:
        method, route = scope["method"], scope.get("path_template") or NO_ROUTE
        REQUESTS[method if method in _METHODS else OTHER, route, status].observe(seconds)
        if recorded:
            _complete(recorded, method, route, status)
        is_probe = scope["path"] in _PROBED or _is_our_own(scope)
        if not is_written(logging.DEBUG if is_probe else logging.INFO):
            return
        trace_id, span_id = current_ids() or (None, None)
        line = RequestLine(
            method,
            scope["path"],
            status,
            round(seconds * 1000, 2),
            facts.request_id,
            time.time(),
            "debug" if is_probe else "info",
            facts.caller,
            facts.method,
            facts.tool,
            trace_id,
            span_id,
        )
        REQUEST_LINES.add(line, loop)


def _describe(scope: HTTPScope) -> dict[str, Any]:
    """A span's attributes (OpenTelemetry, HTTP server spans); a query may be secret, and is left out."""
    return {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
    }


def _complete(recorded: Span, method: str, route: str, status: int) -> None:
    recorded.rename(f"{method} {route}" if route != NO_ROUTE else method)
    recorded.set("http.response.status_code", status)
    if route != NO_ROUTE:
        recorded.set("http.route", route)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        recorded.fail(str(status))


def _carrier(scope: HTTPScope) -> dict[str, str]:
    return {
        name.decode(): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in {b"traceparent", b"tracestate"}
    }


async def _answer_ending(send: Send, request_id: str) -> None:
    said = {
        "code": "stopping",
        "detail": "the server ends, and did not wait for this request any longer; ask again when it is back",
        "request_id": request_id,
    }
    headers = ((b"retry-after", b"1"), (b"connection", b"close"))
    await _answer_problem(send, HTTPStatus.SERVICE_UNAVAILABLE, said, headers)


async def _answer_fault(send: Send, scope: HTTPScope, request_id: str, error: Exception) -> None:
    error_id = uuid4().hex
    logger.error("a request failed", path=scope["path"], error_id=error_id, exc_info=error)
    said = {"code": "internal", "detail": FAULT, "request_id": request_id, "error_id": error_id}
    if detail := explain(error):
        said["detail"] += f": {detail}"
    await _answer_problem(send, HTTPStatus.INTERNAL_SERVER_ERROR, said)


async def _answer_problem(
    send: Send, status: HTTPStatus, said: dict[str, str], headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    body = msgspec.json.encode({"title": status.phrase, "status": status.value} | said)
    head = [(b"content-type", b"application/problem+json"), *headers]
    await send(cast("Message", {"type": "http.response.start", "status": status.value, "headers": head}))
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
