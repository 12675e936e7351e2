"""Names that a query spells out."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import execute, in_database
from toolbox.definitions import ToolDefinition
from toolbox.search.service import SearchQuery
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings
from toolbox.tools.repository import ToolFilter, write_tools
from toolbox.tools.sync import import_tools

SPELLINGS = (
    *("getItem", "GetItem", "GETITEM", "getitem", "Getitem", "get-item", "Get-Item", "GET-ITEM"),
    *("Get_Item", "GET_ITEM", "get_Item", "get-Item", "GET_Item", "get__item", "get_item"),
)


@pytest.fixture(scope="module")
async def services(postgres: str, template: str) -> AsyncIterator[Services]:
    """Tools whose names are spellings of one, each with its own tag, and one that was renamed."""
    await execute(postgres, f"create database named template {template}")
    async with open_services(Settings(database_url=Secret(in_database(postgres, "named")))) as opened:
        tools = [ToolDefinition(name=name, description="Get it.", tags=(f"tag-{name}",)) for name in SPELLINGS]
        renamed = ToolDefinition(name="fetch_2", description="Fetch.", metadata={"original_name": "fetch it!"})
        other = ToolDefinition(name="fetch", description="Fetch it 2.", metadata={"original_name": "Fetch It"})
        await import_tools(opened.database, [*tools, renamed, other], source="import:names")
        prefixed = ToolDefinition(name="shop__buyThing", metadata={"upstream": "shop", "tool": "buyThing"})
        async with opened.database.transaction() as connection:
            run = {"shop__buyThing": {"kind": "upstream", "upstream": "shop", "tool": "buyThing"}}
            await write_tools(connection, [prefixed], source="upstream:shop", source_version="", implementations=run)
        yield opened
    await execute(postgres, "drop database named with (force)")


async def find(services: Services, text: str, limit: int = 20, *tags: str) -> list[tuple[str, float]]:
    found = await services.search.find_tools(SearchQuery(text, limit, filter=ToolFilter(tags=tags)))
    return [(match.tool.name, match.similarity) for match in found.matches]


async def test_every_tool_with_a_name_is_found_by_it(services: Services) -> None:
    assert {name for name, similarity in await find(services, "get item") if similarity == 1.0} == set(SPELLINGS)
    for name in SPELLINGS:
        assert await find(services, "get_item", 1, f"tag-{name}") == [(name, 1.0)]


@pytest.mark.parametrize("name", SPELLINGS)
async def test_of_several_spellings_the_one_that_was_written_comes_first(services: Services, name: str) -> None:
    assert (await find(services, name, 1)) == [(name, 1.0)]


async def test_a_tool_that_was_renamed_is_found_by_both_names(services: Services) -> None:
    assert await find(services, "fetch_2", 1) == [("fetch_2", 1.0)]
    assert await find(services, "fetch", 1) == [("fetch", 1.0)]
    assert await find(services, "fetch it!", 1) == [("fetch_2", 1.0)]
    assert await find(services, "Fetch It", 1) == [("fetch", 1.0)]


async def test_a_tool_of_an_upstream_is_found_with_and_without_its_prefix(services: Services) -> None:
    for name in ("shop__buyThing", "shop buy thing", "buyThing"):
        assert await find(services, name, 1) == [("shop__buyThing", 1.0)]
