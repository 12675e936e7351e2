"""Toolsets in PostgreSQL: reading them, and writing them so that nobody sees a toolset with yesterday's members."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from toolbox.database import Connection, Database
from toolbox.tools.repository import COLUMNS, StoredTool, to_tool
from toolbox.toolsets.schemas import Rules, Toolset, ToolsetDefinition, ToolsetLimits, to_like

_DEFINED = tuple(name for name in ToolsetDefinition.__struct_fields__ if name != "rules")
_COLUMNS = ", ".join(
    f"s.{name}"
    for name in ("id", "name", *_DEFINED, "rules", "tools", "revision", "created_at", "updated_at", "deleted_at")
)


class MemberPage(Struct, frozen=True):
    """Some members in the order of their names, as they were at a revision, and whether there are more."""

    revision: int
    tools: list[StoredTool]
    has_more: bool


class CategoryCount(Struct, frozen=True):
    """A category, how many tools it has, and how many tools and categories there are in all."""

    category: str | None
    tools: int
    all_tools: int
    all_categories: int


class ToolsetRepository:
    """Reads and writes of toolsets and their members."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_toolset(self, name: str, *, with_deleted: bool = False) -> Toolset | None:
        """The toolset with this name."""
        row = await self._database.fetch_row(
            f"select {_COLUMNS} from toolsets s where s.name = $1 and ($2 or s.deleted_at is null)", name, with_deleted
        )
        return _to_toolset(row) if row else None

    async def list_toolsets(
        self,
        *,
        after: str = "",
        limit: int | None = None,
        search: str = "",
        prefix: str = "",
        version: str | None = None,
        updated_since: datetime | None = None,
        with_deleted: bool = False,
        names: Sequence[str] | None = None,
    ) -> list[Toolset]:
        """Toolsets in the order of their names, of the given ones if there are `names`.

        `search` is part of the name, as it is behind `prefix`.
        """
        rows = await self._database.fetch(
            f"""
            select {_COLUMNS} from toolsets s
            where s.name collate "C" > $1 and ($3 = '' or strpos(lower($7 || s.name), lower($3)) > 0)
              and ($4::text is null or s.version = $4)
              and ($5::timestamptz is null or s.updated_at >= $5)
              and ($6 or s.deleted_at is null) and ($8::text[] is null or s.name = any($8))
            order by s.name collate "C" limit $2
            """,
            after,
            limit,
            search,
            version,
            updated_since,
            with_deleted,
            prefix,
            names,
        )
        return [_to_toolset(row) for row in rows]

    async def read_members(self, toolset_id: int, *, after: str, limit: int) -> MemberPage:
        """The members whose names come after the given one."""
        rows = await self._database.fetch(
            f"""
            select s.revision, {COLUMNS} from toolsets s left join lateral (
                select m.name as position, m.tool_id from toolset_members m
                where m.toolset_id = s.id and m.name > $2 order by m.name limit $3
            ) m on true left join tools t on t.id = m.tool_id
            where s.id = $1 order by m.position
            """,
            toolset_id,
            after,
            limit + 1,
        )
        tools = [to_tool(row) for row in rows if row["name"] is not None]
        return MemberPage(rows[0]["revision"] if rows else 0, tools[:limit], len(tools) > limit)

    async def count_categories(self, toolset_id: int, *, limit: int) -> list[CategoryCount]:
        """The categories of the members, largest first."""
        counted = _COUNTED.format(condition="t.id in (select tool_id from toolset_members where toolset_id = $1)")
        return [CategoryCount(**row) for row in await self._database.fetch(f"{counted} limit $2", toolset_id, limit)]

    async def count_catalogue(self, known_revision: int, *, limit: int) -> tuple[int, list[CategoryCount] | None]:
        """The catalogue's revision, and the categories of all tools unless it is the known one."""
        counted = _COUNTED.format(condition="c.revision <> $1")  # known: not one row of tools is looked at
        rows = await self._database.fetch(
            f"""
            select c.revision, counted.* from catalogue c left join lateral ({counted} limit $2) counted on true
            order by counted.tools desc, counted.category
            """,
            known_revision,
            limit,
        )
        revision = rows[0]["revision"]
        fields = CategoryCount.__struct_fields__
        counts = [CategoryCount(*(row[name] for name in fields)) for row in rows if row["tools"] is not None]
        return revision, None if revision == known_revision else counts

    async def has_member(self, toolset_id: int, name: str) -> bool:
        """Whether a tool is in a toolset."""
        rows = await self._database.fetch(
            "select from toolset_members where toolset_id = $1 and name = $2", toolset_id, name
        )
        return bool(rows)


