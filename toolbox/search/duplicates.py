"""Tools that are there twice, or nearly so: an agent that sees both has to guess."""

from collections.abc import Callable

from msgspec import Struct

from toolbox.database import Database
from toolbox.index.embeddings import Model

BATCH = 200
NEIGHBOURS = 6


class Duplicate(Struct, frozen=True):
    """Two tools, and which share of their words (each weighed by how rare it is) they have in common."""

    name: str
    source: str
    other_name: str
    other_source: str
    likeness: float


async def find_duplicates(
    database: Database, model: Model, *, least: float, report: Callable[[int, int], None]
) -> list[Duplicate]:
    """Active tools that are alike, most alike first; `report` hears (done, total).

    The embeddings say which tools to compare, and their words decide: the share of common words means the same whatever
    the model, and sees the difference between "create a user" and "delete a user", which cosines hardly do.
    """
    total = await database.fetch_row("select count(*) as tools from embeddings where model_id = $1", model.id)
    statement, last, done, found = _statement(model), 0, 0, list[Duplicate]()
    while rows := await database.fetch(statement, last, least):
        last, done = rows[0]["last"], done + rows[0]["looked_at"]
        found += [Duplicate(*(row[field] for field in Duplicate.__struct_fields__)) for row in rows if row["name"]]
        report(done, total["tools"] if total else done)
    return sorted(set(found), key=lambda pair: (-pair.likeness, pair.name, pair.other_name))


def _statement(model: Model) -> str:
    """The pairs of one batch, beside where it ends; without pairs a single row that says so."""
    vector = f"embedding::halfvec({model.dimensions})"
    return f"""
        with batch as materialized (
            select e.tool_id, e.{vector} as vector from embeddings e
            where e.model_id = {model.id} and e.tool_id > $1 order by e.tool_id limit {BATCH}
        ),
        pairs as (
            select distinct least(b.tool_id, n.tool_id) as first, greatest(b.tool_id, n.tool_id) as second
            from batch b cross join lateral (
                select e.tool_id from embeddings e where e.model_id = {model.id}
                order by e.{vector} <=> b.vector limit {NEIGHBOURS}
            ) n where n.tool_id <> b.tool_id
        ),
        alike as (
            select p.first, p.second, (
                select sum(least(coalesce(a.impact, 0), coalesce(b.impact, 0)) * r.rarity)
                    / nullif(sum(greatest(coalesce(a.impact, 0), coalesce(b.impact, 0)) * r.rarity), 0)
                from (select lexeme_id, impact from postings where tool_id = p.first) a
                full join (select lexeme_id, impact from postings where tool_id = p.second) b using (lexeme_id)
                join lexemes l on l.id = lexeme_id and l.tools > 0 join lexemes n on n.lexeme = ''
                cross join lateral (select ln(1 + n.tools::float8 / l.tools) as rarity) r
            ) as likeness
            from pairs p
        )
        select s.last, s.looked_at, d.* from (select max(tool_id) as last, count(*) as looked_at from batch) s
        left join lateral (
            select f.name, f.source, o.name as other_name, o.source as other_source,
                round(a.likeness::numeric, 4)::float8 as likeness
            from alike a join tools f on f.id = a.first and f.active join tools o on o.id = a.second and o.active
            where a.likeness >= $2
        ) d on true
        where s.looked_at > 0
    """
