"""A value that costs more to compute than to keep for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Computes a value when it is asked for, once for all who ask meanwhile, and keeps it for some seconds."""

    def __init__(self, compute: Callable[[], Awaitable[T]], *, seconds: float) -> None:
        self._compute = compute
        self._seconds = seconds
        self._kept: tuple[T, float] | None = None
        self._changes = 0
        self._computing = asyncio.Lock()

    def forget(self) -> None:
        """Compute anew when the value is next asked for; what is being computed now is old already."""
        self._kept = None
        self._changes += 1

    async def get(self) -> T:
        """The value, at most as old as it may be."""
        async with self._computing:
            if self._kept is not None and time.monotonic() < self._kept[1]:
                return self._kept[0]
            changes = self._changes
            value = await self._compute()
            if changes == self._changes:
                self._kept = (value, time.monotonic() + self._seconds)
            return value