_COUNTED = """
    select t.category, count(*) as tools, (sum(count(*)) over ())::int as all_tools, count(*) over () as all_categories
    from tools t where t.active and {condition} group by t.category order by 2 desc, 1
"""


async def lock_members(connection: Connection) -> None:
    """Wait for whoever changes tools or toolsets, and make them wait until the transaction ends.

    This comes first: the trigger that resolves members takes the lock before it touches a toolset, too.
    """
    await connection.execute("lock table toolset_members in share row exclusive mode")


async def read_toolset(connection: Connection, name: str) -> Toolset | None:
    """The toolset with this name, deleted or not, as the transaction sees it."""
    row = await connection.fetchrow(f"select {_COLUMNS} from toolsets s where s.name = $1", name)
    return _to_toolset(row) if row else None


async def write_toolset(connection: Connection, name: str, definition: ToolsetDefinition) -> None:
    """Insert or replace a toolset, and decide anew who is in it."""
    toolset_id = await connection.fetchval(
        _UPSERT, name, *(getattr(definition, field) for field in _DEFINED), definition.rules
    )
    await _write_rules(connection, toolset_id, definition.rules)
    await connection.execute(
        """
        insert into toolset_members (toolset_id, name, tool_id)
        select toolset_id, name, tool_id from toolset_matches where toolset_id = $1
        """,
        toolset_id,
    )
    await connection.execute(
        "update toolsets set tools = (select count(*) from toolset_members where toolset_id = $1) where id = $1",
        toolset_id,
    )


async def mark_deleted(connection: Connection, toolset_id: int) -> None:
    """Take a toolset's rules and members away; what is left says that it is gone."""
    for table in ("toolset_rules", "toolset_members"):
        await connection.execute(f"delete from {table} where toolset_id = $1", toolset_id)
    await connection.execute(
        """
        update toolsets set tools = 0, revision = revision + 1, updated_at = now(), deleted_at = now() where id = $1
        """,
        toolset_id,
    )


_WRITTEN = ("name", *_DEFINED, "rules")
_UPSERT = f"""
    insert into toolsets as s ({", ".join(_WRITTEN)})
    values ({", ".join(f"${number}" for number in range(1, len(_WRITTEN) + 1))})
    on conflict (name) do update
    set {", ".join(f"{name} = excluded.{name}" for name in _WRITTEN)}, revision = s.revision + 1, updated_at = now(),
        created_at = case when s.deleted_at is null then s.created_at else now() end, deleted_at = null
    returning id
"""


async def _write_rules(connection: Connection, toolset_id: int, rules: Rules) -> None:
    for table in ("toolset_rules", "toolset_members"):
        await connection.execute(f"delete from {table} where toolset_id = $1", toolset_id)
    written = [(False, rule) for rule in rules.include] + [(True, rule) for rule in rules.exclude]
    await connection.executemany(
        """
        insert into toolset_rules
            (toolset_id, number, excludes, name_pattern, category_pattern, source_pattern, tags)
        values ($1, $2, $3, $4, $5, $6, $7)
        """,
        [
            (
                toolset_id,
                number,
                excludes,
                to_like(rule.name),
                to_like(rule.category),
                to_like(rule.source),
                list(rule.tags),
            )
            for number, (excludes, rule) in enumerate(written)
        ],
    )


def _to_toolset(row: Mapping[str, Any]) -> Toolset:
    definition = ToolsetDefinition(
        rules=msgspec.json.decode(row["rules"], type=Rules),
        limits=None if row["limits"] is None else msgspec.json.decode(row["limits"], type=ToolsetLimits),
        **{name: row[name] for name in _DEFINED if name != "limits"},
    )
    return Toolset(
        definition=definition,
        **{name: row[name] for name in Toolset.__struct_fields__ if name != "definition"},
    )
