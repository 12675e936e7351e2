"""How search grows with the catalogue: indexing, answers over HTTP under load, and what the approximate index misses.

    .dev/run python -m tests.benchmarks.search_scale 1000 10000 100000 --tools FILE... --queries FILE...

The catalogue is made of the tools in the files; when they are used up, they come again with words of another tool added
to their description, so that no two are alike. It grows from one size to the next in one database; with --folder that
is kept, and the next run goes on where the last one was, killed or not: so --prepare can fill it beforehand. Server,
PostgreSQL, callers and this script share the machine.

The in-process model embeds all tools, or with --embed only so many: the vectors of the others are those of tools before
them with noise, which costs less and gives the index as much to do.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy
from msgspec import Struct, structs
from pgvector import HalfVector

from tests.benchmarks.running import TICKS, Running, postgres, toolbox
from toolbox.definitions import ToolDefinition
from toolbox.embedded.owner import run_postgres
from toolbox.embeddings.base import Embedder, Purpose
from toolbox.index.embeddings import fill_embeddings
from toolbox.logs import configure_logging
from toolbox.search.service import SearchQuery
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings
from toolbox.tools.catalogue import read_catalogue
from toolbox.tools.sync import import_tools

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors

CALLERS = 20
CLOSED_LOOP_SECONDS = 15.0
IMPORT_BATCH = 5_000
COMPARED = 200
OVERLAP = 20
NOISE = 0.03
"""Of each number of a vector; then a text has a cosine of about 0.86 to the one whose vector it got."""


class Load(Struct, frozen=True):
    """Milliseconds at 20 queries a second, and queries a second when each caller asks again at once.

    `server_cpu` and `database_cpu` are milliseconds of processor time for one query.
    """

    median: float
    p95: float
    p99: float
    throughput: float
    server_cpu: float
    database_cpu: float


class Compared(Struct, frozen=True):
    """Median milliseconds of one caller: over HTTP, and of the bare statement and the bare embedding, in turn.

    `sql_p95`: the 95th percentile of the statement.
    """

    http: float
    sql: float
    sql_p95: float
    embedding: float

    @property
    def ratio(self) -> float:
        """How many times the bare parts the whole takes."""
        return self.http / (self.sql + self.embedding)


async def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description="How search grows with the catalogue.")
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--tools", type=Path, nargs="+", required=True)
    parser.add_argument("--queries", type=Path, nargs="+", required=True)
    parser.add_argument("--seconds", type=int, default=30, help="how long 20 callers ask once a second")
    parser.add_argument("--embed", type=int, default=0, help="so many tools are embedded, the others get noise; 0: all")
    parser.add_argument("--folder", type=Path, help="where the database is kept")
    parser.add_argument("--prepare", action="store_true", help="fill the database in the folder, and measure nothing")
    arguments = parser.parse_args()
    asked = CALLERS * (arguments.seconds + 1) + 2000
    texts = read_queries(arguments.queries, asked + 2 * COMPARED)  # every size is asked the same, by a new server
    columns = ("tools", "import s", "embed s", "median ms", "p95", "p99", "server CPU ms", "PostgreSQL CPU ms")
    more = ("closed loop q/s", "one caller ms", "SQL ms", "SQL p95", "embedding ms", "ratio", f"overlap@{OVERLAP}")
    print(f"| {' | '.join(columns + more)} |\n{len(columns + more) * '|---'}|")
    with database(arguments.folder) as url:
        settings = Settings(database_url=Secret(url), log_level="ERROR")
        configure_logging(settings)
        tools = definitions(arguments.tools)
        known = 0
        for size in arguments.sizes:
            some = list(itertools.islice(tools, size - known))
            imported, embedded = await fill(settings, some, known, arguments.embed)
            known = size
            if arguments.prepare:
                print(f"{size} tools: imported in {imported:.0f} s, embedded in {embedded:.0f} s", flush=True)
                continue
            with toolbox(url, None, LEARN_FROM_USE="true") as server:
                load = await ask(server, iter(texts[:asked]), arguments.seconds)
                compared = await compare(settings, server.url, texts[asked:])
            overlap = await measure_overlap(settings, texts[:COMPARED])
            print(
                f"| {size} | {imported:.0f} | {embedded:.0f} | {load.median:.1f} | {load.p95:.1f} | {load.p99:.1f} "
                f"| {load.server_cpu:.1f} | {load.database_cpu:.1f} | {load.throughput:.0f} | {compared.http:.1f} "
                f"| {compared.sql:.1f} | {compared.sql_p95:.1f} | {compared.embedding:.1f} | {compared.ratio:.2f} "
                f"| {overlap:.3f} |",
                flush=True,
            )


@contextlib.contextmanager
def database(folder: Path | None) -> Iterator[str]:
    """One that is kept in the folder, or one that is not kept."""
    kept = run_postgres(folder, command="benchmark", server_url="benchmark") if folder else postgres()
    with kept as url:
        yield url


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


async def fill(settings: Settings, tools: list[ToolDefinition], before: int, embed: int) -> tuple[float, float]:
    """Import and embed; how many seconds each takes."""
    async with open_services(settings) as services:
        await services.sync()
        begun = time.perf_counter()
        for start in range(0, len(tools), IMPORT_BATCH):
            some = tools[start : start + IMPORT_BATCH]
            await import_tools(services.database, some, source=f"import:{before + start}")
        imported = time.perf_counter()
        assert services.embed is not None
        model, embedder = services.embed
        await fill_embeddings(
            services.database, model, Noisy(embedder, embed) if embed and before + len(tools) > embed else embedder
        )
        embedded = time.perf_counter()
        await services.database.execute("vacuum analyze")
    return imported - begun, embedded - imported


class Noisy:
    """An embedder that embeds so many texts of tools, and then gives the vectors of these again, with noise."""

    def __init__(self, embedder: Embedder, most: int) -> None:
        self.name, self.dimensions = embedder.name, embedder.dimensions
        self._embedder, self._most = embedder, most
        self._known: Vectors = numpy.zeros((0, self.dimensions), numpy.float32)
        self._chance = numpy.random.default_rng(0)

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> "Vectors":
        """See Embedder.embed."""
        if purpose == "query":
            return await self._embedder.embed(texts, purpose)
        if len(self._known) < self._most:
            vectors = await self._embedder.embed(texts, purpose)
            self._known = numpy.concatenate([self._known, vectors])
            return vectors
        like = self._known[self._chance.integers(0, len(self._known), len(texts))]
        noisy = like + self._chance.normal(0, NOISE, like.shape).astype(numpy.float32)
        changed: Vectors = noisy / numpy.linalg.norm(noisy, axis=1, keepdims=True)
        return changed


async def ask(server: Running, texts: Iterator[str], seconds: int) -> Load:
    """Ask over HTTP: first at a steady pace, then as fast as answers come."""
    limits = httpx.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)
    async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=60) as client:
        for _ in range(CALLERS):
            await find(client, next(texts))
        paced = list[float]()

        async def pace(number: int) -> None:
            await asyncio.sleep(number / CALLERS)
            for _ in range(seconds):
                pause = asyncio.create_task(asyncio.sleep(1))
                paced.append(await find(client, next(texts)))
                await pause

        before = server.cpu_seconds(), postgres_cpu_seconds()
        await asyncio.gather(*(pace(number) for number in range(CALLERS)))
        after = server.cpu_seconds(), postgres_cpu_seconds()
        end, done = time.perf_counter() + CLOSED_LOOP_SECONDS, list[float]()

        async def repeat() -> None:
            while time.perf_counter() < end and (text := next(texts, None)):
                done.append(await find(client, text))

        begun = time.perf_counter()
        await asyncio.gather(*(repeat() for _ in range(CALLERS)))
        throughput = len(done) / (time.perf_counter() - begun)
    cuts = statistics.quantiles(paced, n=100)
    server_cpu, database_cpu = ((then - now) / len(paced) * 1000 for now, then in zip(before, after, strict=True))
    return Load(statistics.median(paced), cuts[94], cuts[98], throughput, server_cpu, database_cpu)


def postgres_cpu_seconds() -> float:
    """The processor time of the PostgreSQL that this process runs, and of all that it has started."""
    stats = dict[int, list[str]]()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, fields = file.read_text().rpartition(")")
            stats[int(file.parent.name)] = [head.partition("(")[2], *fields.split()]
    mine = {os.getpid()}
    while more := {pid for pid, fields in stats.items() if int(fields[2]) in mine} - mine:
        mine |= more
    used = [fields for pid, fields in stats.items() if pid in mine and fields[0] in {"postgres", "postmaster"}]
    return sum(sum(map(int, fields[12:16])) for fields in used) / TICKS


async def find(client: httpx.AsyncClient, text: str) -> float:
    """The milliseconds of one search."""
    begun = time.perf_counter()
    answer = await client.post("/mcp/find_tool", json={"query": text})
    answer.raise_for_status()
    return (time.perf_counter() - begun) * 1000


async def compare(settings: Settings, url: str, texts: Sequence[str]) -> Compared:
    """Ask one query over HTTP, the next one here, and so on."""
    over_http, results = list[float](), []
    async with open_services(settings) as services, httpx.AsyncClient(base_url=url, timeout=60) as client:
        for remote, local in zip(texts[::2], texts[1::2], strict=True):
            over_http.append(await find(client, remote))
            results.append(await services.search.find_tools(SearchQuery(local, 5, caller="benchmark")))
    statements = [result.database_ms for result in results]
    return Compared(
        statistics.median(over_http),
        statistics.median(statements),
        statistics.quantiles(statements, n=20)[18],
        statistics.median(result.embedding_ms for result in results),
    )


async def measure_overlap(settings: Settings, texts: Sequence[str]) -> float:
    """How many of the 20 nearest by an exact scan are among the 20 that the index gives."""
    async with open_services(settings) as services:
        return await _overlap(services, texts)


async def _overlap(services: Services, texts: Sequence[str]) -> float:
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
