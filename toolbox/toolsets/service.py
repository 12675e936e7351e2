"""Defining and deleting toolsets: each all or nothing, members included."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from toolbox.audit import AuditEntry, record
from toolbox.database import Connection, Database
from toolbox.definitions import ANONYMOUS
from toolbox.errors import NotFound
from toolbox.events import notify
from toolbox.secrets.store import delete_secrets_of
from toolbox.toolsets.repository import (
    ToolsetRepository,
    lock_members,
    mark_deleted,
    read_toolset,
    write_toolset,
)
from toolbox.toolsets.schemas import Toolset, ToolsetDefinition, check_toolset

Change: TypeAlias = Literal["created", "changed", "unchanged"]


Match: TypeAlias = Callable[[Toolset | None], None]
"""Refuses a change of a toolset, or of one that is not there, that is not as the operator has last seen it."""


class ToolsetService:
    """Manages toolsets."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.repository = ToolsetRepository(database)

    async def apply(
        self, definitions: Mapping[str, ToolsetDefinition], *, caller: str = ANONYMOUS, match: Match | None = None
    ) -> dict[str, Change]:
        """Define toolsets, or replace those that are there already; all of them, or none if one is refused.

        Raises:
            InvalidRequest: A definition cannot be used.
            PreconditionFailed: One is not as `match` wants it.
        """
        async with self._database.transaction() as connection:
            return await self.apply_in(connection, definitions, caller=caller, match=match)

    async def apply_in(
        self,
        connection: Connection,
        definitions: Mapping[str, ToolsetDefinition],
        *,
        caller: str,
        match: Match | None = None,
    ) -> dict[str, Change]:
        """The same within a transaction.

        Raises: as `apply`.
        """
        for name, definition in definitions.items():
            check_toolset(name, definition)
        changes = dict[str, Change]()
        await lock_members(connection)
        for name, definition in definitions.items():
            known = await read_toolset(connection, name)
            is_there = known is not None and known.deleted_at is None
            if match:
                match(known if is_there else None)
            if is_there and known is not None and known.definition == definition:
                changes[name] = "unchanged"
                continue
            await write_toolset(connection, name, definition)
            changes[name] = "changed" if is_there else "created"
            before = known.definition if known and is_there else None
            entry = AuditEntry(caller, f"toolset.{changes[name]}", "toolset", name, before, definition)
            await record(connection, entry)
        if set(changes.values()) - {"unchanged"}:
            await notify(connection, "tools")
        return changes

    async def delete(self, name: str, *, caller: str = ANONYMOUS, match: Match | None = None) -> None:
        """Delete a toolset, and its own secrets.

        Raises:
            NotFound: There is none with this name.
        """
        async with self._database.transaction() as connection:
            await lock_members(connection)
            known = await read_toolset(connection, name)
            if known is None or known.deleted_at is not None:
                raise toolset_not_found(name)
            if match:
                match(known)
            await mark_deleted(connection, known.id)
            await delete_secrets_of(connection, name)
            await record(connection, AuditEntry(caller, "toolset.deleted", "toolset", name, known.definition))
            await notify(connection, "tools")

    async def get(self, name: str) -> Toolset:
        """The toolset with this name.

        Raises:
            NotFound: There is none.
        """
        toolset = await self.repository.get_toolset(name)
        if toolset is None:
            raise toolset_not_found(name)
        return toolset


def toolset_not_found(name: str) -> NotFound:
    """The error that says so."""
    where = "`toolbox toolsets list` and GET /v0.1/servers"
    return NotFound(f"there is no toolset {name[:100]!r}; {where} list those that there are")
