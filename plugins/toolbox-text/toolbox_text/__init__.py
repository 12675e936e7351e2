"""Works on text for agents: case, counts, patterns, differences, hashes, encodings and lines.

Each module holds tools that belong together; this one only hands them to ToolBox.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import toolbox
from toolbox_text.case import change_case
from toolbox_text.comparison import diff
from toolbox_text.counting import count, word_frequency
from toolbox_text.encoding import decode, encode
from toolbox_text.extraction import extract
from toolbox_text.hashing import hash_text
from toolbox_text.lines import sort_lines, unique_lines
from toolbox_text.patterns import PROCESSES, find_matches, replace_matches
from toolbox_text.shaping import reverse, slugify, truncate


@toolbox.hookimpl
def toolbox_tools() -> list[Callable[..., Any]]:
    """Offer the tools; ToolBox names each `text_<function>`."""
    return [
        change_case,
        reverse,
        truncate,
        slugify,
        count,
        word_frequency,
        find_matches,
        replace_matches,
        extract,
        diff,
        hash_text,
        encode,
        decode,
        sort_lines,
        unique_lines,
    ]


@toolbox.hookimpl
def toolbox_lifespan() -> AbstractAsyncContextManager[None]:
    """Let processes for regular expressions wait while ToolBox runs, and end them with it."""
    return PROCESSES.opened()
