"""The stateless era (from 2026-07-28): every request says everything about itself, in its body and again in headers.

Headers exist so that proxies can route without reading bodies. One that says something else than the body could lead a
request past a proxy's rules, so it is refused.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, structs

from toolbox.auth.callers import Caller
from toolbox.mcp.envelopes import CacheScope, shared_by
from toolbox.mcp.failures import to_protocol_error
from toolbox.mcp.http import Head, Reply, decode_value
from toolbox.mcp.identity import encode_meta
from toolbox.mcp.messages import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    ClientResponse,
    Message,
    ProtocolError,
    Request,
    encode_error,
    encode_result,
    read_params,
)
from toolbox.mcp.methods import McpServer, TaskCreated
from toolbox.mcp.mirroring import find_mismatch
from toolbox.mcp.observing import CANCELLED, UNKNOWN, count, note_method, traced
from toolbox.mcp.offers import OFFERED_METHODS, SKILL_METHODS
from toolbox.mcp.peers import ProgressToken, StatelessPeer
from toolbox.mcp.rounds import RoundParams, read_answers, require_input
from toolbox.mcp.shapes import shape_result
from toolbox.mcp.streams import Channel
from toolbox.mcp.subscriptions import ListenResult, listen
from toolbox.mcp.tasks import TASK_METHODS, TaskResult, show_created
from toolbox.mcp.versions import STATELESS_VERSIONS, VERSIONS
from toolbox.telemetry import is_tracing
from toolbox.tools.client import TASKS_EXTENSION, InputRequired, LogLevel

TTL_MS = 300_000
"""How long a client may keep lists: they change only when plugins do."""

STATUSES = {METHOD_NOT_FOUND: HTTPStatus.NOT_FOUND, INTERNAL_ERROR: HTTPStatus.OK}
"""HTTP status by error code; 400 for all others. For our own faults the specification names none."""


class RequestMeta(Struct, frozen=True):
    """What a request says about itself."""

    version: str | UnsetType = msgspec.field(default=UNSET, name="io.modelcontextprotocol/protocolVersion")
    capabilities: dict[str, Raw] | UnsetType = msgspec.field(
        default=UNSET, name="io.modelcontextprotocol/clientCapabilities"
    )
    log_level: LogLevel | None = msgspec.field(default=None, name="io.modelcontextprotocol/logLevel")
    progress_token: ProgressToken | UnsetType = msgspec.field(default=UNSET, name="progressToken")


class RequestParams(RoundParams, frozen=True):
    """The parameters of any request, as far as all of them are alike."""

    meta: RequestMeta = msgspec.field(default=RequestMeta(), name="_meta")
    name: Any = None
    uri: Any = None
    task_id: Any = None
    arguments: Raw = Raw(b"null")


class _VersionedMeta(Struct, frozen=True):
    version: Raw | UnsetType = msgspec.field(default=UNSET, name="io.modelcontextprotocol/protocolVersion")


class _VersionedParams(Struct, frozen=True):
    meta: _VersionedMeta = msgspec.field(default=_VersionedMeta(), name="_meta")


class DiscoverResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """What server/discover gives."""

    result_type: str = "complete"
    supported_versions: tuple[str, ...] = STATELESS_VERSIONS
    capabilities: Mapping[str, Any]
    instructions: str
    ttl_ms: int = TTL_MS
    cache_scope: CacheScope
    meta: Raw = msgspec.field(name="_meta")


class ListToolsResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """What tools/list gives."""

    result_type: str = "complete"
    tools: Raw
    next_cursor: str | UnsetType
    ttl_ms: int = TTL_MS
    cache_scope: CacheScope
    meta: Raw = msgspec.field(name="_meta")


class CallToolResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """What tools/call gives."""

    result_type: str = "complete"
    content: Raw
    structured_content: Raw | UnsetType
    is_error: bool
    meta: Raw = msgspec.field(name="_meta")


_NAMED = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    **dict.fromkeys(TASK_METHODS, "taskId"),
}
"""The parameter that the header Mcp-Name repeats, by method."""


def names_version(request: Request) -> bool:
    """Whether a request says itself which version it speaks, as only requests of this era do."""
    try:
        return msgspec.json.decode(request.params, type=_VersionedParams).meta.version is not UNSET
    except msgspec.DecodeError:
        return False


async def answer(server: McpServer, caller: Caller, head: Head, message: Message, channel: Channel) -> Reply:
    """The reply to a body."""
    if isinstance(message, Request):
        method = message.method if message.method in _METHODS else UNKNOWN
        note_method(method)
        if not is_tracing():
            return (await _try_to_answer(server, caller, head, message, channel, method))[0]
        with traced(message, method, head.version or "") as recorded:
            reply, failure = await _try_to_answer(server, caller, head, message, channel, method)
            if failure:
                recorded.fail(str(failure))
            return reply
    try:
        refuse_repeated(head)
        _refuse_response(message)
        return Reply(HTTPStatus.ACCEPTED)
    except ProtocolError as error:
        return Reply(HTTPStatus.BAD_REQUEST, encode_error(error))


async def _try_to_answer(
    server: McpServer, caller: Caller, head: Head, request: Request, channel: Channel, method: str
) -> tuple[Reply, int | None]:
    """The reply, and its code if it is an error."""
    version = head.version if head.version in VERSIONS else UNKNOWN
    try:
        answered = Reply(HTTPStatus.OK, await _answer_request(server, caller, head, request, channel))
    except Exception as error:  # noqa: BLE001 - whatever happens, the client gets an answer to its id
        failure = to_protocol_error(error)
        failure.id = request.id
        count(method, version, failure.code)
        return Reply(STATUSES.get(failure.code, HTTPStatus.BAD_REQUEST), encode_error(failure)), failure.code
    except asyncio.CancelledError:  # the client has gone, as is the only way to end a subscription
        count(method, version, CANCELLED)
        raise
    count(method, version, "ok")
    return answered, None


def check_request(head: Head, request: Request) -> RequestParams:
    """Refuse a request whose head and body do not agree, for the first fault in the order of the official servers.

    Raises:
        ProtocolError: Says what is missing or does not match.
    """
    refuse_repeated(head)
    if request.method == "initialize" and head.version in STATELESS_VERSIONS:
        raise ProtocolError(METHOD_NOT_FOUND, f"MCP {head.version} has no initialize: send requests at once")
    params = _read_params(request)
    version = _require_meta(params.meta)
    _compare("MCP-Protocol-Version", head.version, "params._meta", version)
    _compare("Mcp-Method", head.method, "method", request.method)
    named = _NAMED.get(request.method)
    value = {"name": params.name, "uri": params.uri, "taskId": params.task_id}[named] if named else None
    if isinstance(value, str):
        _compare("Mcp-Name", head.name and decode_value(head.name), f"params.{named}", value)
    if version not in STATELESS_VERSIONS:
        data = {"supported": STATELESS_VERSIONS, "requested": version}
        raise ProtocolError(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)
    return params


def refuse_repeated(head: Head) -> None:
    """Refuse headers of which nobody can say which one counts.

    Raises:
        ProtocolError: Names the header.
    """
    if head.repeated:
        raise ProtocolError(HEADER_MISMATCH, f"the header {head.repeated[0]} is there more than once")


def _refuse_response(message: Message) -> None:
    if isinstance(message, ClientResponse):
        raise ProtocolError(INVALID_REQUEST, "this version has no requests to clients, so it takes no responses")


async def _answer_request(server: McpServer, caller: Caller, head: Head, request: Request, channel: Channel) -> bytes:
    params = check_request(head, request)
    if request.method == "tools/call" and isinstance(params.name, str):
        await _check_mirrored(server, head, params)
    method = _METHODS.get(request.method)
    if method is None:
        raise ProtocolError(METHOD_NOT_FOUND, f"there is no method {request.method[:100]!r}")
    answers = read_answers(server.conversations.sealer, request, params, caller.name)
    peer = StatelessPeer(
        caller,
        VERSIONS[STATELESS_VERSIONS[0]],
        channel,
        request_id=request.id,
        capabilities={} if params.meta.capabilities is UNSET else params.meta.capabilities,
        progress_token=params.meta.progress_token,
        log_level=params.meta.log_level,
        answers=answers,
    )
    try:
        result = await method(server, request.params, peer)
    except InputRequired as required:
        result = require_input(server.conversations.sealer, request, required, answers, caller.name, server.meta)
    return encode_result(request.id, result)


async def _check_mirrored(server: McpServer, head: Head, params: RequestParams) -> None:
    mirrored = await server.find_mirrored(params.name)
    if not mirrored:
        return
    mismatch = find_mismatch(mirrored, read_params(params.arguments, object, "tools/call"), head.parameters)
    if mismatch:
        raise ProtocolError(HEADER_MISMATCH, mismatch)


def _read_params(request: Request) -> RequestParams:
    return read_params(request.params, RequestParams, request.method[:100])


def _require_meta(meta: RequestMeta) -> str:
    """The version that a request names."""
    if meta.version is UNSET:
        raise ProtocolError(INVALID_PARAMS, "params._meta lacks io.modelcontextprotocol/protocolVersion")
    if meta.capabilities is UNSET:
        raise ProtocolError(INVALID_PARAMS, "params._meta lacks io.modelcontextprotocol/clientCapabilities")
    return meta.version


def _compare(header: str, value: str | None, member: str, wanted: str) -> None:
    if value is None:
        raise ProtocolError(HEADER_MISMATCH, f"the header {header} is missing; it must repeat {member}")
    if value != wanted:
        raise ProtocolError(HEADER_MISMATCH, f"the header {header} does not match {member}")


async def _discover(server: McpServer, _params: Raw, peer: StatelessPeer) -> DiscoverResult:
    return DiscoverResult(
        capabilities=_capabilities(server),
        instructions=server.instructions,
        cache_scope=shared_by(peer.caller),
        meta=server.meta,
    )


def _capabilities(server: McpServer) -> dict[str, dict[str, Any]]:
    """In this era there are extensions."""
    capabilities = server.capabilities
    extensions = server.offers.extensions
    if server.tasks:
        extensions[TASKS_EXTENSION] = {}
    if extensions:
        capabilities["extensions"] = extensions
    return capabilities


async def _listen(server: McpServer, params: Raw, peer: StatelessPeer) -> ListenResult:
    return await listen(server.conversations.listeners, server.endpoint, params, peer, server.info)


async def _list_tools(server: McpServer, params: Raw, peer: StatelessPeer) -> ListToolsResult:
    page = await server.list_tools(params, peer.version)
    return ListToolsResult(
        tools=page.tools, next_cursor=page.next_cursor, cache_scope=shared_by(peer.caller), meta=server.meta
    )


async def _call_tool(server: McpServer, params: Raw, peer: StatelessPeer) -> CallToolResult | TaskResult:
    try:
        shape = shape_result(await server.call_tool(params, peer), peer.version)
    except TaskCreated as created:
        return show_created(created.task, server.meta)
    meta = encode_meta(server.info, shape.metadata) if shape.metadata else server.meta
    return CallToolResult(
        content=shape.content, structured_content=shape.structured, is_error=shape.is_error, meta=meta
    )


def _offered(name: str) -> Callable[[McpServer, Raw, StatelessPeer], Awaitable[Struct]]:
    """A method that is not about tools."""

    async def answer_offered(server: McpServer, params: Raw, peer: StatelessPeer) -> Struct:
        return structs.replace(await server.offers.answer(name, params, peer), meta=server.meta)

    return answer_offered


_METHODS: Mapping[str, Callable[[McpServer, Raw, StatelessPeer], Awaitable[Struct]]] = {
    "server/discover": _discover,
    "subscriptions/listen": _listen,
    "tools/call": _call_tool,
    "tools/list": _list_tools,
    **TASK_METHODS,
    **{name: _offered(name) for name in (*OFFERED_METHODS, *SKILL_METHODS)},
}
