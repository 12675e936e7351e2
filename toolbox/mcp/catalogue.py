"""ToolBox's own resources: the catalogue as structured JSON, computed by PostgreSQL.

They are written as those of plugins are.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from toolbox.database import Database
from toolbox.display import Annotations
from toolbox.kept import Kept
from toolbox.mcp.schemas import DescribedTool
from toolbox.resources import Resource, as_resource, resource
from toolbox.text_functions import MAX_SUGGESTIONS, Suggestions
from toolbox.tools.repository import ToolRepository
from toolbox.tools.schemas import shown_metadata

CATEGORIES_SECONDS = 60.0
STATS_SECONDS = 5.0
MAX_LOOKED_AT = 2000

_JSON = "application/json"
_FOR_MODELS = Annotations(audience=("assistant",))


class Category(Struct, frozen=True):
    """A category, and how many active tools it has."""

    name: str
    tools: int


class Categories(Struct, frozen=True):
    """All categories, largest first."""

    categories: list[Category]


class Catalogue:
    """The three resources, and the aggregates that are kept for them.

    With 100,000 tools an aggregate takes 20 ms, and ten times as long after they were imported: too long for each read.
    """

    def __init__(
        self,
        database: Database,
        tools: ToolRepository,
        can_run: Callable[[str, str | None], bool],
        read_stats: Callable[[], Awaitable[Any]],
    ) -> None:
        """What `read_stats` gives is shown as JSON."""
        self._database = database
        self._tools = tools
        self._can_run = can_run
        self._read_stats = read_stats
        self._categories = Kept(self._count_categories, seconds=CATEGORIES_SECONDS)
        self._stats = Kept(self._encode_stats, seconds=STATS_SECONDS)

    def forget(self) -> None:
        """Count anew: the catalogue has changed."""
        self._categories.forget()
        self._stats.forget()

    def resources(self) -> list[Resource]:
        """What clients read."""

        @resource(
            "toolbox://categories",
            title="Categories of tools",
            mime_type=_JSON,
            annotations=_FOR_MODELS,
            cache_seconds=CATEGORIES_SECONDS,
        )
        async def categories() -> str:
            """The categories that tools are in, and how many tools each has: what there is here to be found."""
            return await self._categories.get()

        @resource("toolbox://stats", title="The catalogue in numbers", mime_type=_JSON, cache_seconds=STATS_SECONDS)
        async def stats() -> str:
            """How many tools there are, where they come from, and how calls of them went."""
            return await self._stats.get()

        @resource(
            "toolbox://tools/{name}",
            title="A tool",
            mime_type=_JSON,
            annotations=_FOR_MODELS,
            cache_seconds=CATEGORIES_SECONDS,
            complete={"name": self._find_names},
        )
        async def tool(name: str) -> str | None:
            """Everything about one tool: descriptions, input and output schema, examples, hints about a call."""
            return await self._describe(name)

        return [as_resource(function) for function in (categories, stats, tool)]

    async def _count_categories(self) -> str:
        counted = await self._tools.count_categories()
        return _encode(Categories([Category(name, count) for name, count in counted]))

    async def _encode_stats(self) -> str:
        return _encode(await self._read_stats())

    async def _describe(self, name: str) -> str | None:
        stored = await self._tools.get_tool(name)
        if stored is None:
            return None
        kept = {field: getattr(stored, field) for field in DescribedTool.__struct_fields__ if field != "runnable"}
        kept |= {"metadata": shown_metadata(stored), "runnable": self._can_run(name, stored.kind)}
        return _encode(DescribedTool(**kept))

    async def _find_names(self, prefix: str, _given: dict[str, str]) -> Suggestions:
        """Names of active tools that begin with a text, in their order.

        The index finds where they begin. In databases that sort otherwise than by code points, other names may stand
        between them, so more are looked at than are wanted; never all of them.
        """
        rows = await self._database.fetch(
            """
            with near as (select name, active from tools where name >= $1 order by name limit $3)
            select name from near where active and starts_with(name, $1) order by name limit $2
            """,
            prefix,
            MAX_SUGGESTIONS + 1,
            MAX_LOOKED_AT,
        )
        names = tuple(row["name"] for row in rows)
        has_more = len(names) > MAX_SUGGESTIONS
        return Suggestions(names[:MAX_SUGGESTIONS], None if has_more else len(names), has_more)


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()
