"""POST to /mcp or to a toolset: MCP over HTTP (Streamable HTTP), answered with JSON, or with a stream of events."""

import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeAlias, cast

from litestar import HttpMethod, Router, asgi, route
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from msgspec import structs

from toolbox.auth.callers import Caller
from toolbox.auth.guard import caller_of, identify
from toolbox.auth.scopes import PUBLIC
from toolbox.errors import InsufficientScope, RateLimited, ToolboxError
from toolbox.mcp.cancellation import CancelledByClient, attended
from toolbox.mcp.exchange import exchange, refuse
from toolbox.mcp.failures import to_protocol_error
from toolbox.mcp.following import follow
from toolbox.mcp.http import Head, Reply, read_head
from toolbox.mcp.messages import encode_error, find_id
from toolbox.mcp.methods import McpServer
from toolbox.mcp.origins import Origins
from toolbox.mcp.permissions import STREAM_SCOPE
from toolbox.mcp.resumption import KeptChannel
from toolbox.mcp.streams import Channel
from toolbox.mcp.versions import STATELESS_VERSIONS
from toolbox.metrics import TOO_LARGE
from toolbox.settings import Settings

PRIMING_VERSION = "2025-11-25"

CLIENT_IS_GONE = 499
"""Nobody reads it but the access log."""

_METHODS = [HttpMethod.POST, HttpMethod.GET, HttpMethod.DELETE, HttpMethod.PUT, HttpMethod.PATCH]

FindServer: TypeAlias = Callable[[HTTPScope], Awaitable[McpServer]]


def create_mcp_router(settings: Settings, get_server: Callable[[Caller], McpServer]) -> Router:
    """The routes of MCP. The server is asked for with each request: it exists only once the application has started."""
    mcp = create_mcp_app(settings, get_server)
    # Who may do what is asked method by method, in the words of MCP (toolbox.mcp.permissions).
    # ASGI as it is: what the framework does for a request and its response costs more than the call of a tool.
    return Router("/mcp", route_handlers=[asgi("/", copy_scope=False, scope=PUBLIC)(mcp)])


def create_mcp_app(settings: Settings, get_server: Callable[[Caller], McpServer]) -> ASGIApp:
    """What answers at /mcp, without the framework around it."""

    async def find(scope: HTTPScope) -> McpServer:
        return get_server(caller_of(scope))

    return _create_app(settings, find)


