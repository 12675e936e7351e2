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
    Upstream,
)
from toolbox.display import Annotations, Icon
from toolbox.embeddings.base import Embedder
from toolbox.embeddings.onnx import OnnxEmbedder
from toolbox.errors import ToolError
from toolbox.prompts import PromptMessage, prompt
from toolbox.resources import ResourceNotFound, resource
from toolbox.text_functions import Suggestions
from toolbox.tools.base import Tool, ToolContext
from toolbox.tools.client import (
    Elicitation,
    Elicited,
    ListRoots,
    MissingCapability,
    Root,
    Roots,
    Sampled,
    Sampling,
    SamplingMessage,
)
from toolbox.tools.function import tool

hookimpl = pluggy.HookimplMarker("toolbox")

__all__ = [
    "Annotations",
    "AudioContent",
    "Content",
    "Elicitation",
    "Elicited",
    "EmbeddedResource",
    "Embedder",
    "Icon",
    "ImageContent",
    "ListRoots",
    "MissingCapability",
    "OnnxEmbedder",
    "PromptMessage",
    "ResourceContents",
    "ResourceLink",
    "ResourceNotFound",
    "Root",
    "Roots",
    "Sampled",
    "Sampling",
    "SamplingMessage",
    "Suggestions",
    "TextContent",
    "Tool",
    "ToolAnnotations",
    "ToolContext",
    "ToolDefinition",
    "ToolError",
    "ToolExample",
    "ToolResult",
    "Upstream",
    "hookimpl",
    "prompt",
    "resource",
    "tool",
]
