"""Toolsets by name, kept in memory: an endpoint is asked for with every request, and hardly ever changes."""

import math
import time

import structlog
from msgspec import Struct

from toolbox.errors import DatabaseUnavailable
from toolbox.events import Events
from toolbox.toolsets.repository import ToolsetRepository
from toolbox.toolsets.schemas import Toolset

logger = structlog.get_logger(__name__)

MAX_AGE_SECONDS = 1.0
"""How long what was read counts where nobody says that something has changed."""
RETRY_SECONDS = 5.0
"""How long what was last known counts after the database did not answer."""


class Freshness:
    """Tells whether what was read still counts: until a change is heard of, or for a moment where none can be."""

    def __init__(self, events: Events | None = None) -> None:
        self._max_age_seconds = math.inf if events else MAX_AGE_SECONDS
        self._changes = 0
        if events:
            events.subscribe("tools", lambda _event: self.expire())

    def expire(self) -> None:
        """Nothing counts any more that was read, or that is being read, now."""
        self._changes += 1

    def stamp(self) -> tuple[int, float]:
        """Taken before something is read."""
        return self._changes, time.monotonic() + self._max_age_seconds

    def stamp_of_failure(self) -> tuple[int, float]:
        """For what is kept because nothing newer could be read."""
        return self._changes, time.monotonic() + min(self._max_age_seconds, RETRY_SECONDS)

    def is_fresh(self, stamp: tuple[int, float]) -> bool:
        """Whether what was read under this stamp still counts."""
        changes, until = stamp
        return changes == self._changes and time.monotonic() < until


class _Entry(Struct, frozen=True):
    toolset: Toolset
    stamp: tuple[int, float]


class ToolsetDirectory:
    """Finds toolsets; while the database does not answer, as they were last known."""

    def __init__(self, repository: ToolsetRepository, events: Events | None = None) -> None:
        self._repository = repository
        self._freshness = Freshness(events)
        self._entries: dict[str, _Entry] = {}

    async def find(self, name: str) -> Toolset | None:
        """The toolset with this name.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer, and the toolset is not known yet.
        """
        known = self._entries.get(name)
        if known and self._freshness.is_fresh(known.stamp):
            return known.toolset
        stamp = self._freshness.stamp()
        try:
            toolset = await self._repository.get_toolset(name)
        except DatabaseUnavailable as error:
            if known is None:
                raise
            logger.warning("a toolset is served as it was last known", toolset=name, reason=error.message)
            toolset, stamp = known.toolset, self._freshness.stamp_of_failure()
        if toolset:
            self._entries[name] = _Entry(toolset, stamp)
        else:  # names that do not exist are not kept: there are too many of them
            self._entries.pop(name, None)
        return toolset
