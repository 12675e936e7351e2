"""Long results over MCP: a resource template, and a tool for models whose client reads no resources for them."""

from typing import Any

import msgspec

from toolbox.calls.handles import Handle, read_handle, unescape
from toolbox.calls.results_store import ReadPage
from toolbox.calls.service import CallService
from toolbox.definitions import (
    AudioContent,
    Content,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    ResourceLink,
    TextContent,
    ToolResult,
)
from toolbox.errors import NotFound
from toolbox.resources import Resource, as_resource, resource
from toolbox.tools.base import ToolContext

READ_RESULT = "read_result"
"""The name under which call_tool reads results."""

CACHE_SECONDS = 3600.0
"""A result never changes."""

_JSON, _TEXT = "application/json", "text/plain"


def create_result_resource(calls: CallService, max_tokens: int | None) -> Resource:
    """The template that all handles of results follow; a page holds at most so many tokens."""

    @resource(
        "result://{+handle}",
        name="result",
        title="A long result",
        cache_seconds=CACHE_SECONDS,
    )
    async def read(handle: str, context: ToolContext) -> list[ResourceContents] | None:
        """What an answer of call_tool did not show: `result://ID?offset=20`, as the answer links to it; `limit` too."""
        wanted = read_handle(unescape(handle))
        try:
            page = await calls.read_result(wanted, context.caller, max_tokens=max_tokens)
        except NotFound:
            return None
        return _to_contents(page)

    return as_resource(read)


async def read_result(calls: CallService, uri: str, owner: str | None, max_tokens: int | None) -> ToolResult:
    """A page of a result as the result of a tool.

    Raises:
        InvalidRequest: The URI is no handle.
        NotFound: There is no such result, or no such part of it.
    """
    read = await calls.read_result(read_handle(uri), owner, max_tokens=max_tokens)
    content = list(_to_blocks(read))
    if read.next:
        content += [TextContent(_lead_on(read, read.next)), ResourceLink(read.next.uri, "the rest of the result")]
    return ToolResult(tuple(content))


def _to_contents(read: ReadPage) -> list[ResourceContents]:
    uri = read.handle.uri
    contents = [_to_resource(block, uri) for block in _to_blocks(read)]
    if read.next:
        contents.append(ResourceContents(read.next.uri, _TEXT, text=_lead_on(read, read.next)))
    return contents


def _to_blocks(read: ReadPage) -> tuple[Content, ...]:
    """A page as content: blocks as they are, anything else as text."""
    value = read.page.value
    if read.kind == "content" and not read.handle.at:
        return _read(value, tuple[Content, ...]) or (TextContent("there is nothing here"),)
    if read.kind == "content" and isinstance(value, dict) and (block := _find_medium(value, read)):
        return (block,)
    return (TextContent(value if isinstance(value, str) else msgspec.json.encode(value).decode()),)


def _find_medium(value: Any, read: ReadPage) -> Content | None:
    """An image, a sound or a file, which is given whole or not at all."""
    block: Content | None = _read(value, ImageContent | AudioContent | EmbeddedResource)
    return block if read.page.is_whole else None


def _read(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _to_resource(block: Content, uri: str) -> ResourceContents:
    if isinstance(block, TextContent):
        return ResourceContents(uri, _TEXT if not _is_json(block.text) else _JSON, text=block.text)
    if isinstance(block, ImageContent | AudioContent):
        return ResourceContents(uri, block.mime_type, blob=block.data)
    if isinstance(block, EmbeddedResource):
        return block.resource
    return ResourceContents(uri, _JSON, text=msgspec.json.encode(block).decode())


def _is_json(text: str) -> bool:
    return text[:1] in {"{", "["}


def _lead_on(read: ReadPage, following: Handle) -> str:
    page = read.page
    shown = f"{page.unit} {page.offset + 1:,} to {page.end:,} of {page.total:,}"
    return f"These are the {shown}. The next ones: {following.uri}"
