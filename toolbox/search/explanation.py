"""Why a tool stands where it stands: what each stage of the search says about it."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from toolbox.search.ranking import EXACT_NAME, NEAR_NAME


class Stage(Struct, frozen=True):
    """What one stage says: its own score, the rank that it alone would give, and what it adds to the whole.

    Neither score nor rank where it has nothing to say, as of a tool whose uses do not count.
    """

    score: float | None
    rank: int | None
    adds: float


class Searched(Struct, frozen=True):
    """What was searched for: word stems, the query as it was probably meant, its clauses; and how long that took."""

    words: list[str]
    corrected: str | None
    clauses: list[str]
    embedding_ms: float
    database_ms: float


class Explanation(Struct, frozen=True):
    """The sum of the stages decides the order, behind names that the query spells out."""

    score: float
    name: Literal["exact", "near"] | None
    meaning: Stage
    words: Stage
    matched_words: dict[str, float]
    searched: Searched
    clause_meaning: Stage | UnsetType = UNSET
    clause_words: Stage | UnsetType = UNSET
    use: Stage | UnsetType = UNSET
    """How near the query is to those for which the tool was used, in deviations."""


_NAMES: dict[int, Literal["exact", "near"]] = {EXACT_NAME: "exact", NEAR_NAME: "near"}


def explain(row: Mapping[str, Any], searched: Searched) -> Explanation:
    """Read a row that was fetched with its explanation."""
    columns = set(row.keys())
    has_clauses = "clause_text_score" in columns
    return Explanation(
        _rounded(row["score"]),
        _NAMES.get(row["name_match"]),
        _stage(row, "cosine"),
        _stage(row, "text_score"),
        row["matched"] or {},
        searched,
        _stage(row, "clause_cosine") if has_clauses else UNSET,
        _stage(row, "clause_text") if has_clauses else UNSET,
        _stage(row, "use") if "use_score" in columns else UNSET,
    )


def _stage(row: Mapping[str, Any], name: str) -> Stage:
    score, adds = row[f"{name}_score"], _rounded(row[f"{name}_adds"])
    return Stage(None, None, adds) if score is None else Stage(_rounded(score), row[f"{name}_rank"], adds)


def _rounded(number: float) -> float:
    return round(number, 4)
