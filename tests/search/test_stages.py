"""The stages of a search, each by itself."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolbox.search.clauses import MAX_CLAUSES, split_clauses
from toolbox.search.evaluation import area_under_curve, misspell, ndcg, recall, reciprocal_rank
from toolbox.search.ranking import Calibration, Scores, similarity_of
from toolbox.search.spelling import Vocabulary, correct


@pytest.fixture
def vocabulary() -> Vocabulary:
    words = Vocabulary()
    words.add([("forecast", "forecast", 3), ("weather", "weather", 5), ("whether", "whether", 1), ("list", "list", 9)])
    return words


def corrected(vocabulary: Vocabulary, text: str) -> str:
    return correct(text, vocabulary.corrections(text))


@pytest.mark.parametrize("wrong", ["forcast", "forecasst", "forecost", "foreacst", "Forcast"])
def test_one_wrong_letter_is_corrected(vocabulary: Vocabulary, wrong: str) -> None:
    assert corrected(vocabulary, f"a {wrong} please") == "a forecast please"


def test_of_two_words_the_one_in_more_tools_was_probably_meant(vocabulary: Vocabulary) -> None:
    assert corrected(vocabulary, "wether") == "weather"


@pytest.mark.parametrize("right", ["the weather forecast", "forecasts", "Oslo", "lst", "日本語", ""])
def test_known_short_and_far_words_stay_as_they_are(vocabulary: Vocabulary, right: str) -> None:
    assert corrected(vocabulary, right) == right


def test_a_request_for_two_things_has_two_clauses() -> None:
    text = "Find the weather forecast for Oslo and then send a short mail to Ann."
    assert split_clauses(text) == ["Find the weather forecast for Oslo", "send a short mail to Ann"]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("get the weather and email it", ["get the weather", "email it"]),
        ("Reverse a text and count its words", ["Reverse a text", "count its words"]),
        ("turn the lights off, then lock the door", ["turn the lights off", "lock the door"]),
    ],
)
def test_short_orders_are_clauses(text: str, clauses: list[str]) -> None:
    assert split_clauses(text) == clauses


@pytest.mark.parametrize(
    "text",
    [
        "",
        "black and white",
        "convert miles to kilometres",
        "a. b. c. d.",
        "list and delete files",
        "find cats and dogs",
    ],
)
def test_a_single_thing_is_not_taken_apart(text: str) -> None:
    assert split_clauses(text) == []


@given(st.text(max_size=500))
def test_any_text_has_few_clauses(text: str) -> None:
    assert len(split_clauses(text)) <= MAX_CLAUSES


def test_the_best_match_of_an_ordinary_request_is_in_the_middle() -> None:
    measured = Calibration(0.3, 0.1, 8.0, 4.0)
    assert similarity_of(Scores(0.3, 8.0), measured) == pytest.approx(0.49)
    assert similarity_of(Scores(0.5, 16.0), measured) > 0.9
    assert similarity_of(Scores(0.1, 0.0), measured) < 0.1


def test_what_answers_one_of_several_requests_is_as_good_a_match_as_for_that_one_alone() -> None:
    measured = Calibration(0.3, 0.1, 8.0, 4.0)
    joined = Scores(0.25, 6.0, clause_cosine=0.6, clause_text_score=12.0)
    assert similarity_of(joined, measured) == similarity_of(Scores(0.6, 12.0), measured)
    assert similarity_of(Scores(0.6, 12.0, clause_cosine=0.1), measured) == similarity_of(Scores(0.6, 12.0), measured)


def test_similarity_means_the_same_whatever_the_model() -> None:
    low, high = Calibration(0.2, 0.05, 8.0, 4.0), Calibration(0.7, 0.02, 8.0, 4.0)
    assert similarity_of(Scores(0.25, 8.0), low) == pytest.approx(similarity_of(Scores(0.72, 8.0), high))


def test_figures_of_a_query() -> None:
    found, relevant = ["a", "b", "c"], frozenset({"b", "x"})
    assert recall(found, relevant, 1) == 0
    assert recall(found, relevant, 3) == 0.5
    assert reciprocal_rank(found, relevant) == 0.5
    assert ndcg(["b", "x"], relevant, 10) == 1
    assert 0 < ndcg(found, relevant, 10) < 0.5


def test_the_area_under_the_curve() -> None:
    assert area_under_curve([3, 4], [1, 2]) == 1
    assert area_under_curve([1, 2], [3, 4]) == 0
    assert area_under_curve([1, 1], [1, 1]) == 0.5


@given(st.text(max_size=80), st.integers())
def test_a_misspelled_text_is_one_edit_away(text: str, seed: int) -> None:
    assert abs(len(misspell(text, random.Random(seed))) - len(text)) <= 1
