"""What an embedder is. A plugin may offer one; search and sync know nothing more of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:  # numpy is slow to load, and `import toolbox` loads this module
    import numpy
    import numpy.typing

    Vectors: TypeAlias = numpy.typing.NDArray[numpy.float32]

Purpose = Literal["query", "tool"]


@runtime_checkable
class Embedder(Protocol):
    """Text to vectors. `name` identifies the model in the database: other weights need another name."""

    @property
    def name(self) -> str:
        """For example "MiniLM-L6-tools-4-int8"."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        ...

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> "Vectors":
        """Embed texts, in order; some models treat queries and the tools they look for differently.

        Returns:
            float32 array [len(texts), dimensions]; rows have length 1, so a dot product is the cosine.

        Raises:
            EmbeddingError: The model failed.
        """
        ...


@runtime_checkable
class KnowsWords(Protocol):
    """An embedder that can say which words its model knows. None has to: a search corrects fewer words with it."""

    async def known_words(self, words: Sequence[str]) -> set[str]:
        """Those words, in lower case, that the model reads whole and not in fragments.

        Raises:
            EmbeddingError: The model cannot be loaded.
        """
        ...


async def known_words(embedder: Embedder, words: Sequence[str]) -> set[str]:
    """Those words that the embedder says its model knows: none where it cannot say.

    Raises:
        EmbeddingError: The model cannot be loaded.
    """
    return await embedder.known_words(words) if isinstance(embedder, KnowsWords) else set()
