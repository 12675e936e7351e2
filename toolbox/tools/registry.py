"""The tools that this process can run itself. What exists at all is in the database (repository)."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from toolbox.definitions import ToolDefinition
from toolbox.tools.base import Tool

MAX_STORED = 10_000
"""Loaded tools that are kept; the one that was loaded first goes first."""


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

    def __init__(self, tools: Iterable[RegisteredTool] = (), kinds: Collection[str] = ()) -> None:
        """`kinds` are those of stored tools that this process can run."""
        self._tools = {tool.name: tool for tool in tools}
        self._kinds = kinds
        self._stored = dict[str, RegisteredTool]()
        self._kept_out: frozenset[str] = frozenset()
        self.stored_revision = 0
        """Another number after each change of the catalogue."""

    def get(self, name: str) -> RegisteredTool | None:
        """The tool with this name, if this process has it in memory: a plugin's, or one that was loaded before."""
        if name in self._kept_out:
            return None
        return self._tools.get(name) or self._stored.get(name)

    def can_run(self, name: str, kind: str | None) -> bool:
        """Whether this process can run a tool: a plugin's, or one stored with an implementation of this kind."""
        return name in self._tools or (kind is not None and kind in self._kinds)

    def keep_out(self, names: frozenset[str]) -> None:
        """Run these tools no more: an operator has switched them off, or is still to approve them."""
        self._kept_out = names

    def keep_stored(self, tool: RegisteredTool, read_at: int) -> None:
        """Keep a tool that was loaded, unless the catalogue has changed since it was read (at a `stored_revision`)."""
        if read_at == self.stored_revision:
            if len(self._stored) >= MAX_STORED:
                self._stored.pop(next(iter(self._stored)))
            self._stored[tool.name] = tool

    def forget_stored(self) -> None:
        """The catalogue has changed: load stored tools anew; calls in flight keep the tool they started with."""
        self.stored_revision += 1
        self._stored = {}

    def replace(self, tools: Iterable[RegisteredTool]) -> None:
        """Offer these tools from now on; calls in flight keep the tool they started with."""
        self._tools = {tool.name: tool for tool in tools}

    @property
    def tools(self) -> Mapping[str, RegisteredTool]:
        """Those of plugins by name; another object after each change, and never one that changes."""
        return self._tools

    def __iter__(self) -> Iterator[RegisteredTool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)
