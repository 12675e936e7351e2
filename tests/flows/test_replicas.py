"""Two servers on one PostgreSQL: what a client began at one of them goes on at the other, whatever becomes of the one.

Everything goes over real sockets, by hand, because clients do not say to which replica they talk.
"""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from tests.flows.conftest import Server, run_toolbox

END_SECONDS = 5
"""Streams end at once; a server that waited for them would take four times as long."""

TASKS: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}

PLUGIN = '''
import asyncio
import os
from pathlib import Path

import toolbox

FOLDER = Path(os.environ["RUNS"])


async def greet(context: toolbox.ToolContext) -> str:
    """Greet whoever uses the client."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    answer = await context.elicit("who", "What is your name?", schema)
    return f"Hello, {answer.content['name']}"


async def run(name: str) -> str:
    with (FOLDER / name).open("a") as file:
        file.write("began\\n")
    if len((FOLDER / name).read_text().splitlines()) == 1:
        await asyncio.Event().wait()  # the first time, until the process is killed
    return f"{name} was begun again"


@toolbox.tool(task="required")
async def write() -> str:
    """Do what must not be done twice."""
    return await run("write")


@toolbox.tool(task="required", annotations=toolbox.ToolAnnotations(idempotent_hint=True))
async def put() -> str:
    """Do what may be done twice."""
    return await run("put")


@toolbox.hookimpl
def toolbox_tools():
    return [greet, write, put]
'''

Start = Callable[[], Server]


class Event(Struct, frozen=True):
    """One event of a stream."""

    id: str | None
    message: Any


class Replica:
    """A client of one server, which speaks MCP by hand."""

    def __init__(self, server: Server, http: httpx.AsyncClient) -> None:
        self.server = server
        self._http = http
        self._url = f"{server.url}/mcp"

    async def shake_hands(self) -> dict[str, str]:
        """The headers with which a client that can be asked goes on, at any replica."""
        given = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"elicitation": {}},
            "clientInfo": {"name": "flow", "version": "1"},
        }
        answer = await self.post(_request("initialize", given), {})
        return {"mcp-protocol-version": "2025-11-25", "mcp-session-id": answer.headers["mcp-session-id"]}

    async def ask(self, method: str, params: dict[str, Any]) -> Any:
        """The result of a request of the stateless era."""
        message, headers = _stateless(method, params)
        answer = (await self.post(message, headers)).json()
        assert "result" in answer, answer
        return answer["result"]

    async def post(self, message: Any, headers: dict[str, str]) -> httpx.Response:
        """Send a message."""
        return await self._http.post(self._url, json=message, headers=_ACCEPT | headers)

    @contextlib.asynccontextmanager
    async def stream(
        self, message: Any = None, headers: dict[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """The events that answer a message; without one, those of a stream that is opened by GET."""
        method = "GET" if message is None else "POST"
        given = _ACCEPT | (headers or {})
        async with self._http.stream(method, self._url, json=message, headers=given, timeout=None) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream"), await answer.aread()
            yield _read_events(answer)

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[Event]]:
        """What changes, as clients of the stateless era hear it."""
        wishes = {"notifications": {"toolsListChanged": True, "promptsListChanged": True}}
        async with self.stream(*_stateless("subscriptions/listen", wishes)) as events:
            acknowledged = await anext(events)
            assert acknowledged.message["method"] == "notifications/subscriptions/acknowledged"
            yield events


@pytest.fixture
def start(serve: Callable[..., Server], database_url: str, tmp_path: Path) -> Start:
    """Starts replicas with the plugin installed, as pip would leave it behind."""
    (tmp_path / "replicated_plugin.py").write_text(PLUGIN)
    record = tmp_path / "replicated-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: replicated\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[toolbox]\nreplicated = replicated_plugin\n")
    settings = {"PYTHONPATH": str(tmp_path), "RUNS": str(tmp_path), "DATABASE_URL": database_url}
    return lambda: serve(**settings)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as opened:
        yield opened


@pytest.fixture
def first(start: Start, http: httpx.AsyncClient) -> Replica:
    return Replica(start(), http)


@pytest.fixture
def second(start: Start, http: httpx.AsyncClient) -> Replica:
    return Replica(start(), http)


@pytest.fixture
def change_lists(database_url: str, tmp_path: Path) -> Callable[[str], None]:
    """Imports a tool of a new category, which find_tool names from then on."""

    def change(name: str) -> None:
        file = tmp_path / f"{name}.jsonl"
        tool = {"id": name, "name": name, "description": f"Do {name}.", "input_schema": {"type": "object"}}
        file.write_text(json.dumps(tool | {"category": name}) + "\n")
        done = run_toolbox("import", str(file), DATABASE_URL=database_url)
        assert done.returncode == 0, done.stderr

    return change


async def test_a_question_of_one_replica_is_answered_at_the_other(first: Replica, second: Replica) -> None:
    session = await first.shake_hands()
    async with first.stream(_request("tools/call", {"name": "replicated_greet"}), session) as events:
        question = await _next_message(events)
        assert question.message["method"] == "elicitation/create"
        assert (await second.post(_answer(question, "Ada"), session)).status_code == 202
        assert _text(await _next_message(events)) == "Hello, Ada"


