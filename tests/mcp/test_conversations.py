"""Tools tell clients how far they have come, and ask them: the same tools, in both eras."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from httpx import Response

from tests.mcp.conftest import META, Client
from toolbox import ToolContext
from toolbox.auth.callers import LOCAL
from toolbox.mcp.conversations import Conversations
from toolbox.mcp.exchange import exchange
from toolbox.mcp.http import Head, Reply
from toolbox.mcp.methods import McpServer
from toolbox.mcp.streams import Channel
from toolbox.plugins import Plugins
from toolbox.seals import load_sealer
from toolbox.services import Services, open_services
from toolbox.settings import Settings
from toolbox.tools.client import Elicitation, ListRoots, Sampling

NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
BOTH = {"accept": "application/json, text/event-stream"}
FORMS = META | {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}


async def count(context: ToolContext) -> str:
    """Count to two, and say so."""
    await context.report_progress(1, 2, "one")
    await context.report_progress(1, 2, "still one")
    await context.report_progress(2, 2)
    return "counted"


async def talk(context: ToolContext) -> str:
    """Talk to the log."""
    await context.log("debug", "a detail")
    await context.log("error", {"what": "a failure"}, "demo")
    return "talked"


async def greet(greeting: str, context: ToolContext) -> str:
    """Greet whoever uses the client."""
    answer = await context.elicit("who", "What is your name?", NAME)
    if answer.action != "accept":
        return "nobody to greet"
    mood = await context.elicit("mood", f"How are you, {answer.content['name']}?", NAME)
    return f"{greeting} {answer.content['name']}, {mood.content['name']}"


async def guess(context: ToolContext) -> str:
    """Ask the client's model."""
    return (await context.sample("guess", "What is it?", max_tokens=5)).text


async def ask_all(context: ToolContext) -> list[str]:
    """Ask everything at once."""
    answers = await context.ask(
        {
            "a": Elicitation(message="?", requested_schema=NAME),
            "b": Sampling(messages=(), max_tokens=1),
            "c": ListRoots(),
        }
    )
    return sorted(answers)


async def wait(context: ToolContext) -> str:
    """Wait for ever."""
    await context.report_progress(1)
    await asyncio.Event().wait()
    return "never"


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    return make_plugins(demo=[count, talk, greet, guess, ask_all, wait])


