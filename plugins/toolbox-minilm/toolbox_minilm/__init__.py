"""The embedding model all-MiniLM-L6-v2 (int8) for ToolBox, run in the server's own process."""

from functools import cache
from pathlib import Path

import toolbox


@toolbox.hookimpl
def toolbox_embedders() -> list[toolbox.Embedder]:
    """Offer the model."""
    return [_embedder()]


@cache
def _embedder() -> toolbox.OnnxEmbedder:
    """One for the whole process: the model is loaded once, however often plugins are."""
    return toolbox.OnnxEmbedder(
        name="all-MiniLM-L6-v2-int8",
        dimensions=384,
        directory=Path(__file__).parent / "model",
        max_tokens=256,
        # Descriptions say first what a tool does: cut here, long ones are found better (MODEL_CARD.md, "Limits").
        max_tool_tokens=128,
    )
