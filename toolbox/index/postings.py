"""BM25 postings in PostgreSQL: which stems stand in which tools, and how much each says."""

from collections import Counter
from collections.abc import Mapping

from toolbox.database import Connection
from toolbox.index.spellings import add_spellings

EVERY_TOOL = ""
"""The empty stem: it stands in every tool and says nothing, so its count is that of the tools."""


async def replace_postings(connection: Connection, impacts: Mapping[int, Mapping[str, float]]) -> None:
    """Make these the stems of these tools (id -> stem -> impact); a tool without stems is one that is gone.

    `lexemes.tools` counts along, in the same transaction. Stems are written in order, so that two writers
    wait for each other instead of locking each other out.
    """
    removed = await _remove(connection, list(impacts))
    impacts = {tool: {**stems, EVERY_TOOL: 0.0} for tool, stems in impacts.items() if stems}
    added = Counter(stem for stems in impacts.values() for stem in stems)
    ids = await _count(connection, added, removed)
    await connection.copy_records_to_table(
        "postings",
        columns=["tool_id", "lexeme_id", "impact"],
        records=[(tool, ids[stem], impact) for tool, stems in impacts.items() for stem, impact in stems.items()],
    )
    await add_spellings(connection, list(impacts))


async def _remove(connection: Connection, tool_ids: list[int]) -> Counter[str]:
    rows = await connection.fetch(
        """
        with gone as (delete from postings where tool_id = any($1::int[]) returning lexeme_id)
        select lexeme, count(*) as tools from gone join lexemes on lexemes.id = gone.lexeme_id group by lexeme
        """,
        tool_ids,
    )
    return Counter({row["lexeme"]: row["tools"] for row in rows})


async def _count(connection: Connection, added: Counter[str], removed: Counter[str]) -> dict[str, int]:
    stems = sorted({*added, *removed})
    rows = await connection.fetch(
        """
        insert into lexemes as l (lexeme, tools)
        select * from unnest($1::text[], $2::int[])
        on conflict (lexeme) do update set tools = l.tools + excluded.tools
        returning lexeme, id
        """,
        stems,
        [added[stem] - removed[stem] for stem in stems],
    )
    return {row["lexeme"]: row["id"] for row in rows}
