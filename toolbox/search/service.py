"""find: one query, one database round trip, matches best first.

Vector search alone misses names and rare words, word search alone misses meaning. So both give their hundred best
candidates, both scores are computed for all of these, and the sum of the z-scores decides.
"""

from typing import Any

import numpy
import structlog
from msgspec import Struct

from toolbox.database import Database
from toolbox.embeddings.base import Embedder
from toolbox.errors import EmbeddingError, NotFound, ToolNotFound
from toolbox.index.embeddings import Model
from toolbox.index.fields import name_key, split_name
from toolbox.index.lexemes import lexemes
from toolbox.search.ranking import EXACT_NAME, NEAR_NAME, Scores, similarities
from toolbox.tools.repository import COLUMNS, StoredTool, ToolFilter, ToolRepository, to_tool

logger = structlog.get_logger(__name__)

CANDIDATES = 100
MAX_QUERY_LEXEMES = 24
MAX_POSTINGS = 1000
"""Best tools that one word can bring in; a word in more tools than this says little."""


class SearchQuery(Struct, frozen=True):
    """What to find. `vector_weight` is the share of meaning against words."""

    text: str
    limit: int
    threshold: float | None = None
    filter: ToolFilter = ToolFilter()
    use_hybrid: bool = True
    vector_weight: float = 0.6


class ToolMatch(Struct, frozen=True):
    """A tool that was found."""

    tool: StoredTool
    similarity: float


class SearchResult(Struct, frozen=True):
    """Matches, best first; `is_degraded` when the embedder failed and words alone were searched."""

    matches: list[ToolMatch]
    is_degraded: bool = False


