"""A memory in front of an embedder: texts that were embedded lately are not embedded again."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cachebox
import numpy
from msgspec import Struct

from toolbox.embeddings.base import Embedder, Purpose

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors

MAX_ENTRIES = 10_000


class CacheStatistics(Struct, frozen=True):
    """How often the cache had the answer."""

    hits: int
    misses: int
    entries: int


class CachedEmbedder:
    """An embedder that remembers.

    Callers who want the same text at the same time share one computation, and one who gives up harms nobody.
    """

    def __init__(self, embedder: Embedder, *, ttl_seconds: float) -> None:
        self.name = embedder.name
        self.dimensions = embedder.dimensions
        self._embedder = embedder
        self._vectors: cachebox.TTLCache[tuple[Purpose, str], numpy.ndarray] = cachebox.TTLCache(
            MAX_ENTRIES, global_ttl=ttl_seconds
        )
        self._running: dict[tuple[Purpose, str], asyncio.Task[numpy.ndarray]] = {}
        self._hits = 0
        self._misses = 0

    @property
    def statistics(self) -> CacheStatistics:
        """Counts since the start."""
        return CacheStatistics(self._hits, self._misses, len(self._vectors))

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> "Vectors":
        """See Embedder.embed. Only single texts are remembered: batches are catalogues, embedded once."""
        if len(texts) != 1:
            return await self._embedder.embed(texts, purpose)
        return (await self._embed_one((purpose, texts[0])))[numpy.newaxis]

    async def _embed_one(self, key: tuple[Purpose, str]) -> numpy.ndarray:
        try:
            vector = self._vectors[key]
        except KeyError:
            self._misses += 1
        else:
            self._hits += 1
            return vector
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._compute(key))
            task.add_done_callback(lambda _done: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _compute(self, key: tuple[Purpose, str]) -> numpy.ndarray:
        purpose, text = key
        vector: numpy.ndarray = (await self._embedder.embed([text], purpose))[0]
        vector.flags.writeable = False  # it is shared
        self._vectors[key] = vector
        return vector