def events(answer: Response) -> list[Any]:
    """The messages of a stream."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [msgspec.json.decode(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


async def call(mcp: Client, name: str, arguments: Any = None, meta: Any = META, **more: Any) -> Response:
    """Call a tool in the stateless era, taking streams."""
    params = {"name": name, "arguments": arguments or {}, "_meta": meta} | more
    return await mcp.stateless("tools/call", params, **BOTH)


class TestTelling:
    async def test_progress_comes_before_the_answer_in_the_stateless_era(self, mcp: Client) -> None:
        *told, answer = events(await call(mcp, "demo_count", meta=META | {"progressToken": "t"}))
        assert [message["params"] for message in told] == [
            {"progressToken": "t", "progress": 1, "total": 2, "message": "one"},
            {"progressToken": "t", "progress": 2, "total": 2},
        ]
        assert answer["result"]["content"][0]["text"] == "counted"

    async def test_progress_comes_before_the_answer_in_the_handshake_era(self, mcp: Client) -> None:
        params = {"name": "demo_count", "_meta": {"progressToken": 7}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        *told, answer = events(await mcp.send(message, BOTH | {"mcp-protocol-version": "2025-06-18"}))
        assert [message["params"]["progress"] for message in told] == [1, 2]
        assert answer["id"] == 1

    async def test_a_client_that_gave_no_token_gets_plain_json(self, mcp: Client) -> None:
        assert (await call(mcp, "demo_count")).headers["content-type"] == "application/json"

    async def test_a_client_that_takes_no_stream_gets_the_answer_alone(self, mcp: Client) -> None:
        params = {"name": "demo_count", "_meta": META | {"progressToken": 1}}
        answer = await mcp.stateless("tools/call", params)
        assert answer.json()["result"]["content"][0]["text"] == "counted"

    async def test_log_lines_come_to_whoever_wants_their_level(self, mcp: Client) -> None:
        wanted = META | {"io.modelcontextprotocol/logLevel": "warning"}
        *told, _ = events(await call(mcp, "demo_talk", meta=wanted))
        expected = {"level": "error", "data": {"what": "a failure"}, "logger": "demo"}
        assert [message["params"] for message in told] == [expected]

    async def test_nobody_gets_log_lines_unasked_in_the_stateless_era(self, mcp: Client) -> None:
        assert (await call(mcp, "demo_talk")).headers["content-type"] == "application/json"

    async def test_a_log_level_that_does_not_exist_is_refused(self, mcp: Client) -> None:
        answer = await call(mcp, "demo_talk", meta=META | {"io.modelcontextprotocol/logLevel": "loud"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32602)


class TestAskingInRounds:
    """The stateless era."""

    async def test_a_tool_runs_again_with_the_answers_of_all_rounds(self, mcp: Client) -> None:
        arguments = {"greeting": "Hello"}
        first = (await call(mcp, "demo_greet", arguments, FORMS)).json()["result"]
        assert first["resultType"] == "input_required"
        assert first["inputRequests"] == {
            "who": {
                "method": "elicitation/create",
                "params": {"message": "What is your name?", "requestedSchema": NAME},
            }
        }
        second = (await self.answer(mcp, first, who={"action": "accept", "content": {"name": "Ada"}})).json()["result"]
        assert second["inputRequests"]["mood"]["params"]["message"] == "How are you, Ada?"
        done = (await self.answer(mcp, second, mood={"action": "accept", "content": {"name": "fine"}})).json()["result"]
        assert done["resultType"] == "complete"
        assert done["content"][0]["text"] == "Hello Ada, fine"

    async def test_a_refusal_is_an_answer(self, mcp: Client) -> None:
        first = (await call(mcp, "demo_greet", {"greeting": "Hello"}, FORMS)).json()["result"]
        done = (await self.answer(mcp, first, who={"action": "decline"})).json()["result"]
        assert done["content"][0]["text"] == "nobody to greet"

    async def test_call_tool_asks_for_the_tool_that_it_calls(self, mcp: Client) -> None:
        arguments = {"tool_name": "demo_greet", "arguments": {"greeting": "Hello"}}
        answer = await call(mcp, "call_tool", arguments, FORMS)
        assert list(answer.json()["result"]["inputRequests"]) == ["who"]

    async def test_what_the_client_did_not_declare_is_not_asked(self, mcp: Client) -> None:
        answer = await call(mcp, "demo_guess", meta=FORMS)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == -32021
        assert answer.json()["error"]["data"] == {"requiredCapabilities": {"sampling": {}}}

    async def test_several_things_are_asked_at_once(self, mcp: Client) -> None:
        everything: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
        meta = META | {"io.modelcontextprotocol/clientCapabilities": everything}
        asked = (await call(mcp, "demo_ask_all", meta=meta)).json()["result"]["inputRequests"]
        methods = {key: question["method"] for key, question in asked.items()}
        assert methods == {"a": "elicitation/create", "b": "sampling/createMessage", "c": "roots/list"}

    @pytest.mark.parametrize("answer", ["text", 5, None, ["list"]])
    async def test_an_answer_that_is_no_object_is_refused(self, mcp: Client, answer: Any) -> None:
        first = (await call(mcp, "demo_greet", {"greeting": "Hello"}, FORMS)).json()["result"]
        given = await self.answer(mcp, first, who=answer)
        assert (given.status_code, given.json()["error"]["code"]) == (400, -32602)

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            ({"action": "dance"}, "'dance'"),
            ({"action": "accept"}, "/name: it is required"),
            ({"action": "accept", "content": {"name": 5}}, '/name: 5 is not of type "string"'),
        ],
        ids=["another kind", "an empty form", "another type"],
    )
    async def test_an_answer_that_does_not_fit_is_a_failure_that_says_so(
        self, mcp: Client, answer: dict[str, Any], why: str
    ) -> None:
        first = (await call(mcp, "demo_greet", {"greeting": "Hello"}, FORMS)).json()["result"]
        result = (await self.answer(mcp, first, who=answer)).json()["result"]
        assert result["isError"]
        assert "'who'" in result["content"][0]["text"]
        assert why in result["content"][0]["text"]

    async def test_answers_to_what_was_not_asked_count_for_nothing(self, mcp: Client) -> None:
        accepted = {"action": "accept", "content": {"name": "Ada"}}
        first = (await call(mcp, "demo_greet", {"greeting": "Hello"}, FORMS)).json()["result"]
        second = (await self.answer(mcp, first, who=accepted, mood=accepted)).json()["result"]
        assert list(second["inputRequests"]) == ["mood"]

    async def test_a_state_that_was_changed_is_refused(self, mcp: Client) -> None:
        first = (await call(mcp, "demo_greet", {"greeting": "Hello"}, FORMS)).json()["result"]
        first["requestState"] = first["requestState"][:-8] + "AAAAAAAA"
        refused = await self.answer(mcp, first, who={"action": "decline"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32602)

    async def test_a_state_is_good_for_its_own_arguments_only(self, mcp: Client) -> None:
        first = (await call(mcp, "demo_greet", {"greeting": "Hello"}, FORMS)).json()["result"]
        refused = await call(mcp, "demo_greet", {"greeting": "Bye"}, FORMS, requestState=first["requestState"])
        assert "another request" in refused.json()["error"]["message"]

    async def answer(self, mcp: Client, asked: dict[str, Any], **answers: Any) -> Response:
        """The next round of a call of demo_greet."""
        state = asked["requestState"]
        return await call(mcp, "demo_greet", {"greeting": "Hello"}, FORMS, inputResponses=answers, requestState=state)


class Wire:
    """One client of the handshake era, connected without HTTP: what it receives can be read at once."""

    def __init__(self, server: McpServer) -> None:
        self.server = server
        self.session: str | None = None
        self.received: asyncio.Queue[Any] = asyncio.Queue()

    async def shake_hands(self, **capabilities: Any) -> None:
        """Say what the client can do."""
        info = {"name": "test", "version": "0"}
        params = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": info}
        reply = await self.request("initialize", params)
        self.session = dict(reply.headers)[b"mcp-session-id"].decode()

    async def request(self, method: str, params: Any, id: Any = 1) -> Reply:  # noqa: A002 - JSON-RPC's own word
        """Send a request and wait for the reply."""
        return await self.send({"jsonrpc": "2.0", "id": id, "method": method, "params": params})

    async def send(self, message: Any, server: McpServer | None = None) -> Reply:
        """Send a message, to another replica if one is given."""
        head = Head(content_type="application/json", accept=BOTH["accept"], version="2025-11-25", session=self.session)
        channel = Channel(self._receive, accepts_stream=True)
        return await exchange(server or self.server, LOCAL, head, msgspec.json.encode(message), channel)

    async def _receive(self, event: Any) -> None:
        for line in event.get("body", b"").splitlines():
            if line.startswith(b"data: "):
                self.received.put_nowait(msgspec.json.decode(line[6:]))


def text_of(reply: Reply) -> str:
    """The text of a tool's answer."""
    content: str = msgspec.json.decode(reply.body)["result"]["content"][0]["text"]
    return content


