"""Sync: what plugins offer becomes what the catalogue holds.

One replica writes at a time; all share the work of embedding. Only what changed is written, only new texts are
embedded, and what no living replica offers any more is hidden, not deleted. With nothing to do, sync is one read and
takes no lock.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from toolbox.audit import ITSELF, AuditEntry, name_some, record
from toolbox.database import SYNC_LOCK, Connection, Database
from toolbox.definitions import ANONYMOUS, ToolDefinition
from toolbox.embeddings.base import Embedder
from toolbox.index.embeddings import Model, count_pending, fill_embeddings
from toolbox.tools.kinds import fingerprint
from toolbox.tools.loading import PLUGIN_SOURCE
from toolbox.tools.policies import ACCEPT_ALL, SourcePolicies, read_policies
from toolbox.tools.registry import RegisteredTool
from toolbox.tools.replicas import Elsewhere, read_elsewhere
from toolbox.tools.repository import (
    IndexedTool,
    ToolRepository,
    add_versions,
    set_active,
    withdraw_versions,
    write_tools,
)

Report = Callable[[int, int], Awaitable[None]]


class SyncReport(Struct, frozen=True):
    """What a sync did."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    unchanged: int = 0
    embedded: int = 0
    waiting: int = 0
    """Texts that were too many to be embedded here."""
    conflicts: tuple[str, ...] = ()
    """Names that a plugin offers, but that a tool from elsewhere already has."""
    withheld: tuple[str, ...] = ()
    """What has changed or is new, and is not in force: it waits for approval, or the tool is pinned."""
    withdrawn: tuple[str, ...] = ()
    """What has waited, and is not what is offered any more."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing has changed."""
        return not any(getattr(self, kind) for kind in _CHANGES)


_CHANGES = ("added", "updated", "shown", "hidden", "withheld", "withdrawn")


