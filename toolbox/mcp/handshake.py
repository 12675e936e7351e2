"""The handshake era (to 2025-11-25): a client first agrees with the server on a version.

The server keeps no session: nothing is remembered between requests, so any replica can answer any of them, and a
restart loses nobody. An error of a method is an HTTP success; only what is no message at all is not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, UnsetType

from toolbox.mcp.failures import to_protocol_error
from toolbox.mcp.http import Head, Reply
from toolbox.mcp.messages import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Message,
    ProtocolError,
    Request,
    encode_error,
    encode_result,
    read_batch,
    read_params,
)
from toolbox.mcp.methods import CAPABILITIES, SERVER_INFO, McpServer
from toolbox.mcp.shapes import shape_result
from toolbox.mcp.tools import INSTRUCTIONS
from toolbox.mcp.versions import ASSUMED_VERSION, HANDSHAKE_VERSIONS, VERSIONS, Version


class InitializeParams(Struct, frozen=True, rename="camel"):
    """What initialize takes, as far as it matters here."""

    protocol_version: str


class InitializeResult(Struct, frozen=True, rename="camel"):
    """What initialize gives."""

    protocol_version: str
    capabilities: Mapping[str, Any]
    server_info: Mapping[str, str]
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


EMPTY = Raw(b"{}")


async def answer(server: McpServer, head: Head, message: Message) -> Reply:
    """The reply to a body with one message.

    Raises:
        ProtocolError: The version that the header names is unknown.
    """
    version = read_version(head, message)
    if not isinstance(message, Request):
        return Reply(HTTPStatus.ACCEPTED)
    return Reply(HTTPStatus.OK, await _answer_request(server, message, version))


async def answer_batch(server: McpServer, head: Head, body: bytes) -> Reply:
    """The reply to a body with several messages: the answers to those that are requests, in their order.

    Raises:
        ProtocolError: The version has no batches, or the body holds none that can be read.
    """
    version = read_version(head)
    if not version.has_batches:
        raise ProtocolError(INVALID_REQUEST, f"MCP {version.name} has no batches: send one message in a body")
    messages = read_batch(body)
    answers = await asyncio.gather(*(_answer_part(server, message, version) for message in messages))
    given = [Raw(encoded) for encoded in answers if encoded is not None]
    return Reply(HTTPStatus.OK, msgspec.json.encode(given)) if given else Reply(HTTPStatus.ACCEPTED)


def read_version(head: Head, message: Message | None = None) -> Version:
    """The version that a request speaks.

    Raises:
        ProtocolError: The header names a version that is unknown.
    """
    if isinstance(message, Request) and message.method == "initialize":
        return VERSIONS[HANDSHAKE_VERSIONS[0]]  # its body says which one, and may ask for one that we do not know
    if head.repeated:
        raise ProtocolError(INVALID_REQUEST, f"the header {head.repeated[0]} is there more than once")
    if head.version is None:
        return VERSIONS[ASSUMED_VERSION]
    if head.version not in HANDSHAKE_VERSIONS:
        known = ", ".join(VERSIONS)
        raise ProtocolError(INVALID_REQUEST, f"MCP-Protocol-Version {head.version[:100]!r} is unknown; known: {known}")
    return VERSIONS[head.version]


async def _answer_part(server: McpServer, message: Message | ProtocolError, version: Version) -> bytes | None:
    if isinstance(message, ProtocolError):
        return encode_error(message)
    if not isinstance(message, Request):
        return None
    if message.method == "initialize":
        return encode_error(ProtocolError(INVALID_REQUEST, "initialize must not be part of a batch", id=message.id))
    return await _answer_request(server, message, version)


async def _answer_request(server: McpServer, request: Request, version: Version) -> bytes:
    try:
        return encode_result(request.id, await _run_method(server, request, version))
    except Exception as error:  # noqa: BLE001 - whatever happens, the client gets an answer to its id
        failure = to_protocol_error(error)
        failure.id = request.id
        return encode_error(failure)


async def _run_method(server: McpServer, request: Request, version: Version) -> Struct | Raw:
    method = _METHODS.get(request.method)
    if method is None:
        raise ProtocolError(METHOD_NOT_FOUND, f"there is no method {request.method[:100]!r}")
    return await method(server, request.params, version)


async def _initialize(_server: McpServer, params: Raw, _version: Version) -> InitializeResult:
    wanted = read_params(params, InitializeParams, "initialize").protocol_version
    return InitializeResult(
        protocol_version=wanted if wanted in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[0],
        capabilities=CAPABILITIES,
        server_info=SERVER_INFO,
        instructions=INSTRUCTIONS,
    )


async def _ping(_server: McpServer, _params: Raw, _version: Version) -> Raw:
    return EMPTY


async def _set_level(_server: McpServer, params: Raw, _version: Version) -> Raw:
    """Nothing is logged to clients, at any level."""
    read_params(params, SetLevelParams, "logging/setLevel")
    return EMPTY


async def _list_tools(server: McpServer, params: Raw, version: Version) -> ListToolsResult:
    page = await server.list_tools(params, version)
    return ListToolsResult(page.tools, page.next_cursor)


async def _call_tool(server: McpServer, params: Raw, version: Version) -> CallToolResult:
    shape = shape_result(await server.call_tool(params), version)
    return CallToolResult(shape.content, shape.structured, shape.is_error)


_METHODS: Mapping[str, Callable[[McpServer, Raw, Version], Awaitable[Struct | Raw]]] = {
    "initialize": _initialize,
    "logging/setLevel": _set_level,
    "ping": _ping,
    "tools/call": _call_tool,
    "tools/list": _list_tools,
}
