"""How long resources of a catalogue of 100,000 tools take over MCP; the figures of docs/benchmarks.md.

    .dev/run python -m tests.benchmarks.large_catalogue

The tools are made up and imported, then PostgreSQL cleans up, as it does by itself after a while. No model is loaded,
so that nothing is embedded meanwhile. Each resource is read as a client does, in either era, right after a change of
the catalogue was told, so that nothing that is kept may be given, and once more, when it may.
"""

import argparse
import asyncio
import statistics
import time
from typing import Any

import asyncpg
import httpx
import msgspec

from tests.benchmarks.running import Running, keep_off_the_servers_core, postgres, toolbox
from toolbox.database import migrate, open_database
from toolbox.definitions import ToolDefinition
from toolbox.tools.sync import import_tools

TOOLS = 100_000
CATEGORIES = 300
SOURCES = 20
READS = 15
SETTLE_SECONDS = 0.2
"""Within which every process has heard that something changed."""
URIS = ("toolbox://categories", "toolbox://stats", "toolbox://tools/tool_50000")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=int, default=TOOLS)
    wanted = parser.parse_args()
    core = keep_off_the_servers_core()
    with postgres() as url:
        asyncio.run(fill(url, wanted.tools))
        with toolbox(url, core, PLUGINS_DISABLED="minilm") as server:
            asyncio.run(measure(server, url, wanted.tools))


async def fill(url: str, count: int) -> None:
    """Import the tools, from several sources."""
    await migrate(url)
    async with open_database(url, pool_size=1, max_overflow=1, timeout_seconds=60) as database:
        for source in range(SOURCES):
            made = [make_tool(number) for number in range(source, count, SOURCES)]
            await import_tools(database, made, source=f"import:source-{source}")
    connection = await asyncpg.connect(url)
    await connection.execute("vacuum analyze")
    await connection.close()


def make_tool(number: int) -> ToolDefinition:
    """One that looks like others do."""
    parameter = {"type": "string", "description": "What is looked for, in a few words."}
    return ToolDefinition(
        name=f"tool_{number:05}",
        description=f"Do the thing that has the number {number}, for somebody who wants it done well.",
        category=f"category {number % CATEGORIES}",
        tags=("made up", f"tag {number % 50}"),
        input_schema={"type": "object", "properties": {f"query_{number % 7}": parameter, "limit": {"type": "integer"}}},
    )


async def measure(server: Running, url: str, count: int) -> None:
    """Read all of them, new and kept, in both eras."""
    connection = await asyncpg.connect(url)
    print(f"{count:,} tools, {CATEGORIES} categories; median of {READS} reads, in ms (the longest)\n")
    print("| | 2026-07-28, new | kept | 2025-11-25, new | kept |\n|---|---|---|---|---|")
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        for uri in URIS:
            cells = []
            for era in ("2026-07-28", "2025-11-25"):
                new, kept = list[float](), list[float]()
                for _ in range(READS):
                    await connection.execute("select pg_notify('toolbox_tools', '')")
                    await asyncio.sleep(SETTLE_SECONDS)
                    new.append(await read(client, uri, era))
                    kept.append(await read(client, uri, era))
                cells += [f"{statistics.median(taken):.1f} ({max(taken):.1f})" for taken in (new, kept)]
            print(f"| `{uri}` | {' | '.join(cells)} |")
    await connection.close()


async def read(client: httpx.AsyncClient, uri: str, era: str) -> float:
    """How many milliseconds a client waits for a resource."""
    params: dict[str, Any] = {"uri": uri}
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": era}
    if era == "2026-07-28":
        headers |= {"mcp-method": "resources/read", "mcp-name": uri}
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": era,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    message = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params}
    start = time.perf_counter()
    answer = await client.post("/mcp", json=message, headers=headers)
    taken = time.perf_counter() - start
    contents = answer.json()["result"]["contents"]
    assert msgspec.json.decode(contents[0]["text"]), contents
    return taken * 1000


if __name__ == "__main__":
    main()
