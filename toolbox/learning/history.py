"""What was used, read as queries with known answers."""

from typing import NamedTuple

from toolbox.database import Database


class UsedQuery(NamedTuple):
    """A query, and the names of the tools that somebody called with success after it."""

    text: str
    tools: frozenset[str]


async def read_used_queries(database: Database) -> list[UsedQuery]:
    """Every query after which an active tool was used, oldest first."""
    rows = await database.fetch(
        """
        select u.query, array_agg(distinct t.name) as names
        from uses u join tools t on t.id = u.tool_id and t.active group by u.query order by min(u.id)
        """
    )
    return [UsedQuery(row["query"], frozenset(row["names"])) for row in rows]
