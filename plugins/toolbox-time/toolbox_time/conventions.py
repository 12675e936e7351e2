"""What the tools of this plugin share: how they are labelled, and the types of their parameters."""

from typing import Annotated, Literal

from msgspec import Meta

import toolbox

CATEGORY = "time"

READ_ONLY = toolbox.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
"""Calling a tool changes nothing."""

TimeText = Annotated[str, Meta(min_length=1, max_length=100)]
ZoneName = Annotated[str, Meta(min_length=1, max_length=64)]

ClockChangeRule = Literal["compatible", "earlier", "later", "refuse"]
"""What to do with a local time that a clock change skips or repeats.

"compatible" does what RFC 5545 (section 3.3.5) and most calendars do: of a repeated time it takes the first, and a
skipped one it moves forward by as much as the clocks moved.
"""


def shown(text: str) -> str:
    """A text of the caller as an error message shows it: quoted, and cut if it is long."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}..."
