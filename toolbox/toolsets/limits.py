"""Limits of toolsets: how many calls of its tools begin in a minute or an hour, and how many run at the same time.

A call that a tool makes for one that has passed already, as the step of a composed tool, passes without being counted.
"""

import contextlib
from collections.abc import AsyncIterator

from toolbox.errors import RateLimited
from toolbox.metrics import RATE_LIMITED
from toolbox.rate_limiting.counts import Counts
from toolbox.rate_limiting.windows import Window
from toolbox.toolsets.directory import ToolsetDirectory
from toolbox.toolsets.schemas import ToolsetLimits
from toolbox.waiting import Places

MAX_WAITING = 1000
"""Calls that wait for their turn in one toolset."""


class Limits:
    """Lets calls pass through their toolsets."""

    def __init__(self, directory: ToolsetDirectory, counts: Counts) -> None:
        self._directory = directory
        self._counts = counts
        self._places = dict[str, Places[None]]()

    @contextlib.asynccontextmanager
    async def passing(self, toolset_name: str, patience_seconds: float) -> AsyncIterator[None]:
        """Have a call counted, and give it one of the toolset's places in this process while the block runs.

        Raises:
            RateLimited: Too many calls have begun lately.
            Overloaded: Too many wait for a place, or this one has waited too long.
            DatabaseUnavailable: PostgreSQL does not answer, and the toolset is not known yet.
        """
        toolset = await self._directory.find(toolset_name)
        limits = toolset.definition.limits if toolset else None
        if limits is None:
            yield
            return
        await self._count(toolset_name, limits)
        if limits.concurrency is None:
            yield
            return
        places = self._find_places(toolset_name, limits.concurrency)
        try:
            async with places.place(None, patience_seconds=patience_seconds):
                yield
        finally:
            if not places.running and not places.waiting:
                self._places.pop(toolset_name, None)

    async def _count(self, name: str, limits: ToolsetLimits) -> None:
        windows = [
            Window(what, seconds, limit)
            for what, seconds, limit in (
                ("minute", 60, limits.calls_per_minute),
                ("hour", 3600, limits.calls_per_hour),
            )
            if limit is not None
        ]
        if not windows:
            return
        counted = "+".join(window.name for window in windows)  # apart, as each count knows how many windows it has
        verdict = await self._counts.take(f"toolset:{name}:{counted}", "toolset", windows)
        if not verdict.is_allowed:
            RATE_LIMITED["toolset", verdict.window.name].inc()
            window = verdict.window
            what = f"the toolset {name!r} takes {window.limit:,} calls in a {window.name}, and has had them"
            raise RateLimited(verdict.retry_seconds, {}, what)

    def _find_places(self, name: str, concurrency: int) -> Places[None]:
        places = self._places.get(name)
        if places is None:
            places = self._places[name] = Places(concurrency, queue=MAX_WAITING, what=f"the toolset {name!r}")
        places.resize(concurrency)
        return places
