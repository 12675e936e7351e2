"""Streams on which clients hear of changes, on two replicas: subscriptions/listen, and GET before it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import msgspec
import pytest

from tests.mcp.conftest import META
from toolbox import ToolContext
from toolbox.auth.callers import LOCAL, Caller
from toolbox.auth.schemas import NewKey
from toolbox.auth.scopes import LIMITED
from toolbox.database import open_database
from toolbox.definitions import ToolDefinition
from toolbox.mcp.conversations import Conversations
from toolbox.mcp.endpoints import Endpoints
from toolbox.mcp.exchange import exchange
from toolbox.mcp.following import follow
from toolbox.mcp.http import Head, Reply
from toolbox.mcp.methods import McpServer
from toolbox.mcp.offers import Offers
from toolbox.mcp.resumption import KeptChannel, StreamLog
from toolbox.mcp.sessions import open_session
from toolbox.mcp.streams import Channel
from toolbox.metrics import MCP
from toolbox.plugins import Plugins
from toolbox.seals import load_sealer
from toolbox.services import Services, open_services, working
from toolbox.settings import Settings
from toolbox.tools.sync import import_tools
from toolbox.toolsets.schemas import Rule, Rules, ToolsetDefinition


class Stream:
    """One open stream, as its client reads it."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.channel = Channel(self._receive, accepts_stream=True)
        self.work: asyncio.Task[Reply] | None = None

    def listen(self, server: McpServer, caller: Caller = LOCAL, **wishes: Any) -> "Stream":
        """Listen in the stateless era."""
        params = {"_meta": META, "notifications": wishes}
        message = {"jsonrpc": "2.0", "id": "s", "method": "subscriptions/listen", "params": params}
        head = Head(
            content_type="application/json",
            accept="application/json, text/event-stream",
            version="2026-07-28",
            method="subscriptions/listen",
        )
        self.work = asyncio.create_task(exchange(server, caller, head, msgspec.json.encode(message), self.channel))
        return self

    def get(self, server: McpServer, session: str | None = None, caller: Caller = LOCAL) -> "Stream":
        """Listen in the handshake era."""
        head = Head(accept="text/event-stream", version="2025-11-25", session=session)
        self.work = asyncio.create_task(follow(server, caller, head, self.channel))
        return self

    async def next(self) -> Any:
        """The next message."""
        return await self.messages.get()

    async def _receive(self, event: Any) -> None:
        for line in event.get("body", b"").splitlines():
            if line.startswith(b"data: "):
                self.messages.put_nowait(msgspec.json.decode(line[6:]))
            elif line.startswith(b":"):
                self.messages.put_nowait("comment")


async def change(context: ToolContext) -> str:
    """Say that prompts and a resource have changed."""
    await context.announce_change("prompts")
    await context.announce_resource("demo://status")
    return "announced"


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    return make_plugins(demo=[change])


@pytest.fixture
async def replicas(settings: Settings, plugins: Plugins, services: Services) -> AsyncIterator[list[Endpoints]]:
    async with AsyncExitStack() as stack:
        opened = [services, await stack.enter_async_context(open_services(settings, plugins))]
        endpoints = []
        for replica in opened:
            await stack.enter_async_context(working(replica))
            sealer = await load_sealer(replica.database, None)
            conversations = Conversations(sealer, replica.database, replica.events, max_streams=2)
            make_server = partial(
                McpServer,
                replica.search,
                replica.calls,
                replica.tools,
                replica.registry,
                settings,
                conversations,
            )
            endpoints.append(
                Endpoints(
                    make_server,
                    lambda **_: Offers(),
                    replica.toolsets.repository,
                    replica.tools,
                    replica.registry,
                    settings,
                    replica.events,
                )
            )
        yield endpoints
        for each in endpoints:
            each.whole.conversations.listeners.close()


