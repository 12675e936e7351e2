"""The search as one SQL statement: candidates by words, by meaning and by name, all scores of each, one order.

Which parts it has depends on the query; a variant's text is always the same, so that it is prepared once. The model's
id and dimension are literals: as parameters the planner could not use the model's index.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from pgvector import HalfVector

from toolbox.index.embeddings import Model
from toolbox.index.fields import name_key
from toolbox.index.lexemes import name_lexemes
from toolbox.search.ranking import (
    EXACT_NAME,
    EXPECTED_USE,
    LEAST_LIFT,
    NEAR_NAME,
    NEAR_USES,
    POWER_OF_VARIETY,
    QUORUM,
    SURE_SCORE,
    USE_HALF_LIFE_DAYS,
    Calibration,
    Ranking,
)
from toolbox.search.sieve import Sieve
from toolbox.tools.repository import COLUMNS, ToolFilter

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors

CANDIDATES = 100
MAX_NAMES = 100
"""Tools whose name is the query, and as many with its words in another order."""
MAX_USED_CANDIDATES = 20
"""Tools that are looked at because they were used for queries like this one, whatever else says of them."""
MAX_QUERY_LEXEMES = 24


class Wanted(Struct, frozen=True):
    """A query as it is searched: stems with their weights, vectors, and the same of each clause."""

    text: str
    corrected: str | None
    stems: Mapping[str, float]
    vector: "Vectors | None"
    clause_stems: Sequence[Sequence[str]]
    clause_vectors: Sequence["Vectors"]
    filter: ToolFilter
    vector_weight: float
    limit: int
    caller: str | None = None
    """For whom what was used counts; None: it does not."""
    explain: bool = False


class Statement(Struct, frozen=True):
    """SQL, and the values of its parameters."""

    sql: str
    values: list[Any]


class _Values:
    """Numbers parameters as they come."""

    def __init__(self) -> None:
        self.values = list[Any]()

    def add(self, value: Any, kind: str) -> str:
        self.values.append(value)
        return f"${len(self.values)}::{kind}"


def build_statement(wanted: Wanted, model: Model | None, ranking: Ranking) -> Statement:
    """The statement for a query; without a model (or a vector) by words alone."""
    values = _Values()
    model = model if wanted.vector is not None else None
    has_clauses = bool(wanted.clause_stems and ranking.clauses)
    has_uses = bool(model and wanted.caller is not None and ranking.uses)
    weight = values.add(wanted.vector_weight, "float8")
    sieve, filter_values = Sieve.of(wanted.filter, len(values.values) + 1)
    values.values.extend(filter_values)
    literal = values.add(wanted.text.strip() if ranking.names else "", "text")
    parts = [
        *sieve.tables(),
        _words(wanted, values),
        sieve.best_by_words(CANDIDATES),
        _by_vector(wanted, model, sieve, values),
        _by_name(wanted, ranking, literal, sieve, values),
        _by_use(wanted, model, sieve, values) if model and has_uses else "",
        _candidates(has_uses=has_uses),
        _hits(),
        _clause_hits(wanted, values) if has_clauses else "",
        _scored(wanted, model, has_clauses, has_uses, values),
        _fused(weight, ranking.clauses if has_clauses else 0, explain=wanted.explain),
        _lifted(ranking, explain=wanted.explain) if has_uses else _NOT_LIFTED,
    ]
    return Statement(
        f"""
        with {", ".join(part for part in parts if part)}
        select {COLUMNS}, f.*, {_CALIBRATION if model else _NO_CALIBRATION}
        from lifted f join tools t on t.id = f.tool_id {f"join models m on m.id = {model.id}" if model else ""}
        where {sieve.condition}
        order by f.name_match desc, t.name = {literal} desc,
            f.name_match = {EXACT_NAME} and {_is_original(literal)} desc, f.score desc, t.name
        limit {values.add(wanted.limit, "int")}
        """,
        values.values,
    )


_NOT_LIFTED = "lifted as (select fused.*, 0::float8 as lift, base as score from fused)"
_QUERY_MEAN, _QUERY_DEVIATION = 0.06, 0.08
"""Of the cosines between queries, until they are measured."""
_MEASURED = Calibration.__struct_fields__
_CALIBRATION = ", ".join(f"m.{name}" for name in _MEASURED)
_NO_CALIBRATION = ", ".join(f"null::float8 as {name}" for name in _MEASURED)


def _words(wanted: Wanted, values: _Values) -> str:
    """The stems that the catalogue knows, the rarest ones, with what each weighs."""
    stems = values.add(list(wanted.stems), "text[]")
    weights = values.add(list(wanted.stems.values()), "float8[]")
    return f"""
        words as materialized (
            select l.id, l.lexeme, l.tools, ({weights})[array_position({stems}, l.lexeme)]
                * ln(1 + (greatest(n.tools, l.tools) - l.tools + 0.5) / (l.tools + 0.5)) as weight
            from lexemes l, (select coalesce((select tools from lexemes where lexeme = ''), 0) as tools) n
            where l.lexeme = any({stems}) and l.tools > 0 order by l.tools limit {MAX_QUERY_LEXEMES}
        )"""


def _by_vector(wanted: Wanted, model: Model | None, sieve: Sieve, values: _Values) -> str:
    if model is None:
        return "by_vector as (select 0 as tool_id where false)"
    return sieve.nearest(model, values.add(wanted.vector, _vector_type(model)), str(CANDIDATES))


def _is_original(name: str) -> str:
    """Whether a tool was called so where it comes from: in its catalogue, or by its upstream."""
    return f"coalesce({name} in (t.metadata->>'original_name', t.metadata->>'tool'), false)"


def _by_name(wanted: Wanted, ranking: Ranking, literal: str, sieve: Sieve, values: _Values) -> str:
    """Tools whose name the query spells: 2 however it is written, 1 with its words in another order or corrected.

    A tool that was renamed has two: the one that it is called by, and the one that its source gave it.
    """
    texts = [wanted.text, *([wanted.corrected] if wanted.corrected else [])] if ranking.names else []
    exact = values.add(name_key(wanted.text)[:256] if texts else "", "text")
    near = values.add([key for text in texts if (key := name_lexemes(text))], "text[]")
    of_upstream = f"""
                union all
                (select t.id, {EXACT_NAME} from tools t
                 where t.metadata @> jsonb_build_object('tool', {literal}) and t.implementation->>'kind' = 'upstream'
                    and {sieve.condition} limit {MAX_NAMES})
    """
    may_be_name = not any(map(str.isspace, wanted.text.strip()))  # a request in words is not looked up as one
    return f"""
        by_name as materialized (
            select tool_id, max(name_match) as name_match from (
                (select t.id as tool_id, {EXACT_NAME} as name_match from tools t
                 where t.name = {literal} and {sieve.condition})
                union all
                (select t.id, {EXACT_NAME} from tools t
                 where t.name_key = {exact} and {exact} <> '' and {sieve.condition}
                 order by {_is_original(literal)} desc, t.name limit {MAX_NAMES})
                {of_upstream if may_be_name else ""}
                union all
                (select t.id, {NEAR_NAME} from tools t
                 where t.name_lexemes = any({near}) and {sieve.condition} limit {MAX_NAMES})
            ) named group by tool_id
        )"""


def _by_use(wanted: Wanted, model: Model, sieve: Sieve, values: _Values) -> str:
    """How near the query is to those for which a tool was used: by the caller, or by a quorum of callers.

    Of a caller's uses of a tool the mean counts, the more the less they are alike: then each is near the query for a
    reason of its own. Of the callers the second best counts: so nobody alone lifts a tool for others. With age a use
    becomes like one for any other query.
    """
    distance = f"e.embedding::halfvec({model.dimensions}) <=> {values.add(wanted.vector, _vector_type(model))}"
    caller = values.add(wanted.caller, "text")
    half_lives = f"extract(epoch from now() - u.created_at)::float8 / {USE_HALF_LIFE_DAYS * 86400}::float8"
    return f"""
        near_uses as materialized (
            select u.tool_id, u.caller, n.embedding,
                (1 - n.distance - {_measured(model, "query_mean", _QUERY_MEAN)})
                    * power(0.5::float8, {half_lives}) as likeness
            from (
                select e.use_id, e.embedding, {distance} as distance from use_embeddings e
                where e.model_id = {model.id} and {sieve.passes_use("e.use_id")} order by {distance} limit {NEAR_USES}
            ) n join uses u on u.id = n.use_id
        ),
        by_caller as (
            select tool_id, caller, count(*) as uses,
                avg(likeness) / power(greatest(l2_norm(avg(embedding)), 0.1), {POWER_OF_VARIETY}) as likeness
            from near_uses group by tool_id, caller
        ),
        by_use as materialized (
            select distinct on (tool_id) tool_id,
                likeness / {_measured(model, "query_deviation", _QUERY_DEVIATION)} as likeness,
                case when caller = {caller} then uses else callers end as uses
            from (
                select by_caller.*, row_number() over (partition by tool_id order by likeness desc) as nth,
                    count(*) over (partition by tool_id) as callers
                from by_caller
            ) ranked
            where caller = {caller} or nth = {QUORUM} order by tool_id, likeness desc
        )"""


def _measured(model: Model, column: str, otherwise: float) -> str:
    return f"coalesce((select nullif({column}, 0) from models where id = {model.id}), {otherwise})"


def _candidates(*, has_uses: bool) -> str:
    parts = [f"select tool_id from {source}" for source in ("by_words", "by_vector", "by_name")]
    if has_uses:
        parts.append(f"(select tool_id from by_use order by likeness desc limit {MAX_USED_CANDIDATES})")
    return f"candidates as ({' union '.join(parts)})"


def _hits() -> str:
    # Without OFFSET 0 the planner joins all postings of the words, which are the more the larger the catalogue is.
    return """
        hits as materialized (
            select c.tool_id, words.id, words.lexeme, p.impact * words.weight as score
            from candidates c
            cross join lateral (
                select lexeme_id, impact from postings
                where tool_id = c.tool_id and lexeme_id = any(array(select id from words)) offset 0
            ) p
            join words on words.id = p.lexeme_id
        )"""


def _clause_hits(wanted: Wanted, values: _Values) -> str:
    pairs = [(number, stem) for number, stems in enumerate(wanted.clause_stems) for stem in set(stems)]
    numbers = values.add([number for number, _ in pairs], "int[]")
    stems = values.add([stem for _, stem in pairs], "text[]")
    return f"""
        clause_hits as materialized (
            select tool_id, max(score) as score from (
                select h.tool_id, sum(h.score) as score
                from unnest({numbers}, {stems}) as k (clause, lexeme) join hits h on h.lexeme = k.lexeme
                group by h.tool_id, k.clause
            ) by_clause group by tool_id
        )"""


def _scored(wanted: Wanted, model: Model | None, has_clauses: bool, has_uses: bool, values: _Values) -> str:
    cosine, clause_cosine = "null::float8", "null::float8"
    if model:
        vector = values.add(wanted.vector, _vector_type(model))
        cosine = _cosine(model, f"(select {vector} as vector)")
        if has_clauses:
            vectors = values.add([HalfVector(vector) for vector in wanted.clause_vectors], "halfvec[]")
            clause_cosine = _cosine(model, f"unnest({vectors})")
    clause_columns = f", {clause_cosine} as clause_cosine, coalesce(k.score, 0) as clause_text" if has_clauses else ""
    use_columns = ", b.likeness as use_likeness, b.uses" if has_uses else ""
    return f"""
        scored as materialized (
            select c.tool_id, {cosine} as cosine, coalesce(h.score, 0) as text_score {clause_columns},
                coalesce(n.name_match, 0) as name_match {use_columns}
            from candidates c
            left join (select tool_id, sum(score) as score from hits group by tool_id) h on h.tool_id = c.tool_id
            {"left join clause_hits k on k.tool_id = c.tool_id" if has_clauses else ""}
            left join by_name n on n.tool_id = c.tool_id
            {"left join by_use b on b.tool_id = c.tool_id" if has_uses else ""}
        )"""


def _cosine(model: Model, vectors: str) -> str:
    """The best cosine of a candidate to some vectors."""
    return f"""(
        select max(1 - (e.embedding::halfvec({model.dimensions}) <=> v.vector::halfvec({model.dimensions})))
        from embeddings e, {vectors} as v (vector) where e.tool_id = c.tool_id and e.model_id = {model.id}
    )"""


def _fused(weight: str, clauses: float, *, explain: bool) -> str:
    stages = _stages(weight, clauses)
    return f"""
        fused as materialized (
            select scored.*, {" + ".join(f"{share} * {_z(column)}" for column, share in stages.items())} as base
                {_explained(stages) if explain else ""}
            from scored
        )"""


def _stages(weight: str, clauses: float) -> dict[str, str]:
    """What each score weighs. A whole query and its best clause weigh as much together as one without clauses."""
    whole, part = 1 / (1 + clauses), clauses / (1 + clauses)
    stages = {"cosine": f"{whole} * {weight}", "text_score": f"{whole} * (1 - {weight})"}
    if clauses:
        stages |= {"clause_cosine": f"{part} * {weight}", "clause_text": f"{part} * (1 - {weight})"}
    return stages


def _lifted(ranking: Ranking, *, explain: bool) -> str:
    """What use says beyond what the score lets expect; nothing of a tool that was not used."""
    beyond = f"use_likeness - {EXPECTED_USE} - greatest(base, 0)"
    share = f"{ranking.uses} * uses / (uses + 2.0) * exp(- greatest(base, 0) / {SURE_SCORE})"
    lift = f"greatest({LEAST_LIFT}, {share} * ({beyond}))"
    explained = (
        ", use_likeness as use_score, lift as use_adds, rank() over (order by use_likeness desc nulls last) as use_rank"
    )
    return f"""
        lifted as materialized (
            select l.*, l.base + l.lift as score {explained if explain else ""} from (
                select fused.*, case when use_likeness is null then 0 else {lift} end as lift from fused
            ) l
        )"""


def _z(column: str) -> str:
    return f"coalesce(({column} - avg({column}) over ()) / nullif(stddev_pop({column}) over (), 0), 0)"


def _explained(stages: Mapping[str, str]) -> str:
    """What each stage adds, and the rank it would give."""
    columns = [
        f"{column} as {column}_score, {share} * {_z(column)} as {column}_adds, "
        f"rank() over (order by {column} desc nulls last) as {column}_rank"
        for column, share in stages.items()
    ]
    matched = (
        "(select json_object_agg(h.lexeme, round(h.score::numeric, 3) order by h.score desc) "
        "from hits h where h.tool_id = scored.tool_id) as matched"
    )
    return ", " + ", ".join([*columns, matched])


def _vector_type(model: Model) -> str:
    return f"halfvec({model.dimensions})"
