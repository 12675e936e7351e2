"""What find_tool says is behind it: the kinds of tools there are, so that a model knows what it can search for."""

import asyncio
from collections.abc import Sequence

import structlog
from msgspec import structs

from toolbox.definitions import ToolDefinition
from toolbox.errors import DatabaseUnavailable
from toolbox.events import Events
from toolbox.mcp.tools import MetaTools
from toolbox.toolsets.directory import Freshness
from toolbox.toolsets.repository import CategoryCount, ToolsetRepository
from toolbox.toolsets.schemas import Toolset

logger = structlog.get_logger(__name__)

MAX_DESCRIPTION = 1000
MAX_CATEGORY = 40
MAX_CATEGORIES = 100
"""More never fit."""


class Overview:
    """The meta-tools as they are shown now; the same objects as long as nothing has changed."""

    def __init__(
        self,
        meta_tools: MetaTools,
        repository: ToolsetRepository,
        events: Events | None = None,
    ) -> None:
        self._meta_tools = meta_tools
        self._repository = repository
        self._freshness = Freshness(events)
        self._stamp = (-1, 0.0)
        self._revision = -1
        self._shown = meta_tools.definitions
        self._reading = asyncio.Lock()

    async def show(self) -> tuple[ToolDefinition, ...]:
        """The meta-tools over all tools; with the last known categories while the database does not answer."""
        if not self._freshness.is_fresh(self._stamp):
            async with self._reading:
                if not self._freshness.is_fresh(self._stamp):
                    await self._read()
        return self._shown

    async def _read(self) -> None:
        stamp = self._freshness.stamp()
        try:
            revision, counts = await self._repository.count_catalogue(self._revision, limit=MAX_CATEGORIES)
        except DatabaseUnavailable as error:
            logger.warning("find_tool names the categories that were last known", reason=error.message)
            stamp = self._freshness.stamp_of_failure()
        else:
            if counts is not None:
                self._shown = show_categories(self._meta_tools, counts, self._shown)
            self._revision = revision
        self._stamp = stamp


class ToolsetOverview:
    """The meta-tools over one toolset, told apart by its revision."""

    def __init__(self, meta_tools: MetaTools, repository: ToolsetRepository) -> None:
        self._meta_tools = meta_tools
        self._repository = repository
        self._revision = -1
        self._shown = meta_tools.definitions

    async def show(self, toolset: Toolset) -> tuple[ToolDefinition, ...]:
        """See Overview.show."""
        if toolset.revision != self._revision:
            counts = await self._repository.count_categories(toolset.id, limit=MAX_CATEGORIES)
            self._shown = show_categories(self._meta_tools, counts, self._shown)
            self._revision = toolset.revision
        return self._shown


def show_categories(
    meta_tools: MetaTools, counts: Sequence[CategoryCount], shown: tuple[ToolDefinition, ...]
) -> tuple[ToolDefinition, ...]:
    """The meta-tools with a find_tool that names the categories; `shown` itself if it says the same already."""
    find, *others = meta_tools.definitions
    description = describe(find.description, counts)
    if shown[0].description == description:
        return shown
    return structs.replace(find, description=description), *others


def describe(description: str, counts: Sequence[CategoryCount]) -> str:
    """A description with the categories behind it, the largest first, as many as fit."""
    named = [count for count in counts if count.category and count.category.strip()]
    if not named:
        return description
    start = f"{description} There are {counts[0].all_tools:,} tools here: "
    listed: list[str] = []
    for count in named:
        left = counts[0].all_categories - len(listed) - 1
        candidate = [*listed, f"{_shorten(count.category or '')} ({count.tools:,})"]
        if len(_join(start, candidate, left)) > MAX_DESCRIPTION:
            break
        listed = candidate
    return _join(start, listed, counts[0].all_categories - len(listed)) if listed else description


def _join(start: str, listed: list[str], left: int) -> str:
    others = f" and {left:,} more {'kinds' if left > 1 else 'kind'}" if left else ""
    return f"{start}{', '.join(listed)}{others}."


def _shorten(category: str) -> str:
    """A category in one line of printable text: whoever named it must not write to the model at length."""
    text = " ".join("".join(character if character.isprintable() else " " for character in category).split())
    return text if len(text) <= MAX_CATEGORY else f"{text[: MAX_CATEGORY - 1]}…"
