"""The MCP endpoints of one ToolBox: /mcp over the whole catalogue, and one for each toolset."""

from typing import Protocol

from cachebox import LRUCache
from msgspec import Struct

from toolbox.auth.callers import Caller
from toolbox.events import Events
from toolbox.mcp.methods import McpServer
from toolbox.mcp.offers import Offers
from toolbox.mcp.overview import Overview, ToolsetOverview
from toolbox.mcp.tools import create_meta_tools, create_read_result
from toolbox.mcp.toolset_listing import ToolsetListing
from toolbox.mcp.toolset_view import ToolsetView
from toolbox.mcp.views import View, WholeView
from toolbox.settings import Settings
from toolbox.tools.registry import Registry
from toolbox.tools.repository import ToolRepository
from toolbox.toolsets.directory import ToolsetDirectory
from toolbox.toolsets.repository import ToolsetRepository
from toolbox.toolsets.schemas import Toolset
from toolbox.toolsets.service import toolset_not_found

MAX_ENDPOINTS = 1_000
"""How many toolsets are kept ready; others are made ready when they are asked for."""


class MakeServer(Protocol):
    """Gives a server of this process with a view of its own."""

    def __call__(
        self,
        *,
        view: View,
        offers: Offers,
        toolset: str | None = None,
        max_tokens: int | None = None,
        asks_before_destructive: bool = False,
    ) -> McpServer:
        """A new one."""
        ...


class MakeOffers(Protocol):
    """Gives what there is beside tools; `is_whole` is false at the endpoint of a toolset, which selects tools alone."""

    def __call__(self, *, max_tokens: int | None = None, is_whole: bool) -> Offers:
        """New ones."""
        ...


class _Endpoint(Struct, frozen=True):
    view: ToolsetView
    server: McpServer


class Endpoints:
    """Finds the server behind a URL."""

    def __init__(
        self,
        make_server: MakeServer,
        make_offers: MakeOffers,
        toolsets: ToolsetRepository,
        tools: ToolRepository,
        registry: Registry,
        settings: Settings,
        events: Events,
    ) -> None:
        self._make_server = make_server
        self._make_offers = make_offers
        self._toolsets = toolsets
        self._tools = tools
        self._registry = registry
        self._directory = ToolsetDirectory(toolsets, events)
        self._listing = ToolsetListing(toolsets, registry, [create_read_result().definition])
        self._meta_tools = create_meta_tools(settings)
        self._endpoints: LRUCache[str, _Endpoint] = LRUCache(MAX_ENDPOINTS)
        overview = Overview(self._meta_tools, toolsets, events)
        view = WholeView(self._meta_tools, settings.pinned_tools, registry, tools, overview)
        self.whole = make_server(view=view, offers=make_offers(is_whole=True))
        """What is behind /mcp to those who see all tools."""
        narrow = WholeView(self._meta_tools, (), registry, tools)
        self._limited = make_server(view=narrow, offers=make_offers(is_whole=False))
        events.subscribe("tools", lambda _event: view.forget_stored())

    def find_whole(self, caller: Caller) -> McpServer:
        """What is behind /mcp: to one who is limited to toolsets, the meta-tools over these, and nothing else."""
        return self.whole if caller.toolsets is None else self._limited

    async def find(self, toolset_name: str, caller: Caller) -> McpServer:
        """What is behind /toolsets/{name}/mcp.

        Raises:
            NotFound: There is no such toolset for this caller.
            DatabaseUnavailable: PostgreSQL does not answer, and the toolset is not known yet.
        """
        toolset = await self._directory.find(toolset_name) if caller.sees_toolset(toolset_name) else None
        if toolset is None:
            raise toolset_not_found(toolset_name)
        endpoint: _Endpoint | None = self._endpoints.get(toolset_name)
        if endpoint is None or not _is_same(endpoint.view.toolset, toolset):
            endpoint = self._endpoints[toolset_name] = self._create(toolset)
        endpoint.view.toolset = toolset
        return endpoint.server

    def _create(self, toolset: Toolset) -> _Endpoint:
        overview = ToolsetOverview(self._meta_tools, self._toolsets)
        view = ToolsetView(
            toolset, self._directory, self._listing, self._meta_tools, overview, self._tools, self._registry
        )
        definition = toolset.definition
        server = self._make_server(
            view=view,
            offers=self._make_offers(max_tokens=definition.max_tokens, is_whole=False),
            toolset=toolset.name,
            max_tokens=definition.max_tokens,
            asks_before_destructive=definition.asks_before_destructive,
        )
        return _Endpoint(view, server)


def _is_same(known: Toolset, newest: Toolset) -> bool:
    """Whether the same server serves both: members may come and go."""
    return known.id == newest.id and known.definition == newest.definition
