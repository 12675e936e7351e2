"""An embedding model that runs in the server's own process: all-MiniLM-L6-v2, trained to find tools, in int8."""

from functools import cache
from pathlib import Path
from typing import Final

import toolbox

NAME: Final = "MiniLM-L6-tools-4-int8"
"""Other weights need another name: the vectors of one name are taken to be comparable."""
MAX_QUERY_TOKENS: Final = 256
MAX_TOOL_TOKENS: Final = 128
"""Descriptions say first what a tool does: cut here, long ones are found better (MODEL_CARD.md, "Limits")."""


@toolbox.hookimpl
def toolbox_embedders() -> list[toolbox.Embedder]:
    """Offer the model."""
    return [_embedder()]


@cache
def _embedder() -> toolbox.OnnxEmbedder:
    """One for the whole process: the model is loaded once, however often plugins are."""
    return toolbox.OnnxEmbedder(
        name=NAME,
        dimensions=384,
        directory=Path(__file__).parent / "model",
        max_tokens=MAX_QUERY_TOKENS,
        max_tool_tokens=MAX_TOOL_TOKENS,
    )
