"""What the tools of this plugin share: how they are labelled, and how large their input may be."""

from typing import Annotated

from msgspec import Meta

import toolbox

CATEGORY = "data"

PURE = toolbox.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
"""The result depends on the arguments alone, and nothing else changes."""

MAX_TEXT = 500_000
MAX_DEPTH = 100
MAX_VALUES = 200_000
MAX_CHARACTERS = 5_000_000
"""A JSON value may nest 100 levels deep and hold 200,000 values, with 5,000,000 characters in its texts and keys.

A tool runs beside the calls of others, so nothing that a caller sends may grow without end on the way: a few lines
of YAML or of JMESPath can describe billions of values. Results that can outgrow their input are measured too.
"""

Text = Annotated[str, Meta(max_length=MAX_TEXT)]
"""Text that a tool parses."""
