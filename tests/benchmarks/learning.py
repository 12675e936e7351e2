"""How much search learns from use: part of a set's queries replayed as use over HTTP, and others measured.

    .dev/run python tests/benchmarks/learning.py TOOLS.jsonl QUERIES.jsonl [--uses 3] [--most 1500] [--draws 6]

Each query that is replayed is a find, from page to page until the right tool is shown, then its call, as one caller.
Imported tools have no implementation, so a plugin of this script's own offers them, each answering "done". Which
queries are use is drawn several times, since R@5 differs by half a point. With the first draw one caller makes 10,000
false uses, and what they change for another caller is measured (through the services: over HTTP all are one caller).
"""

import argparse
import asyncio
import contextlib
import json
import math
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NamedTuple

from litestar.testing import AsyncTestClient

import toolbox
from toolbox.app import create_app
from toolbox.definitions import TextContent, ToolResult
from toolbox.embedded.owner import run_postgres
from toolbox.learning.recorder import UseRecorder
from toolbox.logs import configure_logging
from toolbox.plugins import Plugins
from toolbox.search.service import SearchQuery
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings
from toolbox.tools.catalogue import read_catalogue

DEPTH = 10
SHOWN = 50
DEEPEST = 200
FALSE_USES = 10_000
FIRST_SEED = 7


class Query(NamedTuple):
    """What is asked, and the names of the tools that are right."""

    text: str
    relevant: frozenset[str]


class Answering:
    """A tool that is described elsewhere, and answers at once."""

    prefix = False
    """Its name is as it is elsewhere: a word before it would be searched too."""

    def __init__(self, definition: toolbox.ToolDefinition) -> None:
        self.definition = definition

    async def call(self, _arguments: dict[str, Any], _context: toolbox.ToolContext) -> ToolResult:
        """Done."""
        return ToolResult((TextContent("done"),))


