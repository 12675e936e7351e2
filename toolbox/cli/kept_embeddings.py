"""Embeddings of tools that are kept in a file from one evaluation to the next: a large catalogue takes minutes."""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy
import structlog

from toolbox.embeddings.base import Embedder, Purpose

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors

logger = structlog.get_logger(__name__)

_KEY_BYTES = 16


class KeptEmbedder:
    """An embedder that embeds no tool's text twice."""

    def __init__(self, embedder: Embedder, vectors: "dict[bytes, Vectors]") -> None:
        self.name = embedder.name
        self.dimensions = embedder.dimensions
        self.vectors = vectors
        self._embedder = embedder

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> "Vectors":
        """See Embedder.embed."""
        if purpose == "query":
            return await self._embedder.embed(texts, purpose)
        keys = {text: hashlib.blake2b(text.encode(errors="replace"), digest_size=_KEY_BYTES).digest() for text in texts}
        missing = [text for text, key in keys.items() if key not in self.vectors]
        if missing:
            vectors = await self._embedder.embed(missing, purpose)
            self.vectors.update(zip((keys[text] for text in missing), vectors, strict=True))
        return numpy.array([self.vectors[keys[text]] for text in texts], numpy.float32)


@contextlib.contextmanager
def kept_embeddings(embedder: Embedder, folder: Path) -> Iterator[KeptEmbedder]:
    """An embedder whose vectors of tools are read from a folder, and written there afterwards."""
    file = folder / f"{hashlib.blake2b(embedder.name.encode(), digest_size=8).hexdigest()}.npz"
    kept = KeptEmbedder(embedder, _read(file, embedder.dimensions))
    before = len(kept.vectors)
    yield kept
    if len(kept.vectors) > before:
        _write(file, kept.vectors)


def _read(file: Path, dimensions: int) -> "dict[bytes, Vectors]":
    """What is kept there; nothing, if that is broken."""
    if not file.exists():
        return {}
    try:
        return _load(file, dimensions)
    except Exception as error:  # noqa: BLE001 - the archive, its directory and what it holds break in their own ways
        logger.warning("kept embeddings cannot be read and are made anew", file=str(file), reason=str(error))
        return {}


def _load(file: Path, dimensions: int) -> "dict[bytes, Vectors]":
    with file.open("rb") as opened, numpy.load(opened) as stored:
        keys, vectors = stored["keys"], stored["vectors"]
    if keys.shape != (len(keys), _KEY_BYTES) or vectors.shape != (len(keys), dimensions):
        raise ValueError(f"it holds no vectors of {dimensions} dimensions")
    return dict(zip(map(bytes, keys), vectors, strict=True))


def _write(file: Path, vectors: "dict[bytes, Vectors]") -> None:
    """Whoever reads the file finds the old one or the new one, never half of it."""
    beside = file.with_name(f".{file.name}.{uuid4().hex}")
    keys = numpy.array([numpy.frombuffer(key, numpy.uint8) for key in vectors])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("xb") as opened:
            numpy.savez(opened, keys=keys, vectors=numpy.array(list(vectors.values())))
            opened.flush()
            os.fsync(opened.fileno())
        beside.replace(file)
    except OSError as error:
        logger.warning("embeddings cannot be kept for the next time", file=str(file), reason=str(error))
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
