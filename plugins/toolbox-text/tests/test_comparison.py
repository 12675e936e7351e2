"""Comparing texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_text.comparison import Difference, diff

SHORT = st.text(alphabet="abc\n", max_size=12)


def test_equal_texts_have_no_difference() -> None:
    assert diff("same\ntext", "same\ntext") == Difference("", 0, 0, 1.0)
    assert diff("", "") == Difference("", 0, 0, 1.0)


def test_texts_with_nothing_in_common_are_not_similar() -> None:
    assert diff("abc", "xyz").similarity == 0
    assert diff("", "xyz") == Difference("--- before\n+++ after\n@@ -0,0 +1 @@\n+xyz", 1, 0, 0.0)


def test_lines_that_begin_with_signs_are_counted_once() -> None:
    difference = diff("-- a\n++ b", "++ b\n-- c")
    assert (difference.added_lines, difference.removed_lines) == (1, 1)


def test_the_context_is_as_long_as_asked_for() -> None:
    before, after = "1\n2\n3\n4\n5", "1\n2\nx\n4\n5"
    assert diff(before, after, context_lines=0).diff.splitlines()[2:] == ["@@ -3 +3 @@", "-3", "+x"]


@given(SHORT, SHORT)
def test_similarity_agrees_with_its_definition(before: str, after: str) -> None:
    longest = _longest_common(before, after)
    total = len(before) + len(after)
    assert diff(before, after).similarity == (round(2 * longest / total, 4) if total else 1)


@given(SHORT, SHORT)
def test_similarity_is_symmetric(before: str, after: str) -> None:
    assert diff(before, after).similarity == diff(after, before).similarity


@given(st.lists(st.sampled_from(["a", "b", "+c", "-d", ""]), max_size=12), st.data())
def test_the_diff_holds_both_texts(before: list[str], data: st.DataObject) -> None:
    after = data.draw(st.permutations(before))
    changes = diff("\n".join(before), "\n".join(after), context_lines=20).diff.splitlines()[3:]
    if changes:
        assert [line[1:] for line in changes if line[0] != "+"] == "\n".join(before).splitlines()
        assert [line[1:] for line in changes if line[0] != "-"] == "\n".join(after).splitlines()


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="after has 2,001 lines; at most 2,000"):
        diff("", "\n" * 2_001)


def test_the_longest_texts_can_be_compared() -> None:
    assert diff("ab" * 25_000, "ba" * 25_000).similarity == 1.0


def _longest_common(before: str, after: str) -> int:
    lengths = [0] * (len(after) + 1)
    for left in before:
        row = [0]
        for index, right in enumerate(after):
            row.append(lengths[index] + 1 if left == right else max(lengths[index + 1], row[index]))
        lengths = row
    return lengths[-1]