async def main() -> None:
    """Print the figures before and after."""
    parser = argparse.ArgumentParser(description="How much search learns from use.")
    parser.add_argument("tools", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--uses", type=int, default=3, help="uses of each tool")
    parser.add_argument("--most", type=int, default=1500, help="queries that are measured, drawn by chance")
    parser.add_argument("--draws", type=int, default=6, help="how often to draw which queries are use")
    arguments = parser.parse_args()
    plugins, queries = read(arguments.tools, arguments.queries)
    draws = [split(queries, arguments.uses, arguments.most, FIRST_SEED + number) for number in range(arguments.draws)]
    with TemporaryDirectory(prefix="tbx-") as folder, contextlib.ExitStack() as stack:
        Path(folder).chmod(0o755)  # noqa: ASYNC240 - as root, PostgreSQL runs as somebody else
        data = Path(folder) / "data"
        url = stack.enter_context(run_postgres(data, command="benchmark", server_url="benchmark", durable=False))
        settings = Settings(database_url=Secret(url), db_pool_size=2, log_level="ERROR")
        configure_logging(settings)
        print(f"{len(plugins.tools)} tools, {len(draws[0][0])} uses, {len(draws[0][1])} other queries")
        measured = [await measure_use(settings, plugins, used, asked) for used, asked in draws]
        for label, figures in zip(("before", "after use"), zip(*measured, strict=True), strict=True):
            show(
                f"{label}, mean of {len(draws)} draws",
                [sum(column) / len(draws) for column in zip(*figures, strict=True)],
            )
        await measure_poison(settings, plugins, *draws[0])


async def measure_use(
    settings: Settings, plugins: Plugins, used: Sequence[tuple[Query, str]], asked: Sequence[Query]
) -> tuple[list[float], list[float]]:
    """What is found before and after use, over HTTP; what was learned before is forgotten."""
    async with open_services(settings, plugins) as services:
        await services.sync()
        await services.database.execute("delete from uses")
    async with AsyncTestClient(create_app(settings, plugins), base_url="http://127.0.0.1") as client:
        while (await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.1)
        before = await report("before", asked, lambda text: find_by_http(client, text))
        for query, name in used:
            await look_for(client, query.text, name)
            await client.post("/mcp/call_tool", json={"tool_name": name})
    async with AsyncTestClient(create_app(settings, plugins), base_url="http://127.0.0.1") as client:
        return before, await report("after use", asked, lambda text: find_by_http(client, text))


async def measure_poison(
    settings: Settings, plugins: Plugins, used: Sequence[tuple[Query, str]], asked: Sequence[Query]
) -> None:
    """What false uses of one caller change for another, who has learned from three others."""
    names = sorted(plugins.tools)
    chance = random.Random(1)
    async with open_services(settings, plugins) as services:
        await services.sync()
        await services.database.execute("delete from uses")
        await replay(services, [(query.text, name, f"colleague {n % 3}") for n, (query, name) in enumerate(used)])
        await report("use of three others", asked, lambda text: find_by_service(services, text))
        texts = [query.text for query, _ in used] + [query.text for query in asked]
        await replay(services, [(chance.choice(texts), chance.choice(names), "mallory") for _ in range(FALSE_USES)])
    async with open_services(settings, plugins) as services:
        await report(f"{FALSE_USES} false uses of one", asked, lambda text: find_by_service(services, text))


async def replay(services: Services, uses: Sequence[tuple[str, str, str]]) -> None:
    """Note uses (query, tool, caller) as if each caller had been shown the tool, and called it."""
    rows = await services.database.fetch("select id, name from tools")
    ids = {row["name"]: row["id"] for row in rows}
    for start in range(0, len(uses), 1000):
        recorder = UseRecorder(services.database, services.embed)
        async with recorder.running():
            for text, name, caller in uses[start : start + 1000]:
                recorder.searched(caller, text, [ids[name]])
                recorder.called(caller, name)
                await asyncio.sleep(0.0001)  # a call and the next search are never at the same microsecond


def read(tools: Path, queries: Path) -> tuple[Plugins, list[Query]]:
    """A plugin that offers the tools, and the queries."""
    with tools.open("rb") as lines:
        imported = read_catalogue(lines, source="set").tools
    offered = [Answering(tool.definition) for tool in imported]
    names = {tool.id: tool.definition.name for tool in imported}
    module = ModuleType("learning_plugin")
    module.toolbox_tools = toolbox.hookimpl(specname="toolbox_tools")(lambda: offered)  # type: ignore[attr-defined]
    sys.modules["learning_plugin"] = module
    plugins = Plugins()
    modules = {"set": "learning_plugin", "minilm": "toolbox_minilm"}
    plugins.load([EntryPoint(name=name, value=value, group="toolbox") for name, value in modules.items()], ())
    lost = set(names.values()) - set(plugins.tools)
    rows = [json.loads(line) for line in queries.read_text().splitlines()]
    asked = [Query(row["query"], frozenset(names[id_] for id_ in row["relevant"])) for row in rows]
    return plugins, [query for query in asked if not query.relevant & lost]


def split(queries: Sequence[Query], uses: int, most: int, seed: int) -> tuple[list[tuple[Query, str]], list[Query]]:
    """Some queries of each tool as use, and others to ask."""
    chance = random.Random(seed)
    by_tool: defaultdict[str, list[Query]] = defaultdict(list)
    for query in queries:
        for name in sorted(query.relevant):
            by_tool[name].append(query)
    used = [
        (query, name) for name, own in sorted(by_tool.items()) for query in chance.sample(own, min(uses, len(own) // 2))
    ]
    taken = {query.text for query, _ in used}
    rest = [query for query in queries if query.text not in taken]
    return used, chance.sample(rest, min(most, len(rest)))


async def look_for(client: AsyncTestClient[Any], text: str, name: str) -> None:
    """Search as somebody who knows what there is: on from page to page until it is shown."""
    for offset in range(0, DEEPEST, SHOWN):
        body = {"query": text, "limit": SHOWN, "offset": offset, "detail": "summary"}
        if any(match["name"] == name for match in (await client.post("/mcp/find_tool", json=body)).json()):
            return


async def find_by_http(client: AsyncTestClient[Any], text: str) -> list[str]:
    """The names that are found."""
    answer = await client.post("/mcp/find_tool", json={"query": text, "limit": DEPTH, "detail": "summary"})
    return [match["name"] for match in answer.json()]


async def find_by_service(services: Services, text: str) -> list[str]:
    """The same for somebody who has used nothing."""
    found = await services.search.find_tools(SearchQuery(text, DEPTH, caller="newcomer"))
    return [match.tool.name for match in found.matches]


async def report(label: str, asked: Sequence[Query], find: Callable[[str], Any]) -> list[float]:
    """Ask, print and give nDCG@10 and recall."""
    gains, firsts, fives = list[float](), list[float](), list[float]()
    for query in asked:
        names = await find(query.text)
        gain = sum(1 / math.log2(rank + 2) for rank, name in enumerate(names) if name in query.relevant)
        gains.append(gain / sum(1 / math.log2(rank + 2) for rank in range(min(DEPTH, len(query.relevant)))))
        firsts.append(len(query.relevant.intersection(names[:1])) / len(query.relevant))
        fives.append(len(query.relevant.intersection(names[:5])) / len(query.relevant))
    means = [100 * sum(values) / len(values) for values in (gains, firsts, fives)]
    show(label, means)
    return means


def show(label: str, figures: Sequence[float]) -> None:
    """Print them."""
    print(f"{label:28} nDCG@10 {figures[0]:.1f}  R@1 {figures[1]:.1f}  R@5 {figures[2]:.1f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
