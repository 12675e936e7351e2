"""The memory in front of an embedder."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import numpy
import pytest

from toolbox.embeddings.base import Embedder
from toolbox.embeddings.cache import CachedEmbedder, CacheStatistics
from toolbox.errors import EmbeddingError


class Slow:
    """An embedder that waits until it is told to go on, and counts its work."""

    name = "slow"
    dimensions = 2

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.fails = False

    async def embed(self, texts: Sequence[str], purpose: str) -> Any:
        self.batches.append(list(texts))
        await self.go_on.wait()
        if self.fails:
            raise EmbeddingError("out of order")
        return numpy.array([[len(text), len(purpose)] for text in texts], numpy.float32)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def cached(slow: Slow) -> CachedEmbedder:
    return CachedEmbedder(slow, ttl_seconds=60)


async def test_a_text_is_embedded_once(slow: Slow, cached: CachedEmbedder) -> None:
    first = await cached.embed(["abc"], "query")
    second = await cached.embed(["abc"], "query")
    assert first.tolist() == second.tolist() == [[3, 5]]
    assert slow.batches == [["abc"]]
    assert cached.statistics == CacheStatistics(hits=1, misses=1, entries=1)


async def test_a_query_and_a_tool_of_the_same_text_are_different(cached: CachedEmbedder) -> None:
    query, tool = await cached.embed(["abc"], "query"), await cached.embed(["abc"], "tool")
    assert query.tolist() != tool.tolist()


async def test_callers_at_the_same_time_share_the_work_and_one_who_gives_up_harms_nobody(
    slow: Slow, cached: CachedEmbedder
) -> None:
    slow.go_on.clear()
    callers = [asyncio.create_task(cached.embed(["abc"], "query")) for _ in range(5)]
    await asyncio.sleep(0)
    callers[0].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await callers[0]
    slow.go_on.set()
    for vectors in await asyncio.gather(*callers[1:]):
        assert vectors.tolist() == [[3, 5]]
    assert slow.batches == [["abc"]]


async def test_a_failure_is_everybodys_and_is_not_remembered(slow: Slow, cached: CachedEmbedder) -> None:
    slow.fails = True
    failed = await asyncio.gather(*(cached.embed(["abc"], "query") for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in failed] == [EmbeddingError] * 3
    slow.fails = False
    assert (await cached.embed(["abc"], "query")).tolist() == [[3, 5]]


async def test_batches_go_straight_through(slow: Slow, cached: CachedEmbedder) -> None:
    assert (await cached.embed(["a", "bb"], "tool")).tolist() == [[1, 4], [2, 4]]
    assert (await cached.embed([], "tool")).shape == (0,)
    assert cached.statistics.entries == 0


async def test_what_is_shared_cannot_be_changed(cached: CachedEmbedder) -> None:
    vectors = await cached.embed(["abc"], "query")
    with pytest.raises(ValueError, match="read-only"):
        vectors[0, 0] = 7


def test_it_is_an_embedder(cached: CachedEmbedder) -> None:
    assert isinstance(cached, Embedder)
