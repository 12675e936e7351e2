"""What ordinary callers notice of clients that are slow, as a ratio in one run; the figures of docs/benchmarks.md.

    .dev/run python -m tests.benchmarks.slow_clients

Twenty callers call a tool again and again, with a short pause, as agents do. In every other phase two hundred clients
send a request at one byte a second, and fifty have asked for a stream that says more than they read. The 95th
percentile of the ordinary callers' waiting times with them is to stay within twice that without them.
"""

import argparse
import asyncio
import contextlib
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from tests.benchmarks.running import Running, keep_off_the_servers_core, postgres, toolbox

CALLERS = 20
PAUSE_SECONDS = 0.02
SLOW, UNREAD = 200, 50
SETTLE_SECONDS = 2.0
"""Until the streams that nobody reads are full."""
PHASE_SECONDS = 8.0
ROUNDS = 3

PLUGIN = '''
import toolbox

async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b

async def pour(context: toolbox.ToolContext) -> str:
    """Say more and more."""
    number = 0
    while True:
        number += 1
        await context.report_progress(number, None, "x" * 1000)

@toolbox.hookimpl
def toolbox_tools():
    return [add, pour]
'''


def main() -> None:
    """Measure, and print both percentiles and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=PHASE_SECONDS, help="of each phase")
    wanted = parser.parse_args()
    core = keep_off_the_servers_core()
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        write_plugin(Path(folder))
        with toolbox(url, core, PYTHONPATH=folder) as server:
            asyncio.run(measure(server, wanted.rounds, wanted.seconds))


async def measure(server: Running, rounds: int, seconds: float) -> None:
    """The phases in turn."""
    await call_for(server, 1.0)  # what is loaded late is not counted
    calm, beset = list[float](), list[float]()
    for _ in range(rounds):
        calm += await call_for(server, seconds)
        async with slow_clients(server):
            await asyncio.sleep(SETTLE_SECONDS)
            beset += await call_for(server, seconds)
    print(
        f"{CALLERS} callers, {len(calm)} and {len(beset)} calls in {rounds} rounds; memory {server.memory_mb():.0f} MB"
    )
    print("| | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|")
    for name, waited in (("alone", calm), (f"with {SLOW} slow clients and {UNREAD} unread streams", beset)):
        print(f"| {name} | {' | '.join(f'{1000 * percentile(waited, at):.2f}' for at in (50, 95, 99))} |")
    print(f"p95: {percentile(beset, 95) / percentile(calm, 95):.2f} times")


def percentile(values: list[float], at: int) -> float:
    """Of all waiting times together."""
    return statistics.quantiles(values, n=100)[at - 1]


async def call_for(server: Running, seconds: float) -> list[float]:
    """How long each call of ordinary callers took."""
    end = time.perf_counter() + seconds
    return list(chain.from_iterable(await asyncio.gather(*(_call_until(server, end) for _ in range(CALLERS)))))


async def _call_until(server: Running, end: float) -> list[float]:
    request = encode(server, "slow_add", {"a": 1, "b": 2})
    reader, writer = await asyncio.open_connection(*address(server))
    waited = []
    while time.perf_counter() < end:
        start = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        waited.append(time.perf_counter() - start)
        await asyncio.sleep(PAUSE_SECONDS)
    writer.close()
    return waited


@contextlib.asynccontextmanager
async def slow_clients(server: Running) -> AsyncIterator[None]:
    """All of them, until the block ends."""
    opened = [await _open(server) for _ in range(SLOW + UNREAD)]
    loop = asyncio.get_running_loop()
    for unread in opened[SLOW:]:
        await loop.sock_sendall(unread, encode(server, "slow_pour", {}))
    dripping = asyncio.create_task(_drip(opened[:SLOW], encode(server, "slow_add", {"a": 1, "b": 2})))
    try:
        yield
    finally:
        dripping.cancel()
        for connection in opened:
            connection.close()
        await asyncio.sleep(SETTLE_SECONDS)


async def _open(server: Running) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that it is soon full
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, address(server))
    return connection


async def _drip(connections: list[socket.socket], request: bytes) -> None:
    """One byte a second to each, spread over the second."""
    for number in range(len(request) - 1):  # never the last one
        for connection in connections:
            await asyncio.get_running_loop().sock_sendall(connection, request[number : number + 1])
            await asyncio.sleep(1 / len(connections))


def encode(server: Running, tool: str, arguments: dict[str, Any]) -> bytes:
    """A call as it goes over the wire."""
    host, port = address(server)
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "p",
    }
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    head = [
        "POST /mcp HTTP/1.1",
        f"host: {host}:{port}",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "mcp-protocol-version: 2026-07-28",
        "mcp-method: tools/call",
        f"mcp-name: {tool}",
        f"content-length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def address(server: Running) -> tuple[str, int]:
    """Where it listens."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    return host, int(port)


def write_plugin(folder: Path) -> None:
    """What pip would leave behind."""
    (folder / "slow_plugin.py").write_text(PLUGIN)
    record = folder / "slow-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[toolbox]\nslow = slow_plugin\n")


if __name__ == "__main__":
    main()
