"""POST to /mcp or to a toolset: MCP over HTTP (Streamable HTTP), answered with JSON, or with a stream of events."""

import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeAlias

from litestar import HttpMethod, Request, Router, get, post, route
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import structs

from toolbox.errors import ToolboxError
from toolbox.mcp.cancellation import CancelledByClient, attended
from toolbox.mcp.exchange import exchange, refuse
from toolbox.mcp.failures import to_protocol_error
from toolbox.mcp.following import follow
from toolbox.mcp.http import Head, Reply, read_head
from toolbox.mcp.messages import encode_error
from toolbox.mcp.methods import McpServer
from toolbox.mcp.origins import Origins
from toolbox.mcp.resumption import KeptChannel
from toolbox.mcp.streams import Channel
from toolbox.mcp.versions import STATELESS_VERSIONS
from toolbox.settings import Settings

PRIMING_VERSION = "2025-11-25"

CLIENT_IS_GONE = 499
"""Nobody reads it but the access log."""


FindServer: TypeAlias = Callable[[Request[Any, Any, Any]], Awaitable[McpServer]]


def create_mcp_router(settings: Settings, get_server: Callable[[], McpServer]) -> Router:
    """The routes of MCP. The server is asked for with each request: it exists only once the application has started."""

    async def find(_request: Request[Any, Any, Any]) -> McpServer:
        return get_server()

    return _create_router("/mcp", settings, find)


def create_toolsets_router(settings: Settings, find_server: Callable[[str], Awaitable[McpServer]]) -> Router:
    """The same for each toolset, by its name."""

    async def find(request: Request[Any, Any, Any]) -> McpServer:
        return await find_server(request.path_params["name"])

    return _create_router("/toolsets/{name:str}/mcp", settings, find)


def _create_router(path: str, settings: Settings, find_server: FindServer) -> Router:
    origins = Origins(settings)

    @post("/", status_code=HTTPStatus.OK, include_in_schema=False)
    async def receive_message(request: Request[Any, Any, Any]) -> ASGIApp:
        head = read_head(request.scope["headers"])
        server = _refuse_stranger(origins, head) or await _find(find_server, request)
        if isinstance(server, Reply):
            return _respond(server)

        async def respond(_scope: Scope, _receive: Receive, send: Send) -> None:
            # Events as they are: a response object of the framework costs more than the call of a tool.
            channel = _create_channel(server, head, send)
            await channel.finish(await _exchange(server, head, request, channel))

        return respond

    @get("/", status_code=HTTPStatus.OK, include_in_schema=False)
    async def open_stream(request: Request[Any, Any, Any]) -> ASGIApp:
        head = read_head(request.scope["headers"])
        server = _refuse_stranger(origins, head) or await _find(find_server, request)
        if isinstance(server, Reply):
            return _respond(server)
        if head.version in STATELESS_VERSIONS or not head.accepts_stream:
            return _respond(_refuse_method("messages are sent by POST; GET opens a stream to 2025-11-25 only"))

        async def respond(_scope: Scope, _receive: Receive, send: Send) -> None:
            channel = Channel(send, accepts_stream=True)
            work = follow(server, head, channel)
            with contextlib.suppress(CancelledByClient):
                await channel.finish(await attended(request.receive, channel, work, until_disconnect=True))

        return respond

    @route(
        "/",
        http_method=[HttpMethod.DELETE, HttpMethod.PUT, HttpMethod.PATCH],
        status_code=HTTPStatus.METHOD_NOT_ALLOWED,
        include_in_schema=False,
    )
    async def refuse_method(request: Request[Any, Any, Any]) -> ASGIApp:
        """There is no session to end: what is one to a client is nothing here."""
        head = read_head(request.scope["headers"])
        return _respond(_refuse_stranger(origins, head) or _refuse_method("messages are sent by POST"))

    return Router(path, route_handlers=[receive_message, open_stream, refuse_method])


async def _find(find_server: FindServer, request: Request[Any, Any, Any]) -> McpServer | Reply:
    try:
        return await find_server(request)
    except ToolboxError as error:
        return Reply(error.status, encode_error(to_protocol_error(error)))


def _refuse_method(why: str) -> Reply:
    refusal = refuse(HTTPStatus.METHOD_NOT_ALLOWED, why)
    return structs.replace(refusal, headers=((b"allow", b"POST"),))


def _create_channel(server: McpServer, head: Head, send: Send) -> Channel:
    """In the handshake era a client may leave a stream and come back; from 2025-11-25 on it is told how at once."""
    if head.version in STATELESS_VERSIONS:
        return Channel(send, accepts_stream=head.accepts_stream)
    version = head.version or server.conversations.read_session(head.session).version or ""
    is_primed = version >= PRIMING_VERSION
    return KeptChannel(send, server.conversations.streams, accepts_stream=head.accepts_stream, is_primed=is_primed)


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


async def _exchange(server: McpServer, head: Head, request: Request[Any, Any, Any], channel: Channel) -> Reply:
    try:
        body = await request.body()
    except RequestEntityTooLarge:
        return refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large; MAX_REQUEST_SIZE limits it")
    work = exchange(server, head, body, channel)
    try:  # in the handshake era a lost connection cancels nothing
        return await attended(request.receive, channel, work, until_disconnect=head.version in STATELESS_VERSIONS)
    except CancelledByClient:
        return Reply(CLIENT_IS_GONE)


def _respond(reply: Reply) -> ASGIApp:
    async def respond(_scope: Scope, _receive: Receive, send: Send) -> None:
        await Channel(send, accepts_stream=False).finish(reply)

    return respond
