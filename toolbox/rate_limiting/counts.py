"""Counts of requests: in Redis where there is one, else, and while that does not answer, in memory."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from toolbox.metrics import RATE_LIMIT_FALLBACKS
from toolbox.rate_limiting.memory import MemoryCounts
from toolbox.rate_limiting.shared import SharedCounts
from toolbox.rate_limiting.windows import Verdict, Window

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = structlog.get_logger(__name__)

RETRY_SECONDS = 5.0
"""How long Redis is not asked again after it did not answer."""


class Counts:
    """Counts of whoever is to be limited; replicas count together as long as Redis answers."""

    def __init__(self, client: "Redis | None") -> None:
        self._memory = MemoryCounts()
        self._shared = SharedCounts(client) if client else None
        self._shared_after = 0.0

    @property
    def is_redis_down(self) -> bool:
        """Whether Redis did not answer when it was last asked."""
        return self._shared_after > 0

    async def take(self, who: str, category: str, windows: Sequence[Window], cost: int = 1) -> Verdict:
        """Count a request of one category if all windows have room for it."""
        key = f"{{{who}}}:{category}"
        if self._shared is None:
            return self._memory.take(key, windows, cost)
        if self._shared_after:
            if time.monotonic() < self._shared_after:
                RATE_LIMIT_FALLBACKS[category,].inc()
                return self._memory.take(key, windows, cost)
            self._shared_after = time.monotonic() + RETRY_SECONDS  # this request tries; the others need not wait for it
        from redis.exceptions import RedisError

        try:
            verdict = await self._shared.take(key, windows, cost)
        except (RedisError, OSError, TimeoutError) as error:
            if not self._shared_after:
                reason = str(error) or type(error).__name__
                logger.warning("Redis does not answer: each replica counts requests by itself", reason=reason)
            self._shared_after = time.monotonic() + RETRY_SECONDS
            RATE_LIMIT_FALLBACKS[category,].inc()
            return self._memory.take(key, windows, cost)
        if self._shared_after:
            self._shared_after = 0.0
            logger.info("Redis answers again: replicas count requests together")
        return verdict
