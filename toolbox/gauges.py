"""What metrics show of this process at the moment: looked up when they are asked for, and not counted on the way."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable

import psutil

from toolbox.metrics import (
    BREAKER_OPEN,
    CALLS_NOW,
    CONNECTIONS,
    CONNECTIONS_MAX,
    FOLDER_VARIABLE,
    MEMORY,
    REQUESTS_RUNNING,
    ROWS_WAITING,
    STREAMS,
    TASKS,
)
from toolbox.services import Services

SECONDS = 2.0
"""How old they are at most when another process of this server is asked."""


def create_gauges(
    services: Services,
    count_requests: Callable[[], int],
    count_streams: Callable[[], int],
    is_redis_down: Callable[[], bool] | None,
) -> Callable[[], None]:
    """Something that sets all of them; `is_redis_down` says whether limits go without Redis, where there is one."""
    process = psutil.Process()

    def sample() -> None:
        REQUESTS_RUNNING.set(count_requests())
        STREAMS.set(count_streams())
        running, waiting = services.calls.load
        CALLS_NOW[("running",)].set(running)
        CALLS_NOW[("waiting",)].set(waiting)
        ROWS_WAITING[("calls",)].set(services.history.waiting)
        pool = services.database.pool_use
        CONNECTIONS[("used",)].set(pool.used)
        CONNECTIONS[("idle",)].set(pool.idle)
        CONNECTIONS_MAX.set(pool.maximum)
        if services.endpoint:
            BREAKER_OPEN[("embeddings",)].set(services.endpoint.outage is not None)
        if is_redis_down:
            is_cache_down = services.cache is not None and services.cache.statistics.redis == "down"
            BREAKER_OPEN[("redis",)].set(is_cache_down or is_redis_down())
        MEMORY.set(process.memory_info().rss)
        TASKS.set(len(asyncio.all_tasks()))

    return sample


@contextlib.asynccontextmanager
async def sampled(sample: Callable[[], None]) -> AsyncIterator[None]:
    """Where several processes share their numbers, set them again and again while the block runs."""
    if FOLDER_VARIABLE not in os.environ:
        yield
        return
    sampling = asyncio.create_task(_sample_often(sample))
    try:
        yield
    finally:
        sampling.cancel()


async def _sample_often(sample: Callable[[], None]) -> None:
    while True:
        sample()
        await asyncio.sleep(SECONDS)
