"""Whether a caller who is limited to toolsets may use a tool: asked again at each call, whatever was found before."""

from cachebox import LRUCache

from toolbox.auth.callers import Caller
from toolbox.database import Database
from toolbox.errors import ToolNotFound
from toolbox.events import Events
from toolbox.tools.repository import ToolRepository

MAX_KNOWN = 100_000


class Access:
    """Knows who may use what; what was read is forgotten when tools or toolsets change."""

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._tools = ToolRepository(database)
        self._known: LRUCache[tuple[frozenset[str], str], bool] = LRUCache(MAX_KNOWN)
        self._changes = 0
        events.subscribe("tools", lambda _event: self._forget())

    async def allows(self, caller: Caller, tool_name: str) -> bool:
        """Whether a tool exists for this caller, if it exists at all.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer, and it is not known yet.
        """
        if caller.toolsets is None:
            return True
        key = (caller.toolsets, tool_name)
        known: bool | None = self._known.get(key)
        if known is None:
            changes = self._changes
            known = bool(await self._database.fetch(_IS_MEMBER, tool_name, list(caller.toolsets)))
            if changes == self._changes:
                self._known[key] = known
        return known

    async def require(self, caller: Caller, tool_name: str) -> None:
        """Refuse a tool that does not exist for this caller, as if it did not exist.

        Raises:
            ToolNotFound: It does not.
        """
        if caller.toolsets is not None and not await self.allows(caller, tool_name):
            raise ToolNotFound(tool_name, await self._tools.near_names(tool_name, within=caller.within))

    def _forget(self) -> None:
        self._changes += 1
        self._known.clear()


_IS_MEMBER = """
    select from toolset_members m join toolsets s on s.id = m.toolset_id
    where m.name = $1 and s.name = any($2::text[]) and s.deleted_at is null limit 1
"""
