"""Queries whose answers are known: read from a file, drawn, and held out for use."""

import random
from collections import Counter
from pathlib import Path

import msgspec
from msgspec import Struct

from toolbox.errors import InvalidRequest
from toolbox.search.evaluation import LabelledQuery

MAX_QUERY = 4096


def read_queries(file: Path, names: dict[str, str]) -> tuple[list[LabelledQuery], int]:
    """The queries of a file, and how many were left out because they want a tool that the catalogue does not hold.

    Raises:
        InvalidRequest: A line is no query, or no query is left.
    """
    queries, left_out = list[LabelledQuery](), 0
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            read = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"{file}, line {number}: {error}") from error
        if not read.relevant or not read.query.strip() or any(tool not in names for tool in read.relevant):
            left_out += 1
            continue
        relevant = frozenset(names[tool] for tool in read.relevant)
        category = read.category or category_of(relevant)
        queries.append(LabelledQuery(read.id or str(number), read.query[:MAX_QUERY], relevant, category))
    if not queries:
        raise InvalidRequest(f"{file}: no query wants a tool of this catalogue; `relevant` holds ids of tools")
    return queries, left_out


def category_of(relevant: frozenset[str]) -> str:
    """Of a query that names none: how many tools are right."""
    count = min(len(relevant), 4)
    return "1 tool" if count == 1 else f"{count} tools" if count < 4 else "4 tools or more"


class _Line(Struct, frozen=True):
    query: str
    relevant: list[str]
    id: str | None = None
    category: str | None = None


def draw(queries: list[LabelledQuery], most: int | None, seed: int) -> list[LabelledQuery]:
    """At most so many, the same for the same seed; None: all."""
    if most is None or most >= len(queries):
        return queries
    return random.Random(seed).sample(queries, most)  # noqa: S311 - drawn, not secret


def hold_out(queries: list[LabelledQuery], uses: int, seed: int) -> tuple[list[LabelledQuery], list[LabelledQuery]]:
    """Draw queries after which tools are used, up to so many of each tool; and those that are left to be asked.

    Raises:
        InvalidRequest: None is left.
    """
    used, left, times = list[LabelledQuery](), list[LabelledQuery](), Counter[str]()
    for query in random.Random(seed).sample(queries, len(queries)):  # noqa: S311 - drawn, not secret
        if any(times[tool] < uses for tool in query.relevant):
            times.update(query.relevant)
            used.append(query)
        else:
            left.append(query)
    if not left:
        raise InvalidRequest(f"no query is left to ask: no tool has more than {uses}; let fewer be used with --uses")
    return used, left
