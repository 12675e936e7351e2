"""Managing tools: what operators create, change, switch off, roll back, pin and approve. Each is one transaction.

Tools of plugins and upstreams come with their definitions: these are not edited or deleted here, but switched off,
pinned to an earlier version, or held back until approved. Embeddings are made afterwards, in the background: a model
that fails undoes no change, and the tool is found by its words meanwhile.
"""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec
from msgspec import Raw, Struct

from toolbox.audit import AuditEntry, name_some, record
from toolbox.database import Connection, Database
from toolbox.definitions import ToolDefinition
from toolbox.errors import Conflict, InvalidDefinition, NotFound, PreconditionFailed, ToolboxError, ToolNotFound
from toolbox.events import notify
from toolbox.index.postings import replace_postings
from toolbox.tools.changes import Change, find_changes
from toolbox.tools.kinds import Kinds, fingerprint
from toolbox.tools.repository import (
    COLUMNS,
    Review,
    StoredTool,
    ToolRepository,
    set_active,
    to_tool,
    write_rows,
    write_tools,
)
from toolbox.tools.validity import check_definition

OWN_SOURCE = "admin"
"""Of tools that were created over the admin API."""
BROUGHT = ("plugin:", "upstream:")
"""How sources begin that bring their definitions with them, again and again."""

Implementation: TypeAlias = Mapping[str, Any]


class ManagedTool(Struct, frozen=True):
    """A tool with what only operators see of it."""

    tool: StoredTool
    implementation: Raw | None
    is_offered: bool
    is_switched_off: bool
    is_held: bool
    is_pinned: bool
    fingerprint: bytes
    current_version: int
    waiting_version: int | None
    findings: Raw | None

    @property
    def etag(self) -> str:
        """Another one after each change (RFC 9110, 8.8.3)."""
        state = f"{self.tool.id} {self.tool.updated_at.isoformat()} {self.fingerprint.hex()}"
        return f'"{hashlib.blake2b(state.encode(), digest_size=8).hexdigest()}"'

    @property
    def is_brought(self) -> bool:
        """Whether its definition comes from a plugin or an upstream."""
        return self.tool.source.startswith(BROUGHT)


class ToolVersion(Struct, frozen=True):
    """A definition that a tool has had or was offered; `review` says why one is not in force."""

    number: int
    version: str
    fingerprint: str
    created_at: datetime
    review: Review | None
    is_current: bool


class VersionContent(Struct, frozen=True):
    """What a version says."""

    definition: Raw
    implementation: Raw | None
    fingerprint: bytes
    review: Review | None


class Approval(Struct, frozen=True):
    """A version that waits for an operator."""

    tool_id: int
    tool: str
    source: str
    number: int
    offered_at: datetime
    is_new: bool
    definition: Raw
    implementation: Raw | None
    current: Raw | None
    current_implementation: Raw | None


class Draft(Struct, frozen=True):
    """A tool as an operator wants it."""

    definition: ToolDefinition
    implementation: Implementation | None = None
    is_switched_off: bool = False


Match: TypeAlias = Callable[[ManagedTool], None]
"""Refuses a change of a tool that is not as the operator has last seen it."""

_CURRENT = """(
    select max(v.number) from tool_versions v where v.tool_id = t.id and v.fingerprint = t.fingerprint
)"""
_MANAGED = f"""
    {COLUMNS}, t.implementation, t.is_offered, t.is_switched_off, t.is_held, t.is_pinned, t.fingerprint,
    coalesce({_CURRENT}, 0) as current_version,
    (select max(v.number) from tool_versions v where v.tool_id = t.id and v.review = 'waiting') as waiting_version,
    (select f.findings from tool_findings f where f.tool_id = t.id and f.fingerprint = t.fingerprint) as findings
"""
_OWN = [name for name in ManagedTool.__struct_fields__ if name != "tool"]


