"""Budgets: pages of any value, put together, are the value; none is longer than it may be."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolbox import ImageContent, TextContent
from toolbox.calls.budgets import (
    FRAME_BYTES,
    IMAGE_TOKENS,
    Page,
    Path,
    count_content_tokens,
    count_tokens,
    cut,
    find_cut,
    follow,
    read_pointer,
    to_pointer,
)

LINK = "link to "
SLACK = FRAME_BYTES // 3 + 60
"""What stands beside the items on every page, and one link: only budgets of about this size may be passed by them."""

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=300)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=20), inner, max_size=12),
    max_leaves=60,
)
budgets = st.integers(100, 2_000)


def link(path: Path, _tokens: int) -> str | None:
    return f"{LINK}{to_pointer(path)}" if path else None


def pages(value: Any, budget: int | None, limit: int | None = None) -> list[Page]:
    """All pages, one after the other; each goes further."""
    found, offset = list[Page](), 0
    while True:
        page = cut(value, budget, link, offset=offset, limit=limit)
        found.append(page)
        if page.end >= page.total:
            return found
        assert page.end > offset, "a page must show something"
        offset = page.end


def put_together(value: Any, budget: int | None, limit: int | None = None) -> Any:
    """A value as a reader gets it who follows every page and every link."""
    found, path = pages(value, budget, limit), find_cut(value)
    parts = [follow(page.value, path) for page in found]
    if isinstance(parts[0], str):
        whole: Any = "".join(parts)
    elif isinstance(parts[0], list):
        whole = [item for part in parts for item in part]
    elif isinstance(parts[0], dict):
        whole = {name: item for part in parts for name, item in part.items()}
    else:
        whole = parts[0]
    built = _put(found[0].value, path, whole)
    for replaced in {place for page in found for place in page.replaced}:
        built = _put(built, replaced, put_together(follow(value, replaced), budget, limit))
    return built


def _put(value: Any, path: Path, part: Any) -> Any:
    if not path:
        return part
    changed = value.copy()
    changed[path[0]] = _put(value[path[0]], path[1:], part)
    return changed


@settings(deadline=None, max_examples=300)
@given(values, budgets)
def test_pages_and_links_put_together_are_the_whole(value: Any, budget: int) -> None:
    assert put_together(value, budget) == value


@settings(deadline=None)
@given(values, st.integers(1, 5))
def test_pages_of_so_many_items_put_together_are_the_whole(value: Any, limit: int) -> None:
    assert put_together(value, None, limit) == value
    assert all(page.end - page.offset <= limit for page in pages(value, None, limit))


@settings(deadline=None, max_examples=300)
@given(values, budgets)
def test_no_page_is_longer_than_its_budget(value: Any, budget: int) -> None:
    for page in pages(value, budget):
        assert count_tokens(page.value) <= max(budget, budget // 4 + SLACK)


@settings(deadline=None)
@given(st.lists(values, max_size=40), budgets)
def test_an_item_is_shown_whole_or_as_a_link(items: list[Any], budget: int) -> None:
    for page in pages(items, budget):
        for place, shown in enumerate(page.value, page.offset):
            assert shown == (link((place,), 0) if (place,) in page.replaced else items[place])


@settings(deadline=None)
@given(values, budgets, budgets)
def test_where_a_value_is_cut_depends_on_no_budget(value: Any, one: int, other: int) -> None:
    first, second = cut(value, one, link), cut(value, other, link)
    assert (first.unit, first.total) == (second.unit, second.total)


@settings(deadline=None)
@given(values)
def test_every_part_is_found_by_its_pointer(value: Any) -> None:
    def visit(part: Any, path: Path) -> None:
        assert read_pointer(to_pointer(path), value) == path
        members = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, inner in members:
            visit(inner, (*path, key))

    visit(value, ())


def test_an_object_is_cut_in_its_list_and_keeps_its_other_members() -> None:
    value = {"query": "all", "rows": [{"id": number} for number in range(1000)], "total": 1000}
    page = cut(value, 300, link)
    assert (page.value["query"], page.value["total"], page.unit, page.total) == ("all", 1000, "items", 1000)
    assert page.value["rows"] == value["rows"][: page.end]  # type: ignore[index]
    assert 50 < page.end < 1000


def test_a_text_ends_after_a_line_or_else_after_a_word() -> None:
    lines = "".join(f"line {number} of the text\n" for number in range(1000))
    assert all(page.value.endswith("\n") for page in pages(lines, 200))
    words = "word " * 1000
    assert all(page.value.endswith(" ") for page in pages(words, 200))
    assert len(pages("x" * 6000, 200)) > 9


def test_a_mapping_is_cut_between_its_members() -> None:
    page = cut({f"name {number}": {"price": number} for number in range(500)}, 200, link)
    assert page.unit == "members"
    assert page.total == 500
    assert 5 < page.end < 100


def test_an_item_that_alone_is_too_long_is_a_link_or_ends_the_page() -> None:
    items = [1, "x" * 3000, 2]
    replaced = cut(items, 200, link)
    assert (replaced.value, replaced.replaced) == ([1, "link to /1", 2], ((1,),))
    assert cut(items, 200, link, replaces=False).value == [1]


def test_an_image_counts_as_models_count_it() -> None:
    image = ImageContent("A" * 3_000_000, "image/png")
    assert count_content_tokens((image, TextContent("abc"))) == IMAGE_TOKENS + 1
    assert count_tokens(msgspec.to_builtins(image)) == IMAGE_TOKENS


def test_text_beyond_ascii_takes_more() -> None:
    assert count_content_tokens((TextContent("a" * 300),)) == 100
    assert count_content_tokens((TextContent("字" * 300),)) == 300


@pytest.mark.parametrize("pointer", ["x", "/9", "/-1", "/0/b", "/0/a/b", "/٣"])
def test_a_pointer_to_nothing_is_an_error(pointer: str) -> None:
    with pytest.raises(LookupError):
        read_pointer(pointer, [{"a": 1}])
