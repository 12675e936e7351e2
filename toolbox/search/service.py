"""find: one query, one database round trip, matches best first.

Vector search alone misses names and rare words, word search alone misses meaning. So both give their hundred best
candidates, both scores are computed for all of these, and the sum of the z-scores decides (docs/search.md).
"""

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy
import structlog
from msgspec import Struct

from toolbox.database import Database
from toolbox.embeddings.base import Embedder, known_words
from toolbox.errors import EmbeddingError, NotFound, ToolNotFound
from toolbox.index.embeddings import Model
from toolbox.index.fields import split_name
from toolbox.index.lexemes import lexemes
from toolbox.learning.recorder import UseRecorder
from toolbox.metrics import SEARCH_SECONDS, SEARCHES
from toolbox.search.clauses import split_clauses
from toolbox.search.duplicates import Duplicate, find_duplicates
from toolbox.search.explanation import Explanation, Searched, explain
from toolbox.search.ranking import Calibration, Ranking, Scores, similarities
from toolbox.search.savings import Savings
from toolbox.search.sieve import Sieve
from toolbox.search.spelling import Spelling, correct
from toolbox.search.statement import Wanted, build_statement
from toolbox.telemetry import span
from toolbox.tools.repository import COLUMNS, StoredTool, ToolFilter, ToolRepository, to_tool

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors

logger = structlog.get_logger(__name__)


class SearchQuery(Struct, frozen=True):
    """What to find. `vector_weight` is the share of meaning against words."""

    text: str
    limit: int
    threshold: float | None = None
    filter: ToolFilter = ToolFilter()
    use_hybrid: bool = True
    vector_weight: float = 0.7
    explain: bool = False
    offset: int = 0
    """How many of the best matches are left out."""
    caller: str | None = None
    """Who asks. Empty: anybody, of whom nothing is remembered; None: what was used does not count either."""


class ToolMatch(Struct, frozen=True):
    """A tool that was found, how sure that is, and the scores that this comes from."""

    tool: StoredTool
    similarity: float
    scores: Scores = Scores(None, 0.0)
    explanation: Explanation | None = None


class SearchResult(Struct, frozen=True):
    """Matches, best first."""

    matches: list[ToolMatch]
    problem: str | None = None
    """Why the embedder failed, where it did: then words alone were searched."""
    embedding_ms: float = 0.0
    database_ms: float = 0.0
    calibration: Calibration = Calibration()

    @property
    def is_degraded(self) -> bool:
        """Whether words alone were searched although there is an embedder."""
        return self.problem is not None


CALM_SECONDS = 10.0
"""So long after the last search by words alone they are said to be over: a query that the cache knows says little."""

_AS_MEASURED = Ranking()


