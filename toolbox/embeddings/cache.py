"""What stands in front of an embedder: memory, then Redis, and only what neither has is embedded."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeAlias

import cachebox
import numpy
from msgspec import Meta, Struct

from toolbox.embeddings.base import Embedder, Purpose, known_words
from toolbox.embeddings.shared import SharedEmbeddings
from toolbox.errors import EmbeddingError
from toolbox.metrics import CACHE

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors

MAX_ENTRIES = 10_000
MAX_BYTES = 32 * 1024 * 1024
"""Of vectors in memory, whatever their dimension."""

_Key: TypeAlias = tuple[Purpose, str]


class CacheStatistics(Struct, frozen=True):
    """Where embeddings came from since this process started, and what it keeps."""

    memory_hits: Annotated[int, Meta(description="Texts that this process remembered.")]
    shared_hits: Annotated[int, Meta(description="Texts that Redis had.")]
    joined: Annotated[int, Meta(description="Texts that another caller was just having embedded.")]
    misses: Annotated[int, Meta(description="Texts that had to be embedded.")]
    entries: Annotated[int, Meta(description="Embeddings in memory.")]
    capacity: Annotated[int, Meta(description="Embeddings that memory holds at most.")]
    ttl_seconds: float
    redis: Annotated[Literal["off", "ok", "down"], Meta(description="down: memory alone is used for now.")]


class CachedEmbedder:
    """An embedder that remembers.

    Callers who want the same text at the same time share one computation, and one who gives up harms nobody. Memory
    keeps queries only: a catalogue would push them out, and its embeddings are kept in the database anyway.
    """

    def __init__(self, embedder: Embedder, *, ttl_seconds: float, shared: SharedEmbeddings | None = None) -> None:
        self.name = embedder.name
        self.dimensions = embedder.dimensions
        self._embedder = embedder
        self._shared = shared
        self._ttl_seconds = ttl_seconds
        capacity = min(MAX_ENTRIES, MAX_BYTES // (self.dimensions * 4))
        self._memory: cachebox.LRUCache[_Key, _Remembered] = cachebox.LRUCache(capacity)
        self._awaited: dict[_Key, asyncio.Future[Vectors]] = {}
        self._tasks = set[asyncio.Task[None]]()
        self._memory_hits = self._shared_hits = self._joined = self._misses = 0

    @property
    def statistics(self) -> CacheStatistics:
        """Counts since the start."""
        redis: Literal["off", "ok", "down"] = "off"
        if self._shared:
            redis = "down" if self._shared.problem else "ok"
        return CacheStatistics(
            memory_hits=self._memory_hits,
            shared_hits=self._shared_hits,
            joined=self._joined,
            misses=self._misses,
            entries=len(self._memory),
            capacity=self._memory.maxsize,
            ttl_seconds=self._ttl_seconds,
            redis=redis,
        )

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> "Vectors":
        """See Embedder.embed; only the texts that are nowhere to be found are embedded."""
        vectors: dict[str, Vectors] = {}
        awaited: dict[str, asyncio.Future[Vectors]] = {}
        unknown: list[str] = []
        for text in dict.fromkeys(texts):
            vector, future = self._remember((purpose, text)), self._awaited.get((purpose, text))
            if vector is not None:
                vectors[text] = vector
            elif future is not None:
                awaited[text] = future
            else:
                unknown.append(text)
        self._memory_hits += len(vectors)
        self._joined += len(awaited)
        CACHE[("memory",)].inc(len(vectors))
        CACHE[("joined",)].inc(len(awaited))
        awaited.update(self._begin(unknown, purpose))
        for text, future in awaited.items():
            vectors[text] = await asyncio.shield(future)  # a caller who gives up must not end it for the others
        if len(texts) == 1:
            return vectors[texts[0]][numpy.newaxis]
        return numpy.array([vectors[text] for text in texts], numpy.float32).reshape(len(texts), self.dimensions)

    async def known_words(self, words: Sequence[str]) -> set[str]:
        """Those that the embedder says its model knows; see KnowsWords."""
        return await known_words(self._embedder, words)

    async def close(self) -> None:
        """End what is under way; whoever still waits gets an EmbeddingError."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _remember(self, key: _Key) -> "Vectors | None":
        remembered: _Remembered | None = self._memory.get(key, None)
        return remembered.vector if remembered and time.monotonic() < remembered.until else None

    def _begin(self, texts: list[str], purpose: Purpose) -> "dict[str, asyncio.Future[Vectors]]":
        """Start to look for texts, in a task of its own: it belongs to all who may come to wait for them."""
        loop = asyncio.get_running_loop()
        futures: dict[str, asyncio.Future[Vectors]] = {text: loop.create_future() for text in texts}
        if futures:
            self._awaited.update({(purpose, text): future for text, future in futures.items()})
            task = asyncio.create_task(self._fetch(futures, purpose))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            closed = EmbeddingError("the embedder is being closed")
            task.add_done_callback(lambda _: self._give_up(futures, purpose, closed))
        return futures

    async def _fetch(self, futures: "dict[str, asyncio.Future[Vectors]]", purpose: Purpose) -> None:
        try:
            fresh = await self._find(futures, purpose)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            self._give_up(futures, purpose, error)
            return
        # Nobody waits any more for what Redis is told.
        if self._shared and fresh:
            await self._shared.write(fresh, purpose)

    async def _find(self, futures: "dict[str, asyncio.Future[Vectors]]", purpose: Purpose) -> "dict[str, Vectors]":
        """Hand out what Redis has, then what the embedder makes of the rest; gives the latter."""
        found = await self._shared.read(list(futures), purpose) if self._shared else {}
        self._shared_hits += len(found)
        CACHE[("redis",)].inc(len(found))
        self._hand_out(found, futures, purpose)
        missing = [text for text in futures if text not in found]
        self._misses += len(missing)
        CACHE[("model",)].inc(len(missing))
        if not missing:
            return {}
        fresh = dict(zip(missing, await self._embedder.embed(missing, purpose), strict=True))
        self._hand_out(fresh, futures, purpose)
        return fresh

    def _hand_out(
        self, vectors: "dict[str, Vectors]", futures: "dict[str, asyncio.Future[Vectors]]", purpose: Purpose
    ) -> None:
        for text, vector in vectors.items():
            vector.flags.writeable = False  # it is shared
            if purpose == "query":
                self._memory[purpose, text] = _Remembered(vector, time.monotonic() + self._ttl_seconds)
            futures[text].set_result(vector)
            del self._awaited[purpose, text]

    def _give_up(self, futures: "dict[str, asyncio.Future[Vectors]]", purpose: Purpose, error: Exception) -> None:
        for text, future in futures.items():
            if not future.done():
                future.set_exception(error)
                future.exception()  # all who waited may have given up; that is no reason to complain
                del self._awaited[purpose, text]


class _Remembered(NamedTuple):
    """A vector, and until when (by the monotonic clock) it is kept."""

    vector: "Vectors"
    until: float
