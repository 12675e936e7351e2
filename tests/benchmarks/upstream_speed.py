"""A call through ToolBox beside the same call made to the server itself, and beside FastMCP's proxy, in one run.

    .dev/run python -m tests.benchmarks.upstream_speed --calls 500 [--fastmcp PYTHON]

The server is the test server of the official SDK, over stdio and over streamable HTTP, and so is the client. What is
compared is the time of one call after another, on sessions that are open. FASTMCP's PYTHON is an interpreter with
fastmcp installed (`uv venv`, `uv pip install fastmcp`).
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from mcp import Client, StdioServerParameters

from tests.benchmarks.running import Running, postgres, toolbox

SERVER = str(Path(__file__).parents[1] / "upstreams" / "sdk_server.py")
ARGUMENTS = {"a": 2, "b": 3}
PROXY = """
import sys
from fastmcp.server import create_proxy
target = sys.argv[1]
server = {"url": target} if target.startswith("http") else {"command": target, "args": sys.argv[3:]}
proxy = create_proxy({"mcpServers": {"sdk": server}}, name="proxy")
proxy.run(transport="http", host="127.0.0.1", port=int(sys.argv[2]), show_banner=False, log_level="ERROR")
"""


async def measure(call: Callable[[], Awaitable[Any]], calls: int) -> tuple[float, float]:
    """Milliseconds of the middle one and of the slowest in a hundred."""
    for _ in range(20):
        await call()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        await call()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


@contextlib.asynccontextmanager
async def http_server() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, SERVER, "http", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        await process.wait()


async def measure_direct(target: Any, calls: int) -> tuple[float, float]:
    async with Client(target) as client:
        return await measure(lambda: client.call_tool("add", ARGUMENTS), calls)


async def measure_toolbox(url: str, name: str, calls: int) -> tuple[float, float]:
    async with Client(f"{url}/mcp") as client:
        wanted = {"tool_name": f"{name}__add", "arguments": ARGUMENTS}
        return await measure(lambda: client.call_tool("call_tool", wanted), calls)


async def measure_fastmcp(python: str, target: list[str], calls: int) -> tuple[float, float]:
    port = 8931
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(PROXY)
        file.flush()
        command = [python, file.name, target[0], str(port), *target[1:]]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            async with httpx.AsyncClient() as http:
                for _ in range(200):
                    with contextlib.suppress(httpx.HTTPError):
                        await http.get(f"http://127.0.0.1:{port}/mcp")
                        break
                    await asyncio.sleep(0.1)
            async with Client(f"http://127.0.0.1:{port}/mcp") as client:
                names = [tool.name for tool in (await client.list_tools()).tools]
                name = next(each for each in names if each.endswith("add"))
                return await measure(lambda: client.call_tool(name, ARGUMENTS), calls)
        finally:
            process.terminate()
            await process.wait()


async def configure(url: str, http_url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        for config in (
            {"name": "stdio", "command": sys.executable, "args": [SERVER, "stdio"]},
            {"name": "http", "transport": "http", "url": http_url},
        ):
            (await http.post("/admin/upstreams", json=config)).raise_for_status()
            while not (found := (await http.get(f"/admin/upstreams/{config['name']}")).json())["read_at"]:
                if found["problem"]:
                    sys.exit(f"{config['name']}: {found['problem']}")
                await asyncio.sleep(0.1)


async def run(server: Running, calls: int, fastmcp: str | None) -> None:
    async with http_server() as http_url:
        await configure(server.url, http_url)
        stdio = StdioServerParameters(command=sys.executable, args=[SERVER, "stdio"], env=dict(os.environ))
        for name, target, argv in (("stdio", stdio, [sys.executable, SERVER, "stdio"]), ("http", http_url, [http_url])):
            direct = await measure_direct(target, calls)
            before = server.cpu_seconds()
            through = await measure_toolbox(server.url, name, calls)
            cpu_ms = (server.cpu_seconds() - before) * 1000 / (calls + 20)
            rows = [("direct", direct), ("ToolBox", through)]
            if fastmcp:
                rows.append(("FastMCP's proxy", await measure_fastmcp(fastmcp, argv, calls)))
            for label, (middle, slow) in rows:
                more = f"+{middle - direct[0]:.2f} ms" if label != "direct" else ""
                more += f", {cpu_ms:.2f} ms of processor time" if label == "ToolBox" else ""
                print(f"{name:6} {label:16} p50 {middle:6.2f} ms  p99 {slow:6.2f} ms  {more}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--fastmcp", metavar="PYTHON")
    arguments = parser.parse_args()
    with (
        postgres() as database,
        toolbox(database, None, UPSTREAM_COMMANDS=sys.executable, LOG_LEVEL="WARNING") as server,
    ):
        asyncio.run(run(server, arguments.calls, arguments.fastmcp))


if __name__ == "__main__":
    main()
