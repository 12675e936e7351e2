"""Tools in PostgreSQL: reading them for callers, writing them for sync and import."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.audit import AuditEntry, name_some, record
from toolbox.database import SYNC_LOCK, Connection, Database
from toolbox.definitions import ANONYMOUS, ToolDefinition
from toolbox.events import notify
from toolbox.index.fields import (
    INDEX_VERSION,
    embedding_text,
    lexical_fields,
    name_key,
    original_name,
    split_name,
)
from toolbox.index.hidden import hidden_tools, is_seen
from toolbox.index.lexemes import impacts, lexemes, name_lexemes
from toolbox.index.postings import replace_postings
from toolbox.tools.kinds import fingerprint

NEAR_NAMES = 50
"""Names that are looked at for those meant by a wrong one, of those with its words and of those with its beginning."""
KINDS_OF_SOURCES = ("plugin:", "upstream:", "upstreams:", "import:", "openapi:")
"""What sources begin with, before their names."""


class ToolFilter(Struct, frozen=True):
    """Which tools a caller asks for; every given part must hold, and tags must all be there."""

    category: str | None = None
    tags: tuple[str, ...] = ()
    source: str | None = None
    """As tools have it, or its name alone, without what kind of source it is."""
    metadata: dict[str, Any] | UnsetType = UNSET
    active_only: bool = True
    toolset_id: int | None = None
    within: tuple[str, ...] | None = None
    """Only tools of these toolsets: all that the caller may see; None: of any, or of none."""

    def to_sql(self, first_parameter: int) -> tuple[str, list[Any]]:
        """A condition over `tools t`, and its parameters, numbered from the given one on."""
        conditions, values = (["t.active"] if self.active_only else []), list[Any]()
        if self.category is not None:
            values.append(self.category)
            conditions.append(f"t.category = ${first_parameter + len(values) - 1}")
        if self.tags:
            values.append(list(self.tags))
            conditions.append(f"t.tags @> ${first_parameter + len(values) - 1}::text[]")
        if self.source is not None:
            values.append([self.source, *(kind + self.source for kind in KINDS_OF_SOURCES)])
            conditions.append(f"t.source = any(${first_parameter + len(values) - 1}::text[])")
        if self.metadata is not UNSET:
            values.append(self.metadata)
            conditions.append(f"t.metadata @> ${first_parameter + len(values) - 1}::jsonb")
        if self.toolset_id is not None:
            values.append(self.toolset_id)
            number = first_parameter + len(values) - 1
            conditions.append(f"t.id in (select m.tool_id from toolset_members m where m.toolset_id = ${number})")
        if self.within is not None:
            values.append(list(self.within))
            conditions.append(_is_member(first_parameter + len(values) - 1))
        return " and ".join(conditions) or "true", values

    def members_to_sql(self, first_parameter: int) -> str | None:
        """A query for the ids of all tools of its toolsets, some twice, if it asks for nothing else of active tools."""
        only = self.within is not None and self == ToolFilter(within=self.within)
        return _members(first_parameter) if only else None

    @property
    def is_selective(self) -> bool:
        """Whether it asks for more than active tools."""
        return self != ToolFilter(active_only=self.active_only)


def _is_within(number: int, tool_id: str = "t.id") -> str:
    """Whether a tool is in one of the toolsets whose names the parameter has; null stands for all tools."""
    return f"(${number}::text[] is null or {_is_member(number, tool_id)})"


def _is_member(number: int, tool_id: str = "t.id") -> str:
    """The same where the parameter is not null: as EXISTS, so that it can be asked of few tools without reading all."""
    return f"exists ({_members(number)} and m.tool_id = {tool_id})"


def _members(number: int) -> str:
    """The tools of the toolsets whose names the parameter has."""
    return (
        "select m.tool_id from toolset_members m join toolsets s on s.id = m.toolset_id "
        f"where s.name = any(${number}::text[]) and s.deleted_at is null"
    )


class StoredTool(Struct, frozen=True):
    """A tool as callers read it. Fields that are JSON already travel as it is, unread."""

    id: int
    name: str
    title: str | None
    description: str
    long_description: str | None
    author: str | None
    category: str | None
    tags: list[str]
    examples: Raw
    version: str
    input_schema: Raw
    output_schema: Raw | None
    annotations: Raw
    metadata: Raw
    timeout_seconds: float | None
    source: str
    active: bool
    created_at: datetime
    updated_at: datetime
    kind: str | None
    """Of its implementation, if it is stored with one."""


class Page(Struct, frozen=True):
    """Some of the tools, and how many there are in all."""

    tools: list[StoredTool]
    total: int


Review: TypeAlias = Literal["waiting", "rejected", "pinned", "superseded"]
"""Why a version was never in force: it waits, was rejected, the tool is pinned, or its source offers another by now."""


class IndexedTool(Struct, frozen=True):
    """What sync must know of a row to decide about it."""

    id: int
    name: str
    source: str
    source_version: str
    fingerprint: bytes
    is_offered: bool
    is_pinned: bool = False
    is_held: bool = False
    withheld: tuple[bytes, ...] = ()
    """Fingerprints of what was offered and is not in force: it waits, was rejected, or the tool is pinned."""
    undecided: tuple[bytes, ...] = ()
    """Those of them that nobody has rejected."""


INDEXED = """
    id, name, source, source_version, fingerprint, is_offered, is_pinned, is_held, array(
        select v.fingerprint from tool_versions v
        where v.tool_id = tools.id and v.review in ('waiting', 'rejected', 'pinned')
    ) as withheld, array(
        select v.fingerprint from tool_versions v where v.tool_id = tools.id and v.review in ('waiting', 'pinned')
    ) as undecided
