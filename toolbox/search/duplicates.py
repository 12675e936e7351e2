"""Tools that are there twice, or nearly so: an agent that sees both has to guess."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec
from msgspec import Struct

from toolbox.database import Database
from toolbox.index.embeddings import Model
from toolbox.index.fields import parameter_names, split_name
from toolbox.index.hidden import hidden_tools, is_seen
from toolbox.index.lexemes import lexemes

BATCH = 200
NEIGHBOURS = 7
"""The tool itself and six more."""
LEAST_COMMON, MOST_COMMON = 0.3, 0.8
"""How alike neighbours of a catalogue are held to be by nature, whatever their cosines."""
WEIGHTS = {"description": 0.6, "meaning": 0.25, "parameters": 0.15}

_SAME = {
    "get": "get retriev fetch return show read view obtain",
    "creat": "creat add make insert",
    "delet": "delet remov destroy",
    "updat": "updat edit modifi chang",
    "list": "list enumer",
    "search": "search find look queri",
}
_VERBS = {stem: verb for verb, stems in _SAME.items() for stem in stems.split()}


class Duplicate(Struct, frozen=True):
    """Two tools, and how alike they are: 1 where nothing tells them apart but their names."""

    name: str
    source: str
    other_name: str
    other_source: str
    likeness: float


class Rarity:
    """What a stem says: the less, the more tools hold it."""

    def __init__(self, tools: Mapping[str, int]) -> None:
        self._tools = tools
        self._total = max(tools.get("", 0), 1)

    def share(self, first: Sequence[str], second: Sequence[str]) -> float | None:
        """The share of their stems that both have, each weighed by how rare it is; None where there are none."""
        one, other = set(first), set(second)
        if not (every := sum(map(self._of, one | other))):
            return None
        return sum(map(self._of, one & other)) / every

    def _of(self, stem: str) -> float:
        return math.log(1 + self._total / max(self._tools.get(stem, 1), 1))


async def find_duplicates(
    database: Database, model: Model, *, least: float, report: Callable[[int, int], None]
) -> list[Duplicate]:
    """Active tools that are alike, most alike first; `report` hears (done, total).

    The embeddings say which tools to compare, and what these say decides: the share of common words means the same
    whatever the model, and sees the difference between "create a user" and "delete a user", which cosines hardly do.
    """
    total = await database.fetch_row(
        "select count(*) as tools from embeddings e join tools t on t.id = e.tool_id and t.active where model_id = $1",
        model.id,
    )
    rows = await database.fetch("select lexeme, tools from lexemes where tools > 0")
    rarity = Rarity({row["lexeme"]: row["tools"] for row in rows})
    statement, last, done, found = _statement(model), 0, 0, set[Duplicate]()
    while rows := await database.fetch(statement, last):
        last, done = rows[0]["last"], done + rows[0]["looked_at"]
        pairs = [row for row in rows if row["name"]]
        common = common_likeness([row["farthest"] for row in pairs])
        alike = [to_duplicate(row, rarity, common) for row in pairs]
        found.update(pair for pair in alike if pair.likeness >= least)
        report(done, total["tools"] if total else done)
    return sorted(found, key=lambda pair: (-pair.likeness, pair.name, pair.other_name))


def common_likeness(cosines: Sequence[float]) -> float:
    """How alike a tool's neighbours are anyway: the cosine of the farthest one that is looked at, of most tools."""
    return min(max(median(cosines), LEAST_COMMON), MOST_COMMON) if cosines else LEAST_COMMON


def to_duplicate(pair: Mapping[str, Any], rarity: Rarity, common: float) -> Duplicate:
    """How alike two tools are: by all their words, or by what they say, mean and take, whatever they are called."""
    descriptions = rarity.share(said(pair["description"]), said(pair["other_description"]))
    parameters = rarity.share(taken(pair["input_schema"]), taken(pair["other_input_schema"]))
    told = {
        "description": descriptions or 0.0,
        "meaning": max(0.0, (pair["cosine"] - common) / (1 - common)),
        **({} if parameters is None else {"parameters": parameters}),
    }
    whole = sum(WEIGHTS[part] * share for part, share in told.items()) / sum(WEIGHTS[part] for part in told)
    likeness = round(min(max(whole, pair["words"] or 0.0), 1.0), 4)
    return Duplicate(pair["name"], pair["source"], pair["other_name"], pair["other_source"], likeness)


def said(description: str) -> list[str]:
    """The stems of a description; verbs that say the same are one."""
    return [_VERBS.get(stem, stem) for stem in lexemes(description)]


def taken(input_schema: Any) -> list[str]:
    """The stems of the names of parameters."""
    schema = msgspec.json.decode(input_schema)
    return [stem for name in parameter_names(schema) for stem in lexemes(split_name(name))]


def _statement(model: Model) -> str:
    """The pairs of one batch, beside where it ends; without pairs a single row that says so."""
    vector = f"embedding::halfvec({model.dimensions})"
    return f"""
        with {hidden_tools()}, batch as materialized (
            select e.tool_id, e.{vector} as vector from embeddings e
            where e.model_id = {model.id} and e.tool_id > $1 and {is_seen("e.tool_id")} order by e.tool_id limit {BATCH}
        ),
        near as materialized (
            select b.tool_id, n.tool_id as other_id, n.cosine, min(n.cosine) over (partition by b.tool_id) as farthest
            from batch b cross join lateral (
                select e.tool_id, 1 - (e.{vector} <=> b.vector) as cosine from embeddings e
                where e.model_id = {model.id} and {is_seen("e.tool_id")}
                order by e.{vector} <=> b.vector limit {NEIGHBOURS}
            ) n where n.tool_id <> b.tool_id
        ),
        pairs as (
            select least(tool_id, other_id) as first, greatest(tool_id, other_id) as second, max(cosine) as cosine,
                min(farthest) as farthest
            from near group by 1, 2
        ),
        alike as (
            select p.*, (
                select sum(least(coalesce(a.impact, 0), coalesce(b.impact, 0)) * r.rarity)
                    / nullif(sum(greatest(coalesce(a.impact, 0), coalesce(b.impact, 0)) * r.rarity), 0)
                from (select lexeme_id, impact from postings where tool_id = p.first) a
                full join (select lexeme_id, impact from postings where tool_id = p.second) b using (lexeme_id)
                join lexemes l on l.id = lexeme_id and l.tools > 0 join lexemes n on n.lexeme = ''
                cross join lateral (select ln(1 + n.tools::float8 / l.tools) as rarity) r
            ) as words
            from pairs p
        )
        select s.last, s.looked_at, d.* from (select max(tool_id) as last, count(*) as looked_at from batch) s
        left join lateral (
            select f.name, f.source, f.description, f.input_schema::text as input_schema, o.name as other_name,
                o.source as other_source, o.description as other_description,
                o.input_schema::text as other_input_schema, a.cosine, a.farthest, a.words
            from alike a join tools f on f.id = a.first and f.active join tools o on o.id = a.second and o.active
        ) d on true
        where s.looked_at > 0
    """
