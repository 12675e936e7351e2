"""Pages of lists that are sorted by a key (MCP 2026-07-28, pagination). Pure module: no I/O."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from toolbox.mcp.listing import read_cursor, write_cursor

PAGE_SIZE = 100


class Page(NamedTuple):
    """Which members of a list belong to a page, and what leads to the next one."""

    start: int
    end: int
    next_cursor: str | UnsetType


def find_page(keys: Sequence[str], cursor: str | None) -> Page:
    """The page behind a cursor; the first one without. Pages stay in place when members before them come and go.

    Raises:
        InvalidRequest: The cursor is none of ours.
    """
    start = bisect_right(keys, read_cursor(cursor)) if cursor else 0
    end = min(start + PAGE_SIZE, len(keys))
    return Page(start, end, UNSET if end == len(keys) else write_cursor(keys[end - 1]))