class TestAskingAtOnce:
    """The handshake era."""

    @pytest.fixture
    def wire(self, make_server: Callable[[Settings], McpServer], settings: Settings) -> Wire:
        return Wire(make_server(settings))

    async def test_a_tool_waits_for_its_answer(self, wire: Wire) -> None:
        await wire.shake_hands(sampling={})
        call = asyncio.create_task(wire.request("tools/call", {"name": "demo_guess"}))
        question = await wire.received.get()
        assert question["method"] == "sampling/createMessage"
        said = {"role": "assistant", "content": {"type": "text", "text": "a cat"}, "model": "m"}
        reply = await wire.send({"jsonrpc": "2.0", "id": question["id"], "result": said})
        assert reply.status == 202
        assert text_of(await call) == "a cat"

    async def test_a_client_may_refuse_to_answer(self, wire: Wire) -> None:
        await wire.shake_hands(sampling={})
        call = asyncio.create_task(wire.request("tools/call", {"name": "demo_guess"}))
        question = await wire.received.get()
        error = {"code": -1, "message": "the user said no"}
        await wire.send({"jsonrpc": "2.0", "id": question["id"], "error": error})
        assert "the user said no" in text_of(await call)

    async def test_what_the_client_did_not_declare_is_a_failure_that_says_so(self, wire: Wire) -> None:
        await wire.shake_hands(elicitation={})
        assert "needs a client with sampling" in text_of(await wire.request("tools/call", {"name": "demo_guess"}))

    async def test_a_client_without_a_session_can_be_asked_nothing(self, wire: Wire) -> None:
        wire.session = "made up"
        assert "needs a client with sampling" in text_of(await wire.request("tools/call", {"name": "demo_guess"}))

    async def test_when_the_process_ends_no_answer_is_waited_for(self, wire: Wire) -> None:
        await wire.shake_hands(sampling={})
        call = asyncio.create_task(wire.request("tools/call", {"name": "demo_guess"}))
        await wire.received.get()
        wire.server.conversations.end_streams()
        assert "the server stops" in text_of(await call)
        assert "the server stops" in text_of(await wire.request("tools/call", {"name": "demo_guess"}))

    async def test_an_answer_to_nobody_is_taken_and_dropped(self, wire: Wire) -> None:
        await wire.shake_hands()
        assert (await wire.send({"jsonrpc": "2.0", "id": "toolbox-1", "result": {}})).status == 202

    async def test_a_cancelled_request_stops_and_gets_no_answer(self, wire: Wire) -> None:
        await wire.shake_hands()
        params = {"name": "demo_wait", "_meta": {"progressToken": 1}}
        call = asyncio.create_task(wire.request("tools/call", params, id="w"))
        await wire.received.get()
        notification = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "w"}}
        assert (await wire.send(notification)).status == 202
        assert (await call) == Reply(202)

    async def test_nobody_cancels_the_request_of_another_session(
        self, wire: Wire, make_server: Callable[[Settings], McpServer]
    ) -> None:
        await wire.shake_hands()
        params = {"name": "demo_wait", "_meta": {"progressToken": 1}}
        call = asyncio.create_task(wire.request("tools/call", params, id="w"))
        await wire.received.get()
        other = Wire(wire.server)
        await other.shake_hands()
        await other.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "w"}})
        await asyncio.sleep(0)
        assert not call.done()
        call.cancel()


