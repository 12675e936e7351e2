"""What the endpoint of one toolset shows: its tools themselves, or the meta-tools over them (a `View`)."""

from collections.abc import Hashable

from msgspec import structs

from toolbox.definitions import ToolDefinition
from toolbox.mcp.identity import ServerInfo, describe_toolset
from toolbox.mcp.listing import Listing, ToolPage
from toolbox.mcp.mirroring import Mirrored
from toolbox.mcp.overview import ToolsetOverview
from toolbox.mcp.tools import INSTRUCTIONS, MetaTools
from toolbox.mcp.toolset_listing import ToolsetListing
from toolbox.mcp.versions import Version
from toolbox.tools.registry import Registry
from toolbox.tools.repository import ToolFilter, ToolRepository
from toolbox.toolsets.directory import ToolsetDirectory
from toolbox.toolsets.schemas import Toolset

DIRECT_INSTRUCTIONS = "The tools listed here are all that there are at this address: call them by their names."


class ToolsetView:
    """A toolset as clients of its endpoint see it; `toolset` is put in its place when a newer one is known."""

    def __init__(
        self,
        toolset: Toolset,
        directory: ToolsetDirectory,
        listing: ToolsetListing,
        meta_tools: MetaTools,
        overview: ToolsetOverview,
        tools: ToolRepository,
        registry: Registry,
    ) -> None:
        self.toolset = toolset
        self._directory = directory
        self._listing = listing
        self._overview = overview
        self._meta_tools = (
            None
            if toolset.definition.is_direct
            else Listing(meta_tools.definitions, (), registry, tools, self._show_meta_tools)
        )

    @property
    def key(self) -> Hashable:
        """See View.key."""
        return self.toolset.name

    @property
    def info(self) -> ServerInfo:
        """See View.info."""
        return describe_toolset(self.toolset)

    @property
    def instructions(self) -> str:
        """What the operator says of the toolset, and how its tools are called."""
        definition = self.toolset.definition
        parts = (definition.description, DIRECT_INSTRUCTIONS if definition.is_direct else INSTRUCTIONS)
        return "\n\n".join(part for part in parts if part)

    @property
    def has_meta_tools(self) -> bool:
        """See View.has_meta_tools."""
        return self._meta_tools is not None

    def narrow(self, wanted: ToolFilter) -> ToolFilter:
        """The filter, within the toolset."""
        return structs.replace(wanted, toolset_id=self.toolset.id)

    async def holds(self, name: str) -> bool:
        """Whether a tool is in the toolset."""
        return await self._listing.holds(self.toolset, name)

    async def read_page(self, cursor: str | None, version: Version) -> ToolPage:
        """See View.read_page."""
        if self._meta_tools:
            return await self._meta_tools.read_page(cursor, version)
        return await self._listing.read_page(self.toolset, cursor, version)

    async def read_all(self) -> object:
        """Something that changes when the list does: the whole of it may be long.

        A listener asks for it while no request comes, so it looks for a newer toolset itself.
        """
        newest = await self._directory.find(self.toolset.name)
        if newest is None:
            return None
        self.toolset = newest
        if self._meta_tools:
            return await self._meta_tools.read_all()
        return newest.id, newest.revision

    async def find_mirrored(self, name: str) -> tuple[Mirrored, ...]:
        """See View.find_mirrored."""
        return () if self._meta_tools else await self._listing.find_mirrored(self.toolset, name)

    def forget_stored(self) -> None:
        """See View.forget_stored: what is kept here is told apart by its revision."""

    async def _show_meta_tools(self) -> tuple[ToolDefinition, ...]:
        return await self._overview.show(self.toolset)
