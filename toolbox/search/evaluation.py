"""How well a catalogue is searched: queries with known answers, run through the real search, and what came of them.

Figures are shares in 0..1. Recall, nDCG (Jarvelin and Kekalainen, 2002) and MRR are means over queries; completeness is
the share of queries all of whose tools are found.
"""

import math
import random
import string
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, quantiles

from msgspec import Struct

from toolbox.errors import EmbeddingError
from toolbox.search.ranking import similarity_of
from toolbox.search.service import SearchQuery, SearchResult, SearchService

DEPTH = 20
"""How far down the matches are looked at."""
CUTS = (1, 3, 5, 10)
GAIN_CUTS = (5, 10)
THRESHOLDS = tuple(number / 20 for number in range(20))

_LEAST_LETTERS = 3


class LabelledQuery(Struct, frozen=True):
    """A query and the names of the tools that answer it."""

    id: str
    text: str
    relevant: frozenset[str]
    category: str


class Answer(Struct, frozen=True):
    """What a query found: names, best first, each with its similarity; and how sure the search was.

    `confidence_without` is that of the best match that is not one of the query's own tools.
    """

    query: LabelledQuery
    found: tuple[str, ...]
    similarities: tuple[float, ...]
    confidence: float
    confidence_without: float
    embedding_ms: float
    database_ms: float
    total_ms: float


class Quality(Struct, frozen=True):
    """The figures of some queries."""

    queries: int
    recall: dict[int, float]
    ndcg: dict[int, float]
    completeness: dict[int, float]
    mrr: float


class Spread(Struct, frozen=True):
    """Milliseconds."""

    mean: float
    median: float
    p95: float


class Speed(Struct, frozen=True):
    """How long a query takes: in all, and its stages."""

    total: Spread
    embedding: Spread
    database: Spread
    rest: Spread


class Abstention(Struct, frozen=True):
    """How well similarity tells a query that can be answered from one that cannot: the area under the ROC curve.

    0.5 is chance, 1 is certainty. `own_tools_removed`: the same queries without their right tools; what is like them
    stays.
    """

    own_tools_removed: float
    other_requests: float | None


class Worst(Struct, frozen=True):
    """A query that went wrong."""

    id: str
    query: str
    relevant: list[str]
    found: list[str]
    ndcg: float


class Evaluation(Struct, frozen=True):
    """All that was measured of one way to search."""

    quality: Quality
    recall_curve: list[float]
    categories: dict[str, Quality]
    kept_by_threshold: dict[float, float]
    """The share of right hits among the first ten whose similarity reaches a threshold."""
    abstention: Abstention
    speed: Speed
    worst: list[Worst]


Progress = Callable[[int], None]


async def run_queries(
    search: SearchService,
    queries: Sequence[LabelledQuery],
    *,
    vector_weight: float,
    use_hybrid: bool,
    report: Progress,
    caller: str | None = None,
) -> list[Answer]:
    """Ask one query after the other, as one caller would; `report` hears how many are done.

    What `caller` and others have used counts; without a caller it does not.

    Raises:
        EmbeddingError: The model failed on some of them: their figures would be those of words alone.
    """
    answers, problems = [], list[str]()
    for done, query in enumerate(queries, 1):
        wanted = SearchQuery(
            query.text,
            DEPTH + len(query.relevant),
            use_hybrid=use_hybrid,
            vector_weight=vector_weight,
            caller=caller,
        )
        begun = time.perf_counter()
        result = await search.find_tools(wanted)
        if result.problem is not None:
            problems.append(result.problem)
        answers.append(_answer(query, result, (time.perf_counter() - begun) * 1000))
        report(done)
    if problems:
        raise EmbeddingError(
            f"the model failed on {len(problems)} of {len(queries)} queries, so it has no figures: {problems[0]}"
        )
    return answers


def evaluate(answers: Sequence[Answer], other_confidences: Sequence[float] = (), *, worst: int = 25) -> Evaluation:
    """Sum up what queries found. `other_confidences` are those of requests that the catalogue was not made for."""
    confidences = [answer.confidence for answer in answers]
    categories = sorted({answer.query.category for answer in answers})
    by_gain = sorted(answers, key=lambda answer: (ndcg(answer.found, answer.query.relevant, 10), answer.query.id))
    return Evaluation(
        quality=measure(answers),
        recall_curve=[
            fmean(recall(answer.found, answer.query.relevant, cut) for answer in answers) for cut in range(1, DEPTH + 1)
        ],
        categories={name: measure([a for a in answers if a.query.category == name]) for name in categories},
        kept_by_threshold=kept_by_threshold(answers),
        abstention=Abstention(
            area_under_curve(confidences, [answer.confidence_without for answer in answers]),
            area_under_curve(confidences, other_confidences) if other_confidences else None,
        ),
        speed=_speed(answers),
        worst=[_worst(answer) for answer in by_gain[:worst] if ndcg(answer.found, answer.query.relevant, 10) < 1],
    )