class TestTwoReplicas:
    """Answers and cancellations that land on another replica than the request they are about."""

    @pytest.fixture
    async def replicas(
        self, settings: Settings, plugins: Plugins, services: Services
    ) -> AsyncIterator[list[McpServer]]:
        async with AsyncExitStack() as stack:
            opened = [services, await stack.enter_async_context(open_services(settings, plugins))]
            servers = []
            for replica in opened:
                await stack.enter_async_context(replica.events.running())
                sealer = await load_sealer(replica.database, None)
                servers.append(
                    McpServer(
                        replica.search,
                        replica.calls,
                        replica.tools,
                        replica.registry,
                        settings,
                        Conversations(sealer, replica.database, replica.events, max_streams=10),
                    )
                )
            yield servers

    async def test_an_answer_reaches_the_replica_that_waits(self, replicas: list[McpServer]) -> None:
        wire = Wire(replicas[0])
        await wire.shake_hands(elicitation={})
        call = asyncio.create_task(wire.request("tools/call", {"name": "demo_greet", "arguments": {"greeting": "Hi"}}))
        for name in ("Ada", "fine" * 10_000):  # longer than a notification of PostgreSQL can be
            question = await wire.received.get()
            answer = {"action": "accept", "content": {"name": name}}
            reply = await wire.send({"jsonrpc": "2.0", "id": question["id"], "result": answer}, replicas[1])
            assert reply.status == 202
        assert text_of(await asyncio.wait_for(call, 10)).startswith("Hi Ada, fine")

    async def test_an_answer_to_no_question_of_ours_is_not_even_kept(
        self, replicas: list[McpServer], services: Services
    ) -> None:
        wire = Wire(replicas[1])
        await wire.shake_hands()
        await wire.send({"jsonrpc": "2.0", "id": "made up", "result": {}})
        assert await services.database.fetch("select * from client_answers") == []

    async def test_a_cancellation_reaches_the_replica_that_works(self, replicas: list[McpServer]) -> None:
        wire = Wire(replicas[0])
        await wire.shake_hands()
        params = {"name": "demo_wait", "_meta": {"progressToken": 1}}
        call = asyncio.create_task(wire.request("tools/call", params, id="w"))
        await wire.received.get()
        notification = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "w"}}
        await wire.send(notification, replicas[1])
        assert await asyncio.wait_for(call, 10) == Reply(202)
