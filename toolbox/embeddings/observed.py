"""An embedder whose work is measured, and seen in traces."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolbox.embeddings.base import Embedder, Purpose, known_words
from toolbox.metrics import EMBEDDED, EMBEDDING_SECONDS
from toolbox.telemetry import span

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors


class ObservedEmbedder:
    """An embedder as it is, and what it takes."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        """That of the embedder."""
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        """That of the embedder."""
        return self._embedder.dimensions

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> "Vectors":
        """See Embedder.embed."""
        attributes = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": self.name}
        start, result = time.perf_counter(), "failed"
        try:
            with span(f"embeddings {self.name}", attributes, kind="client"):
                vectors = await self._embedder.embed(texts, purpose)
            result = "ok"
            return vectors
        finally:
            EMBEDDED[purpose, result].inc(len(texts))
            EMBEDDING_SECONDS[(purpose,)].observe(time.perf_counter() - start)

    async def known_words(self, words: Sequence[str]) -> set[str]:
        """Those that the embedder says its model knows; see KnowsWords."""
        return await known_words(self._embedder, words)