"""
_COMPUTED = {"kind": "t.implementation->>'kind' as kind"}
COLUMNS = ", ".join(_COMPUTED.get(name, f"t.{name}") for name in StoredTool.__struct_fields__)


class ToolRepository:
    """Reads and writes of the tools table and what belongs to it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_tools(self, wanted: ToolFilter, *, limit: int, offset: int) -> Page:
        """A page in the order of names, with the total even when the page lies behind the end."""
        condition, values = wanted.to_sql(3)
        rows = await self._database.fetch(
            f"""
            with page as (select {COLUMNS} from tools t where {condition} order by t.name limit $1 offset $2)
            select n.total, page.*
            from (select count(*) as total from tools t where {condition}) n left join page on true
            order by page.name
            """,
            limit,
            offset,
            *values,
        )
        return Page([to_tool(row) for row in rows if row["name"] is not None], rows[0]["total"])

    async def get_tool(
        self, name: str, *, active_only: bool = True, within: tuple[str, ...] | None = None
    ) -> StoredTool | None:
        """The tool with this name, if it is in one of some toolsets."""
        row = await self._database.fetch_row(
            f"select {COLUMNS} from tools t where t.name = $1 and (t.active or not $2) and {_is_within(3)}",
            name,
            active_only,
            within,
        )
        return to_tool(row) if row else None

    async def read_implementation(self, name: str) -> tuple[StoredTool, dict[str, Any] | None] | None:
        """The active tool with this name, and how it is run if that is stored."""
        row = await self._database.fetch_row(
            f"select {COLUMNS}, t.implementation from tools t where t.name = $1 and t.active", name
        )
        if row is None:
            return None
        given = row["implementation"]
        return to_tool(row), None if given is None else msgspec.json.decode(given, type=dict[str, Any])

    async def near_names(
        self, name: str, limit: int = 3, *, toolset_id: int | None = None, within: tuple[str, ...] | None = None
    ) -> list[str]:
        """Names of active tools that are spelled most like a wrong one, of those that share a word or a beginning."""
        in_toolset = "select m.tool_id from toolset_members m where m.toolset_id = $3"
        rows = await self._database.fetch(
            f"""
            with words as (select id from lexemes where lexeme = any($1::text[])), {hidden_tools()},
            near as (
                (select p.tool_id from words join postings p on p.lexeme_id = words.id
                 where {is_seen("p.tool_id")} and ($3::int is null or p.tool_id in ({in_toolset}))
                     and {_is_within(4, "p.tool_id")}
                 group by p.tool_id order by count(*) desc, sum(p.impact) desc limit {NEAR_NAMES})
                union
                (select t.id from tools t where t.name_key like $2 || '%' and t.active
                     and ($3::int is null or t.id in ({in_toolset})) and {_is_within(4)} limit {NEAR_NAMES})
            )
            select t.name from near join tools t on t.id = near.tool_id where t.active
            """,
            sorted(set(lexemes(split_name(name[:256])))),
            name_key(name)[:4],
            toolset_id,
            within,
        )
        return get_close_matches(name[:256], [row["name"] for row in rows], n=limit, cutoff=0.5)

    async def count_categories(self, *, within: tuple[str, ...] | None = None) -> list[tuple[str, int]]:
        """Categories of active tools and how many tools each has, largest first."""
        rows = await self._database.fetch(
            f"""
            select coalesce(t.category, 'uncategorized') as category, count(*) as tools
            from tools t where t.active and {_is_within(1)} group by 1 order by 2 desc, 1
            """,
            within,
        )
        return [(row["category"], row["tools"]) for row in rows]

    async def read_index(self, *, source_prefix: str = "", names: Sequence[str] = ()) -> list[IndexedTool]:
        """What is known of the tools of some sources, or with some names."""
        rows = await self._database.fetch(
            f"""
            select {INDEXED} from tools
            where ($1 <> '' and source like $1 || '%') or name = any($2::text[])
            """,
            source_prefix,
            list(names),
        )
        return [to_indexed(row) for row in rows]

    async def read_kept_out(self) -> frozenset[str]:
        """The tools that an operator has switched off, or has yet to approve: whoever offers them, nobody runs them."""
        rows = await self._database.fetch("select name from tools where is_switched_off or is_held")
        return frozenset(row["name"] for row in rows)

    async def read_imported_names(self, source: str) -> dict[str, str]:
        """The `metadata.id` of each tool of a source, with the tool's name."""
        rows = await self._database.fetch(
            "select metadata->>'id' as id, name from tools where source = $1 and metadata ? 'id'", source
        )
        return {row["id"]: row["name"] for row in rows}

    async def count_sources(self, prefix: str) -> dict[str, int]:
        """Sources that begin so, in the order of their names, and how many tools each has, active or not."""
        rows = await self._database.fetch(
            """
            select source, count(*) as tools from tools where starts_with(source, $1) group by source order by source
            """,
            prefix,
        )
        return {row["source"]: row["tools"] for row in rows}

    async def delete_source(self, source: str, *, caller: str = ANONYMOUS) -> int:
        """Delete the tools of a source with all that belongs to them, in one transaction; gives back how many.

        The history of calls stays: it names its tools in words.
        """
        async with self._database.lock(SYNC_LOCK), self._database.transaction() as connection:
            rows = await connection.fetch("delete from tools where source = $1 returning id, name", source)
            await replace_postings(connection, {row["id"]: {} for row in rows})
            if rows:
                names = sorted(row["name"] for row in rows)
                await record(connection, AuditEntry(caller, "source.deleted", "source", source, name_some(names)))
                await notify(connection, "tools")
        return len(rows)

    async def read_names(self) -> set[str]:
        """Every name that is taken, by active and inactive tools."""
        return {row["name"] for row in await self._database.fetch("select name from tools")}