class Shortcut:
    """Leads messages of MCP straight to what answers them, past the framework, of which they need nothing."""

    def __init__(self, app: ASGIApp, mcp: ASGIApp) -> None:
        self._app = app
        self._mcp = mcp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if not (scope["type"] == ScopeType.HTTP and _is_message(scope)):
            await self._app(scope, receive, send)
            return
        cast("dict[str, Any]", scope)["path_template"] = scope["path"]
        try:
            await self._mcp(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - as the framework would
            await _respond(send, Reply(HTTPStatus.INTERNAL_SERVER_ERROR, encode_error(to_protocol_error(error))))


def _is_message(scope: HTTPScope) -> bool:
    return scope["path"] == "/mcp" and scope["method"] == HttpMethod.POST and not scope.get("root_path")


def create_toolsets_router(settings: Settings, find_server: Callable[[str, Caller], Awaitable[McpServer]]) -> Router:
    """The same for each toolset, by its name."""

    async def find(scope: HTTPScope) -> McpServer:
        return await find_server(scope["path_params"]["name"], caller_of(scope))

    app = _create_app(settings, find)

    # The framework reads parameters out of paths for its own handlers only.
    @route("/", http_method=_METHODS, status_code=HTTPStatus.OK, include_in_schema=False, scope=PUBLIC)
    async def pass_on() -> ASGIApp:
        return app

    return Router("/toolsets/{name:str}/mcp", route_handlers=[pass_on])


def _create_app(settings: Settings, find_server: FindServer) -> ASGIApp:
    origins = Origins(settings)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        scope = cast("HTTPScope", scope)
        head = read_head(scope["headers"])
        refusal = _refuse_stranger(origins, head) or _refuse_unknown(scope)
        if refusal:
            await _respond(send, refusal)
        elif scope["method"] == HttpMethod.POST:
            body = await _read_body(scope, receive, settings.max_request_size)
            if isinstance(body, Reply):
                await _respond(send, body)
            else:
                await _answer(await _find(find_server, scope, body), scope, head, body, receive, send)
        elif scope["method"] == HttpMethod.GET:
            await _open_stream(await _find(find_server, scope), scope, head, receive, send)
        else:  # there is no session to end: what is one to a client is nothing here
            await _respond(send, _refuse_method("messages are sent by POST"))

    return serve


async def _find(find_server: FindServer, scope: HTTPScope, body: bytes = b"") -> McpServer | Reply:
    try:
        return await find_server(scope)
    except ToolboxError as error:
        failure = to_protocol_error(error)
        failure.id = find_id(body)  # clients drop an error that names no request of theirs
        return Reply(error.status, encode_error(failure))


def _refuse_method(why: str) -> Reply:
    refusal = refuse(HTTPStatus.METHOD_NOT_ALLOWED, why)
    return structs.replace(refusal, headers=((b"allow", b"POST"),))


def _create_channel(server: McpServer, caller: Caller, head: Head, send: Send) -> Channel:
    """In the handshake era a client may leave a stream and come back; from 2025-11-25 on it is told how at once."""
    if head.version in STATELESS_VERSIONS:
        return Channel(send, accepts_stream=head.accepts_stream)
    version = head.version or server.conversations.read_session(head.session).version or ""
    is_primed = version >= PRIMING_VERSION
    return KeptChannel(
        send,
        server.conversations.streams,
        owner=caller.name,
        accepts_stream=head.accepts_stream,
        is_primed=is_primed,
    )


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


def _refuse_unknown(scope: HTTPScope) -> Reply | None:
    try:
        identify(scope)
    except ToolboxError as error:
        return _refuse_caller(scope, error)
    return None


def _refuse_caller(scope: HTTPScope, error: ToolboxError, body: bytes = b"") -> Reply:
    """The refusal of a caller, with what its client can do about it."""
    failure = to_protocol_error(error)
    failure.id = find_id(body)
    if isinstance(error, RateLimited):
        told = tuple((name.lower().encode(), value.encode()) for name, value in error.headers.items())
        return Reply(error.status, encode_error(failure), told)
    challenge: str | None = scope["state"]["challenge"](scope, error)
    headers = ((b"www-authenticate", challenge.encode()),) if challenge else ()
    return Reply(error.status, encode_error(failure), headers)


async def _read_body(scope: HTTPScope, receive: Receive, limit: int) -> bytes | Reply:
    announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if not announced.isdigit() or int(announced) > limit:
        return _too_large()
    body, has_more = bytearray(), True
    while has_more:
        message = cast("dict[str, Any]", await receive())
        if message["type"] == "http.disconnect":
            return Reply(CLIENT_IS_GONE)
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(body) > limit:
            return _too_large()
    return bytes(body)


def _too_large() -> Reply:
    TOO_LARGE["body",].inc()
    return refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large; MAX_REQUEST_SIZE limits it")


async def _answer(
    server: McpServer | Reply, scope: HTTPScope, head: Head, body: bytes, receive: Receive, send: Send
) -> None:
    if isinstance(server, Reply):
        await _respond(send, server)
        return
    caller = caller_of(scope)
    channel = _create_channel(server, caller, head, send)
    work = exchange(server, caller, head, body, channel, scope["state"].get("limit"))
    try:  # in the handshake era a lost connection cancels nothing
        reply = await attended(receive, channel, work, until_disconnect=head.version in STATELESS_VERSIONS)
    except CancelledByClient:
        reply = Reply(CLIENT_IS_GONE)
    except (InsufficientScope, RateLimited) as error:
        reply = _refuse_caller(scope, error, body)
    await channel.finish(reply)


async def _open_stream(server: McpServer | Reply, scope: HTTPScope, head: Head, receive: Receive, send: Send) -> None:
    if STREAM_SCOPE not in caller_of(scope).scopes:
        server = _refuse_caller(scope, InsufficientScope(STREAM_SCOPE))
    if not isinstance(server, Reply) and head.version in STATELESS_VERSIONS:
        server = _refuse_method("messages are sent by POST; GET opens a stream to 2025-11-25 only")
    elif not isinstance(server, Reply) and not head.accepts_stream:
        said = "messages are sent by POST; GET opens a stream, and the header Accept must name text/event-stream"
        server = refuse(HTTPStatus.NOT_ACCEPTABLE, said)
    if isinstance(server, Reply):
        await _respond(send, server)
        return
    channel = Channel(send, accepts_stream=True)
    work = follow(server, caller_of(scope), head, channel)
    with contextlib.suppress(CancelledByClient):
        await channel.finish(await attended(receive, channel, work, until_disconnect=True))


async def _respond(send: Send, reply: Reply) -> None:
    await Channel(send, accepts_stream=False).finish(reply)