def measure(answers: Sequence[Answer]) -> Quality:
    """The figures of these answers."""
    pairs = [(answer.found, answer.query.relevant) for answer in answers]
    return Quality(
        len(pairs),
        {cut: fmean(recall(*pair, cut) for pair in pairs) for cut in CUTS},
        {cut: fmean(ndcg(*pair, cut) for pair in pairs) for cut in GAIN_CUTS},
        {cut: fmean(recall(*pair, cut) == 1 for pair in pairs) for cut in GAIN_CUTS},
        fmean(reciprocal_rank(*pair) for pair in pairs),
    )


def recall(found: Sequence[str], relevant: frozenset[str], cut: int) -> float:
    """The share of the right tools that are among the first `cut`."""
    return len(relevant.intersection(found[:cut])) / len(relevant)


def ndcg(found: Sequence[str], relevant: frozenset[str], cut: int) -> float:
    """The gain of the first `cut`, each discounted by its rank, over that of the best possible order."""
    gain = sum(1 / math.log2(rank + 2) for rank, name in enumerate(found[:cut]) if name in relevant)
    return gain / sum(1 / math.log2(rank + 2) for rank in range(min(cut, len(relevant))))


def reciprocal_rank(found: Sequence[str], relevant: frozenset[str]) -> float:
    """1 over the rank of the first right tool, 0 where there is none."""
    return next((1 / rank for rank, name in enumerate(found, 1) if name in relevant), 0.0)


def kept_by_threshold(answers: Sequence[Answer]) -> dict[float, float]:
    """For each threshold the share of right hits, among the first ten, that it would keep."""
    hits = [
        similarity
        for answer in answers
        for name, similarity in list(zip(answer.found, answer.similarities, strict=True))[:10]
        if name in answer.query.relevant
    ]
    return {cut: fmean(similarity >= cut for similarity in hits) if hits else 0.0 for cut in THRESHOLDS}


def area_under_curve(higher: Sequence[float], lower: Sequence[float]) -> float:
    """How often one of the first is greater than one of the second (Hanley and McNeil, 1982); ties count half."""
    ranked = sorted([(value, 1) for value in higher] + [(value, 0) for value in lower])
    position, rank_sum = 0, 0.0
    while position < len(ranked):
        end = position
        while end < len(ranked) and ranked[end][0] == ranked[position][0]:
            end += 1
        rank_sum += (position + end + 1) / 2 * sum(mark for _, mark in ranked[position:end])
        position = end
    return (rank_sum - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower))


def misspell(text: str, dice: random.Random) -> str:
    """The text with one letter of one word left out, doubled by another, changed, or swapped with the next."""
    words = [(start, word) for start, word in _words(text) if len(word) >= _LEAST_LETTERS]
    if not words:
        return text
    start, word = dice.choice(words)
    position, letter = dice.randrange(len(word) - 1), dice.choice(string.ascii_lowercase)
    head, here, following, tail = word[:position], word[position], word[position + 1], word[position + 2 :]
    changed = dice.choice(
        (
            head + following + tail,
            head + letter + here + following + tail,
            head + letter + following + tail,
            head + following + here + tail,
        )
    )
    return text[:start] + changed + text[start + len(word) :]


def _words(text: str) -> Iterable[tuple[int, str]]:
    start = 0
    for position, character in enumerate([*text, " "]):
        if not (character.isascii() and character.isalpha()):
            if position > start:
                yield start, text[start:position]
            start = position + 1


def _answer(query: LabelledQuery, result: SearchResult, total_ms: float) -> Answer:
    has_words = any(match.scores.text_score for match in result.matches)
    sure = {
        match.tool.name: similarity_of(match.scores, result.calibration, has_words=has_words)
        for match in result.matches
    }
    others = [name for name in sure if name not in query.relevant]
    return Answer(
        query,
        tuple(match.tool.name for match in result.matches[:DEPTH]),
        tuple(match.similarity for match in result.matches[:DEPTH]),
        next(iter(sure.values()), 0.0),
        sure[others[0]] if others else 0.0,
        result.embedding_ms,
        result.database_ms,
        total_ms,
    )


def _speed(answers: Sequence[Answer]) -> Speed:
    return Speed(
        _spread([answer.total_ms for answer in answers]),
        _spread([answer.embedding_ms for answer in answers]),
        _spread([answer.database_ms for answer in answers]),
        _spread([answer.total_ms - answer.embedding_ms - answer.database_ms for answer in answers]),
    )


def _spread(values: Sequence[float]) -> Spread:
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    cuts = quantiles(values, n=20, method="inclusive")
    return Spread(round(fmean(values), 3), round(cuts[9], 3), round(cuts[18], 3))


def _worst(answer: Answer) -> Worst:
    return Worst(
        answer.query.id,
        answer.query.text,
        sorted(answer.query.relevant),
        list(answer.found[:5]),
        ndcg(answer.found, answer.query.relevant, 10),
    )


def differences(whole: Quality, ablated: Mapping[str, Quality]) -> dict[str, float]:
    """What each stage brings: nDCG@10 with all of them less that without the one."""
    return {name: whole.ndcg[10] - quality.ndcg[10] for name, quality in ablated.items()}
