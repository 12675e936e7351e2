"""The tools that this process can run itself. What exists at all is in the database (repository)."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from toolbox.definitions import ToolDefinition
from toolbox.tools.base import Tool


class RegisteredTool(Struct, frozen=True):
    """A runnable tool under its full name, and where it came from."""

    definition: ToolDefinition
    tool: Tool
    source: str
    source_version: str

    @property
    def name(self) -> str:
        """The name that callers use."""
        return self.definition.name


class Registry:
    """Runnable tools by name. Readers see either the old set or the new one, never a mixture."""

    def __init__(self, tools: Iterable[RegisteredTool] = ()) -> None:
        self._tools = {tool.name: tool for tool in tools}

    def get(self, name: str) -> RegisteredTool | None:
        """The tool with this name, if this process can run it."""
        return self._tools.get(name)

    def replace(self, tools: Iterable[RegisteredTool]) -> None:
        """Offer these tools from now on; calls in flight keep the tool they started with."""
        self._tools = {tool.name: tool for tool in tools}

    @property
    def tools(self) -> Mapping[str, RegisteredTool]:
        """All of them by name; another object after each change, and never one that changes."""
        return self._tools

    def __iter__(self) -> Iterator[RegisteredTool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)
