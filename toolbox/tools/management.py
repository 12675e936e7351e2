"""Managing tools: what operators create, change, switch off and delete, and import in bulk. Each is one transaction.

Tools of plugins and upstreams come with their definitions: these are not edited or deleted here, but switched off,
pinned to an earlier version, or held back until approved. Embeddings are made afterwards, in the background: a model
that fails undoes no change, and the tool is found by its words meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg
from msgspec import Struct

from toolbox.audit import AuditEntry, name_some, record
from toolbox.database import Connection
from toolbox.definitions import ToolDefinition
from toolbox.errors import Conflict, InvalidDefinition
from toolbox.index.postings import replace_postings
from toolbox.tools.kinds import fingerprint
from toolbox.tools.managed import (
    BROUGHT,
    MANAGED,
    ManagedTool,
    ManagedTools,
    Match,
    audit,
    refuse_brought,
    to_draft,
    to_managed,
)
from toolbox.tools.repository import set_active, write_tools
from toolbox.tools.validity import check_definition

OWN_SOURCE = "admin"
"""Of tools that were created over the admin API."""

Implementation: TypeAlias = Mapping[str, Any]


class Draft(Struct, frozen=True):
    """A tool as an operator wants it."""

    definition: ToolDefinition
    implementation: Implementation | None = None
    is_switched_off: bool = False


class ToolManager:
    """Changes tools, and reads what operators need to know of them. A key is a name or an id."""

    def __init__(self, tools: ManagedTools) -> None:
        self._tools = tools
        self._database, self._kinds = tools.database, tools.kinds
        self.changing = tools.changing
        """A transaction that all replicas hear of when it is over."""

    async def get(self, key: str) -> ManagedTool:
        """A tool, active or not.

        Raises:
            ToolNotFound: There is none.
        """
        return await self._tools.get(key)

    async def list_flagged(self) -> list[ManagedTool]:
        """Tools in which lint has found something, in the order of their names."""
        rows = await self._database.fetch(
            f"""
            select {MANAGED} from tools t join tool_findings f on f.tool_id = t.id and f.fingerprint = t.fingerprint
            where f.is_flagged order by t.name
            """
        )
        return [to_managed(row) for row in rows]

    async def read_page(self, after: int, source: str | None = None, *, limit: int = 200) -> list[ManagedTool]:
        """Tools whose ids come after the given one, of all sources or of one."""
        rows = await self._database.fetch(
            f"""
            select {MANAGED} from tools t where t.id > $1 and ($2::text is null or t.source = $2)
            order by t.id limit $3
            """,
            after,
            source,
            limit,
        )
        return [to_managed(row) for row in rows]

    def check(self, draft: Draft) -> None:
        """Look at a tool that is to be written.

        Raises:
            InvalidDefinition: Says what cannot be used.
        """
        if draft.implementation is None:
            check_definition(draft.definition)
        else:
            self._kinds.check_implementation(draft.definition, draft.implementation)

    async def create(self, draft: Draft, caller: str, *, source: str = OWN_SOURCE) -> ManagedTool:
        """Add a tool.

        Raises:
            InvalidDefinition: It cannot be used.
            Conflict: Its name is taken.
        """
        self.check(draft)
        name = draft.definition.name
        async with self._tools.changing() as connection:
            known = await connection.fetchrow("select source from tools where name = $1", name)
            if known:
                raise _name_taken(name, known["source"])
            try:
                await self._write(connection, draft, source=source, source_version="")
            except asyncpg.UniqueViolationError as error:
                raise _name_taken(name, "somebody who was faster") from error
            created = await self._tools.read(connection, name)
            await record(connection, AuditEntry(caller, "tool.created", "tool", name, after=to_draft(created)))
        return created

    async def replace(self, key: str, draft: Draft, caller: str, match: Match) -> ManagedTool:
        """Put another definition and implementation in the place of those that a tool has.

        Raises:
            ToolNotFound: There is no such tool.
            PreconditionFailed: It has changed meanwhile.
            Conflict: It belongs to a plugin or an upstream.
            InvalidDefinition: The new one cannot be used, or has another name.
        """
        self.check(draft)
        async with self._tools.changing() as connection:
            before = await self._tools.lock(connection, key, match)
            refuse_brought(before, "its definition comes with it: switch it off, pin or roll it back instead")
            if draft.definition.name != before.tool.name:
                raise InvalidDefinition(
                    f"the name of {before.tool.name!r} cannot change, as history knows it by that: create another tool"
                )
            if fingerprint(draft.definition, draft.implementation) == before.fingerprint:
                await _switch(connection, before.tool.id, is_switched_off=draft.is_switched_off)
            else:
                await self._write(
                    connection, draft, source=before.tool.source, source_version="", is_known=before.is_offered
                )
            after = await self._tools.read(connection, before.tool.name)
            await audit(connection, caller, "tool.updated", before, after)
        return after

    async def delete(self, key: str, caller: str, match: Match) -> None:
        """Delete a tool with its versions; the history of its calls stays.

        Raises:
            ToolNotFound: There is no such tool.
            PreconditionFailed: It has changed meanwhile.
            Conflict: A plugin or an upstream offers it, and would bring it back.
        """
        async with self._tools.changing() as connection:
            before = await self._tools.lock(connection, key, match)
            if before.is_offered:
                refuse_brought(before, "which would bring it back: switch it off instead")
            await connection.execute("delete from tools where id = $1", before.tool.id)
            await replace_postings(connection, {before.tool.id: {}})
            await record(connection, AuditEntry(caller, "tool.deleted", "tool", before.tool.name, to_draft(before)))

    async def switch(self, key: str, caller: str, match: Match, *, on: bool) -> ManagedTool:
        """Switch a tool off, so that nobody finds or calls it whatever syncs bring, or on again.

        Raises:
            ToolNotFound: There is no such tool.
            PreconditionFailed: It has changed meanwhile.
        """
        async with self._tools.changing() as connection:
            before = await self._tools.lock(connection, key, match)
            if before.is_switched_off is not on:
                return before
            await _switch(connection, before.tool.id, is_switched_off=not on)
            after = await self._tools.read(connection, before.tool.name)
            await audit(connection, caller, "tool.activated" if on else "tool.deactivated", before, after)
        return after

    async def switch_in(self, connection: Connection, name: str, source: str, caller: str, *, on: bool) -> bool:
        """Switch a tool of a source on or off within a transaction; false if the source has no such tool."""
        found = await connection.fetchval("select true from tools where name = $1 and source = $2", name, source)
        if not found:
            return False
        before = await self._tools.lock(connection, name)
        if before.is_switched_off is on:
            await _switch(connection, before.tool.id, is_switched_off=not on)
            after = await self._tools.read(connection, name)
            await audit(connection, caller, "tool.activated" if on else "tool.deactivated", before, after)
        return True

    async def write_all(self, drafts: Sequence[Draft], caller: str, *, source: str) -> tuple[list[str], list[str]]:
        """Create or replace many tools of one source, all or none; gives back the names of the new and the changed.

        Raises:
            InvalidDefinition: One cannot be used.
            Conflict: A name belongs to another source.
        """
        async with self.changing() as connection:
            return await self.write_in(connection, drafts, caller, source=source)

    async def write_in(
        self, connection: Connection, drafts: Sequence[Draft], caller: str, *, source: str
    ) -> tuple[list[str], list[str]]:
        """The same within a transaction.

        Raises: as `write_all`.
        """
        if source.startswith(BROUGHT):
            raise Conflict(f"tools of {source!r} come with it: import them under a source of another name")
        for draft in drafts:
            self.check(draft)
        by_name = {draft.definition.name: draft for draft in drafts}
        rows = await connection.fetch(
            "select name, source, fingerprint, is_offered from tools where name = any($1) order by id for update",
            list(by_name),
        )
        for row in rows:
            if row["source"] != source:
                raise _name_taken(row["name"], row["source"])
        same = {
            row["name"]
            for row in rows
            if row["is_offered"]
            and row["fingerprint"] == fingerprint(by_name[row["name"]].definition, by_name[row["name"]].implementation)
        }
        changed = [draft for name, draft in by_name.items() if name not in same]
        ids = await write_tools(
            connection,
            [draft.definition for draft in changed],
            source=source,
            source_version="",
            implementations=_implementations(changed),
        )
        off = [ids[draft.definition.name] for draft in changed if draft.is_switched_off]
        await connection.execute("update tools set is_switched_off = true, active = false where id = any($1)", off)
        known = {row["name"] for row in rows}
        added = [draft.definition.name for draft in changed if draft.definition.name not in known]
        updated = [draft.definition.name for draft in changed if draft.definition.name in known]
        if changed:
            after = {"added": name_some(added), "updated": name_some(updated)}
            await record(connection, AuditEntry(caller, "source.imported", "source", source, after=after))
        return added, updated

    async def _write(
        self, connection: Connection, draft: Draft, *, source: str, source_version: str, is_known: bool = True
    ) -> None:
        ids = await write_tools(
            connection,
            [draft.definition],
            source=source,
            source_version=source_version,
            implementations=_implementations([draft]),
        )
        (tool_id,) = ids.values()
        if not is_known:
            await set_active(connection, [tool_id], active=False)
        await _switch(connection, tool_id, is_switched_off=draft.is_switched_off)


def _implementations(drafts: Sequence[Draft]) -> dict[str, Implementation]:
    return {draft.definition.name: draft.implementation for draft in drafts if draft.implementation is not None}


async def _switch(connection: Connection, tool_id: int, *, is_switched_off: bool) -> None:
    await connection.execute(
        """
        update tools set is_switched_off = $2, active = is_offered and not $2 and not is_held, updated_at = now()
        where id = $1 and is_switched_off <> $2
        """,
        tool_id,
        is_switched_off,
    )


def _name_taken(name: str, source: str) -> Conflict:
    return Conflict(f"the name {name!r} is taken: it belongs to {source}; choose another, or change that tool")
