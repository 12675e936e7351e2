"""Counting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_text.counting import Counts, WordCount, count, word_frequency


def test_nothing_counts_nothing() -> None:
    assert count("") == Counts(
        characters=0, code_points=0, bytes=0, words=0, lines=0, sentences=0, reading_time_seconds=0
    )


@pytest.mark.parametrize(
    ("text", "words", "sentences"),
    [
        ("Don't panic: it's well-kept.", 4, 1),
        ("One. Two! Three?", 3, 3),
        ('"Stop!" he cried. "Why?"', 4, 3),
        ("Pi is 3.14 or so", 5, 1),
        ("नमस्ते दुनिया", 2, 1),
        ("はい。いいえ。", 2, 2),
        ("...!?", 0, 0),
    ],
)
def test_words_and_sentences_are_counted(text: str, words: int, sentences: int) -> None:
    counts = count(text)
    assert (counts.words, counts.sentences) == (words, sentences)


def test_reading_takes_a_minute_for_238_words() -> None:
    assert count("word " * 238).reading_time_seconds == 60


def test_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="surrogate pair at character 3"):
        count("ab\ud800")


@given(st.text(max_size=200))
def test_counts_agree_with_each_other(text: str) -> None:
    counts = count(text)
    assert counts.characters <= counts.code_points <= counts.bytes
    assert counts.sentences <= counts.words <= counts.characters


@given(st.lists(st.sampled_from(["red", "Red", "blue", "green"]), max_size=50))
def test_frequencies_add_up_to_all_words(words: list[str]) -> None:
    frequencies = word_frequency(" ".join(words))
    assert frequencies.total_words == len(words)
    assert sum(word.count for word in frequencies.most_frequent) == len(words)
    assert frequencies.different_words == len(frequencies.most_frequent) == len({word.lower() for word in words})


def test_equally_frequent_words_come_in_alphabetical_order() -> None:
    assert word_frequency("b a c a", limit=2, ignore_case=False).most_frequent == [
        WordCount("a", 2),
        WordCount("b", 1),
    ]


@pytest.mark.parametrize("text", ["." * 100_000, "a-" * 50_000, '!"' * 50_000, "a" * 100_000, "'" * 100_000])
def test_no_text_is_slow(text: str) -> None:
    assert count(text).code_points == 100_000
