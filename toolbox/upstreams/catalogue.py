"""The tools of an upstream in the catalogue: written whole or not at all, one process at a time.

What has gone is hidden, not deleted. What an upstream is not trusted to change by itself waits, hidden, until somebody
approves it, with what it was before beside it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from toolbox.audit import ITSELF, AuditEntry, record
from toolbox.database import SYNC_LOCK, Connection, Database
from toolbox.definitions import ToolDefinition, Upstream
from toolbox.errors import NotFound
from toolbox.events import notify
from toolbox.index.postings import replace_postings
from toolbox.tools.kinds import fingerprint
from toolbox.tools.policies import read_policies
from toolbox.tools.repository import set_active, write_tools
from toolbox.upstreams.discovery import Offer, read_offer
from toolbox.upstreams.repository import (
    Discovered,
    PendingTool,
    lock_upstream,
    write_discovered,
    write_pending,
)
from toolbox.upstreams.tool import SOURCE


class Changes(Struct, frozen=True, kw_only=True):
    """What came of reading an upstream's lists."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    unchanged: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether the catalogue is what it was."""
        return not (self.added or self.updated or self.shown or self.hidden or self.pending)


class _Known(Struct, frozen=True):
    """A tool of the upstream that is in the catalogue."""

    id: int
    name: str
    tool: str
    fingerprint: bytes
    is_offered: bool
    is_pinned: bool


class _Plan(Struct, frozen=True):
    write: list[ToolDefinition]
    show: list[_Known]
    hide: list[_Known]
    pending: dict[str, PendingTool]
    unchanged: int


async def store_offer(
    database: Database, upstream: Upstream, tools: Sequence[Mapping[str, Any]], found: Discovered
) -> Changes:
    """Bring the catalogue to what a server has listed; `found` gets what is said of the tools here.

    Raises:
        NotFound: The upstream was deleted meanwhile.
    """
    source = SOURCE + upstream.name
    holds = (await read_policies(database)).holds(source)
    async with database.lock(SYNC_LOCK), database.transaction() as connection:
        stored = await lock_upstream(connection, upstream.name)
        if stored is None:
            raise NotFound(f"there is no upstream {upstream.name!r} any more")
        known = await _read_known(connection, source)
        offer = await _read_free(connection, upstream, tools, source, known)
        trust = "reviewed" if holds else upstream.trust
        plan = _make_plan(trust, offer, known, await _read_definitions(connection, source))
        await write_tools(
            connection, plan.write, source=source, source_version="", implementations=offer.implementations
        )
        await set_active(connection, [tool.id for tool in plan.show], active=True)
        await set_active(connection, [tool.id for tool in plan.hide], active=False)
        names = {tool.name for tool in known}
        changes = Changes(
            added=tuple(each.name for each in plan.write if each.name not in names),
            updated=tuple(each.name for each in plan.write if each.name in names),
            shown=tuple(tool.name for tool in plan.show),
            hidden=tuple(tool.name for tool in plan.hide),
            pending=tuple(name for name in plan.pending if name not in stored.pending),
            unchanged=plan.unchanged,
        )
        found = msgspec.structs.replace(
            found,
            left_out=offer.left_out,
            pending=plan.pending,
            tools=len(plan.write) + len(plan.show) + plan.unchanged,
        )
        await write_discovered(connection, upstream, found)
        for kind, had, has in (
            (
                "resources",
                stored.offers.resources + stored.offers.templates,
                found.offers.resources + found.offers.templates,
            ),
            ("prompts", stored.offers.prompts, found.offers.prompts),
        ):
            if had != has:
                await notify(connection, "lists", kind)
        if not changes.is_empty:
            await record(connection, AuditEntry(ITSELF, "upstream.read", "upstream", upstream.name, None, changes))
    return changes


