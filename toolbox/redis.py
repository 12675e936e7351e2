"""Redis or Valkey, where there is one: the connection pool, and whether it answers."""

import asyncio
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from toolbox.settings import Settings
from toolbox.telemetry import Span, span

if TYPE_CHECKING:  # the client takes a quarter of a second to load, and most installations have no Redis
    from redis.asyncio import Redis

ANSWER_SECONDS = 1.0


def create_redis(settings: Settings) -> "Redis | None":
    """A client of REDIS_URL; it connects when first used. Without REDIS_URL there is none.

    Callers queue for one of the pool's connections; the default pool would raise when they are all in use.
    """
    if settings.redis_url is None:
        return None
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    pool = BlockingConnectionPool.from_url(
        settings.redis_url.reveal(),
        max_connections=20,
        timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


async def redis_problem(client: "Redis") -> str | None:
    """Why Redis cannot be used now; None if it answers."""
    from redis.exceptions import RedisError

    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        return str(error) or type(error).__name__
    return None


def redis_span(operation: str) -> AbstractContextManager[Span]:
    """The span of one exchange with Redis; neither keys nor values are in it."""
    return span(operation, {"db.system.name": "redis", "db.operation.name": operation}, kind="client")
