"""How much batches save when tools are embedded over HTTP, as a ratio in one run; the figures of docs/embeddings.md.

    .dev/run python tests/benchmarks/embedding_batches.py

The endpoint is a real server in a process of its own with a real model (toolbox-minilm): near, on the same machine, and
far, where every request takes 20 ms more, as over a network. Ratios are of texts a second, against one text a request.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import httpx
import msgspec
import uvicorn

from toolbox.embeddings.base import Embedder
from toolbox.embeddings.endpoint import EndpointEmbedder
from toolbox.index.fields import embedding_text
from toolbox.plugins import load_plugins
from toolbox.settings import Settings

TEXTS = 256
BATCH_SIZES = (1, 4, 16, 64)
ROUNDS = 5
FAR_SECONDS = 0.02

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def measure() -> None:
    """Print a table: texts in a second, and how many times that of one by one."""
    texts = catalogue(TEXTS)
    for place, delay in (("near", 0.0), ("far", FAR_SECONDS)):
        with endpoint(delay) as url:
            async with httpx.AsyncClient(timeout=60) as client:
                await wait_for(client, url)
                await measure_sizes(client, url, texts, place)


async def measure_sizes(client: httpx.AsyncClient, url: str, texts: Sequence[str], place: str) -> None:
    """Each round goes through all sizes, and the best counts: what else the machine does can only slow it down."""
    seconds: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    for _ in range(ROUNDS):
        for size in BATCH_SIZES:
            embedder = EndpointEmbedder(
                client, url=url, model="minilm", dimensions=384, batch_size=size, timeout_seconds=60
            )
            start = time.perf_counter()
            for first in range(0, len(texts), size):  # one request at a time, as a sync does
                await embedder.embed(texts[first : first + size], "tool")
            seconds[size].append(time.perf_counter() - start)
    one_by_one = min(seconds[1])
    print(f"{place}: {len(texts)} texts, best of {ROUNDS} rounds")
    for size, measured in seconds.items():
        taken = min(measured)
        print(f"  {size:3} a request  {len(texts) / taken:7.1f} texts/s  {one_by_one / taken:5.2f} x")


def catalogue(count: int) -> list[str]:
    """Texts as those of real tools, each different."""
    own = [embedding_text(tool.definition) for tool in load_plugins(Settings()).tools.values()]
    return [f"{own[number % len(own)]} {number}" for number in range(count)]


@contextlib.contextmanager
def endpoint(delay: float) -> Iterator[str]:
    """The URL of an endpoint in a process of its own."""
    command = [sys.executable, __file__, "--serve", "--delay", str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


async def wait_for(client: httpx.AsyncClient, url: str) -> None:
    """Until it answers; the first answer loads the model."""
    embedder = EndpointEmbedder(client, url=url, model="minilm", dimensions=384, timeout_seconds=60)
    await embedder.embed(["warm up"], "query")


async def serve(delay: float) -> None:
    """Listen on a free port, and print it."""
    model: Embedder = next(iter(load_plugins(Settings()).embedders.values()))

    async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b"".join([part async for part in parts(receive)])
        texts = msgspec.json.decode(body)["input"]
        await asyncio.sleep(delay)
        vectors = await model.embed([texts] if isinstance(texts, str) else texts, "tool")
        data = [{"index": index, "embedding": vector.tolist()} for index, vector in enumerate(vectors)]
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": msgspec.json.encode({"data": data})})

    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await running


async def parts(receive: Callable[[], Awaitable[dict[str, Any]]]) -> AsyncIterator[bytes]:
    """The body of a request (ASGI 3)."""
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        yield message.get("body", b"")


def main() -> None:
    """Measure, or be the endpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="be the endpoint")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that each request takes more")
    wanted = parser.parse_args()
    asyncio.run(serve(wanted.delay) if wanted.serve else measure())


if __name__ == "__main__":
    main()