class Plan(Struct, frozen=True):
    """What is to do to bring the catalogue to what is offered."""

    write: tuple[RegisteredTool, ...] = ()
    withhold: tuple[RegisteredTool, ...] = ()
    show: tuple[IndexedTool, ...] = ()
    hide: tuple[IndexedTool, ...] = ()
    withdraw: tuple[tuple[IndexedTool, bytes], ...] = ()
    """Tools of which something waits, and the fingerprint of what is offered instead."""
    conflicts: tuple[str, ...] = ()
    unchanged: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether the catalogue is as it should be."""
        return not (self.write or self.withhold or self.show or self.hide or self.withdraw)


async def sync_plugins(
    database: Database,
    offered: Sequence[RegisteredTool],
    *,
    replica_id: UUID | None,
    embed: tuple[Model, Embedder] | None,
    most: int | None = None,
    report: Report | None = None,
) -> SyncReport:
    """Bring the catalogue to what this replica's plugins offer, and embed what waits, if that is not more than `most`.

    Raises:
        EmbeddingError: The embedder failed; the catalogue is complete all the same, and found by words.
    """
    repository = ToolRepository(database)

    async def look() -> tuple[Plan, dict[str, IndexedTool]]:
        stored = await repository.read_index(source_prefix=PLUGIN_SOURCE, names=[tool.name for tool in offered])
        elsewhere = await read_elsewhere(database, replica_id)
        return make_plan(offered, stored, elsewhere, policies), {tool.name: tool for tool in stored}

    policies = await read_policies(database)
    plan, known = await look()
    if not plan.is_empty:
        async with database.lock(SYNC_LOCK):
            plan, known = await look()  # another replica may have done it while we waited
            await _carry_out(database, plan, known)
    embedded, waiting = 0, await count_pending(database, embed[0]) if embed else 0
    if embed and waiting and (most is None or waiting <= most):
        embedded, waiting = await fill_embeddings(database, *embed, report), 0
    written = [tool.name for tool in plan.write]
    return SyncReport(
        added=tuple(name for name in written if name not in known),
        updated=tuple(name for name in written if name in known),
        shown=tuple(tool.name for tool in plan.show),
        hidden=tuple(tool.name for tool in plan.hide),
        unchanged=plan.unchanged,
        embedded=embedded,
        waiting=waiting,
        conflicts=plan.conflicts,
        withheld=tuple(tool.name for tool in plan.withhold),
        withdrawn=tuple(tool.name for tool, _ in plan.withdraw),
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
    holds = (await read_policies(database)).holds(source)
    async with database.lock(SYNC_LOCK):
        repository = ToolRepository(database)
        stored = {tool.name: tool for tool in await repository.read_index(names=[tool.name for tool in definitions])}
        chosen: dict[Decision, list[ToolDefinition]] = {"write": [], "withhold": [], "show": [], "keep": []}
        withdraw = dict[int, bytes]()
        for definition in definitions:
            row, offered = stored.get(definition.name), fingerprint(definition, given.get(definition.name))
            chosen[decide(row, offered, holds=holds)].append(definition)
            if row and is_outdated(row, offered):
                withdraw[row.id] = offered
        kept = {definition.name for definition in definitions} | set(keep or ())
        others = await repository.read_index(source_prefix=source) if keep is not None else []
        gone = [tool for tool in others if tool.source == source and tool.is_offered and tool.name not in kept]
        report = SyncReport(
            added=tuple(definition.name for definition in chosen["write"] if definition.name not in stored),
            updated=tuple(definition.name for definition in chosen["write"] if definition.name in stored),
            shown=tuple(definition.name for definition in chosen["show"]),
            hidden=tuple(tool.name for tool in gone),
            unchanged=len(chosen["keep"]),
            withheld=tuple(definition.name for definition in chosen["withhold"]),
            withdrawn=tuple(tool.name for tool in stored.values() if tool.id in withdraw),
        )
        async with database.transaction() as connection:
            await write_tools(connection, chosen["write"], source=source, source_version="", implementations=given)
            await withhold(
                connection, chosen["withhold"], stored, source=source, source_version="", implementations=given
            )
            await withdraw_versions(connection, withdraw)
            await set_active(connection, [stored[tool.name].id for tool in chosen["show"]], active=True)
            await set_active(connection, [tool.id for tool in gone], active=False)
            if not report.is_empty:
                await _record(connection, caller, "source.imported", source, report)
    return report


Decision: TypeAlias = Literal["write", "withhold", "show", "keep"]


def decide(row: IndexedTool | None, offered: bytes, *, holds: bool) -> Decision:
    """What to do with what is offered (its fingerprint) under a name; `holds` says that changes wait for approval."""
    if row is None:
        return "withhold" if holds else "write"
    if row.fingerprint == offered or offered in row.withheld:
        return "keep" if row.is_offered else "show"
    return "withhold" if holds or row.is_pinned else "write"


def is_outdated(row: IndexedTool, offered: bytes) -> bool:
    """Whether something waits that is not what is offered."""
    return any(waiting != offered for waiting in row.undecided)


def make_plan(
    offered: Iterable[RegisteredTool],
    stored: Iterable[IndexedTool],
    elsewhere: Elsewhere,
    policies: SourcePolicies = ACCEPT_ALL,
) -> Plan:
    """Decide what to do; a row belongs to the highest version that is installed on a living replica.

    What other replicas can run stays, and an older version never overwrites a newer that one of them has.
    """
    rows = {tool.name: tool for tool in stored}
    chosen: dict[Decision, list[RegisteredTool]] = {"write": [], "withhold": [], "show": [], "keep": []}
    withdraw, conflicts, older, kept = list[tuple[IndexedTool, bytes]](), list[str](), 0, set[str]()
    for tool in offered:
        row = rows.get(tool.name)
        kept.add(tool.name)
        if row is not None and row.source != tool.source:
            conflicts.append(f"{tool.name} of {tool.source}: the name belongs to {row.source}")
            continue
        fingerprint = tool.definition.fingerprint()
        decision = decide(row, fingerprint, holds=policies.holds(tool.source))
        is_older = row is not None and elsewhere.has_newer(tool)
        if decision in ("write", "withhold") and is_older:
            older += 1
        else:
            chosen[decision].append(tool)
        if row is not None and is_outdated(row, fingerprint) and not is_older:
            withdraw.append((row, fingerprint))
    gone = [
        row
        for row in rows.values()
        if row.is_offered and row.source.startswith(PLUGIN_SOURCE) and row.name not in kept | elsewhere.names
    ]
    return Plan(
        write=tuple(chosen["write"]),
        withhold=tuple(chosen["withhold"]),
        show=tuple(rows[tool.name] for tool in chosen["show"]),
        hide=tuple(gone),
        withdraw=tuple(withdraw),
        conflicts=tuple(conflicts),
        unchanged=len(chosen["keep"]) + older,
    )


async def withhold(
    connection: Connection,
    definitions: Sequence[ToolDefinition],
    known: Mapping[str, IndexedTool],
    *,
    source: str,
    source_version: str,
    implementations: Mapping[str, Mapping[str, Any]],
) -> None:
    """Keep what is offered as versions that are not in force; a tool that is new stays out of the catalogue."""
    new = [each for each in definitions if each.name not in known or known[each.name].is_held]
    unseen = {each.name for each in new}
    await write_tools(
        connection, new, source=source, source_version=source_version, implementations=implementations, are_held=True
    )
    for is_pinned in (True, False):
        changed = [
            definition
            for definition in definitions
            if definition.name not in unseen and known[definition.name].is_pinned is is_pinned
        ]
        ids = {definition.name: known[definition.name].id for definition in changed}
        await add_versions(connection, ids, changed, implementations, review="pinned" if is_pinned else "waiting")
        hidden = [known[definition.name].id for definition in changed if not known[definition.name].is_offered]
        await set_active(connection, hidden, active=True)


async def _carry_out(database: Database, plan: Plan, known: Mapping[str, IndexedTool]) -> None:
    async with database.transaction() as connection:
        for (source, version), definitions in _by_source(plan.write).items():
            await write_tools(connection, definitions, source=source, source_version=version)
        for (source, version), definitions in _by_source(plan.withhold).items():
            await withhold(connection, definitions, known, source=source, source_version=version, implementations={})
        await set_active(connection, [tool.id for tool in plan.show], active=True)
        await set_active(connection, [tool.id for tool in plan.hide], active=False)
        await withdraw_versions(connection, {tool.id: offered for tool, offered in plan.withdraw})
        sources = {tool.source for tool in (*plan.write, *plan.withhold)}
        rows = (*plan.show, *plan.hide, *(tool for tool, _ in plan.withdraw))
        for source in sorted(sources | {tool.source for tool in rows}):
            written = [tool.name for tool in plan.write if tool.source == source]
            report = SyncReport(
                added=tuple(name for name in written if name not in known),
                updated=tuple(name for name in written if name in known),
                shown=tuple(tool.name for tool in plan.show if tool.source == source),
                hidden=tuple(tool.name for tool in plan.hide if tool.source == source),
                withheld=tuple(tool.name for tool in plan.withhold if tool.source == source),
                withdrawn=tuple(tool.name for tool, _ in plan.withdraw if tool.source == source),
            )
            await _record(connection, ITSELF, "source.synced", source, report)


def _by_source(tools: Iterable[RegisteredTool]) -> dict[tuple[str, str], list[ToolDefinition]]:
    by_source = dict[tuple[str, str], list[ToolDefinition]]()
    for tool in tools:
        by_source.setdefault((tool.source, tool.source_version), []).append(tool.definition)
    return by_source


async def _record(connection: Connection, caller: str, action: str, source: str, report: SyncReport) -> None:
    """One entry for all tools of a source: their definitions are among their versions."""
    changes = {kind: getattr(report, kind) for kind in _CHANGES}
    after = {kind: name_some(names) for kind, names in changes.items() if names}
    await record(connection, AuditEntry(caller, action, "source", source, after=after))
