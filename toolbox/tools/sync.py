"""Sync: what plugins offer becomes what the catalogue holds.

One replica writes at a time; all share the work of embedding. Only what changed is written, only new texts are
embedded, and what no living replica offers any more is hidden, not deleted. With nothing to do, sync is one read and
takes no lock.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct
from packaging.version import InvalidVersion, Version

from toolbox.audit import ITSELF, AuditEntry, name_some, record
from toolbox.database import SYNC_LOCK, Connection, Database
from toolbox.definitions import ANONYMOUS, ToolDefinition
from toolbox.embeddings.base import Embedder
from toolbox.index.embeddings import Model, count_pending, fill_embeddings
from toolbox.tools.kinds import fingerprint
from toolbox.tools.loading import PLUGIN_SOURCE
from toolbox.tools.registry import RegisteredTool
from toolbox.tools.replicas import names_served_elsewhere
from toolbox.tools.repository import IndexedTool, ToolRepository, set_active, write_tools

Report = Callable[[int, int], Awaitable[None]]


class SyncReport(Struct, frozen=True):
    """What a sync did."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    unchanged: int = 0
    embedded: int = 0
    conflicts: tuple[str, ...] = ()
    """Names that a plugin offers, but that a tool from elsewhere already has."""


class Plan(Struct, frozen=True):
    """What is to do to bring the catalogue to what is offered."""

    write: tuple[RegisteredTool, ...] = ()
    show: tuple[IndexedTool, ...] = ()
    hide: tuple[IndexedTool, ...] = ()
    conflicts: tuple[str, ...] = ()
    unchanged: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether the catalogue is as it should be."""
        return not (self.write or self.show or self.hide)


async def sync_plugins(
    database: Database,
    offered: Sequence[RegisteredTool],
    *,
    replica_id: UUID | None,
    embed: tuple[Model, Embedder] | None,
    report: Report | None = None,
) -> SyncReport:
    """Bring the catalogue to what this replica's plugins offer.

    Raises:
        EmbeddingError: The embedder failed; the catalogue is complete all the same, and found by words.
    """
    repository = ToolRepository(database)

    async def look() -> tuple[Plan, set[str]]:
        stored = await repository.read_index(source_prefix=PLUGIN_SOURCE, names=[tool.name for tool in offered])
        elsewhere = await names_served_elsewhere(database, replica_id)
        return make_plan(offered, stored, elsewhere), {tool.name for tool in stored}

    plan, known = await look()
    if not plan.is_empty:
        async with database.lock(SYNC_LOCK):
            plan, known = await look()  # another replica may have done it while we waited
            await _carry_out(database, plan, known)
    embedded = await embed_missing(database, *embed, report=report) if embed else 0
    written = [tool.name for tool in plan.write]
    return SyncReport(
        added=tuple(name for name in written if name not in known),
        updated=tuple(name for name in written if name in known),
        shown=tuple(tool.name for tool in plan.show),
        hidden=tuple(tool.name for tool in plan.hide),
        unchanged=plan.unchanged,
        embedded=embedded,
        conflicts=plan.conflicts,
    )


async def embed_missing(database: Database, model: Model, embedder: Embedder, *, report: Report | None = None) -> int:
    """Embed the texts that the model has not seen yet, beside others who do the same; gives back how many."""
    if not await count_pending(database, model):
        return 0
    return await fill_embeddings(database, model, embedder, report)


async def import_tools(
    database: Database,
    definitions: Sequence[ToolDefinition],
    *,
    source: str,
    caller: str = ANONYMOUS,
    implementations: Mapping[str, Mapping[str, Any]] | None = None,
    keep: Collection[str] | None = None,
) -> SyncReport:
    """Write tools that no plugin runs, in one transaction; those that have not changed are left alone.

    Every name must be free or belong to the same source. `implementations`, checked already, say by name how tools are
    run. With `keep`, tools of the source that are neither among these nor kept by name are hidden.
    """
    given = implementations or {}
    async with database.lock(SYNC_LOCK):
        repository = ToolRepository(database)
        stored = {tool.name: tool for tool in await repository.read_index(names=[tool.name for tool in definitions])}
        changed = [
            definition
            for definition in definitions
            if not (known := stored.get(definition.name))
            or not known.active
            or known.fingerprint != fingerprint(definition, given.get(definition.name))
        ]
        kept = {definition.name for definition in definitions} | set(keep or ())
        others = await repository.read_index(source_prefix=source) if keep is not None else []
        gone = [tool for tool in others if tool.source == source and tool.active and tool.name not in kept]
        report = SyncReport(
            added=tuple(definition.name for definition in changed if definition.name not in stored),
            updated=tuple(definition.name for definition in changed if definition.name in stored),
            hidden=tuple(tool.name for tool in gone),
            unchanged=len(definitions) - len(changed),
        )
        async with database.transaction() as connection:
            await write_tools(connection, changed, source=source, source_version="", implementations=given)
            await set_active(connection, [tool.id for tool in gone], active=False)
            if changed or gone:
                await _record(connection, caller, "source.imported", source, report)
    return report


def make_plan(offered: Iterable[RegisteredTool], stored: Iterable[IndexedTool], elsewhere: set[str]) -> Plan:
    """Decide what to do; a row belongs to the highest version that is installed anywhere.

    `elsewhere` names what other living replicas can run: it stays, and an older version never overwrites a newer.
    """
    rows = {tool.name: tool for tool in stored}
    write, show, conflicts, kept = list[RegisteredTool](), list[IndexedTool](), list[str](), set[str]()
    unchanged = 0
    for tool in offered:
        row = rows.get(tool.name)
        kept.add(tool.name)
        if row is None:
            write.append(tool)
        elif row.source != tool.source:
            conflicts.append(f"{tool.name} of {tool.source}: the name belongs to {row.source}")
        elif row.fingerprint == tool.definition.fingerprint():
            unchanged += row.active
            if not row.active:
                show.append(row)
        elif tool.name in elsewhere and _version(row.source_version) > _version(tool.source_version):
            unchanged += 1
        else:
            write.append(tool)
    gone = [
        row
        for row in rows.values()
        if row.active and row.source.startswith(PLUGIN_SOURCE) and row.name not in kept | elsewhere
    ]
    return Plan(tuple(write), tuple(show), tuple(gone), tuple(conflicts), unchanged)


async def _carry_out(database: Database, plan: Plan, known: set[str]) -> None:
    by_source = dict[tuple[str, str], list[ToolDefinition]]()
    for tool in plan.write:
        by_source.setdefault((tool.source, tool.source_version), []).append(tool.definition)
    async with database.transaction() as connection:
        for (source, version), definitions in by_source.items():
            await write_tools(connection, definitions, source=source, source_version=version)
        await set_active(connection, [tool.id for tool in plan.show], active=True)
        await set_active(connection, [tool.id for tool in plan.hide], active=False)
        sources = {tool.source for tool in plan.write} | {tool.source for tool in (*plan.show, *plan.hide)}
        for source in sorted(sources):
            written = [tool.name for tool in plan.write if tool.source == source]
            report = SyncReport(
                added=tuple(name for name in written if name not in known),
                updated=tuple(name for name in written if name in known),
                shown=tuple(tool.name for tool in plan.show if tool.source == source),
                hidden=tuple(tool.name for tool in plan.hide if tool.source == source),
            )
            await _record(connection, ITSELF, "source.synced", source, report)


async def _record(connection: Connection, caller: str, action: str, source: str, report: SyncReport) -> None:
    """One entry for all tools of a source: their definitions are among their versions."""
    changes = {kind: getattr(report, kind) for kind in ("added", "updated", "shown", "hidden")}
    after = {kind: name_some(names) for kind, names in changes.items() if names}
    await record(connection, AuditEntry(caller, action, "source", source, after=after))


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")
