"""Making the index anew: what is searched of a tool, from its definition, when the way to make it has changed.

Nothing is searched worse meanwhile: each tool keeps what it has until it gets what is new. Whoever goes on after a kill
goes on where it was.
"""

from typing import Any

from toolbox.database import SYNC_LOCK, Connection, Database
from toolbox.definitions import ToolDefinition
from toolbox.errors import ToolNotFound
from toolbox.index.fields import INDEX_VERSION, lexical_fields
from toolbox.index.lexemes import impacts
from toolbox.index.postings import replace_postings
from toolbox.tools.repository import COLUMNS, ToolRepository, indexed_columns, to_definition, to_tool

REINDEX = "reindex"
"""The kind of the job that does it."""
BATCH = 500
"""Tools indexed and committed at once."""


async def count_outdated(database: Database) -> int:
    """How many tools were indexed by an earlier version, or are marked."""
    row = await database.fetch_row("select count(*) as tools from tools where index_version < $1", INDEX_VERSION)
    return int(row["tools"]) if row else 0


async def mark_for_reindex(database: Database, name: str | None = None) -> int:
    """Have all tools, or one, indexed and embedded anew; gives back how many.

    Raises:
        ToolNotFound: No active tool has this name.
    """
    async with database.transaction() as connection:
        rows = await connection.fetch(
            "update tools set index_version = 0 where $1::text is null or (name = $1 and active) returning id", name
        )
        await connection.execute(
            "update embeddings set text_hash = '' where tool_id = any($1)", [row["id"] for row in rows]
        )
    if name is not None and not rows:
        raise ToolNotFound(name, await ToolRepository(database).near_names(name))
    return len(rows)


async def reindex_outdated(database: Database) -> int:
    """Index all tools anew that are due, batch by batch; gives back how many. Embeddings are made by the next sync."""
    total, done = 0, BATCH
    while done == BATCH:
        async with database.lock(SYNC_LOCK), database.transaction() as connection:
            done = await _reindex_batch(connection)
        total += done
    return total


async def _reindex_batch(connection: Connection) -> int:
    rows = await connection.fetch(
        f"select {COLUMNS} from tools t where t.index_version < $1 order by t.id limit {BATCH}", INDEX_VERSION
    )
    if not rows:
        return 0
    definitions = {row["id"]: to_definition(to_tool(row)) for row in rows}
    await connection.execute(
        """
        update tools t set name_key = n.name_key, name_lexemes = n.name_lexemes, embedding_text = n.embedding_text,
            index_version = $5
        from unnest($1::int[], $2::text[], $3::text[], $4::text[]) as n (id, name_key, name_lexemes, embedding_text)
        where t.id = n.id
        """,
        list(definitions),
        *_columns(list(definitions.values())),
        INDEX_VERSION,
    )
    await replace_postings(
        connection, {tool_id: impacts(lexical_fields(definition)) for tool_id, definition in definitions.items()}
    )
    return len(rows)


def _columns(definitions: list[ToolDefinition]) -> list[list[Any]]:
    return [list(column) for column in zip(*map(indexed_columns, definitions), strict=True)]
