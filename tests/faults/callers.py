"""Callers who never pause, and remember what they were promised.

They stand for a load balancer and the clients behind it: requests go to the replicas in turn, and to the next one where
nobody takes the connection. Nothing is asked twice once it was taken. Each answer is looked at: a right one, a refusal
that says "later" (503), or a fault.
"""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
from msgspec import Struct

from tests.faults.parts import API_KEY, Installation, Replica

ANSWER_SECONDS = 60.0
"""How long an answer may take at the very most; who gets none by then was forgotten."""
KEY = {"authorization": f"Bearer {API_KEY}"}
ERA = "2026-07-28"
LONG = 60_000


class Later(Exception):
    """503, or what MCP says instead of it: nothing happened, come back."""


class Cut(Exception):
    """The connection ended before the answer did."""


class Fault(Exception):
    """What must never be."""


class Called(Struct, frozen=True):
    """A call whose id was handed out."""

    execution_id: str
    arguments: dict[str, int]
    result: int


class Promises(Struct):
    """What the server said that it has done or will do."""

    calls: list[Called] = []
    results: list[tuple[str, str]] = []
    """Handles, and the letter that what is behind them is made of."""
    tasks: list[tuple[str, int]] = []
    tools: list[str] = []
    keys: list[str] = []


class Callers:
    """Ask, and count what comes back."""

    def __init__(self, parts: Installation) -> None:
        self._parts = parts
        self._turns = itertools.count()
        self._numbers = itertools.count()
        self.in_service: list[Replica] = list(parts.replicas)
        self.promises = Promises()
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self.bad_at = 0.0
        """When the last answer came that was no right one."""
        self.asked_after = 0.0
        self.right_at: float | None = None
        """When the first right one came that was asked for after the moment above; set both back together."""
        self.slowest = 0.0
        self.waited: list[float] = []

    @contextlib.asynccontextmanager
    async def busy(self, number: int) -> AsyncIterator[None]:
        """So many callers ask all the time, until the block ends."""
        is_over = asyncio.Event()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)

        async def keep_asking(client: httpx.AsyncClient) -> None:
            while not is_over.is_set():
                await self._ask_once(client)

        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, limits=limits, headers=KEY) as client:
            asking = [asyncio.create_task(keep_asking(client)) for _ in range(number)]
            try:
                yield
            finally:
                is_over.set()
                await asyncio.gather(*asking)

    async def _ask_once(self, client: httpx.AsyncClient) -> None:
        number = next(self._numbers)
        kinds: list[Callable[[httpx.AsyncClient, int], Awaitable[None]]] = [
            *[self._call] * 6,
            *[self._find] * 6,
            *[self._call_over_mcp] * 4,
            self._look_up,
            self._call_for_long_result,
            self._begin_task,
            self._create_tool if number % 3 else self._issue_key,
        ]
        kind = kinds[number % len(kinds)]
        start = time.monotonic()
        try:
            await kind(client, number)
        except (Later, Cut) as refusal:
            self.counts[type(refusal).__name__.lower()] += 1
            self.bad_at = time.monotonic()
            await asyncio.sleep(0.05)
        except Fault as fault:
            self.faults.append(f"{kind.__name__.strip('_')}: {fault}")
            self.counts["fault"] += 1
            self.bad_at = time.monotonic()
            await asyncio.sleep(0.05)
        else:
            self.counts["right"] += 1
            if self.right_at is None and start > self.asked_after:
                self.right_at = time.monotonic()
        took = time.monotonic() - start
        self.slowest = max(self.slowest, took)
        self.waited.append(took)

    async def _call(self, client: httpx.AsyncClient, number: int) -> None:
        arguments = {"a": number, "b": 2 * number}
        wanted = {"tool_name": "faults_add", "arguments": arguments}
        answer = (await self._send(client, "POST", "/mcp/call_tool", wanted)).json()
        if answer.get("result") != 3 * number:
            raise Fault(f"{arguments} gives {answer}")
        if answer.get("recorded", True):
            self.promises.calls.append(Called(answer["execution_id"], arguments, 3 * number))

    async def _find(self, client: httpx.AsyncClient, number: int) -> None:
        query, wanted = (("add numbers", "faults_add"), ("say a text at great length", "faults_repeat"))[number % 2]
        found = (await self._send(client, "POST", "/mcp/find_tool", {"query": query, "limit": 3})).json()
        if not found or found[0]["name"] != wanted:
            raise Fault(f"{query!r} finds {[match['name'] for match in found]}")

    async def _look_up(self, client: httpx.AsyncClient, _number: int) -> None:
        seen = (await self._send(client, "GET", "/tools/faults_add")).json()
        if seen.get("description") != "Add two numbers.":
            raise Fault(f"faults_add is {seen}")

    async def _call_over_mcp(self, client: httpx.AsyncClient, number: int) -> None:
        result = await self._ask_mcp(
            client, "tools/call", {"name": "faults_add", "arguments": {"a": number, "b": 1}}, "faults_add"
        )
        if result.get("structuredContent") != number + 1:
            raise Fault(f"{number} + 1 gives {result}")

    async def _call_for_long_result(self, client: httpx.AsyncClient, number: int) -> None:
        letter = "abcdefghij"[number // 20 % 10]
        given = {"text": letter, "times": LONG}
        result = await self._ask_mcp(
            client, "tools/call", {"name": "faults_repeat", "arguments": given}, "faults_repeat"
        )
        text = " ".join(part.get("text", "") for part in result.get("content", ()))
        handle = text.partition("result://")[2][:36]
        if handle:
            self.promises.results.append((handle, letter))
        elif text.count(letter) < LONG:  # given whole where it cannot be kept
            raise Fault(f"a long result gives {str(result)[:300]}")

    async def _begin_task(self, client: httpx.AsyncClient, number: int) -> None:
        result = await self._ask_mcp(
            client, "tools/call", {"name": "faults_ponder", "arguments": {"number": number}}, "faults_ponder"
        )
        if "taskId" not in result:
            raise Fault(f"no task: {result}")
        self.promises.tasks.append((result["taskId"], number))

    async def _create_tool(self, client: httpx.AsyncClient, _number: int) -> None:
        name = f"made_{uuid4().hex[:12]}"
        await self._send(client, "POST", "/admin/tools", {"name": name, "description": f"Do the {name}."})
        self.promises.tools.append(name)

    async def _issue_key(self, client: httpx.AsyncClient, _number: int) -> None:
        name = f"key-{uuid4().hex[:12]}"
        answer = await self._send(client, "POST", "/admin/keys", {"name": name, "scopes": ["tools:read"]})
        self.promises.keys.append(answer.json()["secret"])

    async def _ask_mcp(self, client: httpx.AsyncClient, method: str, params: dict[str, Any], name: str) -> Any:
        meta = {
            "io.modelcontextprotocol/protocolVersion": ERA,
            "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
        }
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta} | params}
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": ERA,
            "mcp-method": method,
            "mcp-name": name,
        }
        answer = (await self._send(client, "POST", "/mcp", message, headers)).json()
        if error := answer.get("error"):
            if "cannot be reached at the moment" in error["message"] or "overloaded" in error["message"]:
                raise Later
            raise Fault(f"{method} {name}: {error}")
        return answer["result"]

    async def _send(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request to the replica whose turn it is, or the next one that takes it."""
        for _ in range(20):
            turn = next(self._turns)
            if not self.in_service:
                await asyncio.sleep(0.05)
                continue
            url = self.in_service[turn % len(self.in_service)].url
            try:
                answer = await client.request(method, f"{url}{path}", json=body, headers=headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                await asyncio.sleep(0.01)
                continue
            except httpx.TimeoutException as error:
                raise Fault(f"{method} {path}: no answer in {ANSWER_SECONDS:.0f} s") from error
            except httpx.TransportError as error:
                raise Cut(str(error)) from error
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                raise Later
            if not answer.is_success:
                raise Fault(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            return answer
        raise Later


async def find_losses(parts: Installation, promises: Promises) -> list[str]:
    """What was promised and is not there, asked of the replicas in turn."""
    lost: list[str] = []
    urls = itertools.cycle([replica.url for replica in parts.replicas])
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, headers=KEY) as client:
        for called in promises.calls:
            kept = (await client.get(f"{next(urls)}/calls/{called.execution_id}")).json()
            if (kept.get("arguments"), kept.get("result")) != (called.arguments, called.result):
                lost.append(f"call {called}: {kept}")
        for handle, letter in promises.results:
            answer = await client.get(f"{next(urls)}/calls/{handle}/result")
            if answer.status_code != httpx.codes.OK or answer.json() != letter * LONG:
                lost.append(f"result {handle}: {answer.text[:200]}")
        for name in promises.tools:
            answer = await client.get(f"{next(urls)}/tools/{name}")
            if answer.status_code != httpx.codes.OK:
                lost.append(f"tool {name}: {answer.text[:200]}")
        for secret in promises.keys:
            answer = await client.get(f"{next(urls)}/categories", headers={"authorization": f"Bearer {secret}"})
            if answer.status_code != httpx.codes.OK:
                lost.append(f"a key: {answer.text[:200]}")
        for task, number in promises.tasks:
            state = await _end_of_task(client, urls, task)
            text = str(state.get("result", {}).get("content"))
            if state.get("status") != "completed" or f"pondered {number}" not in text:
                lost.append(f"task {task}: {state}")
    return lost


async def _end_of_task(client: httpx.AsyncClient, urls: "itertools.cycle[str]", task: str) -> Any:
    """What became of a task, when it has ended; those of a replica that died wait until its heartbeat is missed."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": ERA,
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"_meta": meta, "taskId": task}}
    headers = {"mcp-protocol-version": ERA, "mcp-method": "tasks/get", "mcp-name": task}
    end = time.monotonic() + 120
    state: Any = {}
    while time.monotonic() < end:
        answer = (await client.post(f"{next(urls)}/mcp", json=message, headers=headers)).json()
        state = answer.get("result") or answer
        if state.get("status") in {"completed", "failed", "cancelled"} or "error" in answer:
            return state
        await asyncio.sleep(0.5)
    return state
