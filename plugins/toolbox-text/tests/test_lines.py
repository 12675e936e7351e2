"""Lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolbox_text.lines import By, sort_lines, unique_lines

LINES = st.lists(st.text(alphabet="aB 0129é", max_size=6), max_size=20).map("\n".join)


@pytest.mark.parametrize(
    ("by", "sorted_lines"),
    [
        ("text", "B1\na10\na2\nb"),
        ("natural", "B1\na2\na10\nb"),
        ("length", "b\nB1\na2\na10"),
    ],
)
def test_lines_are_sorted_by_what_was_asked_for(by: By, sorted_lines: str) -> None:
    assert sort_lines("B1\na10\na2\nb", by) == sorted_lines


def test_case_can_be_ignored_and_the_order_turned_round() -> None:
    assert sort_lines("b\nA\nc", ignore_case=True, order="descending") == "c\nb\nA"


def test_numbers_with_many_digits_are_sorted() -> None:
    assert sort_lines("1" * 5_000 + "\n" + "9" * 4_999, "natural") == "9" * 4_999 + "\n" + "1" * 5_000
    assert sort_lines("²\n10\n9", "natural") == "9\n10\n²"


@given(LINES, st.sampled_from(["text", "natural", "length"]))
def test_sorting_keeps_every_line_and_sorting_again_changes_nothing(text: str, by: By) -> None:
    once = sort_lines(text, by)
    assert sorted(once.splitlines()) == sorted(text.splitlines())
    assert sort_lines(once, by) == once


def test_the_last_line_break_stays_at_the_end() -> None:
    assert sort_lines("b\r\na\r\n") == "a\nb\n"
    assert unique_lines("a\na\n") == "a\n"


@given(st.lists(st.sampled_from(["a", "A", "b", "c d"]), max_size=20))
def test_of_equal_lines_the_first_stays(lines: list[str]) -> None:
    assert unique_lines("\n".join(lines)).splitlines() == sorted(set(lines), key=lines.index)