def to_indexed(row: Mapping[str, Any]) -> IndexedTool:
    """A row of INDEXED."""
    fields = {name: row[name] for name in IndexedTool.__struct_fields__}
    return IndexedTool(**fields | {"withheld": tuple(row["withheld"]), "undecided": tuple(row["undecided"])})


async def write_tools(
    connection: Connection,
    definitions: Sequence[ToolDefinition],
    *,
    source: str,
    source_version: str,
    implementations: Mapping[str, Mapping[str, Any]] | None = None,
    are_held: bool = False,
) -> dict[str, int]:
    """Insert or replace tools by name, with their words and a new version of each; gives back their ids.

    All are active afterwards, but for those that an operator has switched off, and with `are_held` until an operator
    approves them. `implementations`, checked already, say by name how tools are run; one that has none is a
    description only.
    """
    if not definitions:
        return {}
    given = implementations or {}
    ids = await write_rows(
        connection,
        definitions,
        source=source,
        source_version=source_version,
        implementations=given,
        are_held=are_held,
    )
    await add_versions(connection, ids, definitions, given, review="waiting" if are_held else None)
    await notify(connection, "tools")
    return ids


async def write_rows(
    connection: Connection,
    definitions: Sequence[ToolDefinition],
    *,
    source: str,
    source_version: str,
    implementations: Mapping[str, Mapping[str, Any]],
    are_held: bool = False,
) -> dict[str, int]:
    """The same without a new version: for one that is there already, and gets in force."""
    rows = await connection.fetch(_UPSERT, *_columns(definitions, source, source_version, implementations), are_held)
    ids = {row["name"]: row["id"] for row in rows}
    await replace_postings(
        connection, {ids[definition.name]: impacts(lexical_fields(definition)) for definition in definitions}
    )
    return ids


