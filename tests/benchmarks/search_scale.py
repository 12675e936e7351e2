"""How search grows with the catalogue: indexing, answers over HTTP under load, and what the approximate index misses.

    .dev/run python -m tests.benchmarks.search_scale 1000 10000 100000 --tools FILE... --queries FILE...

The catalogue is made of the tools in the files; when they are used up, they come again with words of another tool added
to their description, so that no two are alike. The in-process model embeds all of them. Server, PostgreSQL, callers and
this script share the machine.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
from msgspec import Struct, structs
from pgvector import HalfVector

from tests.benchmarks.running import postgres, toolbox
from toolbox.definitions import ToolDefinition
from toolbox.logs import configure_logging
from toolbox.search.service import SearchQuery
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings
from toolbox.tools.catalogue import read_catalogue
from toolbox.tools.sync import embed_missing, import_tools

CALLERS = 20
CLOSED_LOOP_SECONDS = 15.0
IMPORT_BATCH = 5_000
COMPARED = 200
OVERLAP = 20


class Load(Struct, frozen=True):
    """Milliseconds at 20 queries a second, and queries a second when each caller asks again at once."""

    median: float
    p95: float
    p99: float
    throughput: float


async def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description="How search grows with the catalogue.")
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--tools", type=Path, nargs="+", required=True)
    parser.add_argument("--queries", type=Path, nargs="+", required=True)
    parser.add_argument("--seconds", type=int, default=30, help="how long 20 callers ask once a second")
    arguments = parser.parse_args()
    texts = read_queries(arguments.queries, CALLERS * arguments.seconds + 2000)
    columns = ("tools", "import s", "embed s", "median ms", "p95", "p99", "closed loop q/s", "SQL ms", "embedding ms")
    print(f"| {' | '.join(columns)} | overlap@{OVERLAP} |")
    print((len(columns) + 1) * "|---" + "|")
    for size in arguments.sizes:
        with postgres() as url:
            settings = Settings(database_url=Secret(url), log_level="ERROR")
            configure_logging(settings)
            imported, embedded = await fill(settings, list(itertools.islice(definitions(arguments.tools), size)))
            with toolbox(url, None, LEARN_FROM_USE="true") as server:
                load = await ask(server.url, iter(texts), arguments.seconds)
            sql, embedding, overlap = await compare(settings, texts[-COMPARED:])
        print(
            f"| {size} | {imported:.0f} | {embedded:.0f} | {load.median:.1f} | {load.p95:.1f} | {load.p99:.1f} "
            f"| {load.throughput:.0f} | {sql:.1f} | {embedding:.1f} | {overlap:.3f} |",
            flush=True,
        )


def definitions(files: Sequence[Path]) -> Iterator[ToolDefinition]:
    """Tools without end."""
    known = list[ToolDefinition]()
    for file in files:
        with file.open("rb") as lines:
            known += [tool.definition for tool in read_catalogue(lines, source=file.parent.name).tools]
    for round_number in itertools.count():
        for number, definition in enumerate(known):
            if round_number == 0:
                yield structs.replace(definition, name=f"{definition.name[:50]}_{number}")
                continue
            other = known[(number * 7919 + round_number) % len(known)]
            added = " ".join(other.description.split()[:8])
            yield structs.replace(
                definition,
                name=f"{definition.name[:50]}_{round_number}_{number}",
                description=f"{definition.description} For {added}",
            )


def read_queries(files: Sequence[Path], most: int) -> list[str]:
    """Queries, each once, from all files in turn."""
    sets = [[json.loads(line)["query"] for line in file.read_text().splitlines()] for file in files]
    mixed = [text for texts in itertools.zip_longest(*sets) for text in texts if text]
    return list(dict.fromkeys(mixed))[:most]


async def fill(settings: Settings, tools: list[ToolDefinition]) -> tuple[float, float]:
    """Import and embed; how many seconds each takes."""
    async with open_services(settings) as services:
        await services.sync()
        begun = time.perf_counter()
        for start in range(0, len(tools), IMPORT_BATCH):
            await import_tools(services.database, tools[start : start + IMPORT_BATCH], source=f"import:{start}")
        imported = time.perf_counter()
        assert services.embed is not None
        await embed_missing(services.database, *services.embed)
        embedded = time.perf_counter()
        await services.database.execute("vacuum analyze")
    return imported - begun, embedded - imported


async def ask(url: str, texts: Iterator[str], seconds: int) -> Load:
    """Ask over HTTP: first at a steady pace, then as fast as answers come."""
    limits = httpx.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
        for _ in range(CALLERS):
            await find(client, next(texts))
        paced = list[float]()

        async def pace(number: int) -> None:
            await asyncio.sleep(number / CALLERS)
            for _ in range(seconds):
                pause = asyncio.create_task(asyncio.sleep(1))
                paced.append(await find(client, next(texts)))
                await pause

        await asyncio.gather(*(pace(number) for number in range(CALLERS)))
        end, done = time.perf_counter() + CLOSED_LOOP_SECONDS, list[float]()

        async def repeat() -> None:
            while time.perf_counter() < end and (text := next(texts, None)):
                done.append(await find(client, text))

        begun = time.perf_counter()
        await asyncio.gather(*(repeat() for _ in range(CALLERS)))
        throughput = len(done) / (time.perf_counter() - begun)
    cuts = statistics.quantiles(paced, n=100)
    return Load(statistics.median(paced), cuts[94], cuts[98], throughput)


async def find(client: httpx.AsyncClient, text: str) -> float:
    """The milliseconds of one search."""
    begun = time.perf_counter()
    answer = await client.post("/mcp/find_tool", json={"query": text})
    answer.raise_for_status()
    return (time.perf_counter() - begun) * 1000


async def compare(settings: Settings, texts: Sequence[str]) -> tuple[float, float, float]:
    """The bare statement and the bare embedding in milliseconds, and the share of the nearest that the index finds."""
    async with open_services(settings) as services:
        results = [await services.search.find_tools(SearchQuery(text, 5, caller="benchmark")) for text in texts]
        sql = statistics.median(result.database_ms for result in results)
        embedding = statistics.median(result.embedding_ms for result in results)
        return sql, embedding, await measure_overlap(services, texts)


async def measure_overlap(services: Services, texts: Sequence[str]) -> float:
    """How many of the 20 nearest by an exact scan are among the 20 that the index gives."""
    assert services.embed is not None
    model, embedder = services.embed
    vectors = await embedder.embed(list(texts), "query")
    nearest = (
        f"select tool_id from embeddings where model_id = {model.id} "
        f"order by embedding::halfvec({model.dimensions}) <=> $1::halfvec({model.dimensions}) limit {OVERLAP}"
    )
    shares = list[float]()
    for vector in vectors:
        async with services.database.transaction() as connection:
            found = {row["tool_id"] for row in await connection.fetch(nearest, HalfVector(vector))}
            await connection.execute("set local enable_indexscan = off")
            exact = {row["tool_id"] for row in await connection.fetch(nearest, HalfVector(vector))}
        shares.append(len(found & exact) / len(exact))
    return statistics.fmean(shares)


if __name__ == "__main__":
    asyncio.run(main())
