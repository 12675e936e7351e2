"""A request for several things at once, taken apart: "get the weather and mail it to Ann" wants two tools. Pure."""

import re

from toolbox.index.lexemes import lexemes

MAX_CLAUSES = 8
MIN_WORDS = 3
"""A clause with fewer words that say something is part of another, as in "black and white", unless it is an order."""

_BOUNDARY = re.compile(
    r"(?<=[.?!;])\s+|\n+|\s*,?\s+(?:and then|and also|and|then|also|as well as|plus|after that|afterwards)\s+",
    re.IGNORECASE,
)


_VERBS_WRITTEN = """
    add analyse analyze answer archive ask assign book build buy calculate call cancel change check close compare
    compress compute convert copy count create cut delete describe display download draw edit email estimate explain
    export extract fetch fill filter find fix forward generate get give identify import install invite list locate lock
    look mail make measure merge message move notify open order organise organize pay plan play plot post print publish
    put read recommend record remind remove rename reply report reserve resize restart retrieve reverse rotate run save
    schedule search see sell send set share show sort start stop store submit subscribe suggest summarise summarize tag
    tell test text track transfer translate turn unlock update upload validate verify view watch write
"""
_VERBS = frozenset(_VERBS_WRITTEN.split())
"""What short orders begin with."""


def split_clauses(text: str) -> list[str]:
    """The clauses of a text, at most MAX_CLAUSES; none where it is a single one."""
    parts = [part.strip(" ,.;!?") for part in _BOUNDARY.split(text)]
    clauses = [part for part in parts if len(set(lexemes(part))) >= MIN_WORDS or _is_order(part)][:MAX_CLAUSES]
    return clauses if len(clauses) > 1 else []


def _is_order(part: str) -> bool:
    """Whether it says in short what to do with what: "email it", "get the weather"; not "list" in "list and delete"."""
    first, *rest = part.lower().split() or [""]
    return first in _VERBS and bool(rest)
