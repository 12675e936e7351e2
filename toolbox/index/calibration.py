"""What a score is worth: how near the best tool of this catalogue comes to requests of every kind.

A cosine of 0.4 is a good match for one model and a poor one for another, and in a large catalogue something always
comes near. So after a catalogue was filled, the best cosine and the best BM25 score for generic requests are measured;
their mean and deviation are kept with the model, and search reads its own scores in them (`toolbox.search.ranking`).
"""

from typing import TYPE_CHECKING, Protocol

import numpy
from pgvector import HalfVector

from toolbox.database import Database
from toolbox.embeddings.base import Embedder
from toolbox.index.generic_queries import GENERIC_QUERIES
from toolbox.index.hidden import hidden_tools, is_seen
from toolbox.index.lexemes import lexemes

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors

MAX_POSTINGS = 1000
TOLERATED_CHANGE = 0.1
"""A catalogue that has grown or shrunk by less is as it was measured."""


class CalibratedModel(Protocol):
    """What is needed of a model here."""

    @property
    def id(self) -> int:
        """Its row."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of its vectors."""
        ...


async def calibrate(database: Database, model: CalibratedModel, embedder: Embedder) -> bool:
    """Measure, if the catalogue is another one than when it was last measured; say whether it was.

    Raises:
        EmbeddingError: The embedder failed; the last measurement stays.
    """
    if not await _is_due(database, model):
        return False
    vectors = await _generic_vectors(embedder)
    likeness = _likeness(vectors)
    stems = [(number, stem) for number, text in enumerate(GENERIC_QUERIES) for stem in set(lexemes(text))]
    await database.execute(
        _measurement(model),
        list(range(len(GENERIC_QUERIES))),
        [HalfVector(vector) for vector in vectors],
        [number for number, _ in stems],
        [stem for _, stem in stems],
        float(likeness.mean()),
        float(likeness.std()),
    )
    return True


def _likeness(vectors: "Vectors") -> "Vectors":
    """The cosines between requests that have nothing to do with each other."""
    matrix = numpy.asarray(vectors)
    cosines: Vectors = (matrix @ matrix.T)[numpy.triu_indices(len(matrix), 1)]
    return cosines


async def _is_due(database: Database, model: CalibratedModel) -> bool:
    row = await database.fetch_row(
        """
        select m.calibrated_tools as then, (
            select count(*) from embeddings e join tools t on t.id = e.tool_id and t.active where e.model_id = m.id
        ) as now
        from models m where m.id = $1
        """,
        model.id,
    )
    if row is None or not row["now"]:
        return False
    return row["then"] is None or abs(row["now"] - row["then"]) > TOLERATED_CHANGE * row["then"]


_VECTORS = dict[str, "Vectors"]()


async def _generic_vectors(embedder: Embedder) -> "Vectors":
    """Their vectors never change, so one process embeds them once per model."""
    if embedder.name not in _VECTORS:
        _VECTORS[embedder.name] = await embedder.embed(GENERIC_QUERIES, "query")
    return _VECTORS[embedder.name]


def _measurement(model: CalibratedModel) -> str:
    """One statement; the model's id and dimension are literals, so that its index is used."""
    distance = f"e.embedding::halfvec({model.dimensions}) <=> p.vector::halfvec({model.dimensions})"
    return f"""
        with {hidden_tools()}, by_vector as (
            select p.number, (
                select 1 - ({distance}) from embeddings e where e.model_id = {model.id} and {is_seen("e.tool_id")}
                order by {distance} limit 1
            ) as score
            from unnest($1::int[], $2::halfvec[]) as p (number, vector)
        ),
        stems as materialized (
            select g.number, l.id, ln(1 + (n.tools - l.tools + 0.5) / (l.tools + 0.5)) as idf
            from unnest($3::int[], $4::text[]) as g (number, stem)
            join lexemes l on l.lexeme = g.stem and l.tools > 0 join lexemes n on n.lexeme = ''
        ),
        by_tool as (
            select s.number, p.tool_id, sum(p.impact * s.idf) as score
            from stems s cross join lateral (
                select tool_id, impact from postings where lexeme_id = s.id and {is_seen("tool_id")}
                order by impact desc limit {MAX_POSTINGS}
            ) p
            group by s.number, p.tool_id
        ),
        by_words as (
            select g.number, coalesce(max(t.score), 0) as score
            from unnest($1::int[]) as g (number) left join by_tool t on t.number = g.number group by g.number
        )
        update models set
            calibrated_tools = (
                select count(*) from embeddings e join tools t on t.id = e.tool_id and t.active
                where e.model_id = {model.id}
            ),
            cosine_mean = v.mean, cosine_deviation = v.deviation, text_mean = w.mean, text_deviation = w.deviation,
            query_mean = $5, query_deviation = $6
        from (select avg(score) as mean, stddev_pop(score) as deviation from by_vector) v,
             (select avg(score) as mean, stddev_pop(score) as deviation from by_words) w
        where id = {model.id}
    """
