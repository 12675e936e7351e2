"""One POST to /mcp, without HTTP: head and body in, reply out. Decides which era a request belongs to."""

from http import HTTPStatus

from msgspec import UNSET

from toolbox.auth.callers import Caller
from toolbox.errors import InsufficientScope
from toolbox.mcp import handshake, stateless
from toolbox.mcp.http import Head, Reply
from toolbox.mcp.messages import (
    INVALID_REQUEST,
    MAX_BATCH,
    Message,
    ProtocolError,
    Request,
    encode_error,
    find_id,
    is_batch,
    read_message,
)
from toolbox.mcp.methods import McpServer
from toolbox.mcp.permissions import STREAM_SCOPE, find_category, find_missing_scope
from toolbox.mcp.streams import Channel
from toolbox.mcp.versions import STATELESS_VERSIONS
from toolbox.rate_limiting.layer import Limit

_MESSAGE = b'"jsonrpc"'
"""What every message of a batch has."""


async def exchange(
    server: McpServer, caller: Caller, head: Head, body: bytes, channel: Channel, limit: Limit | None = None
) -> Reply:
    """Answer one request of a client; what is wrong with it is an answer too.

    What is said before the answer goes over `channel`.

    `limit` counts what is asked for.

    Raises:
        InsufficientScope: The caller lacks what the method needs; nothing was said yet.
        RateLimited: The caller has asked too much lately; nothing was said yet.
    """
    if limit and not (head.has_json and head.accepts_json):
        await limit("search", 1)
    if not head.has_json:
        return refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the header Content-Type: application/json")
    if not head.accepts_json:
        return refuse(HTTPStatus.NOT_ACCEPTABLE, "answers are application/json, which the header Accept excludes")
    try:
        return await _answer(server, caller, head, body, channel, limit)
    except ProtocolError as error:
        if error.id is UNSET:
            error.id = find_id(body)  # clients drop an error that names no request of theirs
        return Reply(HTTPStatus.BAD_REQUEST, encode_error(error))


def refuse(status: HTTPStatus, message: str) -> Reply:
    """A refusal of what is not yet a message, so that there is no id to answer to."""
    return Reply(status, encode_error(ProtocolError(INVALID_REQUEST, message)))


async def _answer(
    server: McpServer, caller: Caller, head: Head, body: bytes, channel: Channel, limit: Limit | None
) -> Reply:
    if is_batch(body):
        if head.version in STATELESS_VERSIONS:
            raise ProtocolError(INVALID_REQUEST, f"MCP {head.version} has no batches: send one message in a body")
        if limit:
            await limit("call", min(body.count(_MESSAGE), MAX_BATCH))
        return await handshake.answer_batch(server, caller, head, body, channel)
    message = await _read_counted(body, limit)
    missing = find_missing_scope(caller, message) if isinstance(message, Request) else _missing(caller)
    if missing:
        raise InsufficientScope(missing)
    if is_stateless(head, message):
        return await stateless.answer(server, caller, head, message, channel)
    return await handshake.answer(server, caller, head, message, channel)


async def _read_counted(body: bytes, limit: Limit | None) -> Message:
    """The message; whatever it is counts, also if it is none."""
    try:
        message = read_message(body)
    except ProtocolError:
        if limit:
            await limit("search", 1)
        raise
    if limit:
        await limit(find_category(message), 1)
    return message


def _missing(caller: Caller) -> str | None:
    return None if STREAM_SCOPE in caller.scopes else STREAM_SCOPE


def is_stateless(head: Head, message: Message) -> bool:
    """Whether a message belongs to the stateless era: by its header, or because it names a version in itself.

    Clients of the handshake era never do the latter. So where that is not matched by the header, the header was
    forgotten or is wrong, and the stateless era refuses the message with the reason.
    """
    if head.version in STATELESS_VERSIONS:
        return True
    return isinstance(message, Request) and stateless.names_version(message)
