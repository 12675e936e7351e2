"""The versions of tools: every definition that one has had or was offered, compared, rolled back to, pinned."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from toolbox.tools.changes import Change, find_changes
from toolbox.tools.managed import ManagedTool, ManagedTools, Match, VersionContent, audit, read_version
from toolbox.tools.repository import Review


class ToolVersion(Struct, frozen=True):
    """A definition that a tool has had or was offered; `review` says why one is not in force."""

    number: int
    version: str
    fingerprint: str
    created_at: datetime
    review: Review | None
    is_current: bool


class Versions:
    """Reads versions, and puts them in force. A tool's key is its name or its id."""

    def __init__(self, tools: ManagedTools) -> None:
        self._tools = tools

    async def list_versions(self, key: str) -> list[ToolVersion]:
        """The versions of a tool, newest first.

        Raises:
            ToolNotFound: There is no such tool.
        """
        tool = await self._tools.get(key)
        rows = await self._tools.database.fetch(
            """
            select number, coalesce(definition->>'version', '') as version, encode(fingerprint, 'hex') as fingerprint,
                created_at, review, number = $2 as is_current
            from tool_versions where tool_id = $1 order by number desc
            """,
            tool.tool.id,
            tool.current_version,
        )
        return [ToolVersion(**row) for row in rows]

    async def read_version(self, key: str, number: int) -> VersionContent:
        """What a version of a tool says.

        Raises:
            ToolNotFound: There is no such tool.
            NotFound: It has no such version.
        """
        tool = await self._tools.get(key)
        async with self._tools.database.connection() as connection:
            return await read_version(connection, tool.tool, number)

    async def diff(self, key: str, number: int, other: int | None = None) -> list[Change]:
        """What would change from one version to another; without that, from the one in force to the first.

        Raises:
            ToolNotFound: There is no such tool.
            NotFound: It has no such version.
        """
        tool = await self._tools.get(key)
        async with self._tools.database.connection() as connection:
            first = await read_version(connection, tool.tool, number)
            second = await read_version(connection, tool.tool, other or tool.current_version)
        before, after = (second, first) if other is None else (first, second)
        return find_changes(_to_plain(before), _to_plain(after))

    async def roll_back(self, key: str, number: int, caller: str, match: Match) -> ManagedTool:
        """Put an earlier version in force. A tool that a plugin or an upstream brings is pinned to it.

        Raises:
            ToolNotFound: There is no such tool.
            NotFound: It has no such version.
            PreconditionFailed: It has changed meanwhile.
            InvalidDefinition: The version cannot be used any more.
        """
        return await self._put_in_force(key, number, caller, match, "tool.rolled_back", pin=None)

    async def pin(self, key: str, number: int | None, caller: str, match: Match) -> ManagedTool:
        """Keep a tool at a version, or at the one that it has: newer ones are kept, and not put in force.

        Raises: as `roll_back`.
        """
        return await self._put_in_force(key, number, caller, match, "tool.pinned", pin=True)

    async def unpin(self, key: str, caller: str, match: Match) -> ManagedTool:
        """Let a tool follow its source again: the newest version that the pin has kept out gets in force.

        Raises:
            ToolNotFound: There is no such tool.
            PreconditionFailed: It has changed meanwhile.
        """
        async with self._tools.changing() as connection:
            before = await self._tools.lock(connection, key, match)
            newest = await connection.fetchval(
                "select max(number) from tool_versions where tool_id = $1 and review = 'pinned'", before.tool.id
            )
            if newest is not None:
                await self._tools.enforce(connection, before, newest)
            for statement in (
                "update tool_versions set review = 'superseded' where tool_id = $1 and review = 'pinned'",
                "update tools set is_pinned = false, updated_at = now() where id = $1",
            ):
                await connection.execute(statement, before.tool.id)
            after = await self._tools.read(connection, before.tool.name)
            await audit(connection, caller, "tool.unpinned", before, after)
        return after

    async def _put_in_force(
        self, key: str, number: int | None, caller: str, match: Match, action: str, *, pin: bool | None
    ) -> ManagedTool:
        async with self._tools.changing() as connection:
            before = await self._tools.lock(connection, key, match)
            if number is not None and number != before.current_version:
                await self._tools.enforce(connection, before, number)
                if before.is_brought:  # what the source offers now must not come back with the next sync
                    await connection.execute(
                        "update tool_versions set review = 'pinned' where tool_id = $1 and fingerprint = $2",
                        before.tool.id,
                        before.fingerprint,
                    )
            is_pinned = before.is_brought or before.is_pinned if pin is None else pin
            await connection.execute(
                "update tools set is_pinned = $2, updated_at = now() where id = $1", before.tool.id, is_pinned
            )
            after = await self._tools.read(connection, before.tool.name)
            await audit(connection, caller, action, before, after)
        return after


def _to_plain(version: VersionContent) -> dict[str, Any]:
    implementation = None if version.implementation is None else msgspec.json.decode(version.implementation)
    return {"definition": msgspec.json.decode(version.definition), "implementation": implementation}
