"""Embeddings in Redis, where all replicas find them. Whatever Redis does, the caller gets at worst nothing.

A value is the vector as little-endian float32. A key holds a version of this form, the model, and a hash of the text:
texts are searched for by people and are nobody else's business.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy
import structlog

from toolbox.breaker import Breaker, BreakerOpen
from toolbox.embeddings.base import Purpose
from toolbox.redis import redis_span

if TYPE_CHECKING:  # the client takes a quarter of a second to load, and most installations have no Redis
    from redis.asyncio import Redis

    from toolbox.embeddings.base import Vectors

logger = structlog.get_logger(__name__)

VERSION = 1
"""Of the form of keys and values: another one leaves what is there to expire."""

REST_SECONDS = 5.0

_FLOAT32 = numpy.dtype("<f4")


class SharedEmbeddings:
    """The embeddings of one model in Redis, each for `ttl_seconds`.

    A Redis that fails is left alone for some seconds, so that not every search waits for it.
    """

    def __init__(self, client: "Redis", *, model: str, dimensions: int, ttl_seconds: float) -> None:
        from redis.exceptions import RedisError

        self._client = client
        self._prefix = f"toolbox:embedding:{VERSION}:{model}:"
        self._size = dimensions * _FLOAT32.itemsize
        self._ttl_milliseconds = max(1, round(ttl_seconds * 1000))
        self._failures = (RedisError, OSError, TimeoutError)
        self._breaker = Breaker(failures=1, rest_seconds=REST_SECONDS, counted=self._failures)
        self._is_missed = False

    @property
    def problem(self) -> str | None:
        """Why Redis is left alone for now; None while it is used."""
        return self._breaker.problem

    async def read(self, texts: Sequence[str], purpose: Purpose) -> "dict[str, Vectors]":
        """The embeddings that are there, by text; none while Redis is down."""
        values: Sequence[bytes | str | None] = [None] * len(texts)
        with (
            self._forgiving(),
            self._breaker.use(),
            redis_span("MGET"),
        ):
            values = await self._client.mget([self._key(text, purpose) for text in texts])
        return {
            text: numpy.frombuffer(value, _FLOAT32)
            for text, value in zip(texts, values, strict=True)
            if isinstance(value, bytes) and self._is_vector(value)
        }

    async def write(self, vectors: "Mapping[str, Vectors]", purpose: Purpose) -> None:
        """Keep embeddings, by text; while Redis is down they are not kept."""
        with self._forgiving(), self._breaker.use(), redis_span("SET"):
            async with self._client.pipeline(transaction=False) as pipeline:
                for text, vector in vectors.items():
                    value = vector.astype(_FLOAT32).tobytes()
                    pipeline.set(self._key(text, purpose), value, px=self._ttl_milliseconds)
                await pipeline.execute()
            self._say_it_is_back()

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except BreakerOpen:
            pass
        except self._failures as error:
            if not self._is_missed:
                reason = str(error) or type(error).__name__
                logger.warning("embeddings are not shared over Redis for now, only kept in memory", reason=reason)
            self._is_missed = True

    def _say_it_is_back(self) -> None:
        # Only after a write: one that can be read but is full would else be back and gone every few seconds.
        if self._is_missed:
            logger.info("embeddings are shared over Redis again")
        self._is_missed = False

    def _key(self, text: str, purpose: Purpose) -> str:
        return f"{self._prefix}{purpose}:{hashlib.blake2b(text.encode(errors='replace'), digest_size=20).hexdigest()}"

    def _is_vector(self, value: bytes) -> bool:
        """Whoever else writes to this Redis may have put something else there."""
        return len(value) == self._size and bool(numpy.isfinite(numpy.frombuffer(value, _FLOAT32)).all())
