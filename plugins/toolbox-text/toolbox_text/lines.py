"""Tools for lists that have one entry on each line."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

import toolbox
from toolbox_text.hints import PURE
from toolbox_text.limits import Text

By = Literal["text", "natural", "length"]


@toolbox.tool(
    title="Sort lines",
    category="text",
    tags=["sort", "lines", "list", "order"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="sort this list alphabetically",
            arguments={"text": "pear\nApple\nfig", "ignore_case": True},
            result="Apple\nfig\npear",
        ),
        toolbox.ToolExample(
            query="sort file names so that 10 comes after 9",
            arguments={"text": "part10\npart9\npart1", "by": "natural"},
            result="part1\npart9\npart10",
        ),
        toolbox.ToolExample(
            query="longest line first",
            arguments={"text": "aa\na\naaa", "by": "length", "order": "descending"},
            result="aaa\naa\na",
        ),
    ],
)
def sort_lines(
    text: Text, by: By = "text", order: Literal["ascending", "descending"] = "ascending", ignore_case: bool = False
) -> str:
    """Sort the lines of a text: alphabetically, by the numbers in them, or by length.

    Lines that are equal in what they are sorted by keep their order.

    Args:
        text: The lines, at most 100,000 characters together.
        by: text compares characters by their Unicode number, natural also takes digits as numbers (9 before 10),
            length counts characters.
        order: Least first or greatest first.
        ignore_case: Sort capital and small letters alike.
    """
    key = _KEYS[by]
    lines = sorted(
        text.splitlines(),
        key=lambda line: key(line.casefold() if ignore_case else line),
        reverse=order == "descending",
    )
    return _join(lines, text)


@toolbox.tool(
    title="Remove duplicate lines",
    category="text",
    tags=["unique", "duplicates", "lines", "list"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="remove duplicates from a list", arguments={"text": "red\nblue\nred"}, result="red\nblue"
        ),
        toolbox.ToolExample(
            query="unique lines regardless of capital letters",
            arguments={"text": "Red\nred\nRED\nblue", "ignore_case": True},
            result="Red\nblue",
        ),
    ],
)
def unique_lines(text: Text, ignore_case: bool = False) -> str:
    """Remove duplicate lines from a text; the first of equal lines stays, and the order is kept.

    Args:
        text: The lines, at most 100,000 characters together.
        ignore_case: Treat lines that differ only in case as equal.
    """
    first: dict[str, str] = {}
    for line in text.splitlines():
        first.setdefault(line.casefold() if ignore_case else line, line)
    return _join(first.values(), text)


def _join(lines: Iterable[str], text: str) -> str:
    """Put lines together, with a line break at the end if the text that they are from has one there."""
    return "\n".join(lines) + ("\n" if text.endswith(("\n", "\r")) else "")


def _natural(line: str) -> list[tuple[int, int, str]]:
    """Numbers compare by length and then by digits, which needs no conversion of numbers with many digits."""
    return [
        (0, len(part.lstrip("0")), part.lstrip("0")) if part.isascii() and part.isdigit() else (1, 0, part)
        for part in re.findall(r"[0-9]+|[^0-9]+", line)
    ]


_KEYS: dict[By, Callable[[str], Any]] = {"text": str, "natural": _natural, "length": len}
