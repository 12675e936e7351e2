"""POST /mcp: MCP over HTTP (Streamable HTTP, answered with plain JSON)."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from litestar import HttpMethod, Request, Router, post, route
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import ASGIApp, Receive, Scope, Send

from toolbox.mcp.cancellation import while_connected
from toolbox.mcp.exchange import exchange, refuse
from toolbox.mcp.http import Head, Reply, read_head
from toolbox.mcp.methods import McpServer
from toolbox.mcp.origins import Origins
from toolbox.mcp.versions import STATELESS_VERSIONS
from toolbox.settings import Settings

CLIENT_IS_GONE = 499
"""Nobody reads it but the access log."""


def create_mcp_router(settings: Settings, get_server: Callable[[], McpServer]) -> Router:
    """The routes of MCP. The server is asked for with each request: it exists only once the application has started."""
    origins = Origins(settings)

    @post("/", status_code=HTTPStatus.OK, include_in_schema=False)
    async def receive_message(request: Request[Any, Any, Any]) -> ASGIApp:
        head = read_head(request.scope["headers"])
        reply = _refuse_stranger(origins, head) or await _exchange(get_server(), head, request)
        return _respond(reply)

    @route(
        "/",
        http_method=[HttpMethod.GET, HttpMethod.DELETE, HttpMethod.PUT, HttpMethod.PATCH],
        status_code=HTTPStatus.METHOD_NOT_ALLOWED,
        include_in_schema=False,
    )
    async def refuse_method(request: Request[Any, Any, Any]) -> ASGIApp:
        """There is no stream to open and no session to end."""
        head = read_head(request.scope["headers"])
        reply = _refuse_stranger(origins, head) or refuse(HTTPStatus.METHOD_NOT_ALLOWED, "messages are sent by POST")
        return _respond(reply, (b"allow", b"POST"))

    return Router("/mcp", route_handlers=[receive_message, refuse_method])


def _refuse_stranger(origins: Origins, head: Head) -> Reply | None:
    if not origins.allows_host(head.host):
        return refuse(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"the host {(head.host or '')[:100]!r} is not this server; PUBLIC_URL names the one that clients use",
        )
    if not origins.allows_origin(head.origin):
        return refuse(
            HTTPStatus.FORBIDDEN,
            f"pages of {(head.origin or '')[:100]!r} may not call this server; CORS_ORIGINS names those that may",
        )
    return None


async def _exchange(server: McpServer, head: Head, request: Request[Any, Any, Any]) -> Reply:
    try:
        body = await request.body()
    except RequestEntityTooLarge:
        return refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large; MAX_REQUEST_SIZE limits it")
    if head.version not in STATELESS_VERSIONS:  # in the handshake era a lost connection cancels nothing
        return await exchange(server, head, body)
    return await while_connected(request.receive, exchange(server, head, body)) or Reply(CLIENT_IS_GONE)


def _respond(reply: Reply, *headers: tuple[bytes, bytes]) -> ASGIApp:
    """The reply as the few events that it is: a response object of the framework costs more than the call of a tool."""
    content = [(b"content-type", b"application/json")] if reply.body else []
    head = [*content, (b"content-length", b"%d" % len(reply.body)), *headers]

    async def respond(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": int(reply.status), "headers": head})
        await send({"type": "http.response.body", "body": reply.body, "more_body": False})

    return respond
