"""Tools as operators see them, and the transactions in which these change."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw, Struct

from toolbox.answers import allows, make_etag
from toolbox.audit import AuditEntry, record
from toolbox.database import Connection, Database
from toolbox.definitions import ToolDefinition
from toolbox.errors import Conflict, NotFound, PreconditionFailed, ToolboxError, ToolNotFound
from toolbox.events import notify
from toolbox.tools.kinds import Kinds
from toolbox.tools.repository import COLUMNS, Review, StoredTool, ToolRepository, set_active, to_tool, write_rows

BROUGHT = ("plugin:", "upstream:")
"""How sources begin that bring their definitions with them, again and again."""
UPSTREAM = "upstream:"

MAX_ID_DIGITS = 10


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
        return make_etag(self.tool.id, self.tool.updated_at, self.fingerprint)

    @property
    def is_brought(self) -> bool:
        """Whether its definition comes from a plugin or an upstream."""
        return self.tool.source.startswith(BROUGHT)


class VersionContent(Struct, frozen=True):
    """What a version says."""

    definition: Raw
    implementation: Raw | None
    fingerprint: bytes
    review: Review | None


Match: TypeAlias = Callable[[ManagedTool], None]
"""Refuses a change of a tool that is not as the operator has last seen it."""

CURRENT = """(
    select max(v.number) from tool_versions v where v.tool_id = t.id and v.fingerprint = t.fingerprint
)"""
MANAGED = f"""
    {COLUMNS}, t.implementation, t.is_offered, t.is_switched_off, t.is_held, t.is_pinned, t.fingerprint,
    coalesce({CURRENT}, 0) as current_version,
    (select max(v.number) from tool_versions v where v.tool_id = t.id and v.review = 'waiting') as waiting_version,
    (select f.findings from tool_findings f where f.tool_id = t.id and f.fingerprint = t.fingerprint) as findings
"""
_OWN = [name for name in ManagedTool.__struct_fields__ if name != "tool"]


class ManagedTools:
    """Reads tools for operators, and opens the transactions that change them. A key is a name or an id."""

    def __init__(self, database: Database, kinds: Kinds, changed: Callable[[], Awaitable[None]]) -> None:
        """`changed` does what is to be done after each change, such as having embedded what was written."""
        self.database = database
        self.kinds = kinds
        self._repository = ToolRepository(database)
        self._changed = changed

    async def get(self, key: str) -> ManagedTool:
        """A tool, active or not.

        Raises:
            ToolNotFound: There is none.
        """
        async with self.database.connection() as connection:
            return await self.read(connection, key)

    @contextlib.asynccontextmanager
    async def changing(self) -> AsyncIterator[Connection]:
        """A transaction that all replicas hear of when it is over."""
        async with self.database.transaction() as connection:
            yield connection
            await notify(connection, "tools")
        with contextlib.suppress(ToolboxError):  # the change is made; the next sync or reading does the rest
            await self._changed()

    async def lock(self, connection: Connection, key: str, match: Match | None = None) -> ManagedTool:
        """A tool that nobody else changes until the transaction ends, if it is as `match` wants it."""
        tool = await self.read(connection, key, "for update of t")
        if match:
            match(tool)
        return tool

    async def read(self, connection: Connection, key: str, lock: str = "") -> ManagedTool:
        """By name, else by id: a name may be a number, and then it is meant."""
        tool_id = int(key) if key.isascii() and key.isdigit() and len(key) < MAX_ID_DIGITS else None
        row = await connection.fetchrow(
            f"select {MANAGED} from tools t where t.name = $1 or t.id = $2 order by t.name <> $1 limit 1 {lock}",
            key,
            tool_id,
        )
        if row is None:
            raise ToolNotFound(key, await self._repository.near_names(key))
        return to_managed(row)

    async def enforce(self, connection: Connection, before: ManagedTool, number: int) -> None:
        """Make a version the tool's definition. The one that was in force before is offered no more, or kept out."""
        tool = before.tool
        version = await read_version(connection, tool, number)
        definition = msgspec.json.decode(version.definition, type=ToolDefinition)
        implementation = (
            None if version.implementation is None else msgspec.json.decode(version.implementation, type=dict[str, Any])
        )
        if implementation is not None and not tool.source.startswith(UPSTREAM):
            self.kinds.check_implementation(definition, implementation)
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


def require_match(if_match: str | None) -> Match:
    """A check of what `If-Match` says (RFC 9110, 13.1.1); without the header, anything goes."""

    def check(tool: ManagedTool) -> None:
        if not allows(if_match, tool.etag):
            raise PreconditionFailed(
                f"{tool.tool.name!r} has changed since you read it: read it again, its ETag is {tool.etag} now"
            )

    return check


def to_managed(row: Mapping[str, Any]) -> ManagedTool:
    """A row of MANAGED."""
    return ManagedTool(to_tool(row), *(row[name] for name in _OWN))


async def read_version(connection: Connection, tool: StoredTool, number: int) -> VersionContent:
    """What a version of a tool says.

    Raises:
        NotFound: It has no such version.
    """
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


_DEFINED = tuple(name for name in ToolDefinition.__struct_fields__ if name in StoredTool.__struct_fields__)


def to_draft(tool: ManagedTool) -> dict[str, Any]:
    """What the audit log keeps of a tool."""
    state = ("is_switched_off", "is_held", "is_pinned", "current_version", "implementation")
    return {name: getattr(tool.tool, name) for name in _DEFINED} | {name: getattr(tool, name) for name in state}


async def audit(connection: Connection, caller: str, action: str, before: ManagedTool, after: ManagedTool) -> None:
    """Enter a change of a tool into the audit log."""
    entry = AuditEntry(caller, action, "tool", before.tool.name, to_draft(before), to_draft(after))
    await record(connection, entry)


def refuse_brought(tool: ManagedTool, advice: str) -> None:
    """Refuse a change of what comes with a plugin or an upstream.

    Raises:
        Conflict: It does.
    """
    if tool.is_brought:
        raise Conflict(f"{tool.tool.name!r} belongs to {tool.tool.source}, {advice}")