async def add_versions(
    connection: Connection,
    ids: Mapping[str, int],
    definitions: Sequence[ToolDefinition],
    implementations: Mapping[str, Mapping[str, Any]],
    *,
    review: Review | None,
) -> None:
    """Keep a new version of each of these tools; with `review`, it is not in force."""
    await connection.execute(
        """
        insert into tool_versions (tool_id, number, definition, fingerprint, implementation, review)
        select n.tool_id, coalesce((select max(v.number) from tool_versions v where v.tool_id = n.tool_id), 0) + 1,
               n.definition, n.fingerprint, n.implementation, $5
        from unnest($1::int[], $2::json[], $3::bytea[], $4::json[]) as n
            (tool_id, definition, fingerprint, implementation)
        """,
        [ids[definition.name] for definition in definitions],
        list(definitions),
        [fingerprint(definition, implementations.get(definition.name)) for definition in definitions],
        [implementations.get(definition.name) for definition in definitions],
        review,
    )


async def withdraw_versions(connection: Connection, offered: Mapping[int, bytes]) -> None:
    """Let nothing of these tools wait, or be kept out by a pin, but what has the given fingerprint."""
    if offered:
        await connection.execute(
            """
            update tool_versions v set review = 'superseded'
            from unnest($1::int[], $2::bytea[]) o (tool_id, fingerprint)
            where v.tool_id = o.tool_id and v.fingerprint <> o.fingerprint and v.review in ('waiting', 'pinned')
            """,
            list(offered),
            list(offered.values()),
        )


async def set_active(connection: Connection, tool_ids: Sequence[int], *, active: bool) -> None:
    """Show or hide tools, as somebody offers them or nobody does; what an operator keeps out stays hidden.

    A hidden one keeps its index, so showing it again costs nothing.
    """
    if not tool_ids:
        return
    await connection.execute(
        """
        update tools set is_offered = $2, active = $2 and not is_switched_off and not is_held, updated_at = now()
        where id = any($1::int[])
        """,
        list(tool_ids),
        active,
    )
    await notify(connection, "tools")


_WRITTEN: Mapping[str, str] = {
    "name": "text",
    "name_key": "text",
    "name_lexemes": "text",
    "title": "text",
    "description": "text",
    "long_description": "text",
    "author": "text",
    "category": "text",
    "tags": "json",
    "examples": "json",
    "version": "text",
    "input_schema": "json",
    "output_schema": "json",
    "annotations": "json",
    "metadata": "jsonb",
    "timeout_seconds": "float8",
    "implementation": "json",
    "source": "text",
    "source_version": "text",
    "fingerprint": "bytea",
    "embedding_text": "text",
    "index_version": "smallint",
}
"""Columns and the type of the array that each travels in; tags are ragged, so they travel as JSON."""

_READ = {name: f"n.{name}" for name in _WRITTEN} | {
    "tags": "array(select json_array_elements_text(n.tags))",
}

_IS_HELD = f"${len(_WRITTEN) + 1}::bool"
_UPSERT = f"""
    insert into tools ({", ".join(_WRITTEN)}, is_held, active)
    select {", ".join(_READ.values())}, {_IS_HELD}, not {_IS_HELD}
    from unnest({", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_WRITTEN.values(), 1))})
    as n ({", ".join(_WRITTEN)})
    on conflict (name) do update
    set {", ".join(f"{name} = excluded.{name}" for name in _WRITTEN)}, is_offered = true, is_held = excluded.is_held,
        active = not tools.is_switched_off and not excluded.is_held, updated_at = now()
    returning id, name
"""


def indexed_columns(definition: ToolDefinition) -> tuple[str, str, str]:
    """What a row has for the search alone: name_key, name_lexemes and embedding_text."""
    name = original_name(definition)
    return name_key(name), name_lexemes(name), embedding_text(definition)


def _columns(
    definitions: Sequence[ToolDefinition],
    source: str,
    source_version: str,
    implementations: Mapping[str, Mapping[str, Any]],
) -> list[list[Any]]:
    indexed = [indexed_columns(definition) for definition in definitions]
    rows = [
        (
            definition.name,
            key,
            stems,
            definition.title,
            definition.description,
            definition.long_description,
            definition.author,
            definition.category,
            definition.tags,
            definition.examples,
            definition.version,
            definition.input_schema,
            definition.output_schema,
            definition.annotations,
            definition.metadata,
            definition.timeout_seconds,
            implementations.get(definition.name),
            source,
            source_version,
            fingerprint(definition, implementations.get(definition.name)),
            text,
            INDEX_VERSION,
        )
        for definition, (key, stems, text) in zip(definitions, indexed, strict=True)
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def to_tool(row: Mapping[str, Any]) -> StoredTool:
    """A row with COLUMNS as a tool."""
    return StoredTool(*(row[name] for name in StoredTool.__struct_fields__))


def to_definition(tool: StoredTool) -> ToolDefinition:
    """The definition inside a stored tool, read in full."""
    return msgspec.convert(msgspec.json.decode(msgspec.json.encode(tool)), ToolDefinition)
