"""Approvals: what plugins and upstreams have changed waits where a policy, or its upstream's `trust`, holds it back."""

from collections.abc import Collection

import msgspec
from msgspec import UNSET, Raw

from toolbox.audit import AuditEntry, record
from toolbox.database import Connection
from toolbox.definitions import ToolDefinition
from toolbox.errors import Conflict, NotFound
from toolbox.tools.admin_schemas import WaitingVersion
from toolbox.tools.changes import find_changes
from toolbox.tools.findings import lint_now
from toolbox.tools.managed import CURRENT, ManagedTool, ManagedTools, audit, read_version


class Approvals:
    """Reads what waits, and lets it in or keeps it out. A tool's key is its name or its id."""

    def __init__(self, tools: ManagedTools) -> None:
        self._tools = tools

    async def list_waiting(self, source: str | None = None) -> list[WaitingVersion]:
        """The newest version of each tool that waits, of all sources or of one, by name; with what lint says of it."""
        rows = await self._tools.database.fetch(
            f"""
            select w.*, v.created_at, v.definition, v.implementation, t.is_held,
                c.definition as current, c.implementation as current_implementation
            from ({_WAITING}) w join tools t on t.id = w.tool_id
            join tool_versions v on v.tool_id = w.tool_id and v.number = w.number
            left join tool_versions c on not t.is_held and c.tool_id = t.id and c.number = {CURRENT}
            order by w.name
            """,
            source,
        )
        definitions = [msgspec.json.decode(row["definition"], type=ToolDefinition) for row in rows]
        sources = [row["source"] for row in rows]
        findings = await lint_now(self._tools.database, list(zip(sources, definitions, strict=True)))
        return [
            WaitingVersion(
                tool=row["name"],
                source=row["source"],
                version=row["number"],
                offered_at=row["created_at"],
                is_new=row["is_held"],
                changes=[]
                if row["is_held"]
                else find_changes(
                    _to_plain(row["current"], row["current_implementation"]),
                    _to_plain(row["definition"], row["implementation"]),
                ),
                findings=found,
                definition=msgspec.json.decode(row["definition"]) if row["is_held"] else UNSET,
            )
            for row, found in zip(rows, findings, strict=True)
        ]

    async def approve(self, key: str, number: int, caller: str) -> ManagedTool:
        """Put a version in force that was held back.

        Raises:
            ToolNotFound: There is no such tool.
            NotFound: It has no such version.
            Conflict: The version is in force, or was, already.
        """
        async with self._tools.changing() as connection:
            return await self._approve(connection, key, number, caller)

    async def approve_source(self, source: str, wanted: Collection[str] | None, caller: str) -> list[str]:
        """Put in force what waits of a source, all of it or of the named tools; gives back their names.

        Raises:
            NotFound: Nothing of a named tool waits.
        """
        async with self._tools.changing() as connection:
            waiting = {row["name"]: row["number"] for row in await connection.fetch(_WAITING, source)}
            chosen = sorted(waiting if wanted is None else set(wanted))
            if missing := [name for name in chosen if name not in waiting]:
                raise NotFound(f"nothing of {missing[0][:100]!r} waits for approval")
            for name in chosen:
                await self._approve(connection, name, waiting[name], caller)
        return chosen

    async def reject(self, key: str, number: int, caller: str) -> ManagedTool:
        """Keep a version out for good; offered again, it does not wait again.

        Raises:
            ToolNotFound: There is no such tool.
            Conflict: No such version waits.
        """
        async with self._tools.changing() as connection:
            before = await self._tools.lock(connection, key)
            tag = await connection.execute(
                """
                update tool_versions set review = 'rejected'
                where tool_id = $1 and number = $2 and review = 'waiting'
                """,
                before.tool.id,
                number,
            )
            if tag == "UPDATE 0":
                raise _waits_not(before, number)
            after = await self._tools.read(connection, before.tool.name)
            entry = AuditEntry(caller, "tool.rejected", "tool", before.tool.name, after={"version": number})
            await record(connection, entry)
        return after

    async def _approve(self, connection: Connection, key: str, number: int, caller: str) -> ManagedTool:
        before = await self._tools.lock(connection, key)
        version = await read_version(connection, before.tool, number)
        if version.review not in ("waiting", "rejected"):
            raise _waits_not(before, number)
        await self._tools.enforce(connection, before, number)
        await connection.execute(
            "update tool_versions set review = 'superseded' where tool_id = $1 and review = 'waiting'",
            before.tool.id,
        )
        after = await self._tools.read(connection, before.tool.name)
        await audit(connection, caller, "tool.approved", before, after)
        return after


_WAITING = """
    select t.name, t.source, v.tool_id, max(v.number) as number from tool_versions v join tools t on t.id = v.tool_id
    where v.review = 'waiting' and t.is_offered and ($1::text is null or t.source = $1)
    group by t.name, t.source, v.tool_id
"""


def _to_plain(definition: Raw, implementation: Raw | None) -> dict[str, object]:
    run = None if implementation is None else msgspec.json.decode(implementation)
    return {"definition": msgspec.json.decode(definition), "implementation": run}


def _waits_not(tool: ManagedTool, number: int) -> Conflict:
    return Conflict(f"version {number} of {tool.tool.name!r} does not wait for approval")