async def announce(server: McpServer) -> None:
    """Have the plugin say that something has changed."""
    head = Head(content_type="application/json", accept="application/json", version="2025-11-25")
    call = {"name": "demo_change", "arguments": {}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    await exchange(server, LOCAL, head, msgspec.json.encode(message), Stream().channel)


async def add_tool(services: Services, name: str, category: str) -> None:
    await import_tools(services.database, [ToolDefinition(name=name, category=category)], source=f"import:{name}")


async def test_a_list_that_changed_is_told_on_every_replica(replicas: list[Endpoints], services: Services) -> None:
    streams = [Stream().listen(endpoints.whole, toolsListChanged=True) for endpoints in replicas]
    for stream in streams:
        acknowledged = await stream.next()
        assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        assert acknowledged["params"]["notifications"] == {"toolsListChanged": True}
    await add_tool(services, "bake", "kitchen")
    for stream in streams:
        told = await stream.next()
        assert told["method"] == "notifications/tools/list_changed"
        assert told["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "s"}


async def test_a_client_of_the_handshake_era_hears_it_on_a_stream_of_its_own(
    replicas: list[Endpoints], services: Services
) -> None:
    stream = Stream().get(replicas[1].whole)
    assert await stream.next() == "comment"
    await add_tool(services, "bake", "kitchen")
    assert await stream.next() == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {}}


async def test_streams_end_when_the_key_of_their_caller_is_revoked(
    replicas: list[Endpoints], services: Services
) -> None:
    for name in ("ada", "bob"):
        await services.keys.issue(NewKey(name=name), LOCAL)
    ada, bob = (Caller(f"key:{name}", LIMITED) for name in ("ada", "bob"))
    server = replicas[1].whole
    ending = [Stream().listen(server, ada, toolsListChanged=True), Stream().get(server, caller=ada)]
    for stream in ending:
        await stream.next()
    await services.keys.revoke("ada", LOCAL)
    async with asyncio.timeout(20):
        await asyncio.gather(*(stream.work for stream in ending if stream.work))
    staying = Stream().listen(server, bob, toolsListChanged=True)
    await staying.next()
    await services.keys.revoke("ada", LOCAL)
    await add_tool(services, "bake", "kitchen")
    assert (await staying.next())["method"] == "notifications/tools/list_changed"


async def test_what_changes_no_list_is_not_told(replicas: list[Endpoints], services: Services) -> None:
    await add_tool(services, "bake", "kitchen")
    await services.toolsets.apply({"t": ToolsetDefinition(rules=Rules((Rule(name="bake"),)))})
    stream = Stream().get(await replicas[1].find("t", LOCAL))
    assert await stream.next() == "comment"
    await add_tool(services, "unrelated", "elsewhere")
    await services.toolsets.apply({"t": ToolsetDefinition(rules=Rules((Rule(name="b*"),)))})
    assert (await stream.next())["method"] == "notifications/tools/list_changed"
    assert stream.messages.empty()


async def test_a_plugin_announces_to_whoever_wants_to_hear_it(replicas: list[Endpoints], services: Services) -> None:
    uris = ["demo://status", "demo://other"]
    curious = Stream().listen(replicas[1].whole, promptsListChanged=True, resourceSubscriptions=uris)
    others = Stream().listen(replicas[1].whole, resourcesListChanged=True)
    for stream in (curious, others):
        await stream.next()
    await announce(replicas[0].whole)
    heard = [await curious.next(), await curious.next()]
    assert [message["method"] for message in heard] == [
        "notifications/prompts/list_changed",
        "notifications/resources/updated",
    ]
    assert heard[1]["params"]["uri"] == "demo://status"
    assert others.messages.empty()


async def test_a_session_hears_on_any_replica_of_the_resources_that_it_subscribes_to(
    replicas: list[Endpoints],
) -> None:
    first, second = (replica.whole for replica in replicas)
    session = open_session(first.conversations.sealer, "2025-11-25", {}, LOCAL.name)
    session_id = first.conversations.read_session(session).id
    streams = [Stream().get(second, session)]
    await streams[0].next()
    await first.conversations.subscribe(session_id, "demo://status", is_wanted=True)
    (listener,) = second.conversations.listeners.of_sessions(session_id)
    while "resource:demo://status" not in listener.wanted:
        await asyncio.sleep(0.01)
    streams.append(Stream().get(first, session))  # one that is opened later hears of it, too
    await streams[1].next()
    for _ in range(2):
        await announce(first)
        for stream in streams:
            heard = [await stream.next(), await stream.next()]
            assert heard[0]["method"] == "notifications/prompts/list_changed"
            assert heard[1] == {
                "jsonrpc": "2.0",
                "method": "notifications/resources/updated",
                "params": {"uri": "demo://status"},
            }
    await second.conversations.subscribe(session_id, "demo://status", is_wanted=False)
    while "resource:demo://status" in listener.wanted:
        await asyncio.sleep(0.01)
    assert await first.conversations.subscriptions.read(session_id) == frozenset()


async def test_there_are_only_so_many_streams(replicas: list[Endpoints]) -> None:
    server = replicas[0].whole
    for _ in range(2):
        await Stream().listen(server, toolsListChanged=True).next()
    refused = await waited(Stream().listen(server, toolsListChanged=True))
    assert "MAX_STREAMS" in msgspec.json.decode(refused.body)["error"]["message"]
    assert (await waited(Stream().get(server))).status == 503
    assert (await waited(Stream().listen(replicas[1].whole), cancel=True)) is None


async def test_a_stream_that_its_client_leaves_makes_room_and_is_counted(replicas: list[Endpoints]) -> None:
    server, counted = replicas[0].whole, MCP["subscriptions/listen", "2026-07-28", "cancelled"]
    before = counted._value.get()
    for _ in range(5):
        stream = Stream().listen(server, toolsListChanged=True)
        await stream.next()
        assert await waited(stream, cancel=True) is None
    assert len(server.conversations.listeners) == 0
    assert counted._value.get() == before + 5


async def test_streams_end_when_the_process_does(replicas: list[Endpoints]) -> None:
    server = replicas[0].whole
    listening, getting = Stream().listen(server, toolsListChanged=True), Stream().get(server)
    for stream in (listening, getting):
        await stream.next()
    server.conversations.end_streams()
    answer = msgspec.json.decode((await waited(listening)).body)
    assert answer["id"] == "s"
    assert answer["result"]["resultType"] == "complete"
    assert (await waited(getting)).body == b""


async def test_a_client_that_takes_no_stream_cannot_listen(replicas: list[Endpoints]) -> None:
    stream = Stream()
    stream.channel.accepts_stream = False
    answer = msgspec.json.decode((await waited(stream.listen(replicas[0].whole))).body)
    assert (answer["error"]["code"], answer["id"]) == (-32600, "s")


async def test_events_that_were_missed_are_made_up_for(replicas: list[Endpoints], services: Services) -> None:
    """Whatever is wanted may have changed while nothing was heard."""
    stream = Stream().listen(replicas[1].whole, promptsListChanged=True)
    await stream.next()
    await services.database.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'toolbox events'"
    )
    assert (await stream.next())["method"] == "notifications/prompts/list_changed"


