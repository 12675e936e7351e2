"""The tools of an upstream in the catalogue: written whole or not at all, one process at a time.

What has gone is hidden, not deleted. What an upstream is not trusted to change by itself waits as a version that is not
in force, until somebody approves it (`toolbox.tools.approvals`).
"""

from collections.abc import Mapping, Sequence
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
from toolbox.tools.repository import (
    INDEXED,
    IndexedTool,
    set_active,
    to_indexed,
    withdraw_versions,
    write_tools,
)
from toolbox.tools.sync import Decision, decide, is_outdated, withhold
from toolbox.upstreams.discovery import Offer, read_offer
from toolbox.upstreams.merging import merge_tools
from toolbox.upstreams.repository import Discovered, lock_offers, write_discovered
from toolbox.upstreams.tool import SOURCE


class Changes(Struct, frozen=True, kw_only=True):
    """What came of reading an upstream's lists."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    """What has waited, and is not what is offered any more."""
    unchanged: int = 0
    is_merged: bool = False
    """Whether tools that it shares with other upstreams are others now."""

    @property
    def is_empty(self) -> bool:
        """Whether the catalogue is what it was."""
        changed = (self.added, self.updated, self.shown, self.hidden, self.pending, self.withdrawn)
        return not (any(changed) or self.is_merged)


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
        before = await lock_offers(connection, upstream.name)
        if before is None:
            raise NotFound(f"there is no upstream {upstream.name!r} any more")
        names, known = await _read_known(connection, source)
        offer = await _read_free(connection, upstream, tools, source, names)
        chosen: dict[Decision, list[ToolDefinition]] = {"write": [], "withhold": [], "show": [], "keep": []}
        withdraw = dict[int, bytes]()
        for definition in offer.definitions:
            row = known.get(definition.name)
            offered = fingerprint(definition, offer.implementations[definition.name])
            chosen[decide(row, offered, holds=holds or _waits(upstream, row))].append(definition)
            if row and is_outdated(row, offered):
                withdraw[row.id] = offered
        there = {definition.name for definition in offer.definitions}
        hide = [tool for tool in known.values() if tool.is_offered and tool.name not in there]
        given: Any = {"source": source, "source_version": "", "implementations": offer.implementations}
        await write_tools(connection, chosen["write"], **given)
        await withhold(connection, chosen["withhold"], known, **given)
        await withdraw_versions(connection, withdraw)
        await set_active(connection, [known[each.name].id for each in chosen["show"]], active=True)
        await set_active(connection, [tool.id for tool in hide], active=False)
        is_merged = await merge_tools(connection, upstream.merge) if upstream.merge else False
        changes = Changes(
            added=tuple(each.name for each in chosen["write"] if each.name not in known),
            updated=tuple(each.name for each in chosen["write"] if each.name in known),
            shown=tuple(each.name for each in chosen["show"]),
            hidden=tuple(tool.name for tool in hide),
            pending=tuple(each.name for each in chosen["withhold"]),
            withdrawn=tuple(tool.name for tool in known.values() if tool.id in withdraw),
            unchanged=len(chosen["keep"]),
            is_merged=is_merged,
        )
        await write_discovered(connection, upstream, msgspec.structs.replace(found, left_out=offer.left_out))
        for kind, had, has in (
            (
                "resources",
                before.resources + before.templates,
                found.offers.resources + found.offers.templates,
            ),
            ("prompts", before.prompts, found.offers.prompts),
        ):
            if had != has:
                await notify(connection, "lists", kind)
        if not changes.is_empty:
            await record(connection, AuditEntry(ITSELF, "upstream.read", "upstream", upstream.name, None, changes))
    return changes


def _waits(upstream: Upstream, row: IndexedTool | None) -> bool:
    """Whether the upstream may not by itself bring a tool that is new, or change one that is there."""
    return upstream.trust == "reviewed" or (upstream.trust == "pinned" and row is not None)


async def hide_tools(connection: Connection, name: str) -> None:
    """Hide all tools of an upstream."""
    _, known = await _read_known(connection, SOURCE + name)
    await set_active(connection, [tool.id for tool in known.values() if tool.is_offered], active=False)


async def delete_tools(connection: Connection, name: str) -> None:
    """Delete all tools of an upstream, with all that belongs to them."""
    rows = await connection.fetch("delete from tools where source = $1 returning id", SOURCE + name)
    await replace_postings(connection, {row["id"]: {} for row in rows})
    if rows:
        await notify(connection, "tools")


async def _read_known(connection: Connection, source: str) -> tuple[dict[str, str], dict[str, IndexedTool]]:
    """The tools that the catalogue has of it: names by those that the server uses, and what is known of each."""
    rows = await connection.fetch(
        f"select {INDEXED}, coalesce(implementation->>'tool', name) as tool from tools where source = $1 order by name",
        source,
    )
    return {row["tool"]: row["name"] for row in rows}, {row["name"]: to_indexed(row) for row in rows}


async def _read_free(
    connection: Connection, upstream: Upstream, tools: Sequence[Mapping[str, Any]], source: str, names: dict[str, str]
) -> Offer:
    """The offer, under names that are free."""
    taken = set[str]()
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