class SearchService:
    """Searches the catalogue. Without an embedder it searches by words."""

    def __init__(self, database: Database, embed: tuple[Model, Embedder] | None) -> None:
        self._database = database
        self._repository = ToolRepository(database)
        self._embed = embed

    @property
    def model_name(self) -> str | None:
        """The embedding model that is searched with."""
        return self._embed[0].name if self._embed else None

    async def find_tools(self, query: SearchQuery) -> SearchResult:
        """Search.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        vector, is_degraded = await self._embed_query(query.text)
        words = sorted(set(lexemes(split_name(query.text)))) if query.use_hybrid or vector is None else []
        rows = await self._search(query, words, vector)
        return SearchResult(_to_matches(rows, query), is_degraded)

    async def find_similar(self, name: str, limit: int) -> list[ToolMatch]:
        """Tools whose texts mean what this one's do, most alike first; none while the tool waits for its embedding.

        Raises:
            ToolNotFound: No active tool has this name.
            NotFound: There is no embedding model.
        """
        if self._embed is None:
            raise NotFound("there is no embedding model here, so nothing can be compared")
        model, _ = self._embed
        vector_type = f"halfvec({model.dimensions})"
        rows = await self._database.fetch(
            f"""
            with origin as (
                select e.tool_id, e.embedding::{vector_type} as embedding
                from tools t join embeddings e on e.tool_id = t.id and e.model_id = {model.id}
                where t.name = $1 and t.active
            ), near as materialized (
                select e.tool_id, 1 - (e.embedding::{vector_type} <=> (select embedding from origin)) as cosine
                from embeddings e
                where e.model_id = {model.id} and exists (select from origin)
                order by e.embedding::{vector_type} <=> (select embedding from origin) limit $2 + 20
            )
            select {COLUMNS}, near.cosine
            from near join tools t on t.id = near.tool_id
            where t.active and t.name <> $1 order by near.cosine desc, t.name limit $2
            """,
            name,
            limit,
        )
        if not rows and await self._repository.get_tool(name) is None:
            raise ToolNotFound(name, await self._repository.near_names(name))
        return [ToolMatch(to_tool(row), round(min(max(row["cosine"], 0.0), 1.0), 4)) for row in rows]

    async def _embed_query(self, text: str) -> tuple[numpy.ndarray | None, bool]:
        if self._embed is None:
            return None, False
        try:
            return (await self._embed[1].embed([text], "query"))[0], False
        except EmbeddingError as error:
            logger.warning("search goes on by words alone", reason=error.message)
            return None, True

    async def _search(self, query: SearchQuery, words: list[str], vector: numpy.ndarray | None) -> list[Any]:
        condition, values = query.filter.to_sql(7)
        model = self._embed[0] if self._embed and vector is not None else None
        statement = _statement(model, condition if query.filter.is_selective else None, condition)
        arguments = (
            words,
            name_key(query.text)[:256],
            " ".join(words)[:1024],
            query.vector_weight,
            query.limit,
            vector,
            *values,
        )
        return await self._database.fetch(statement, *arguments)


def _statement(model: Model | None, selective: str | None, condition: str) -> str:
    """The search as one statement.

    The model's id and dimension are literals: as parameters the planner could not use the model's index. With a filter
    that few tools may pass, candidates come from the matching tools themselves, so that none is cut off before it.
    """
    join = "join eligible on eligible.id = " if selective else ""
    if model:
        distance = f"e.embedding::halfvec({model.dimensions}) <=> $6::halfvec({model.dimensions})"
        nearest = f"""
            select e.tool_id from embeddings e {join and join + "e.tool_id"}
            where e.model_id = {model.id} order by {distance} limit {CANDIDATES}"""
        cosine = f"(select 1 - ({distance}) from embeddings e where e.tool_id = c.tool_id and e.model_id = {model.id})"
    else:
        nearest, cosine = "select 0 as tool_id where $6::halfvec is not null and false", "null::float8"
    most = "" if selective else f"order by p.impact desc limit {MAX_POSTINGS}"
    eligible = f"eligible as materialized (select t.id from tools t where {selective})," if selective else ""
    return f"""
        with {eligible}
        words as materialized (
            select l.id, ln(1 + (n.tools - l.tools + 0.5) / (l.tools + 0.5)) as idf
            from lexemes l, (select greatest(count(*), 1) as tools from tools) n
            where l.lexeme = any($1::text[]) and l.tools > 0 order by l.tools limit {MAX_QUERY_LEXEMES}
        ),
        by_words as materialized (
            select p.tool_id from words cross join lateral (
                select p.tool_id, p.impact from postings p {join and join + "p.tool_id"}
                where p.lexeme_id = words.id {most}
            ) p
            group by p.tool_id order by sum(p.impact * words.idf) desc limit {CANDIDATES}
        ),
        by_vector as materialized ({nearest}),
        by_name as (
            (select id as tool_id from tools where name_key = $2 and $2 <> '' limit 10)
            union all
            (select id from tools where name_lexemes = $3 and $3 <> '' limit 10)
        ),
        candidates as (
            select tool_id from by_words union select tool_id from by_vector union select tool_id from by_name
        ),
        scored as materialized (
            select c.tool_id, {cosine} as cosine,
                coalesce((
                    select sum(p.impact * words.idf) from words
                    join postings p on p.tool_id = c.tool_id and p.lexeme_id = words.id
                ), 0) as text_score
            from candidates c
        ),
        fused as (
            select tool_id, cosine, text_score,
                $4::float8 * coalesce((cosine - avg(cosine) over ()) / nullif(stddev_pop(cosine) over (), 0), 0)
                + (1 - $4::float8) * coalesce(
                    (text_score - avg(text_score) over ()) / nullif(stddev_pop(text_score) over (), 0), 0
                ) as score
            from scored
        )
        select {COLUMNS}, f.cosine, f.text_score,
            case when t.name_key = $2 and $2 <> '' then {EXACT_NAME}
                 when t.name_lexemes = $3 and $3 <> '' then {NEAR_NAME} else 0 end as name_match
        from fused f join tools t on t.id = f.tool_id
        where {condition}
        order by name_match desc, f.score desc, t.name limit $5
    """


def _to_matches(rows: list[Any], query: SearchQuery) -> list[ToolMatch]:
    ranked = [Scores(row["cosine"], row["text_score"], row["name_match"]) for row in rows]
    matches = [ToolMatch(to_tool(row), similarity) for row, similarity in zip(rows, similarities(ranked), strict=True)]
    return [match for match in matches if query.threshold is None or match.similarity >= query.threshold]