class TestComingBack:
    """Streams of the handshake era that are left and followed on another replica."""

    async def test_what_was_missed_comes_on_another_replica(self, replicas: list[Endpoints]) -> None:
        first = Kept(replicas[0].whole)
        await first.channel.send(b'{"number": 1}')
        await first.channel.send(b'{"number": 2}')
        ids = [event_id for event_id, _ in first.read]
        second = Stream()
        head = Head(accept="text/event-stream", version="2025-11-25", last_event_id=ids[1])
        reading = asyncio.create_task(follow(replicas[1].whole, LOCAL, head, second.channel))
        assert await second.next() == "comment"  # at once, also where there is nothing to say for a while
        assert await second.next() == {"number": 2}
        await first.channel.send(b'{"number": 3}')
        assert await second.next() == {"number": 3}
        await first.channel.finish(Reply(200, b'{"result": 4}'))
        assert await second.next() == {"result": 4}
        assert (await reading).status == 200

    async def test_a_stream_begins_with_an_id_to_come_back_to(self, replicas: list[Endpoints]) -> None:
        kept = Kept(replicas[0].whole)
        await kept.channel.offer(b'{"progress": 1}')
        assert [data for _, data in kept.read] == [b"", b'{"progress": 1}']
        assert kept.read[0][0]
        assert kept.read[1][0] is None  # progress is old when it is read again

    async def test_a_client_that_was_let_go_comes_back_for_the_answer(self, replicas: list[Endpoints]) -> None:
        kept = Kept(replicas[0].whole)
        await kept.channel.release(0.5)
        assert kept.is_over
        assert b"retry: 500" in kept.raw
        await kept.channel.finish(Reply(200, b'{"result": 1}'))
        stream = Stream()
        head = Head(accept="text/event-stream", version="2025-11-25", last_event_id=kept.read[0][0])
        assert (await follow(replicas[1].whole, LOCAL, head, stream.channel)).status == 200
        assert await stream.next() == "comment"
        assert await stream.next() == {"result": 1}

    async def test_what_cannot_be_kept_is_said_all_the_same(
        self, replicas: list[Endpoints], services: Services, database_url: str
    ) -> None:
        kept = Kept(replicas[0].whole)
        async with open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=0.5) as database:
            log = StreamLog(database, services.events)
            kept.channel = KeptChannel(kept.receive, log, owner=LOCAL.name, accepts_stream=True, is_primed=True)
            async with database.connection():  # the only one
                await kept.channel.release(0.5)
                assert not kept.is_over
                await kept.channel.send(b'{"number": 1}')
            await kept.channel.finish(Reply(200, b'{"result": 2}'))
        assert kept.read == [(None, b'{"number": 1}'), (None, b'{"result": 2}')]
        assert kept.is_over

    @pytest.mark.parametrize(
        "event_id", ["", "x", "00000000000040008000000000000000-1", "00000000000040008000000000000000-x"]
    )
    async def test_an_id_of_nothing_is_not_found(self, replicas: list[Endpoints], event_id: str) -> None:
        head = Head(accept="text/event-stream", version="2025-11-25", last_event_id=event_id)
        assert (await follow(replicas[0].whole, LOCAL, head, Stream().channel)).status == 404

    async def test_readers_end_when_the_process_does(self, replicas: list[Endpoints]) -> None:
        kept = Kept(replicas[0].whole)
        await kept.channel.send(b'{"number": 1}')
        stream = Stream()
        head = Head(accept="text/event-stream", version="2025-11-25", last_event_id=kept.read[0][0])
        reading = asyncio.create_task(follow(replicas[1].whole, LOCAL, head, stream.channel))
        await stream.next()
        replicas[1].whole.conversations.end_streams()
        assert (await reading).body == b""


class Kept:
    """A stream that is kept, and what its client reads of it."""

    def __init__(self, server: McpServer) -> None:
        self.raw = b""
        self.is_over = False
        self.channel = KeptChannel(
            self.receive, server.conversations.streams, owner=LOCAL.name, accepts_stream=True, is_primed=True
        )

    @property
    def read(self) -> list[tuple[str | None, bytes]]:
        """Id and data of each event."""
        found = []
        for event in self.raw.split(b"\n\n"):
            fields = dict(line.split(b": ", 1) for line in event.splitlines() if not line.startswith(b":"))
            if b"data" in fields:
                found.append((fields[b"id"].decode() if b"id" in fields else None, fields[b"data"]))
        return found

    async def receive(self, event: Any) -> None:
        self.raw += event.get("body", b"")
        self.is_over = event["type"] == "http.response.body" and not event["more_body"]


async def waited(stream: Stream, *, cancel: bool = False) -> Any:
    """What became of a stream; with `cancel`, its client leaves first."""
    assert stream.work is not None
    if cancel:
        await asyncio.sleep(0)
        stream.work.cancel()
    await asyncio.wait({stream.work})
    return None if stream.work.cancelled() else stream.work.result()
