"""What filters and hidden tools cost a search, among as many tools as search_scale has put into a folder.

    .dev/run python -m tests.benchmarks.search_filters --folder FOLDER --queries FILE...

One caller searches in this process, first all tools, then toolsets that more or fewer of them belong to: anywhere, or
as far from the query as can be, where the indexes give up and all that pass are compared. Then tools are hidden,
anywhere, and the nearest to each query. The toolsets are deleted and the tools shown again at the end, or by the
next run if this one is killed.
"""

import argparse
import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy
from pgvector import HalfVector

from tests.benchmarks.search_scale import read_queries
from toolbox.embedded.owner import run_postgres
from toolbox.logs import configure_logging
from toolbox.search.service import SearchQuery
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings
from toolbox.tools.repository import ToolFilter, set_active

QUERIES = 200
"""Of tools that lie anywhere."""
FAR_QUERIES = 20
"""Each has its own tools that are near or far."""
MEMBERS = (0, 100, 1_000, 5_000, 20_000, 25_000, 50_000, 80_000)
FAR_MEMBERS = (1_000, 25_000, 50_000)
HIDDEN = (1_000, 10_000)
NEAREST_HIDDEN = (100, 2_000)


async def main() -> None:
    """Print a line for each filter."""
    parser = argparse.ArgumentParser(description="What filters and hidden tools cost a search.")
    parser.add_argument("--folder", type=Path, required=True, help="what search_scale has filled")
    parser.add_argument("--queries", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()
    texts = read_queries(arguments.queries, 2 * QUERIES)
    with run_postgres(arguments.folder, command="benchmark", server_url="benchmark") as url:
        settings = Settings(database_url=Secret(url), log_level="ERROR")
        configure_logging(settings)
        async with open_services(settings) as services:
            await services.sync()
            await mend(services)
            await search(services, texts[QUERIES:], ToolFilter())  # what is read once is read now
            print("| searched | median ms | p95 |\n|---|---|---|")
            tell("all tools", await search(services, texts[:QUERIES], ToolFilter()))
            await measure_filters(services, texts)
            await services.database.execute("vacuum analyze")
            await measure_hidden(services, texts)


async def mend(services: Services) -> None:
    """Take back what a run has done that was killed."""
    await services.database.execute("delete from toolsets where name = 'benchmark'")
    rows = await services.database.fetch("select id from tools where not is_offered")
    async with services.database.transaction() as connection:
        await set_active(connection, [row["id"] for row in rows], active=True)


def tell(what: str, took: Sequence[float]) -> None:
    """Print how long the statement took."""
    print(f"| {what} | {statistics.median(took):.1f} | {statistics.quantiles(took, n=20)[18]:.1f} |", flush=True)


async def search(services: Services, texts: Sequence[str], wanted: ToolFilter) -> list[float]:
    """Search for one text after the other; milliseconds of the statement for each."""
    results = [await services.search.find_tools(SearchQuery(text, 5, filter=wanted)) for text in texts]
    return [result.database_ms for result in results]


async def measure_filters(services: Services, texts: Sequence[str]) -> None:
    """Search among members that lie anywhere, then among those that are farthest."""
    ids = [row["id"] for row in await services.database.fetch("select id from tools where active")]
    chance = numpy.random.default_rng(0)
    for members in MEMBERS:
        async with toolset(services, chance.choice(ids, members, replace=False).tolist()) as wanted:
            tell(f"{members:,} members anywhere", await search(services, texts[:QUERIES], wanted))
    for members in FAR_MEMBERS:
        took = list[float]()
        for text in texts[:FAR_QUERIES]:
            async with toolset(services, (await by_distance(services, text))[-members:]) as wanted:
                await search(services, [texts[QUERIES]], wanted)
                took += await search(services, [text], wanted)
        tell(f"the {members:,} farthest", took)


async def measure_hidden(services: Services, texts: Sequence[str]) -> None:
    """Search while tools anywhere are hidden, then those that are nearest."""
    ids = [row["id"] for row in await services.database.fetch("select id from tools where active")]
    chance = numpy.random.default_rng(0)
    for number in HIDDEN:
        async with hidden(services, chance.choice(ids, number, replace=False).tolist()):
            tell(f"all, {number:,} anywhere hidden", await search(services, texts[:QUERIES], ToolFilter()))
    for number in NEAREST_HIDDEN:
        took = list[float]()
        for text in texts[:FAR_QUERIES]:
            async with hidden(services, (await by_distance(services, text))[:number]):
                await search(services, [texts[QUERIES]], ToolFilter())
                took += await search(services, [text], ToolFilter())
        tell(f"all, the {number:,} nearest hidden", took)


async def by_distance(services: Services, text: str) -> list[int]:
    """The ids of all tools, the nearest to a text first."""
    assert services.embed is not None
    model, embedder = services.embed
    [vector] = await embedder.embed([text], "query")
    nearest = (
        f"select tool_id from embeddings where model_id = {model.id} "
        f"order by embedding::halfvec({model.dimensions}) <=> $1::halfvec({model.dimensions})"
    )
    async with services.database.transaction() as connection:
        await connection.execute("set local enable_indexscan = off")
        return [row["tool_id"] for row in await connection.fetch(nearest, HalfVector(vector))]


@contextlib.asynccontextmanager
async def toolset(services: Services, members: list[int]) -> AsyncIterator[ToolFilter]:
    """A filter for a toolset that has these members, which is deleted afterwards."""
    async with services.database.transaction() as connection:
        rows = await connection.fetch(
            "insert into toolsets (name, description, version, is_direct, asks_before_destructive, rules) "
            "values ('benchmark', '', '1', false, false, '[]') returning id"
        )
        await connection.execute(
            "insert into toolset_members (toolset_id, tool_id, name) "
            "select $1, t.id, t.name from tools t where t.id = any($2::int[])",
            rows[0]["id"],
            members,
        )
    await services.database.execute("analyze toolset_members")
    try:
        yield ToolFilter(within=("benchmark",))
    finally:
        await services.database.execute("delete from toolsets where name = 'benchmark'")


@contextlib.asynccontextmanager
async def hidden(services: Services, tools: list[int]) -> AsyncIterator[None]:
    """Hide tools, and show them again."""
    async with services.database.transaction() as connection:
        await set_active(connection, tools, active=False)
    try:
        yield
    finally:
        async with services.database.transaction() as connection:
            await set_active(connection, tools, active=True)


if __name__ == "__main__":
    asyncio.run(main())
