"""A request for several things at once, taken apart: "get the weather and mail it to Ann" wants two tools. Pure."""

import re

from toolbox.index.lexemes import lexemes

MAX_CLAUSES = 8
MIN_WORDS = 3
"""A clause with fewer words that say something is part of another: "black and white" is one thing."""

_BOUNDARY = re.compile(
    r"(?<=[.?!;])\s+|\n+|\s*,?\s+(?:and then|and also|and|then|also|as well as|plus|after that|afterwards)\s+",
    re.IGNORECASE,
)


def split_clauses(text: str) -> list[str]:
    """The clauses of a text, at most MAX_CLAUSES; none where it is a single one."""
    parts = [part.strip(" ,.;!?") for part in _BOUNDARY.split(text)]
    clauses = [part for part in parts if len(set(lexemes(part))) >= MIN_WORDS][:MAX_CLAUSES]
    return clauses if len(clauses) > 1 else []
