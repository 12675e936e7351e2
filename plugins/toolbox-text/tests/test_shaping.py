"""Reversing, truncating and slugs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_text.segments import split_graphemes
from toolbox_text.shaping import reverse, slugify, truncate

FAMILY = "👨\u200d👩\u200d👧"
GRAPHEMES = st.sampled_from(
    ["a", "B", "7", "é", "e\u0301", "न", "क्षि", "한", FAMILY, "👍🏽", "🇩🇪", "🇫🇷", "\r\n", " ", "."]
)


def test_marks_and_emoji_stay_whole_when_characters_are_reversed() -> None:
    assert reverse(f"e\u0301a{FAMILY}🇩🇪🇫🇷") == f"🇫🇷🇩🇪{FAMILY}ae\u0301"


@given(st.lists(GRAPHEMES))
def test_reversing_twice_gives_the_text_again(characters: list[str]) -> None:
    text = "".join(characters)
    assert reverse(reverse(text)) == text


@given(st.text(max_size=200))
def test_reversing_words_or_lines_twice_gives_any_text_again(text: str) -> None:
    assert reverse(reverse(text, "words"), "words") == text
    assert reverse(reverse(text, "lines"), "lines") == text


@given(st.text(max_size=200))
def test_graphemes_add_up_to_their_text(text: str) -> None:
    assert "".join(split_graphemes(text)) == text


@pytest.mark.parametrize("character", ["\u0301", "\U0001f1e9", "\u200d", "\u1100", "क\u094d"])
def test_a_long_row_of_joining_characters_is_not_slow(character: str) -> None:
    text = character * (100_000 // len(character))
    assert len(reverse(text)) == len(text)


@given(st.lists(GRAPHEMES), st.integers(1, 50))
def test_a_truncated_text_is_never_longer_than_asked_for(characters: list[str], length: int) -> None:
    text = "".join(characters)
    truncated = truncate(text, length)
    assert len(split_graphemes(truncated)) <= length
    assert truncated == text or truncated.endswith("…")


def test_a_short_text_is_not_truncated() -> None:
    assert truncate("abc", 3) == "abc"
    assert truncate("one two", 2, "words") == "one two"
    assert truncate("", 1) == ""


def test_a_truncated_text_has_no_space_before_its_ending() -> None:
    assert truncate("one two three", 5) == "one…"
    assert truncate("one, two three", 2, "words", " [more]") == "one, two [more]"


def test_an_ending_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="ending alone is longer than 2"):
        truncate("abcdef", 2, ending="...")


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("  Crème   Brûlée! ", "creme-brulee"),
        ("Straße & Œuvre", "strasse-oeuvre"),
        ("Łódź, Þór, Ærø", "lodz-thor-aero"),
        ("don't", "dont"),
        ("ﬁne ½", "fine-1-2"),
        ("日本 2025", "2025"),
    ],
)
def test_a_slug_is_plain_ascii(text: str, slug: str) -> None:
    assert slugify(text) == slug


def test_a_slug_is_cut_between_words_where_that_is_possible() -> None:
    assert slugify("one two three", max_length=9) == "one-two"
    assert slugify("one two three", max_length=7) == "one-two"
    assert slugify("unbreakable", max_length=5) == "unbre"


def test_letters_of_other_scripts_can_stay() -> None:
    assert slugify("Crème 日本 हिन्दी", ascii_only=False) == "crème-日本-हिन्दी"


def test_a_text_without_letters_has_no_slug() -> None:
    with pytest.raises(toolbox.ToolError, match="no letter or digit"):
        slugify("?!", ascii_only=False)
    with pytest.raises(toolbox.ToolError, match="set ascii_only to false"):
        slugify("日本")


@given(st.text(min_size=1, max_size=100), st.integers(1, 30))
def test_a_slug_of_a_slug_is_the_same_slug(text: str, max_length: int) -> None:
    try:
        slug = slugify(text, max_length=max_length)
    except toolbox.ToolError:
        return
    assert 0 < len(slug) <= max_length
    assert slug.isascii()
    assert slugify(slug) == slug