class SearchService:
    """Searches the catalogue. Without an embedder it searches by words."""

    def __init__(
        self,
        database: Database,
        embed: tuple[Model, Embedder] | None,
        ranking: Ranking = _AS_MEASURED,
        recorder: UseRecorder | None = None,
    ) -> None:
        """With `recorder`, searches are remembered, so that calls can be tied to them."""
        self._recorder = recorder
        self._database = database
        self._repository = ToolRepository(database)
        self._spelling = Spelling(database)
        self._savings = Savings(database)
        self.embed = embed
        """The model that is searched with; another can be put in its place at any time."""
        self._ranking = ranking
        self._degraded_at: float | None = None

    @property
    def model_name(self) -> str | None:
        """The embedding model that is searched with."""
        return self.embed[0].name if self.embed else None

    async def find_tools(self, query: SearchQuery) -> SearchResult:
        """Search.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        start = time.perf_counter()
        embed = self.embed  # the same one all along, also if another takes its place meanwhile
        with span("find spelling"):
            corrected = await self._correct(query.text, embed)
        clauses = split_clauses(corrected or query.text) if self._ranking.clauses else []
        begun = time.perf_counter()
        with span("find embedding") as stage:
            vectors, problem = await _embed_query(embed, query.text, corrected, clauses)
            if problem is not None:
                stage.fail("embedding_failed")
        self._tell_of(problem)
        embedded = time.perf_counter()
        wanted = Wanted(
            query.text,
            corrected,
            self._stems(query, corrected) if query.use_hybrid or vectors is None else {},
            vectors[0] if vectors is not None else None,
            [lexemes(split_name(clause)) for clause in clauses],
            list(vectors[1:]) if vectors is not None else [],
            query.filter,
            query.vector_weight,
            query.offset + query.limit,
            query.caller,
            query.explain,
        )
        with span("find candidates"):
            statement = build_statement(wanted, embed[0] if embed else None, self._ranking)
            rows = await self._database.fetch(statement.sql, *statement.values)
        done = time.perf_counter()
        searched = Searched(list(wanted.stems), corrected, clauses, _ms(embedded - begun), _ms(done - embedded))
        with span("find ranking") as stage:
            calibration = _calibration(rows)
            matches = _to_matches(rows, query, calibration, searched)
            stage.set("toolbox.matches", len(matches))
        self._savings.count(match.tool for match in matches)
        _measure(matches, time.perf_counter() - start, searched, is_degraded=problem is not None)
        if query.caller and self._recorder:
            self._recorder.searched(query.caller, query.text, [match.tool.id for match in matches])
        return SearchResult(
            matches,
            problem,
            searched.embedding_ms,
            searched.database_ms,
            calibration,
        )

    async def find_similar(self, name: str, limit: int, *, within: tuple[str, ...] | None = None) -> list[ToolMatch]:
        """Tools whose texts mean what this one's do, most alike first; none while the tool waits for its embedding.

        With `within`, both it and they are in one of these toolsets.

        Raises:
            ToolNotFound: No active tool has this name.
            NotFound: There is no embedding model.
        """
        if self.embed is None:
            raise NotFound("there is no embedding model here, so nothing can be compared")
        model, _ = self.embed
        sieve, values = Sieve.of(ToolFilter(within=within), 3)
        rows = await self._database.fetch(
            f"""
            with origin as (
                select e.embedding::halfvec({model.dimensions}) as embedding
                from tools t join embeddings e on e.tool_id = t.id and e.model_id = {model.id}
                where t.name = $1 and {sieve.condition}
            ), {", ".join(sieve.tables())}, {sieve.nearest(model, "(select embedding from origin)", "$2 + 1")}
            select {COLUMNS}, 1 - near.distance as cosine
            from by_vector near join tools t on t.id = near.tool_id
            where exists (select from origin) and {sieve.condition} and t.name <> $1
            order by near.distance, t.name limit $2
            """,
            name,
            limit,
            *values,
        )
        if not rows and await self._repository.get_tool(name, within=within) is None:
            raise ToolNotFound(name, await self._repository.near_names(name, within=within))
        return [ToolMatch(to_tool(row), round(min(max(row["cosine"], 0.0), 1.0), 4)) for row in rows]

    async def find_duplicates(self, least: float, report: Callable[[int, int], None]) -> list[Duplicate]:
        """Pairs of tools whose words are alike to at least this share, most alike first.

        Raises:
            NotFound: There is no embedding model.
        """
        if self.embed is None:
            raise NotFound("there is no embedding model here, so nothing can be compared")
        return await find_duplicates(self._database, self.embed[0], least=least, report=report)

    def _tell_of(self, problem: str | None) -> None:
        """Say once when searches begin to go on by words alone, and once when that is over, however many there are."""
        now = time.monotonic()
        if problem is not None:
            if self._degraded_at is None:
                logger.warning("searches go on by words alone for now", reason=problem)
            self._degraded_at = now
        elif self._degraded_at is not None and now - self._degraded_at >= CALM_SECONDS:
            logger.info("searches go by meaning again")
            self._degraded_at = None

    async def _correct(self, text: str, embed: tuple[Model, Embedder] | None) -> str | None:
        """The text with the words that were probably meant, if there are any."""
        if not self._ranking.corrections:
            return None
        meant = (await self._spelling.vocabulary()).corrections(text)
        if meant and embed:
            with contextlib.suppress(EmbeddingError):  # embedding the query says so
                for word in await known_words(embed[1], list(meant)):
                    del meant[word]
        return correct(text, meant) if meant else None

    def _stems(self, query: SearchQuery, corrected: str | None) -> dict[str, float]:
        """The stems to look for, with their weights: what was meant counts beside what was written."""
        stems = dict.fromkeys(lexemes(split_name(query.text)), 1.0)
        if corrected:
            stems = dict.fromkeys(lexemes(split_name(corrected)), self._ranking.corrections) | stems
        return stems


async def _embed_query(
    embed: tuple[Model, Embedder] | None, text: str, corrected: str | None, clauses: list[str]
) -> "tuple[Vectors | None, str | None]":
    """The vector of the query, then those of its clauses; or why there are none.

    A corrected query lies between what was written and what was probably meant: neither is certain.
    """
    if embed is None:
        return None, None
    texts = [text, *([corrected] if corrected else []), *clauses]
    try:
        vectors = await embed[1].embed(texts, "query")
    except EmbeddingError as error:
        return None, error.message
    if corrected:
        middle = vectors[0] + vectors[1]
        vectors = numpy.concatenate([[middle / numpy.linalg.norm(middle)], vectors[2:]])
    return vectors, None


def _measure(matches: list[ToolMatch], seconds: float, searched: Searched, *, is_degraded: bool) -> None:
    SEARCHES["found" if matches else "empty", "true" if is_degraded else "false"].inc()
    SEARCH_SECONDS[("all",)].observe(seconds)
    SEARCH_SECONDS[("embedding",)].observe(searched.embedding_ms / 1000)
    SEARCH_SECONDS[("database",)].observe(searched.database_ms / 1000)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _calibration(rows: list[Any]) -> Calibration:
    """That of the model; every row carries it, so that no other statement is needed."""
    if not rows or rows[0]["cosine_mean"] is None:
        return Calibration()
    return Calibration(*(rows[0][name] for name in Calibration.__struct_fields__))


def _scores(row: Any, *, has_clauses: bool) -> Scores:
    whole = (row["cosine"], row["text_score"], row["name_match"], row["lift"])
    return Scores(*whole, row["clause_cosine"], row["clause_text"]) if has_clauses else Scores(*whole)


def _to_matches(rows: list[Any], query: SearchQuery, calibration: Calibration, searched: Searched) -> list[ToolMatch]:
    ranked = [_scores(row, has_clauses=bool(searched.clauses)) for row in rows]
    # A query in another language matches no word: that says nothing about how well the meaning matches.
    has_words = any(scores.text_score for scores in ranked)
    found = similarities(ranked, calibration, has_words=has_words)
    return [
        ToolMatch(to_tool(row), similarity, scores, explain(row, searched) if query.explain else None)
        for row, similarity, scores in list(zip(rows, found, ranked, strict=True))[query.offset :]
        if query.threshold is None or similarity >= query.threshold
    ]
