"""The versions of MCP that ToolBox speaks, and what each of them lets a server say. Pure module: no I/O.

There are two eras on one URL. To 2025-11-25 a client begins with `initialize` (handshake); from 2026-07-28 on every
request stands alone and says everything about itself (stateless).
"""

from msgspec import Struct

STATELESS_VERSIONS = ("2026-07-28",)
HANDSHAKE_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Newest first: the first one is what a client is offered that asks for a version nobody knows."""

ASSUMED_VERSION = "2025-03-26"
"""Spoken by a request without a version header: the header came one version later."""


class Version(Struct, frozen=True):
    """What a version lets a server say."""

    name: str
    has_batches: bool
    """Several messages in one body."""
    has_annotations: bool
    """Hints of tools, and sounds as content."""
    has_progress_texts: bool
    """Words beside the numbers of progress."""
    has_structured_output: bool
    """Structured results with their schemas, titles, and links as content."""
    has_any_output: bool
    """Structured results that are not objects."""


def _describe(name: str) -> Version:
    return Version(
        name=name,
        has_batches=name == "2025-03-26",
        has_annotations=name >= "2025-03-26",
        has_progress_texts=name >= "2025-03-26",
        has_structured_output=name >= "2025-06-18",
        has_any_output=name >= "2026-07-28",
    )


VERSIONS = {name: _describe(name) for name in (*STATELESS_VERSIONS, *HANDSHAKE_VERSIONS)}
