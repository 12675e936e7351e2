"""ToolBox: the place where AI agents find and call tools.

This is all that a plugin imports::

    import toolbox

    def reverse(text: str) -> str:
        '''Reverse a text, character by character.'''
        return text[::-1]

    @toolbox.hookimpl
    def toolbox_tools():
        return [reverse]
"""

import pluggy

from toolbox.definitions import (
    AudioContent,
    Content,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    ResourceLink,
    TextContent,
    ToolAnnotations,
    ToolDefinition,
    ToolExample,
    ToolResult,
)
from toolbox.embeddings.base import Embedder
from toolbox.embeddings.onnx import OnnxEmbedder
from toolbox.errors import ToolError
from toolbox.tools.base import Tool, ToolContext
from toolbox.tools.function import tool

hookimpl = pluggy.HookimplMarker("toolbox")

__all__ = [
    "AudioContent",
    "Content",
    "EmbeddedResource",
    "Embedder",
    "ImageContent",
    "OnnxEmbedder",
    "ResourceContents",
    "ResourceLink",
    "TextContent",
    "Tool",
    "ToolAnnotations",
    "ToolContext",
    "ToolDefinition",
    "ToolError",
    "ToolExample",
    "ToolResult",
    "hookimpl",
    "tool",
]