async def approve_tools(database: Database, name: str, wanted: Collection[str] | None, *, caller: str) -> list[str]:
    """Take over what waits for approval, all of it or the named tools; gives back their names.

    Raises:
        NotFound: There is no such upstream, or nothing of this name waits.
    """
    source = SOURCE + name
    async with database.lock(SYNC_LOCK), database.transaction() as connection:
        stored = await lock_upstream(connection, name)
        if stored is None:
            raise NotFound(f"there is no upstream {name[:100]!r}")
        chosen = sorted(stored.pending) if wanted is None else sorted(set(wanted))
        if missing := [tool for tool in chosen if tool not in stored.pending]:
            raise NotFound(f"nothing of {missing[0][:100]!r} waits for approval")
        await write_tools(
            connection,
            [stored.pending[tool].definition for tool in chosen],
            source=source,
            source_version="",
            implementations={tool: stored.pending[tool].implementation for tool in chosen},
        )
        left = {tool: pending for tool, pending in stored.pending.items() if tool not in chosen}
        await write_pending(connection, name, left, await _count_active(connection, source))
        before = {tool: stored.pending[tool].before for tool in chosen}
        after = {tool: stored.pending[tool].definition for tool in chosen}
        await record(connection, AuditEntry(caller, "upstream.approved", "upstream", name, before, after))
    return chosen


async def hide_tools(connection: Connection, name: str) -> None:
    """Hide all tools of an upstream."""
    await set_active(
        connection, [tool.id for tool in await _read_known(connection, SOURCE + name) if tool.is_offered], active=False
    )


async def delete_tools(connection: Connection, name: str) -> None:
    """Delete all tools of an upstream, with all that belongs to them."""
    rows = await connection.fetch("delete from tools where source = $1 returning id", SOURCE + name)
    await replace_postings(connection, {row["id"]: {} for row in rows})
    if rows:
        await notify(connection, "tools")


async def _read_known(connection: Connection, source: str) -> list[_Known]:
    rows = await connection.fetch(
        """
        select id, name, coalesce(implementation->>'tool', name) as tool, fingerprint, is_offered, is_pinned from tools
        where source = $1 order by name
        """,
        source,
    )
    return [_Known(**row) for row in rows]


async def _read_definitions(connection: Connection, source: str) -> dict[str, ToolDefinition]:
    """The newest definition of each tool, for comparison by whoever approves."""
    rows = await connection.fetch(
        """
        select distinct on (v.tool_id) t.name, v.definition from tool_versions v join tools t on t.id = v.tool_id
        where t.source = $1 order by v.tool_id, v.number desc
        """,
        source,
    )
    return {row["name"]: msgspec.json.decode(row["definition"], type=ToolDefinition) for row in rows}


async def _read_free(
    connection: Connection, upstream: Upstream, tools: Sequence[Mapping[str, Any]], source: str, known: list[_Known]
) -> Offer:
    """The offer, under names that are free."""
    names, taken = {tool.tool: tool.name for tool in known}, set[str]()
    while True:
        offer = read_offer(upstream, tools, taken=taken, known=names)
        rows = await connection.fetch(
            "select name from tools where name = any($1::text[]) and source <> $2",
            [definition.name for definition in offer.definitions],
            source,
        )
        clashes = {row["name"] for row in rows} - taken
        if not clashes:
            return offer
        taken |= clashes


def _make_plan(trust: str, offer: Offer, known: list[_Known], definitions: Mapping[str, ToolDefinition]) -> _Plan:
    """Decide what to do; an upstream that was never read may offer whatever it has, unless everything is reviewed."""
    rows = {tool.name: tool for tool in known}
    write, show, pending, unchanged, kept = list[ToolDefinition](), list[_Known](), dict[str, PendingTool](), 0, set()
    for definition in offer.definitions:
        name, implementation = definition.name, offer.implementations[definition.name]
        row = rows.get(name)
        if row is not None and row.fingerprint == fingerprint(definition, implementation):
            kept.add(name)
            unchanged += row.is_offered
            if not row.is_offered:
                show.append(row)
        elif row is not None and row.is_pinned:  # an operator wants it as it is
            kept.add(name)
            unchanged += 1
        elif trust == "reviewed" or (trust == "pinned" and row is not None):
            pending[name] = PendingTool(definition, implementation, definitions.get(name) if row else None)
        else:
            kept.add(name)
            write.append(definition)
    hide = [tool for tool in known if tool.is_offered and tool.name not in kept]
    return _Plan(write, show, hide, pending, unchanged)


async def _count_active(connection: Connection, source: str) -> int:
    return int(await connection.fetchval("select count(*) from tools where source = $1 and active", source))
