"""From the two searches to one order, and from scores to a similarity that callers can understand. Pure functions.

The order itself is made in SQL (service.py), where both scores of every candidate are at hand: each is z-scored over
the candidates (so the model's range of cosines does not matter), and they are added with `vector_weight`. Names that
the query spells out come first.
"""

from collections.abc import Sequence

from msgspec import Struct

EXACT_NAME = 2
NEAR_NAME = 1

_NEAR_NAME_SIMILARITY = 0.99
_HIGHEST_SIMILARITY = 0.98
_HALF_TEXT_SCORE = 8.0
"""The BM25 score that counts as a similarity of one half where there is no vector."""


class Scores(Struct, frozen=True):
    """What is known of a candidate: its cosine, its BM25 score, and whether the query spells its name."""

    cosine: float | None
    text_score: float
    name_match: int = 0


def similarities(ranked: Sequence[Scores]) -> list[float]:
    """A number in 0..1 for each match, never rising down the list; 1.0 only for an exact name."""
    falling, lowest = list[float](), 1.0
    for scores in ranked:
        lowest = min(lowest, _similarity(scores))
        falling.append(round(lowest, 4))
    return falling


def _similarity(scores: Scores) -> float:
    if scores.name_match == EXACT_NAME:
        return 1.0
    if scores.name_match == NEAR_NAME:
        return _NEAR_NAME_SIMILARITY
    if scores.cosine is None:
        return _HIGHEST_SIMILARITY * scores.text_score / (scores.text_score + _HALF_TEXT_SCORE)
    return min(max(scores.cosine, 0.0), _HIGHEST_SIMILARITY)
