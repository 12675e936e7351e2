"""The shapes of tools on the wire."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from toolbox.auth.callers import Caller
from toolbox.definitions import Moment, ToolAnnotations, ToolExample
from toolbox.tools.repository import StoredTool, ToolFilter

ShortText = Annotated[str, Meta(max_length=256)]
Tags = Annotated[list[ShortText], Meta(max_length=50)]
Source = Annotated[
    str,
    Meta(
        max_length=256,
        description="Where tools come from: `import:partner`, or `partner` alone for each kind of source of that name.",
        examples=["plugin:text"],
    ),
]
Limit = Annotated[int, Meta(ge=1, le=1000)]
Offset = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class ListRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tools to list; what is not given does not restrict."""

    category: Annotated[ShortText | None, Meta(examples=["text"])] = None
    tags: Tags = []
    source: Source | None = None
    metadata: Annotated[dict[str, Any], Meta(description="Contained in the tool's metadata.")] | UnsetType = UNSET
    active_only: bool = True
    limit: Limit = 100
    offset: Offset = 0

    def to_filter(self, caller: Caller) -> ToolFilter:
        """The part that says which tools, of those that the caller may see."""
        return ToolFilter(
            category=self.category,
            tags=tuple(self.tags),
            source=self.source,
            metadata=self.metadata,
            active_only=self.active_only,
            within=caller.within,
        )


class ToolSummary(Struct, frozen=True, kw_only=True):
    """A tool in a list."""

    name: str
    title: str | None
    description: str
    category: str | None
    tags: list[str]
    input_schema: dict[str, Any]
    annotations: ToolAnnotations
    version: str
    source: str
    active: bool
    metadata: dict[str, Any]
    created_at: Moment
    updated_at: Moment


class ToolDetail(ToolSummary, frozen=True, kw_only=True):
    """Everything about a tool."""

    long_description: str | None
    author: str | None
    output_schema: dict[str, Any] | None
    examples: list[ToolExample]
    timeout_seconds: float | None


class CategoryCount(Struct, frozen=True):
    """A category and how many active tools it has."""

    category: str
    tools: int


_SUMMARY = tuple(name for name in ToolSummary.__struct_fields__ if name != "metadata")
_DETAIL = tuple(name for name in ToolDetail.__struct_fields__)
_ORIGINALS = ("original_schema", "original_output_schema")
"""What import keeps of a schema that it translated: as long as the schema itself, and of no use to a caller."""


def to_summary(tool: StoredTool) -> dict[str, Any]:
    """A ToolSummary whose JSON fields are spliced in as they are stored."""
    return {name: getattr(tool, name) for name in _SUMMARY} | {"metadata": shown_metadata(tool)}


def shown_metadata(tool: StoredTool) -> Raw:
    """The metadata of a tool in a list or a match; everything is in its detail."""
    if not any(f'"{key}"'.encode() in bytes(tool.metadata) for key in _ORIGINALS):
        return tool.metadata
    kept = msgspec.json.decode(tool.metadata, type=dict[str, Raw])
    return Raw(msgspec.json.encode({key: value for key, value in kept.items() if key not in _ORIGINALS}))


def to_detail(tool: StoredTool) -> dict[str, Any]:
    """A ToolDetail whose JSON fields are spliced in as they are stored."""
    return {name: getattr(tool, name) for name in _DETAIL}
