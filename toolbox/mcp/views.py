"""What an endpoint shows of the catalogue: all of it, or one toolset (`toolbox.mcp.toolset_view`)."""

from collections.abc import Hashable, Sequence
from typing import Protocol

from toolbox.mcp.identity import WHOLE, ServerInfo
from toolbox.mcp.listing import Listing, ToolPage
from toolbox.mcp.mirroring import Mirrored
from toolbox.mcp.overview import Overview
from toolbox.mcp.tools import INSTRUCTIONS, MetaTools
from toolbox.mcp.versions import Version
from toolbox.tools.registry import Registry
from toolbox.tools.repository import ToolFilter, ToolRepository


class View(Protocol):
    """What tools there are to the clients of an endpoint. Each method answers for this moment."""

    @property
    def key(self) -> Hashable:
        """The same for all who see the same list."""
        ...

    @property
    def info(self) -> ServerInfo:
        """What the endpoint says of itself."""
        ...

    @property
    def instructions(self) -> str:
        """What a model is told of the endpoint as a whole."""
        ...

    @property
    def has_meta_tools(self) -> bool:
        """Whether tools are found and called through the meta-tools."""
        ...

    def narrow(self, wanted: ToolFilter) -> ToolFilter:
        """A filter that finds only what can be seen here."""
        ...

    async def holds(self, name: str) -> bool:
        """Whether a tool can be seen here, if it exists."""
        ...

    async def read_page(self, cursor: str | None, version: Version) -> ToolPage:
        """The page of tools/list behind a cursor; the first one without.

        Raises:
            InvalidRequest: The cursor is none of ours.
        """
        ...

    async def read_all(self) -> object:
        """Something that changes when the list does."""
        ...

    async def find_mirrored(self, name: str) -> tuple[Mirrored, ...]:
        """The arguments of a tool that its callers must repeat in headers."""
        ...

    def forget_stored(self) -> None:
        """What the database has may have changed."""
        ...


class WholeView(Listing):
    """The whole catalogue: the meta-tools over it, and the pinned tools themselves."""

    key: Hashable = ""
    info = WHOLE
    instructions = INSTRUCTIONS
    has_meta_tools = True

    def __init__(
        self,
        meta_tools: MetaTools,
        pinned: Sequence[str],
        registry: Registry,
        repository: ToolRepository,
        overview: Overview | None = None,
    ) -> None:
        """With `overview`, find_tool says what kinds of tools there are."""
        show = overview.show if overview else None
        super().__init__(meta_tools.definitions, pinned, registry, repository, show)

    def narrow(self, wanted: ToolFilter) -> ToolFilter:
        """The filter as it is."""
        return wanted

    async def holds(self, _name: str) -> bool:
        """Always."""
        return True
