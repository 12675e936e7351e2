"""Extracting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolbox_text.extraction import Kind, extract


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("emails", "<a.b+c@ex-ample.co.uk>, not@home, @me, x@y.z", ["a.b+c@ex-ample.co.uk"]),
        ("emails", "müller@bücher.de", ["müller@bücher.de"]),
        ("emails", "a" * 70 + "@example.org", []),
        (
            "urls",
            "(https://example.org/x), HTTP://A.B/c?d=e&f#g! ftp://no",
            ["https://example.org/x", "HTTP://A.B/c?d=e&f#g"],
        ),
        ("urls", '<a href="https://example.org/">', ["https://example.org/"]),
        ("urls", "http://[::1]:80/ https:// https://)))", ["http://[::1]:80/"]),
        (
            "numbers",
            "1 -2 +3.5 1e-9 1,234,567.89 v1.2 a1 10% $5.",
            ["1", "-2", "+3.5", "1e-9", "1,234,567.89", "10", "5"],
        ),
        ("numbers", "5-3", ["5", "3"]),
        ("numbers", "", []),
    ],
)
def test_what_was_asked_for_is_found_as_it_is_written(kind: Kind, text: str, found: list[str]) -> None:
    assert extract(text, kind) == found


def test_duplicates_can_be_kept() -> None:
    assert extract("1 2 1", "numbers") == ["1", "2"]
    assert extract("1 2 1", "numbers", unique=False) == ["1", "2", "1"]


@given(
    st.text(max_size=100) | st.text(alphabet="a1.,-+e@:/()http ", max_size=100),
    st.sampled_from(["emails", "urls", "numbers"]),
)
def test_what_is_found_is_in_the_text(text: str, kind: Kind) -> None:
    assert all(found and found in text for found in extract(text, kind))


@pytest.mark.parametrize("kind", ["emails", "urls", "numbers"])
@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "a." * 50_000,
        "a@" * 50_000,
        "1," * 50_000,
        "111," * 25_000,
        "http://x" + ")" * 99_000,
        "-" * 100_000,
    ],
)
def test_no_text_is_slow(text: str, kind: Kind) -> None:
    """Each of these would run for minutes if a pattern went back over what it has read."""
    assert isinstance(extract(text, kind), list)
