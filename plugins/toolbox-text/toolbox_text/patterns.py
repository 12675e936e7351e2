"""Tools that search and replace with regular expressions.

A pattern comes from a stranger, and some run for years: `(a+)+b` on a row of a's. Python cannot interrupt a search,
so each runs in a process of its own (`pattern_processes`), which is killed when its time is over. Libraries that limit
the time of a search do not limit the time and memory of reading the pattern, which nested repeats exhaust as well.
"""

import json
import subprocess
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

import toolbox
from toolbox_text.hints import PURE
from toolbox_text.limits import Text
from toolbox_text.pattern_processes import PatternProcesses

PROCESSES = PatternProcesses()

TIME_LIMIT_SECONDS = 3.0
"""How long the process may take; about 30 ms of that are its start, where none was waiting."""

CPU_LIMIT_SECONDS = 10
"""Ends the process even if nobody is left to kill it."""

MEMORY_LIMIT_BYTES = 512 * 2**20
"""How much address space the process may use; an idle one uses about 20 MiB."""

T = TypeVar("T")

PatternText = Annotated[str, Meta(min_length=1, max_length=1_000)]


class Match(Struct, frozen=True):
    """A place where a pattern matches: `start` is the index of its first character, `end` of the first behind it."""

    text: str
    start: int
    end: int
    groups: Annotated[list[str | None], Meta(description="what the groups 1, 2 ... matched; null for none")]
    named_groups: dict[str, str | None]


class Matches(Struct, frozen=True):
    """The matches of a pattern, in the order of the text."""

    matches: list[Match]
    is_complete: Annotated[bool, Meta(description="false if there are more matches than the limit")]


class Replacement(Struct, frozen=True):
    """The text after replacing."""

    text: str
    replacements: int


@toolbox.tool(
    title="Find matches of a regular expression",
    category="text",
    tags=["regex", "regular expression", "search", "pattern"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="find all dates like 2024-05-17 with a regex",
            arguments={"pattern": r"(?P<year>\d{4})-(\d\d)-(\d\d)", "text": "Due 2024-05-17."},
            result={
                "matches": [
                    {
                        "text": "2024-05-17",
                        "start": 4,
                        "end": 14,
                        "groups": ["2024", "05", "17"],
                        "named_groups": {"year": "2024"},
                    }
                ],
                "is_complete": True,
            },
        ),
        toolbox.ToolExample(
            query="does any line start with error",
            arguments={
                "pattern": "^error",
                "text": "ok\nERROR: disk full\nerror: again",
                "ignore_case": True,
                "multiline": True,
                "limit": 1,
            },
            result={
                "matches": [{"text": "ERROR", "start": 3, "end": 8, "groups": [], "named_groups": {}}],
                "is_complete": False,
            },
        ),
    ],
)
def find_matches(
    pattern: PatternText,
    text: Text,
    ignore_case: bool = False,
    multiline: bool = False,
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100,
) -> Matches:
    """Search a text with a regular expression (regex), and list each match with its position and groups.

    A search may take 3 seconds, and the matches with their groups may add up to 1,000,000 characters.

    Args:
        pattern: The regular expression, in the syntax of Python's re module; at most 1,000 characters.
        text: The text to search, at most 100,000 characters.
        ignore_case: Match capital and small letters alike.
        multiline: Let ^ and $ match at each line instead of only at the ends of the text.
        limit: The most matches to list.
    """
    return _run(
        Matches, job="find", pattern=pattern, text=text, ignore_case=ignore_case, multiline=multiline, limit=limit
    )


@toolbox.tool(
    title="Replace matches of a regular expression",
    category="text",
    tags=["regex", "regular expression", "replace", "substitute"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="swap first and last name with a regex",
            arguments={"pattern": r"(\w+) (\w+)", "replacement": r"\2, \1", "text": "Ada Lovelace"},
            result={"text": "Lovelace, Ada", "replacements": 1},
        ),
        toolbox.ToolExample(
            query="replace all digits with a hash sign",
            arguments={"pattern": r"\d", "replacement": "#", "text": "PIN 1234"},
            result={"text": "PIN ####", "replacements": 4},
        ),
    ],
)
def replace_matches(
    pattern: PatternText,
    replacement: Annotated[str, Meta(max_length=1_000)],
    text: Text,
    ignore_case: bool = False,
    multiline: bool = False,
    limit: Annotated[int, Meta(ge=1)] | None = None,
) -> Replacement:
    r"""Replace what a regular expression (regex) matches in a text: search and replace, substitute.

    A search may take 3 seconds, and what is put in may add up to 1,000,000 characters.

    Args:
        pattern: The regular expression, in the syntax of Python's re module; at most 1,000 characters.
        replacement: What to put in, at most 1,000 characters; \1 or \g<name> stands for what a group matched.
        text: The text to change, at most 100,000 characters.
        ignore_case: Match capital and small letters alike.
        multiline: Let ^ and $ match at each line instead of only at the ends of the text.
        limit: Replace only so many matches, from the beginning; all if not given.
    """
    return _run(
        Replacement,
        job="replace",
        pattern=pattern,
        replacement=replacement,
        text=text,
        ignore_case=ignore_case,
        multiline=multiline,
        limit=limit or 0,
    )


def _run(answer_type: type[T], **request: Any) -> T:
    """Have the pattern run in a process of its own, and read its answer.

    Raises:
        ToolError: The pattern is wrong, or took too much time or memory.
    """
    limits = {"memory_limit_bytes": MEMORY_LIMIT_BYTES, "cpu_limit_seconds": CPU_LIMIT_SECONDS}
    try:
        status, written = PROCESSES.answer(json.dumps(request | limits).encode(), TIME_LIMIT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise toolbox.ToolError(
            f"the pattern took more than {TIME_LIMIT_SECONDS:g} seconds on this text; avoid repeats inside repeats, "
            "such as (a+)+, or give a shorter text"
        ) from error
    if status:
        raise toolbox.ToolError(f"the system ended the search (status {status}); give a shorter text")
    answer = json.loads(written)
    if "error" in answer:
        raise toolbox.ToolError(answer["error"])
    return msgspec.convert(answer, answer_type)
