"""subscriptions/listen (MCP 2026-07-28): a request whose answer is a stream of changes, and comes when that ends."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from toolbox.mcp.identity import ServerInfo
from toolbox.mcp.listening import Endpoint, Listeners, Wishes, to_notification
from toolbox.mcp.messages import INVALID_REQUEST, ProtocolError, encode_notification, read_params
from toolbox.mcp.peers import StatelessPeer

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"


class ListenParams(Struct, frozen=True):
    """What subscriptions/listen takes."""

    notifications: Wishes


class ListenResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """What it gives when the server ends it."""

    result_type: str = "complete"
    meta: Mapping[str, Any] = msgspec.field(name="_meta")


async def listen(
    listeners: Listeners, endpoint: Endpoint, params: Raw, peer: StatelessPeer, server_info: ServerInfo
) -> ListenResult:
    """Tell a client of all changes that it asked for; the first message says which those are.

    Raises:
        ProtocolError: The client takes no streams.
        Overloaded: There are too many.
    """
    wishes = read_params(params, ListenParams, "subscriptions/listen").notifications
    if not peer.channel.accepts_stream:
        raise ProtocolError(INVALID_REQUEST, "subscriptions/listen answers with text/event-stream: accept it")
    meta = {SUBSCRIPTION_ID: peer.request_id}
    async with listeners.open(endpoint, wishes, peer.caller.name) as listener:
        acknowledged = {"_meta": meta, "notifications": wishes}
        await peer.channel.send(encode_notification("notifications/subscriptions/acknowledged", acknowledged))
        async for change in listener.changes():
            await peer.channel.send(to_notification(change, meta))
    return ListenResult(meta=meta | {"io.modelcontextprotocol/serverInfo": server_info})
