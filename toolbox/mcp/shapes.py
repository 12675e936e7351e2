"""Tools and results as each version of MCP writes them. Pure module: no I/O."""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.definitions import (
    AudioContent,
    Content,
    ForeignContent,
    ResourceLink,
    TextContent,
    ToolAnnotations,
    ToolDefinition,
    ToolResult,
)
from toolbox.mcp.outputs import WRAPPER, Outcome, is_object_schema, wrap_schema
from toolbox.mcp.versions import Version

NO_ANNOTATIONS = ToolAnnotations()
RESERVED = "io.modelcontextprotocol/"
"""How names in `_meta` begin that are MCP's own: what they say is said by ToolBox itself, not by a tool's result."""


class ToolShape(Struct, frozen=True, rename="camel"):
    """A tool in tools/list."""

    name: str
    description: str
    input_schema: dict[str, object]
    title: str | UnsetType = UNSET
    output_schema: dict[str, object] | UnsetType = UNSET
    annotations: ToolAnnotations | UnsetType = UNSET


class ResultShape(Struct, frozen=True):
    """The parts of a tools/call result that all versions share, encoded."""

    content: Raw
    structured: Raw | UnsetType
    is_error: bool
    metadata: dict[str, object]


def encode_tool(definition: ToolDefinition, version: Version) -> bytes:
    """A tool as tools/list shows it."""
    shape = ToolShape(
        name=definition.name,
        description=definition.description,
        input_schema=definition.input_schema,
        title=definition.title or UNSET if version.has_structured_output else UNSET,
        output_schema=_output_schema(definition, version),
        annotations=_annotations(definition, version),
    )
    return msgspec.json.encode(shape)


def shape_result(outcome: Outcome, version: Version) -> ResultShape:
    """A result as tools/call answers it; one that cannot be written as JSON becomes a failure that says so."""
    try:
        return _shape_result(outcome, version)
    except (TypeError, ValueError, RecursionError, msgspec.EncodeError) as error:
        failure = ToolResult((TextContent(f"the tool's answer cannot be written as JSON: {error}"),), is_error=True)
        return _shape_result(Outcome(failure), version)


def _output_schema(definition: ToolDefinition, version: Version) -> dict[str, object] | UnsetType:
    schema = definition.output_schema
    if schema is None or not version.has_structured_output:
        return UNSET
    return schema if version.has_any_output or is_object_schema(schema) else wrap_schema(schema)


def _annotations(definition: ToolDefinition, version: Version) -> ToolAnnotations | UnsetType:
    if not version.has_annotations:
        return UNSET
    annotations = definition.annotations
    if definition.title and not annotations.title and not version.has_structured_output:
        annotations = msgspec.structs.replace(annotations, title=definition.title)  # its only place before 2025-06-18
    return UNSET if annotations == NO_ANNOTATIONS else annotations


def _shape_result(outcome: Outcome, version: Version) -> ResultShape:
    result = outcome.result
    structured = UNSET if result.structured is UNSET else Raw(msgspec.json.encode(result.structured))
    content = result.content if version.has_structured_output else [downgrade(part, version) for part in result.content]
    if structured is not UNSET and not any(_is_text(part) for part in content):
        content = [TextContent(bytes(structured).decode()), *content]
    return ResultShape(
        Raw(msgspec.json.encode(content)),
        UNSET if structured is UNSET else _structured(outcome, structured, version),
        result.is_error,
        {name: value for name, value in result.metadata.items() if not name.startswith(RESERVED)},
    )


def _is_text(part: Content) -> bool:
    return isinstance(part, TextContent) or (isinstance(part, ForeignContent) and part.get("type") == "text")


def _structured(outcome: Outcome, encoded: Raw, version: Version) -> Raw | UnsetType:
    if not version.has_structured_output:
        return UNSET
    if version.has_any_output or not _is_wrapped(outcome, encoded):
        return encoded
    return Raw(b'{"%b":%b}' % (WRAPPER.encode(), encoded))


def _is_wrapped(outcome: Outcome, encoded: Raw) -> bool:
    """The schema decides where there is one: an object is wrapped too if another value of its kind might be none."""
    schema = outcome.definition.output_schema if outcome.definition else None
    if schema is not None and not outcome.result.is_error:
        return not is_object_schema(schema)
    return bytes(memoryview(encoded)[:1]) != b"{"


def downgrade(part: Content, version: Version) -> Content:
    """Content as a client of an earlier version can read it."""
    if isinstance(part, ResourceLink):
        return TextContent(f"{part.title or part.name}: {part.uri}")
    if isinstance(part, AudioContent) and not version.has_annotations:
        return TextContent(f"(a sound of type {part.mime_type}, which this version of MCP cannot carry)")
    return part
