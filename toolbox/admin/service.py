"""Figures that cross domains, computed by PostgreSQL."""

import msgspec

from toolbox.admin.schemas import ToolCounts
from toolbox.database import Database


async def count_tools(database: Database, model_name: str | None) -> tuple[ToolCounts, int]:
    """Counts of tools, and of categories, in one round trip."""
    row = await database.fetch_row(
        """
        with by_source as (
            select source, count(*) filter (where active) as active, count(*) as tools from tools group by source
        )
        select coalesce(sum(active), 0)::int as active, coalesce(sum(tools - active), 0)::int as inactive,
            coalesce(json_object_agg(source, active order by source) filter (where active > 0), '{}') as by_source,
            (select count(*)::int from (select from tools where active group by coalesce(category, 'uncategorized')) c)
                as categories,
            (select count(*)::int from embeddings e join models m on m.id = e.model_id join tools t on t.id = e.tool_id
             where m.name = $1 and t.active) as embedded
        from by_source
        """,
        model_name,
    )
    assert row is not None  # noqa: S101 - an aggregate always has a row
    counts = ToolCounts(row["active"], row["inactive"], row["embedded"], msgspec.json.decode(row["by_source"]))
    return counts, row["categories"]