class ToolManager:
    """Changes tools, and reads what operators need to know of them. A key is a name or an id."""

    def __init__(self, database: Database, kinds: Kinds, embed_later: Callable[[], Awaitable[None]]) -> None:
        """`embed_later` has what was written embedded in the background."""
        self._database = database
        self._repository = ToolRepository(database)
        self._kinds = kinds
        self._embed_later = embed_later

    async def get(self, key: str) -> ManagedTool:
        """A tool, active or not.

        Raises:
            ToolNotFound: There is none.
        """
        async with self._database.connection() as connection:
            return await self._read(connection, key)

    async def list_flagged(self) -> list[ManagedTool]:
        """Tools in which lint has found something, in the order of their names."""
        rows = await self._database.fetch(
            f"""
            select {_MANAGED} from tools t join tool_findings f on f.tool_id = t.id and f.fingerprint = t.fingerprint
            where f.is_flagged order by t.name
            """
        )
        return [_to_managed(row) for row in rows]

    async def read_page(self, after: int, source: str | None = None, *, limit: int = 200) -> list[ManagedTool]:
        """Tools whose ids come after the given one, of all sources or of one."""
        rows = await self._database.fetch(
            f"""
            select {_MANAGED} from tools t where t.id > $1 and ($2::text is null or t.source = $2)
            order by t.id limit $3
            """,
            after,
            source,
            limit,
        )
        return [_to_managed(row) for row in rows]

    def check(self, draft: Draft) -> None:
        """Look at a tool that is to be written.

        Raises:
            InvalidDefinition: Says what cannot be used.
        """
        check_definition(draft.definition)
        if draft.implementation is not None:
            self._kinds.check_implementation(draft.definition, draft.implementation)

    async def create(self, draft: Draft, caller: str, *, source: str = OWN_SOURCE) -> ManagedTool:
        """Add a tool.

        Raises:
            InvalidDefinition: It cannot be used.
            Conflict: Its name is taken.
        """
        self.check(draft)
        name = draft.definition.name
        async with self._changing() as connection:
            known = await connection.fetchrow("select source from tools where name = $1", name)
            if known:
                raise _name_taken(name, known["source"])
            try:
                await self._write(connection, draft, source=source, source_version="")
            except asyncpg.UniqueViolationError as error:
                raise _name_taken(name, "somebody who was faster") from error
            created = await self._read(connection, name)
            await record(connection, AuditEntry(caller, "tool.created", "tool", name, after=_to_draft(created)))
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
        async with self._changing() as connection:
            before = await self._lock(connection, key, match)
            _refuse_brought(before, "its definition comes with it: switch it off, pin or roll it back instead")
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
            after = await self._read(connection, before.tool.name)
            await _audit(connection, caller, "tool.updated", before, after)
        return after

    async def delete(self, key: str, caller: str, match: Match) -> None:
        """Delete a tool with its versions; the history of its calls stays.

        Raises:
            ToolNotFound: There is no such tool.
            PreconditionFailed: It has changed meanwhile.
            Conflict: A plugin or an upstream offers it, and would bring it back.
        """
        async with self._changing() as connection:
            before = await self._lock(connection, key, match)
            if before.is_offered:
                _refuse_brought(before, "which would bring it back: switch it off instead")
            await connection.execute("delete from tools where id = $1", before.tool.id)
            await replace_postings(connection, {before.tool.id: {}})
            await record(connection, AuditEntry(caller, "tool.deleted", "tool", before.tool.name, _to_draft(before)))

    async def switch(self, key: str, caller: str, match: Match, *, on: bool) -> ManagedTool:
        """Switch a tool off, so that nobody finds or calls it whatever syncs bring, or on again.

        Raises:
            ToolNotFound: There is no such tool.
            PreconditionFailed: It has changed meanwhile.
        """
        async with self._changing() as connection:
            before = await self._lock(connection, key, match)
            if before.is_switched_off is not on:
                return before
            await _switch(connection, before.tool.id, is_switched_off=not on)
            after = await self._read(connection, before.tool.name)
            await _audit(connection, caller, "tool.activated" if on else "tool.deactivated", before, after)
        return after

    async def list_versions(self, key: str) -> list[ToolVersion]:
        """The versions of a tool, newest first.

        Raises:
            ToolNotFound: There is no such tool.
        """
        tool = await self.get(key)
        rows = await self._database.fetch(
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
        tool = await self.get(key)
        async with self._database.connection() as connection:
            return await _read_version(connection, tool.tool, number)

    async def diff(self, key: str, number: int, other: int | None = None) -> list[Change]:
        """What would change from one version to another; without that, from the one in force to the first.

        Raises:
            ToolNotFound: There is no such tool.
            NotFound: It has no such version.
        """
        tool = await self.get(key)
        async with self._database.connection() as connection:
            first = await _read_version(connection, tool.tool, number)
            second = await _read_version(connection, tool.tool, other or tool.current_version)
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
        async with self._changing() as connection:
            before = await self._lock(connection, key, match)
            newest = await connection.fetchval(
                "select max(number) from tool_versions where tool_id = $1 and review = 'pinned'", before.tool.id
            )
            if newest is not None:
                await self._enforce(connection, before, newest)
            for statement in (
                "update tool_versions set review = 'superseded' where tool_id = $1 and review = 'pinned'",
                "update tools set is_pinned = false, updated_at = now() where id = $1",
            ):
                await connection.execute(statement, before.tool.id)
            after = await self._read(connection, before.tool.name)
            await _audit(connection, caller, "tool.unpinned", before, after)
        return after

    async def list_approvals(self) -> list[Approval]:
        """The newest version of each tool that waits for approval, in the order of their names."""
        rows = await self._database.fetch(
            f"""
            select distinct on (t.name) t.id as tool_id, t.name as tool, t.source, v.number, v.created_at as offered_at,
                t.is_held as is_new, v.definition, v.implementation,
                case when not t.is_held then c.definition end as current,
                case when not t.is_held then c.implementation end as current_implementation
            from tool_versions v join tools t on t.id = v.tool_id
            left join tool_versions c on c.tool_id = t.id and c.number = {_CURRENT}
            where v.review = 'waiting' order by t.name, v.number desc
            """
        )
        return [Approval(**row) for row in rows]

    async def approve(self, key: str, number: int, caller: str) -> ManagedTool:
        """Put a version in force that was held back.

        Raises:
            ToolNotFound: There is no such tool.
            NotFound: It has no such version.
            Conflict: The version is in force, or was, already.
        """
        async with self._changing() as connection:
            before = await self._lock(connection, key)
            version = await _read_version(connection, before.tool, number)
            if version.review not in ("waiting", "rejected"):
                raise Conflict(f"version {number} of {before.tool.name!r} does not wait for approval")
            await self._enforce(connection, before, number)
            await connection.execute(
                "update tool_versions set review = 'superseded' where tool_id = $1 and review = 'waiting'",
                before.tool.id,
            )
            after = await self._read(connection, before.tool.name)
            await _audit(connection, caller, "tool.approved", before, after)
        return after

    async def reject(self, key: str, number: int, caller: str) -> ManagedTool:
        """Keep a version out for good; offered again, it does not wait again.

        Raises:
            ToolNotFound: There is no such tool.
            Conflict: No such version waits.
        """
        async with self._changing() as connection:
            before = await self._lock(connection, key)
            tag = await connection.execute(
                """
                update tool_versions set review = 'rejected'
                where tool_id = $1 and number = $2 and review = 'waiting'
                """,
                before.tool.id,
                number,
            )
            if tag == "UPDATE 0":
                raise Conflict(f"version {number} of {before.tool.name!r} does not wait for approval")
            after = await self._read(connection, before.tool.name)
            await record(
                connection,
                AuditEntry(caller, "tool.rejected", "tool", before.tool.name, after={"version": number}),
            )
        return after

    async def write_all(self, drafts: Sequence[Draft], caller: str, *, source: str) -> tuple[list[str], list[str]]:
        """Create or replace many tools of one source, all or none; gives back the names of the new and the changed.

        Raises:
            InvalidDefinition: One cannot be used.
            Conflict: A name belongs to another source.
        """
        if source.startswith(BROUGHT):
            raise Conflict(f"tools of {source!r} come with it: import them under a source of another name")
        for draft in drafts:
            self.check(draft)
        by_name = {draft.definition.name: draft for draft in drafts}
        async with self._changing() as connection:
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
                and row["fingerprint"]
                == fingerprint(by_name[row["name"]].definition, by_name[row["name"]].implementation)
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

    @contextlib.asynccontextmanager
    async def _changing(self) -> AsyncIterator[Connection]:
        """A transaction that all replicas hear of when it is over."""
        async with self._database.transaction() as connection:
            yield connection
            await notify(connection, "tools")
        with contextlib.suppress(ToolboxError):  # the change is made; the next sync embeds what this could not order
            await self._embed_later()

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

    async def _put_in_force(
        self, key: str, number: int | None, caller: str, match: Match, action: str, *, pin: bool | None
    ) -> ManagedTool:
        async with self._changing() as connection:
            before = await self._lock(connection, key, match)
            if number is not None and number != before.current_version:
                await self._enforce(connection, before, number)
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
            after = await self._read(connection, before.tool.name)
            await _audit(connection, caller, action, before, after)
        return after

    async def _enforce(self, connection: Connection, before: ManagedTool, number: int) -> None:
        """Make a version the tool's definition. The one that was in force before is offered no more, or kept out."""
        tool = before.tool
        version = await _read_version(connection, tool, number)
        definition = msgspec.json.decode(version.definition, type=ToolDefinition)
        implementation = (
            None if version.implementation is None else msgspec.json.decode(version.implementation, type=dict[str, Any])
        )
        if implementation is not None and not tool.source.startswith("upstream:"):
            self._kinds.check_implementation(definition, implementation)
        await write_rows(
            connection,
            [definition],
            source=tool.source,
            source_version=await connection.fetchval("select source_version from tools where id = $1", tool.id),
            implementations={} if implementation is None else {tool.name: implementation},
        )
        await connection.execute(
            "update tool_versions set review = null where tool_id = $1 and fingerprint = $2",
            tool.id,
            version.fingerprint,
        )
        await set_active(connection, [tool.id], active=before.is_offered)

    async def _lock(self, connection: Connection, key: str, match: Match | None = None) -> ManagedTool:
        tool = await self._read(connection, key, "for update of t")
        if match:
            match(tool)
        return tool

    async def _read(self, connection: Connection, key: str, lock: str = "") -> ManagedTool:
        """By name, else by id: a name may be a number, and then it is meant."""
        tool_id = int(key) if key.isascii() and key.isdigit() and len(key) < MAX_ID_DIGITS else None
        row = await connection.fetchrow(
            f"select {_MANAGED} from tools t where t.name = $1 or t.id = $2 order by t.name <> $1 limit 1 {lock}",
            key,
            tool_id,
        )
        if row is None:
            raise ToolNotFound(key, await self._repository.near_names(key))
        return _to_managed(row)


MAX_ID_DIGITS = 10


def require_match(if_match: str | None) -> Match:
    """A check of what `If-Match` says (RFC 9110, 13.1.1); without the header, anything goes."""

    def check(tool: ManagedTool) -> None:
        if if_match is None or if_match.strip() == "*":
            return
        wanted = {part.strip().removeprefix("W/") for part in if_match.split(",")}
        if tool.etag not in wanted:
            raise PreconditionFailed(
                f"{tool.tool.name!r} has changed since you read it: read it again, its ETag is {tool.etag} now"
            )

    return check


def _to_managed(row: Mapping[str, Any]) -> ManagedTool:
    return ManagedTool(to_tool(row), *(row[name] for name in _OWN))


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


async def _read_version(connection: Connection, tool: StoredTool, number: int) -> VersionContent:
    row = await connection.fetchrow(
        """
        select definition, implementation, fingerprint, review from tool_versions where tool_id = $1 and number = $2
        """,
        tool.id,
        number,
    )
    if row is None:
        raise NotFound(f"{tool.name!r} has no version {number}; /admin/tools/{tool.name}/versions lists them")
    return VersionContent(**row)


def _to_plain(version: VersionContent) -> dict[str, Any]:
    implementation = None if version.implementation is None else msgspec.json.decode(version.implementation)
    return {"definition": msgspec.json.decode(version.definition), "implementation": implementation}


_DEFINED = tuple(name for name in ToolDefinition.__struct_fields__ if name in StoredTool.__struct_fields__)


def _to_draft(tool: ManagedTool) -> dict[str, Any]:
    """What the audit log keeps of a tool."""
    state = ("is_switched_off", "is_held", "is_pinned", "current_version", "implementation")
    return {name: getattr(tool.tool, name) for name in _DEFINED} | {name: getattr(tool, name) for name in state}


async def _audit(connection: Connection, caller: str, action: str, before: ManagedTool, after: ManagedTool) -> None:
    entry = AuditEntry(caller, action, "tool", before.tool.name, _to_draft(before), _to_draft(after))
    await record(connection, entry)


def _refuse_brought(tool: ManagedTool, advice: str) -> None:
    if tool.is_brought:
        raise Conflict(f"{tool.tool.name!r} belongs to {tool.tool.source}, {advice}")


def _name_taken(name: str, source: str) -> Conflict:
    return Conflict(f"the name {name!r} is taken: it belongs to {source}; choose another, or change that tool")