async def test_a_stream_that_broke_is_followed_at_the_other_replica(first: Replica, second: Replica) -> None:
    session = await first.shake_hands()
    async with first.stream(_request("tools/call", {"name": "replicated_greet"}), session) as events:
        question = await _next_message(events)
    assert question.id
    async with second.stream(headers=session | {"last-event-id": question.id}) as events:
        assert (await second.post(_answer(question, "Ada"), session)).status_code == 202
        assert _text(await _next_message(events)) == "Hello, Ada"


async def test_a_stream_is_read_again_from_where_the_client_says(first: Replica, second: Replica) -> None:
    session = await first.shake_hands()
    async with first.stream(_request("tools/call", {"name": "replicated_greet"}), session) as events:
        begin, question = await anext(events), await _next_message(events)
        await second.post(_answer(question, "Ada"), session)
        done = await _next_message(events)
    assert begin.id
    async with second.stream(headers=session | {"last-event-id": begin.id}) as events:
        assert [event async for event in events] == [question, done]


async def test_a_change_is_heard_at_every_replica_and_in_both_eras(
    first: Replica, second: Replica, change_lists: Callable[[str], None]
) -> None:
    async with first.listen() as early, second.listen() as events, second.stream(headers=_HANDSHAKE) as getting:
        await asyncio.to_thread(change_lists, "baking")
        for heard in (early, events, getting):
            assert (await anext(heard)).message["method"] == "notifications/tools/list_changed"


async def test_a_client_whose_replica_is_killed_listens_on_at_the_other(
    first: Replica, second: Replica, change_lists: Callable[[str], None]
) -> None:
    async with first.listen() as events:
        first.server.process.kill()
        with pytest.raises(httpx.TransportError):
            await anext(events)
    async with second.listen() as events:
        await asyncio.to_thread(change_lists, "baking")
        assert (await anext(events)).message["method"] == "notifications/tools/list_changed"


async def test_tasks_of_a_killed_replica_end_at_the_other(first: Replica, start: Start, tmp_path: Path) -> None:
    """It takes over what may be done twice, and says of the rest that it has failed."""
    created = [await first.ask("tools/call", {"name": f"replicated_{name}"}) for name in ("write", "put")]
    while not all((tmp_path / name).exists() for name in ("write", "put")):  # bounded by the time limit of the test
        await asyncio.sleep(0.05)
    first.server.process.kill()
    second = Replica(await asyncio.to_thread(start), first._http)
    written, done = [await _end_of(second, task["taskId"]) for task in created]
    assert written["status"] == "failed"
    assert "ended before the tool did" in written["error"]["message"]
    assert (done["status"], done["result"]["content"][0]["text"]) == ("completed", "put was begun again")
    assert [(tmp_path / name).read_text() for name in ("write", "put")] == ["began\n", "began\nbegan\n"]


async def test_every_stream_ends_when_its_replica_is_told_to_end(first: Replica, second: Replica) -> None:
    session = await first.shake_hands()
    async with first.stream(_request("tools/call", {"name": "replicated_greet"}), session) as events:
        question = await _next_message(events)
        headers = session | {"last-event-id": str(question.id)}
        async with (
            second.listen() as listening,
            second.stream(headers=_HANDSHAKE) as getting,
            second.stream(headers=headers) as following,
        ):
            second.server.process.terminate()
            (last,) = [event.message async for event in listening]
            assert last["result"]["resultType"] == "complete"
            assert [event async for event in getting] == []
            assert [event async for event in following] == []
        status = await asyncio.to_thread(second.server.process.wait, END_SECONDS)
        await first.post(_answer(question, "Ada"), session)
        assert _text(await _next_message(events)) == "Hello, Ada"
    assert status in {0, -signal.SIGTERM}
    assert "Traceback" not in second.server.read_log()


_ACCEPT = {"accept": "application/json, text/event-stream"}
_HANDSHAKE = {"mcp-protocol-version": "2025-11-25"}


def _request(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def _stateless(method: str, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """A request of the stateless era, and the headers that repeat it."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": TASKS,
    }
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
    named = params.get("name") or params.get("taskId")
    return _request(method, params | {"_meta": meta}), headers | ({"mcp-name": named} if named else {})


def _answer(question: Event, name: str) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": question.message["id"],
        "result": {"action": "accept", "content": {"name": name}},
    }


async def _read_events(answer: httpx.Response) -> AsyncIterator[Event]:
    event_id = None
    async for line in answer.aiter_lines():
        field, _, value = line.partition(":")
        if field == "id":
            event_id = value.strip()
        elif field == "data":
            yield Event(event_id, json.loads(value) if value.strip() else None)
            event_id = None


async def _next_message(events: AsyncIterator[Event]) -> Event:
    """The next event that says something: a stream begins with one that has an id only."""
    while (event := await anext(events)).message is None:
        pass
    return event


def _text(event: Event) -> str:
    text: str = event.message["result"]["content"][0]["text"]
    return text


async def _end_of(replica: Replica, task_id: str) -> Any:
    """The task when it has ended: half a minute later, when the dead replica's heartbeat is missed."""
    while (seen := await replica.ask("tasks/get", {"taskId": task_id}))["status"] == "working":
        await asyncio.sleep(0.1)
    return seen
