"""The kinds "upstream" and "merged": tools that another MCP server runs, or one of several."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol
from urllib.parse import quote

from msgspec import UNSET

from toolbox.definitions import ToolDefinition, ToolResult, read_content
from toolbox.errors import ToolError, UpstreamFailed
from toolbox.tools.base import Tool, ToolContext
from toolbox.tools.kinds import Implementation, read_implementation
from toolbox.upstreams.client import ServerError

KIND = "upstream"
MERGED = "merged"
SOURCE = "upstream:"
"""How the sources of such tools begin; the upstream's name follows."""

WEB = ("http://", "https://", "data:")
SCHEME = "upstream://"

_KNOWN = frozenset({"content", "structuredContent", "isError", "_meta", "resultType", "ttlMs", "cacheScope"})


class UpstreamImplementation(Implementation, frozen=True, kw_only=True, tag_field="kind", tag=KIND):
    """Which upstream, and what the tool is called there."""

    upstream: str
    tool: str


class MergedImplementation(Implementation, frozen=True, kw_only=True, tag_field="kind", tag=MERGED):
    """Several upstreams, what the tool is called on each of them, and which argument says on which one it runs."""

    tool: str
    upstreams: tuple[str, ...]
    selector: str


class Ask(Protocol):
    """Asks an upstream, on a session that is opened if need be."""

    def __call__(
        self, upstream: str, method: str, params: Mapping[str, Any], context: ToolContext, *, is_safe: bool
    ) -> Awaitable[dict[str, Any]]:
        """The result as it came."""
        ...


class UpstreamKind:
    """Makes tools of what is stored."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def check(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> None:  # noqa: ARG002
        """See Kind."""
        read_implementation(UpstreamImplementation, implementation)

    def create(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> Tool:
        """See Kind."""
        return UpstreamTool(definition, read_implementation(UpstreamImplementation, implementation), self._ask)


class UpstreamTool:
    """One tool of an upstream."""

    limits_itself = True
    """Calls wait for their turn at the upstream, so that a slow one keeps no place that other tools could have."""

    def __init__(self, definition: ToolDefinition, implementation: UpstreamImplementation, ask: Ask) -> None:
        self.definition = definition
        self._implementation = implementation
        self._ask = ask

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Run the tool there; what it gives back comes as it is."""
        upstream, hints = self._implementation.upstream, self.definition.annotations
        try:
            result = await self._ask(
                upstream,
                "tools/call",
                {"name": self._implementation.tool, "arguments": arguments},
                context,
                is_safe=hints.read_only_hint is True or hints.idempotent_hint is True,
            )
        except UpstreamFailed as error:
            raise ToolError(f"the upstream {upstream!r} cannot do this now: {error.message}") from error
        except ServerError as error:
            raise ToolError(error.message) from error
        return to_result(result, upstream)


class MergedKind:
    """Makes tools of what is stored for several upstreams."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def check(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> None:  # noqa: ARG002
        """See Kind."""
        read_implementation(MergedImplementation, implementation)

    def create(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> Tool:
        """See Kind."""
        return MergedTool(definition, read_implementation(MergedImplementation, implementation), self._ask)


class MergedTool:
    """One tool of several upstreams."""

    limits_itself = True
    """See UpstreamTool."""

    def __init__(self, definition: ToolDefinition, implementation: MergedImplementation, ask: Ask) -> None:
        self.definition = definition
        self._selector = implementation.selector
        self._tools = {
            upstream: UpstreamTool(definition, UpstreamImplementation(upstream=upstream, tool=implementation.tool), ask)
            for upstream in implementation.upstreams
        }

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Run it on the upstream that the arguments name."""
        others = {name: value for name, value in arguments.items() if name != self._selector}
        tool = self._tools.get(str(arguments.get(self._selector)))
        if tool is None:
            raise ToolError(f"{self._selector} names none of {', '.join(self._tools)}")
        return await tool.call(others, context)


def to_result(result: Mapping[str, Any], upstream: str) -> ToolResult:
    """A result of tools/call as ours; what ToolBox does not know of it stays, in its metadata."""
    content = result.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    metadata = result.get("_meta")
    unknown = {name: value for name, value in result.items() if name not in _KNOWN}
    return ToolResult(
        content=tuple(read_content(_lead_back(block, upstream)) for block in blocks),
        structured=result.get("structuredContent", UNSET),
        is_error=result.get("isError") is True,
        metadata=(metadata if isinstance(metadata, dict) else {}) | ({"toolbox/fields": unknown} if unknown else {}),
    )


def to_own_uri(upstream: str, uri: str) -> str:
    """The URI under which ToolBox reads a resource of an upstream."""
    return f"{SCHEME}{upstream}/{quote(uri, safe='')}"


def _lead_back(block: dict[str, Any], upstream: str) -> dict[str, Any]:
    """A link to a resource of the server's, as ToolBox reads it; what lies in the web stays there."""
    uri = block.get("uri")
    if block.get("type") != "resource_link" or not isinstance(uri, str) or uri.startswith(WEB):
        return block
    meta = block.get("_meta")
    return block | {
        "uri": to_own_uri(upstream, uri),
        "_meta": (meta if isinstance(meta, dict) else {}) | {"toolbox/uri": uri},
    }
