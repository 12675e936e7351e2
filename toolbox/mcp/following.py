"""What a client of the handshake era opens by GET: a stream of changes, or the rest of a stream that it has left.

(Streamable HTTP, Listening for Messages from the Server; Resumability and Redelivery.)
"""

from http import HTTPStatus

from toolbox.auth.callers import Caller
from toolbox.errors import NotFound, Overloaded
from toolbox.mcp.exchange import refuse
from toolbox.mcp.handshake import read_own_session, read_version
from toolbox.mcp.http import Head, Reply
from toolbox.mcp.listening import Wishes, to_notification
from toolbox.mcp.messages import ProtocolError
from toolbox.mcp.methods import McpServer
from toolbox.mcp.resumption import encode_kept, key_of, read_event_id
from toolbox.mcp.streams import Channel

EVERY_LIST = Wishes(tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True)


async def follow(server: McpServer, caller: Caller, head: Head, channel: Channel) -> Reply:
    """Send what there is to send until there is no more of it; the reply then ends the stream, or refuses it."""
    try:
        session = read_own_session(server.conversations.read_session(head.session), caller)
        read_version(head, session.version)
        if head.last_event_id is None:
            await _listen(server, caller, session.id, channel)
        else:
            await _resume(server, caller, head.last_event_id, channel)
    except ProtocolError as error:
        return refuse(HTTPStatus.BAD_REQUEST, error.message)
    except NotFound as error:
        return refuse(HTTPStatus.NOT_FOUND, error.message)
    except Overloaded as error:
        return refuse(HTTPStatus.SERVICE_UNAVAILABLE, error.message)
    return Reply(HTTPStatus.OK)


async def _listen(server: McpServer, caller: Caller, session_id: str, channel: Channel) -> None:
    async with server.conversations.listeners.open(server.endpoint, EVERY_LIST, caller.name, session_id) as listener:
        await server.conversations.tune(listener)
        await channel.open()
        async for change in listener.changes():
            await channel.send(to_notification(change))


async def _resume(server: McpServer, caller: Caller, last_event_id: str, channel: Channel) -> None:
    stream, after = read_event_id(last_event_id)
    key = key_of(stream, caller.name)
    await server.conversations.streams.require(key)
    await channel.open()  # there may be nothing to say for a while
    async for event in server.conversations.streams.read(key, after):
        await channel.resend(encode_kept(stream, event))
