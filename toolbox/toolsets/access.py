"""Through which toolset a tool is called, and whether the caller may: asked again at each call, whatever was found."""

from cachebox import LRUCache

from toolbox.auth.callers import Caller
from toolbox.database import Database
from toolbox.errors import ToolNotFound
from toolbox.events import Events
from toolbox.tools.repository import ToolRepository
from toolbox.toolsets.repository import ToolsetRepository
from toolbox.toolsets.service import toolset_not_found

MAX_KNOWN = 100_000


class Access:
    """Knows who may use what; what was read is forgotten when tools or toolsets change."""

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._tools = ToolRepository(database)
        self._toolsets = ToolsetRepository(database)
        self._known: LRUCache[tuple[frozenset[str], str], str] = LRUCache(MAX_KNOWN)
        self._changes = 0
        events.subscribe("tools", lambda _event: self._forget())

    async def require(self, caller: Caller, tool_name: str, toolset: str | None = None) -> str | None:
        """The toolset through which a caller calls a tool: the given one, else the first of the caller's that has it.

        None if the caller sees all tools, and calls it through no toolset.

        Raises:
            ToolNotFound: The tool does not exist for this caller, or in this toolset, if it exists at all.
            NotFound: The toolset does not exist for this caller.
            DatabaseUnavailable: PostgreSQL does not answer, and it is not known yet.
        """
        if toolset is not None and not caller.sees_toolset(toolset):
            raise toolset_not_found(toolset)
        within = caller.toolsets if toolset is None else frozenset({toolset})
        if within is None:
            return None
        found = await self._find(within, tool_name)
        if not found:
            if toolset is not None and await self._toolsets.get_toolset(toolset) is None:
                raise toolset_not_found(toolset)
            raise ToolNotFound(tool_name, await self._tools.near_names(tool_name, within=tuple(sorted(within))))
        return found

    async def _find(self, within: frozenset[str], tool_name: str) -> str:
        """The first of some toolsets that has a tool; empty if none has."""
        known: str | None = self._known.get((within, tool_name))
        if known is None:
            changes = self._changes
            rows = await self._database.fetch(_FIND, tool_name, list(within))
            known = rows[0]["name"] if rows else ""
            if changes == self._changes:
                self._known[within, tool_name] = known
        return known

    def _forget(self) -> None:
        self._changes += 1
        self._known.clear()


_FIND = """
    select s.name from toolset_members m join toolsets s on s.id = m.toolset_id
    where m.name = $1 and s.name = any($2::text[]) and s.deleted_at is null order by s.name limit 1
"""
