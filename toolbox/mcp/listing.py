"""What tools/list shows: the meta-tools, then the pinned tools by name, in pages; encoded once for each version."""

import asyncio
import operator
import time
from base64 import b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence

import structlog
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.definitions import ToolDefinition
from toolbox.errors import InvalidRequest, ToolboxError
from toolbox.mcp.mirroring import Mirrored, find_mirrored
from toolbox.mcp.shapes import encode_tool
from toolbox.mcp.versions import Version
from toolbox.tools.registry import Registry
from toolbox.tools.repository import ToolRepository, to_definition

logger = structlog.get_logger(__name__)

PAGE_SIZE = 50
STORED_SECONDS = 60.0
"""How long pinned tools that only the database has are taken from memory, unless an event says that they changed."""
RETRY_SECONDS = 5.0
"""How soon they are read again after the database did not answer."""


class ToolPage(Struct, frozen=True):
    """Some of the listed tools, encoded as a JSON array, and where the next page starts."""

    tools: Raw
    next_cursor: str | UnsetType


class Listing:
    """Lists tools, the same ones in the same order to everybody."""

    def __init__(
        self,
        meta_tools: Sequence[ToolDefinition],
        pinned: Sequence[str],
        registry: Registry,
        repository: ToolRepository,
        show_meta_tools: Callable[[], Awaitable[tuple[ToolDefinition, ...]]] | None = None,
    ) -> None:
        """`show_meta_tools` gives the meta-tools as they are to be shown now, where that changes."""
        self._meta_tools = tuple(meta_tools)
        self._show_meta_tools = show_meta_tools
        self._pinned = sorted(set(pinned) - {definition.name for definition in meta_tools})
        self._registry = registry
        self._repository = repository
        self._listed: tuple[ToolDefinition, ...] = ()
        self._seen: tuple[object, object] | None = None
        self._pages = dict[tuple[str, int], ToolPage]()
        self._mirrored = dict[str, tuple[Mirrored, ...]]()
        self._stored = dict[str, ToolDefinition]()
        self._stored_until = 0.0
        self._reading = asyncio.Lock()

    async def read_page(self, cursor: str | None, version: Version) -> ToolPage:
        """The page behind a cursor; the first one without.

        Raises:
            InvalidRequest: The cursor is none of ours.
        """
        after = read_cursor(cursor) if cursor else ""
        await self._refresh()
        names = [definition.name for definition in self._listed[len(self._meta_tools) :]]
        start = len(self._meta_tools) + bisect_right(names, after) if after else 0
        page = self._pages.get((version.name, start))
        if page is None:
            page = self._pages[version.name, start] = self._encode_page(start, version)
        return page

    async def read_all(self) -> tuple[ToolDefinition, ...]:
        """All that is listed now."""
        await self._refresh()
        return self._listed

    async def find_mirrored(self, name: str) -> tuple[Mirrored, ...]:
        """The arguments of a tool that its callers must repeat in headers.

        A client knows of them only when the tool was listed to it: a tool that was found otherwise has none.
        """
        if self._seen is None or self._seen[1] is not self._registry.tools:  # meta-tools have none
            await self._refresh()
        return self._mirrored.get(name, ())

    def forget_stored(self) -> None:
        """Read tools that only the database has anew when they are next listed: they may have changed."""
        self._stored_until = 0.0

    async def _refresh(self) -> None:
        """Notice what is offered now; everything encoded is thrown away only when that has changed."""
        if self._show_meta_tools:
            self._meta_tools = await self._show_meta_tools()
        seen = (self._meta_tools, self._registry.tools)
        if self._seen and all(map(operator.is_, seen, self._seen)):
            return
        runnable = {name: tool.definition for name in self._pinned if (tool := self._registry.tools.get(name))}
        missing = [name for name in self._pinned if name not in runnable]
        self._seen = None if missing else seen
        offered = runnable | (await self._read_stored(missing) if missing else {})
        listed = (*self._meta_tools, *(offered[name] for name in self._pinned if name in offered))
        if len(listed) == len(self._listed) and all(map(operator.is_, listed, self._listed)):
            return
        self._listed = listed
        self._pages = {}
        mirrored = {definition.name: find_mirrored(definition.input_schema) for definition in listed}
        self._mirrored = {name: arguments for name, arguments in mirrored.items() if arguments}

    async def _read_stored(self, names: list[str]) -> dict[str, ToolDefinition]:
        """Tools that this process cannot run itself; the last ones known while the database does not answer."""
        async with self._reading:
            if time.monotonic() >= self._stored_until:
                # Before the read: what changes while it goes on is forgotten again.
                self._stored_until = time.monotonic() + STORED_SECONDS
                try:
                    found = [tool for name in names if (tool := await self._repository.get_tool(name))]
                except ToolboxError as error:
                    logger.warning("pinned tools are listed as they were last known", reason=error.message)
                    self._stored_until = time.monotonic() + RETRY_SECONDS
                else:
                    read = {tool.name: to_definition(tool) for tool in found}
                    self._stored = self._stored if self._stored == read else read
        return {name: definition for name, definition in self._stored.items() if name in names}

    def _encode_page(self, start: int, version: Version) -> ToolPage:
        shown = self._listed[start : start + PAGE_SIZE]
        encoded = b",".join(encode_tool(definition, version) for definition in shown)
        is_last = start + PAGE_SIZE >= len(self._listed)
        return ToolPage(Raw(b"[%b]" % encoded), UNSET if is_last else write_cursor(shown[-1].name))


def write_cursor(name: str) -> str:
    """What leads to the page behind a name."""
    return urlsafe_b64encode(f"after:{name}".encode()).decode()


def read_cursor(cursor: str) -> str:
    """The name behind which a page starts: pages stay in place when tools before them come and go.

    Raises:
        InvalidRequest: The cursor is none of ours.
    """
    try:
        text = b64decode(cursor, altchars=b"-_", validate=True).decode()
    except ValueError:
        text = ""
    if not text.startswith("after:"):
        raise InvalidRequest(f"cursor {cursor[:100]!r} is none of ours: start again without one")
    return text.removeprefix("after:")
