"""What tools/list shows at the endpoint of a toolset that shows its tools themselves.

A page is read from the database once for each revision of the toolset, encoded for each form that versions want, and
kept while there is room. Nothing grows with the number of members.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from cachebox import LRUCache
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.definitions import ToolDefinition
from toolbox.errors import DatabaseUnavailable
from toolbox.mcp.listing import ToolPage, read_cursor, write_cursor
from toolbox.mcp.mirroring import Mirrored, find_mirrored
from toolbox.mcp.outputs import is_object_schema
from toolbox.mcp.shapes import encode_tool
from toolbox.mcp.versions import Version
from toolbox.tools.registry import Registry
from toolbox.tools.repository import StoredTool, to_definition
from toolbox.toolsets.repository import MemberPage, ToolsetRepository
from toolbox.toolsets.schemas import Toolset

PAGE_SIZE = 200
"""Clients ask for page after page before they do anything, and some stop after a hundred of them."""

MAX_CACHED_BYTES = 32 * 1024 * 1024
MAX_CACHED_NAMES = 100_000


class _Key(NamedTuple):
    toolset_id: int
    after: str
    form: tuple[bool, bool, bool]


class _Entry(NamedTuple):
    revision: int
    page: ToolPage


class PageCache:
    """Encoded pages of all toolsets; those that were not wanted for longest go first."""

    def __init__(self, max_bytes: int = MAX_CACHED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries = OrderedDict[_Key, _Entry]()

    @property
    def size_bytes(self) -> int:
        """How much is kept."""
        return self._bytes

    def get(self, key: _Key) -> _Entry | None:
        """What is kept under a key, of whatever revision."""
        entry = self._entries.get(key)
        if entry:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: _Key, entry: _Entry) -> None:
        """Keep a page, in the place of its earlier revision."""
        known = self._entries.pop(key, None)
        if known:
            self._bytes -= _size(known)
        self._entries[key] = entry
        self._bytes += _size(entry)
        while self._bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= _size(oldest)


class ToolsetListing:
    """Lists the members of toolsets, the same ones in the same order to everybody, and knows who is one."""

    def __init__(
        self,
        repository: ToolsetRepository,
        registry: Registry,
        further: Sequence[ToolDefinition] = (),
        cache: PageCache | None = None,
    ) -> None:
        """`further` tools come after the members, wherever no plugin has one of the same name."""
        self._further = further
        self._repository = repository
        self._registry = registry
        self._pages = cache or PageCache()
        self._members: LRUCache[tuple[int, int, str], bool] = LRUCache(MAX_CACHED_NAMES)

    async def read_page(self, toolset: Toolset, cursor: str | None, version: Version) -> ToolPage:
        """The page behind a cursor; the first one without.

        While the database does not answer, pages that are known are given as they were.

        Raises:
            InvalidRequest: The cursor is none of ours.
            DatabaseUnavailable: PostgreSQL does not answer, and the page is not known.
        """
        after = read_cursor(cursor) if cursor else ""
        form = (version.has_annotations, version.has_structured_output, version.has_any_output)
        key = _Key(toolset.id, after, form)
        known = self._pages.get(key)
        if known and known.revision == toolset.revision:
            return known.page
        try:
            members = await self._repository.read_members(toolset.id, after=after, limit=PAGE_SIZE)
        except DatabaseUnavailable:
            if known is None:
                raise
            return known.page
        page = _encode_page(members, () if members.has_more else self._list_further(), version)
        self._pages.put(key, _Entry(members.revision, page))
        return page

    def _list_further(self) -> list[ToolDefinition]:
        return [definition for definition in self._further if self._registry.get(definition.name) is None]

    async def holds(self, toolset: Toolset, name: str) -> bool:
        """Whether a tool is in the toolset."""
        key = (toolset.id, toolset.revision, name)
        try:
            return self._members[key]
        except KeyError:
            is_member = self._members[key] = await self._repository.has_member(toolset.id, name)
            return is_member

    async def find_mirrored(self, toolset: Toolset, name: str) -> tuple[Mirrored, ...]:
        """The arguments of a tool that its callers must repeat in headers."""
        tool = self._registry.get(name)
        mirrored = find_mirrored(tool.definition.input_schema) if tool else ()
        return mirrored if mirrored and await self.holds(toolset, name) else ()


class _StoredShape(Struct, frozen=True, rename="camel"):
    """A tool in tools/list, put together from JSON that nobody reads on the way."""

    name: str
    description: str
    input_schema: Raw
    title: str | UnsetType
    output_schema: Raw | UnsetType
    annotations: Raw | UnsetType


def encode_stored_tool(tool: StoredTool, version: Version) -> bytes:
    """A tool as tools/list shows it: the same as `encode_tool` of its definition, in a fraction of the time."""
    if not _is_shown_as_stored(tool, version):
        return encode_tool(to_definition(tool), version)
    shape = _StoredShape(
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema,
        title=tool.title or UNSET,
        output_schema=UNSET if tool.output_schema is None else tool.output_schema,
        annotations=UNSET if bytes(tool.annotations) == b"{}" else tool.annotations,
    )
    return msgspec.json.encode(shape)


def _is_shown_as_stored(tool: StoredTool, version: Version) -> bool:
    if not version.has_structured_output:
        return False
    if version.has_any_output or tool.output_schema is None:
        return True
    return is_object_schema(msgspec.json.decode(tool.output_schema))


def _encode_page(members: MemberPage, further: Iterable[ToolDefinition], version: Version) -> ToolPage:
    encoded = [encode_stored_tool(tool, version) for tool in members.tools]
    encoded += [encode_tool(definition, version) for definition in further]
    return ToolPage(
        Raw(b"[%b]" % b",".join(encoded)), write_cursor(members.tools[-1].name) if members.has_more else UNSET
    )


def _size(entry: _Entry) -> int:
    return len(bytes(entry.page.tools)) + 500  # what the keeping itself takes, about
