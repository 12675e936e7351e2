"""From scores to a similarity that callers can understand. Pure functions.

The order itself is made in SQL (statement.py), where all scores of every candidate are at hand: each is z-scored over
the candidates (so the model's range of cosines does not matter), and they are added with `vector_weight`. Names that
the query spells out come first. What stands here decides how sure of a match one can be.
"""

import math
from collections.abc import Sequence

from msgspec import Struct

EXACT_NAME = 2
NEAR_NAME = 1

_NEAR_NAME_SIMILARITY = 0.99
_HIGHEST_SIMILARITY = 0.98

_WORDS_BESIDE_MEANING = 0.5
_SPREAD_OF_BOTH = 1.25
"""What the sum of both deviates by: they go together a little."""
_LOGISTIC_AS_NORMAL = 1.702
"""The logistic function with this slope is the normal distribution, but for 0.01 (Camilli, 1994)."""
_LEAST_DEVIATION = 0.02


QUORUM = 2
"""So many callers must have used a tool before it is lifted for others: one alone moves only their own searches."""
NEAR_USES = 900
"""How many uses for the nearest queries are looked at: the more, the less one caller can push others out of it."""
POWER_OF_VARIETY = 2.0
"""The mean of a caller's uses is divided by this power of the length of their mean vector, 1 where all are the same."""
USE_HALF_LIFE_DAYS = 90.0
EXPECTED_USE = 2.2
"""What a use is like, in deviations, of a tool that may as well be right as not; one more per point of its score."""
SURE_SCORE = 3.0
"""A score that weakens what use says to 1/e: the surer search is of a tool, the less its use tells."""
LEAST_LIFT = -1.0


class Ranking(Struct, frozen=True):
    """The stages of a search and their weights, as measured (docs/search.md); 0 leaves one out."""

    clauses: float = 0.5
    """Of the best clause, beside the whole query."""
    corrections: float = 0.7
    """Of the words that were probably meant, beside those that were written."""
    names: bool = True
    """Whether names that the query spells out come first."""
    uses: float = 0.9
    """Of what was used for queries like this one, beyond what the score lets expect, where that is 0: a third of it
    after one use, three fifths after three."""


class Scores(Struct, frozen=True):
    """What is known of a candidate: its cosine, its BM25 score, and whether the query spells its name."""

    cosine: float | None
    text_score: float
    name_match: int = 0
    lift: float = 0.0
    """What its use for queries like this one adds."""
    clause_cosine: float | None = None
    clause_text_score: float = 0.0
    """Those of the best clause, if the query has several."""


class Calibration(Struct, frozen=True):
    """How near the best tool of the catalogue comes to a request of any kind (`toolbox.index.calibration`).

    The defaults stand for a catalogue that was not measured yet.
    """

    cosine_mean: float = 0.35
    cosine_deviation: float = 0.1
    text_mean: float = 8.0
    text_deviation: float = 4.0


NOT_MEASURED = Calibration()


def similarities(
    ranked: Sequence[Scores], calibration: Calibration = NOT_MEASURED, *, has_words: bool = True
) -> list[float]:
    """A number in 0..1 for each match, never rising down the list; 1.0 only for an exact name."""
    falling, lowest = list[float](), 1.0
    for scores in ranked:
        lowest = min(lowest, similarity_of(scores, calibration, has_words=has_words))
        falling.append(round(lowest, 4))
    return falling


def similarity_of(scores: Scores, calibration: Calibration, *, has_words: bool = True) -> float:
    """The share of requests of any kind whose best match is worse than this one."""
    if scores.name_match == EXACT_NAME:
        return 1.0
    if scores.name_match == NEAR_NAME:
        return _NEAR_NAME_SIMILARITY
    evidence = max(scores.lift, 0.0) + max(
        _evidence(scores.cosine, scores.text_score, calibration, has_words=has_words),
        _evidence(scores.clause_cosine, scores.clause_text_score, calibration, has_words=has_words),
    )
    return _HIGHEST_SIMILARITY / (1 + math.exp(-_LOGISTIC_AS_NORMAL * min(max(evidence, -20.0), 20.0)))


def _evidence(cosine: float | None, text_score: float, calibration: Calibration, *, has_words: bool) -> float:
    """In deviations from the mean: words say half as much as meaning, where there are both."""
    words = (text_score - calibration.text_mean) / max(calibration.text_deviation, _LEAST_DEVIATION)
    if cosine is None:
        return words
    meaning = (cosine - calibration.cosine_mean) / max(calibration.cosine_deviation, _LEAST_DEVIATION)
    return (meaning + _WORDS_BESIDE_MEANING * words) / _SPREAD_OF_BOTH if has_words else meaning
