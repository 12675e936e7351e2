"""What the endpoint of a toolset lists: its members, in pages that are read and written once."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from toolbox.database import Database, open_database
from toolbox.definitions import ToolAnnotations, ToolDefinition
from toolbox.errors import DatabaseUnavailable, InvalidRequest
from toolbox.mcp import toolset_listing
from toolbox.mcp.shapes import encode_tool
from toolbox.mcp.toolset_listing import PAGE_SIZE, PageCache, ToolsetListing, encode_stored_tool
from toolbox.mcp.versions import VERSIONS, Version
from toolbox.tools.registry import Registry
from toolbox.tools.repository import ToolRepository
from toolbox.tools.sync import import_tools
from toolbox.toolsets.schemas import Rule, Rules, Toolset, ToolsetDefinition
from toolbox.toolsets.service import ToolsetService

NEWEST = VERSIONS["2026-07-28"]
NAMES = sorted(f"many_{number}" for number in range(2000))

ODD = [
    ToolDefinition(name="plain", description='Ünïcode "quoted"\n'),
    ToolDefinition(name="titled", title="A title", input_schema={"type": "object", "properties": {"b": {}, "a": {}}}),
    ToolDefinition(name="hinted", annotations=ToolAnnotations(title="Hint", destructive_hint=False)),
    ToolDefinition(name="object", output_schema={"type": "object", "properties": {"x": {"type": "integer"}}}),
    ToolDefinition(name="number", title="Numbers", output_schema={"type": "number"}),
]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=2, max_overflow=4, timeout_seconds=10) as opened:
        yield opened


@pytest.fixture
def service(database: Database) -> ToolsetService:
    return ToolsetService(database)


@pytest.fixture
async def many(service: ToolsetService, database: Database) -> Toolset:
    """A toolset with 2,000 tools."""
    definitions = [ToolDefinition(name=name, description=f"Does {name}.") for name in NAMES]
    await import_tools(database, [*definitions, ToolDefinition(name="other")], source="import:many")
    await service.apply({"many": ToolsetDefinition(rules=Rules((Rule(name="many_*"),)))})
    return await service.get("many")


@pytest.fixture
def listing(service: ToolsetService) -> ToolsetListing:
    return ToolsetListing(service.repository, Registry())


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is sent from now on."""
    sent: list[str] = []
    fetch = Database.fetch

    async def record(self: Database, query: str, *arguments: Any) -> Any:
        sent.append(query)
        return await fetch(self, query, *arguments)

    monkeypatch.setattr(Database, "fetch", record)
    return sent


async def read_all(listing: ToolsetListing, toolset: Toolset, version: Version = NEWEST) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor: str | None = None
    while True:
        page = await listing.read_page(toolset, cursor, version)
        pages.append([tool["name"] for tool in msgspec.json.decode(page.tools)])
        if page.next_cursor is msgspec.UNSET:
            return pages
        cursor = page.next_cursor


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())
async def test_pages_hold_every_member_once_in_the_order_of_names(
    listing: ToolsetListing, many: Toolset, version: Version
) -> None:
    pages = await read_all(listing, many, version)
    assert [name for page in pages for name in page] == NAMES
    assert [len(page) for page in pages] == [PAGE_SIZE] * (len(NAMES) // PAGE_SIZE)


async def test_a_page_is_one_round_trip_and_none_when_nothing_has_changed(
    listing: ToolsetListing, many: Toolset, statements: list[str]
) -> None:
    await read_all(listing, many)
    assert len(statements) == len(NAMES) // PAGE_SIZE
    await read_all(listing, many)
    assert len(statements) == len(NAMES) // PAGE_SIZE


async def test_versions_of_the_same_form_share_their_pages(
    listing: ToolsetListing, many: Toolset, statements: list[str]
) -> None:
    for name in ("2025-06-18", "2025-11-25"):
        await listing.read_page(many, None, VERSIONS[name])
    assert len(statements) == 1


async def test_a_change_is_listed_with_the_next_revision(
    listing: ToolsetListing, many: Toolset, service: ToolsetService, database: Database
) -> None:
    await read_all(listing, many)
    await database.execute("delete from tools where name = $1", NAMES[0])
    await import_tools(database, [ToolDefinition(name="many_0a")], source="import:many")
    changed = await service.get("many")
    assert changed.revision > many.revision
    pages = await read_all(listing, changed)
    assert [name for page in pages for name in page] == sorted([*NAMES[1:], "many_0a"])


async def test_pages_are_kept_while_there_is_room(
    service: ToolsetService, many: Toolset, statements: list[str]
) -> None:
    cache = PageCache(max_bytes=50_000)
    listing = ToolsetListing(service.repository, Registry(), cache=cache)
    for _ in range(2):
        pages = await read_all(listing, many)
        assert [name for page in pages for name in page] == NAMES
        assert 0 < cache.size_bytes <= 50_000
    assert len(statements) == 2 * len(NAMES) // PAGE_SIZE


async def test_known_pages_are_listed_while_the_database_is_gone(
    listing: ToolsetListing, many: Toolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await listing.read_page(many, None, NEWEST)

    async def refuse(*_: Any) -> Any:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(Database, "fetch", refuse)
    newer = msgspec.structs.replace(many, revision=many.revision + 1)
    assert await listing.read_page(newer, None, NEWEST) == known
    with pytest.raises(DatabaseUnavailable):
        await listing.read_page(newer, known.next_cursor or None, NEWEST)


async def test_a_cursor_that_is_none_of_ours_is_refused(listing: ToolsetListing, many: Toolset) -> None:
    with pytest.raises(InvalidRequest, match="none of ours"):
        await listing.read_page(many, "nonsense", NEWEST)


async def test_an_empty_toolset_is_one_empty_page(listing: ToolsetListing, service: ToolsetService) -> None:
    await service.apply({"none": ToolsetDefinition(rules=Rules((Rule(name="none"),)))})
    assert await read_all(listing, await service.get("none")) == [[]]


async def test_who_is_a_member_is_looked_up_once(listing: ToolsetListing, many: Toolset, statements: list[str]) -> None:
    for _ in range(2):
        assert await listing.holds(many, NAMES[0])
        assert not await listing.holds(many, "other")
    assert len(statements) == 2


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())
@pytest.mark.parametrize("definition", ODD, ids=lambda definition: definition.name)
async def test_a_stored_tool_is_listed_as_its_definition_is(
    database: Database, definition: ToolDefinition, version: Version
) -> None:
    await import_tools(database, [definition], source="import:odd")
    stored = await ToolRepository(database).get_tool(definition.name)
    assert stored is not None
    assert msgspec.json.decode(encode_stored_tool(stored, version)) == msgspec.json.decode(
        encode_tool(definition, version)
    )


def test_a_client_that_stops_after_a_hundred_pages_sees_ten_thousand_tools() -> None:
    assert toolset_listing.PAGE_SIZE * 100 >= 10_000
