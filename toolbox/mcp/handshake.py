"""The handshake era (to 2025-11-25): a client first agrees with the server on a version.

The server keeps no session: what must be known between requests is in the session's id, sealed, so any replica can
answer any of them, and a restart loses nobody. An error of a method is an HTTP success; only what is no message at all
is not.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.auth.callers import Caller
from toolbox.definitions import TextContent, ToolResult
from toolbox.errors import InsufficientScope
from toolbox.mcp.cancellation import CancelledByClient
from toolbox.mcp.failures import to_protocol_error
from toolbox.mcp.http import Head, Reply
from toolbox.mcp.identity import ServerInfo
from toolbox.mcp.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    ClientResponse,
    Message,
    MessageId,
    Notification,
    ProtocolError,
    Request,
    encode_error,
    encode_result,
    read_batch,
    read_params,
)
from toolbox.mcp.methods import McpServer
from toolbox.mcp.observing import CANCELLED, UNKNOWN, count, note_method, traced
from toolbox.mcp.offers import OFFERED_METHODS
from toolbox.mcp.outputs import Outcome
from toolbox.mcp.peers import HandshakePeer, ProgressToken
from toolbox.mcp.permissions import find_missing_scope
from toolbox.mcp.sessions import NO_SESSION, Session, open_session
from toolbox.mcp.shapes import shape_result
from toolbox.mcp.stateless import names_version
from toolbox.mcp.streams import Channel
from toolbox.mcp.versions import ASSUMED_VERSION, HANDSHAKE_VERSIONS, VERSIONS, Version
from toolbox.request_context import REQUEST
from toolbox.telemetry import is_tracing
from toolbox.tools.client import MissingCapability


class InitializeParams(Struct, frozen=True, rename="camel"):
    """What initialize takes, as far as it matters here."""

    protocol_version: str
    capabilities: dict[str, Raw] = {}


class RequestMeta(Struct, frozen=True, rename="camel"):
    """What any request may say about itself."""

    progress_token: ProgressToken | UnsetType = UNSET


class RequestParams(Struct, frozen=True):
    """The parameters of any request, as far as all of them are alike."""

    meta: RequestMeta = msgspec.field(default=RequestMeta(), name="_meta")


class CancelledParams(Struct, frozen=True, rename="camel"):
    """What notifications/cancelled carries."""

    request_id: MessageId


class InitializeResult(Struct, frozen=True, rename="camel"):
    """What initialize gives."""

    protocol_version: str
    capabilities: Mapping[str, Any]
    server_info: ServerInfo
    instructions: str


class SetLevelParams(Struct, frozen=True):
    """What logging/setLevel takes."""

    level: Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]


class ListToolsResult(Struct, frozen=True, rename="camel"):
    """What tools/list gives."""

    tools: Raw
    next_cursor: str | UnsetType


class CallToolResult(Struct, frozen=True, rename="camel"):
    """What tools/call gives."""

    content: Raw
    structured_content: Raw | UnsetType
    is_error: bool
    meta: dict[str, object] | UnsetType = msgspec.field(default=UNSET, name="_meta")


class SubscribeParams(Struct, frozen=True):
    """What resources/subscribe and resources/unsubscribe take."""

    uri: str


EMPTY = Raw(b"{}")


class Sender(Struct, frozen=True):
    """The client that sends a body: on whose behalf, the version it speaks, its session, and the way back to it."""

    caller: Caller
    version: Version
    session: Session
    channel: Channel


async def answer(server: McpServer, caller: Caller, head: Head, message: Message, channel: Channel) -> Reply:
    """The reply to a body with one message.

    Raises:
        ProtocolError: The version that the header names is unknown.
    """
    if isinstance(message, Request) and message.method == "initialize":
        note_method("initialize")
        return _initialize(server, caller, message)
    sender = _read_sender(server, caller, head, channel)
    if isinstance(message, Request):
        body = await _answer_request(server, message, sender)
        return Reply(HTTPStatus.ACCEPTED) if body is None else Reply(HTTPStatus.OK, body)
    await _take_note(server, message, sender)
    return Reply(HTTPStatus.ACCEPTED)


async def answer_batch(server: McpServer, caller: Caller, head: Head, body: bytes, channel: Channel) -> Reply:
    """The reply to a body with several messages: the answers to those that are requests, in their order.

    Raises:
        ProtocolError: The version has no batches, or the body holds none that can be read.
    """
    sender = _read_sender(server, caller, head, channel)
    if not sender.version.has_batches:
        raise ProtocolError(INVALID_REQUEST, f"MCP {sender.version.name} has no batches: send one message in a body")
    messages = read_batch(body)
    answers = await asyncio.gather(*(_answer_part(server, message, sender) for message in messages))
    given = [Raw(encoded) for encoded in answers if encoded is not None]
    return Reply(HTTPStatus.OK, msgspec.json.encode(given)) if given else Reply(HTTPStatus.ACCEPTED)


def _read_sender(server: McpServer, caller: Caller, head: Head, channel: Channel) -> Sender:
    session = read_own_session(server.conversations.read_session(head.session), caller)
    return Sender(caller, read_version(head, session.version), session, channel)


def read_own_session(session: Session, caller: Caller) -> Session:
    """A session as its caller gets it: one of somebody else is none."""
    return session if session.caller == caller.name else NO_SESSION


def read_version(head: Head, agreed: str | None = None) -> Version:
    """The version that a request speaks.

    Raises:
        ProtocolError: The header names a version that is unknown.
    """
    if head.repeated:
        raise ProtocolError(INVALID_REQUEST, f"the header {head.repeated[0]} is there more than once")
    if head.version is None:
        return VERSIONS.get(agreed or ASSUMED_VERSION, VERSIONS[ASSUMED_VERSION])
    if head.version not in HANDSHAKE_VERSIONS:
        known = ", ".join(VERSIONS)
        raise ProtocolError(INVALID_REQUEST, f"MCP-Protocol-Version {head.version[:100]!r} is unknown; known: {known}")
    return VERSIONS[head.version]


async def _take_note(server: McpServer, message: Message, sender: Sender) -> None:
    """Use what needs no answer; what cannot be used is dropped, as JSON-RPC says."""
    if isinstance(message, ClientResponse):
        await server.conversations.take_answer(message)
    elif isinstance(message, Notification) and message.method == "notifications/cancelled" and sender.session.id:
        with contextlib.suppress(ProtocolError):
            cancelled = read_params(message.params, CancelledParams, message.method).request_id
            await server.conversations.cancel(sender.session.id, cancelled)


async def _answer_part(server: McpServer, message: Message | ProtocolError, sender: Sender) -> bytes | None:
    if isinstance(message, ProtocolError):
        return encode_error(message)
    if not isinstance(message, Request):
        await _take_note(server, message, sender)
        return None
    if message.method == "initialize":
        return encode_error(ProtocolError(INVALID_REQUEST, "initialize must not be part of a batch", id=message.id))
    if names_version(message):
        said = "the header MCP-Protocol-Version is missing; it must repeat params._meta, and its version has no batches"
        return encode_error(ProtocolError(HEADER_MISMATCH, said, id=message.id))
    missing = find_missing_scope(sender.caller, message)
    if missing:
        return encode_error(_to_failure(message, InsufficientScope(missing)))
    if facts := REQUEST.get():  # each part runs in a task of its own
        REQUEST.set(facts.part())
    return await _answer_request(server, message, sender)


async def _answer_request(server: McpServer, request: Request, sender: Sender) -> bytes | None:
    """The answer; none if the client has cancelled the request."""
    method, version = request.method if request.method in _METHODS else UNKNOWN, sender.version.name
    note_method(method)
    if not is_tracing():
        return (await _try_to_answer(server, request, sender, method))[0]
    with traced(request, method, version) as recorded:
        answered, failure = await _try_to_answer(server, request, sender, method)
        if failure:
            recorded.fail(str(failure))
        return answered


async def _try_to_answer(
    server: McpServer, request: Request, sender: Sender, method: str
) -> tuple[bytes | None, int | None]:
    """The answer, and its code if it is an error."""
    try:
        work = _run_method(server, request, sender)
        result = await server.conversations.running.run(sender.session.id, request.id, work)
        answered = encode_result(request.id, result)
    except CancelledByClient:
        count(method, sender.version.name, CANCELLED)
        return None, None
    except Exception as error:  # noqa: BLE001 - whatever happens, the client gets an answer to its id
        failure = _to_failure(request, error)
        count(method, sender.version.name, failure.code)
        return encode_error(failure), failure.code
    count(method, sender.version.name, "ok")
    return answered, None


def _to_failure(request: Request, error: Exception) -> ProtocolError:
    failure = to_protocol_error(error)
    failure.id = request.id
    return failure


async def _run_method(server: McpServer, request: Request, sender: Sender) -> Struct | Raw:
    method = _METHODS.get(request.method)
    if method is None:
        raise ProtocolError(METHOD_NOT_FOUND, f"there is no method {request.method[:100]!r}")
    return await method(server, request.params, _create_peer(server, request, sender))


def _create_peer(server: McpServer, request: Request, sender: Sender) -> HandshakePeer:
    meta = read_params(request.params, RequestParams, request.method[:100]).meta
    return HandshakePeer(
        sender.caller,
        sender.version,
        sender.channel,
        capabilities=sender.session.capabilities,
        pending=server.conversations.pending,
        progress_token=meta.progress_token,
        session_id=sender.session.id,
    )


def _initialize(server: McpServer, caller: Caller, request: Request) -> Reply:
    try:
        params = read_params(request.params, InitializeParams, "initialize")
    except ProtocolError as error:
        count("initialize", UNKNOWN, error.code)
        return Reply(HTTPStatus.OK, encode_error(_to_failure(request, error)))
    wanted = params.protocol_version
    version = wanted if wanted in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[0]
    result = InitializeResult(
        protocol_version=version,
        capabilities=server.capabilities,
        server_info=server.info,
        instructions=server.instructions,
    )
    count("initialize", version, "ok")
    session = open_session(server.conversations.sealer, version, params.capabilities, caller.name)
    return Reply(HTTPStatus.OK, encode_result(request.id, result), ((b"mcp-session-id", session.encode()),))


async def _ping(_server: McpServer, _params: Raw, _peer: HandshakePeer) -> Raw:
    return EMPTY


async def _set_level(_server: McpServer, params: Raw, _peer: HandshakePeer) -> Raw:
    """Accepted, and forgotten: there is no session to keep it in, and clients can tell levels apart."""
    read_params(params, SetLevelParams, "logging/setLevel")
    return EMPTY


async def _list_tools(server: McpServer, params: Raw, peer: HandshakePeer) -> ListToolsResult:
    page = await server.list_tools(params, peer.version)
    return ListToolsResult(page.tools, page.next_cursor)


async def _call_tool(server: McpServer, params: Raw, peer: HandshakePeer) -> CallToolResult:
    try:
        outcome = await server.call_tool(params, peer)
    except MissingCapability as error:  # this era has no code for it, and a model can read a result
        outcome = Outcome(ToolResult((TextContent(error.message),), is_error=True))
    shape = shape_result(outcome, peer.version)
    has_metadata = shape.metadata and peer.version.has_structured_output
    return CallToolResult(shape.content, shape.structured, shape.is_error, shape.metadata if has_metadata else UNSET)


def _offered(name: str) -> Callable[[McpServer, Raw, HandshakePeer], Awaitable[Struct | Raw]]:
    """A method that is not about tools."""

    async def answer_offered(server: McpServer, params: Raw, peer: HandshakePeer) -> Struct:
        return await server.offers.answer(name, params, peer)

    return answer_offered


def _subscribing(name: str, *, is_wanted: bool) -> Callable[[McpServer, Raw, HandshakePeer], Awaitable[Struct | Raw]]:
    """Hearing of a resource on the stream that the session opens by GET."""

    async def subscribe(server: McpServer, params: Raw, peer: HandshakePeer) -> Struct | Raw:
        await server.offers.answer(name, params, peer)  # there must be such a resource
        if not peer.session_id:
            raise ProtocolError(INVALID_PARAMS, f"{name} needs the header Mcp-Session-Id, which initialize gives")
        uri = read_params(params, SubscribeParams, name).uri
        await server.conversations.subscribe(peer.session_id, uri, is_wanted=is_wanted)
        return EMPTY

    return subscribe


_METHODS: Mapping[str, Callable[[McpServer, Raw, HandshakePeer], Awaitable[Struct | Raw]]] = {
    "logging/setLevel": _set_level,
    "ping": _ping,
    "tools/call": _call_tool,
    "tools/list": _list_tools,
    "resources/subscribe": _subscribing("resources/subscribe", is_wanted=True),
    "resources/unsubscribe": _subscribing("resources/unsubscribe", is_wanted=False),
    **{name: _offered(name) for name in OFFERED_METHODS},
}
