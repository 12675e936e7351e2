"""What tools/list shows."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from tests.mcp.conftest import Client
from toolbox.database import Database
from toolbox.definitions import ToolDefinition
from toolbox.errors import DatabaseUnavailable
from toolbox.mcp import listing
from toolbox.services import Services
from toolbox.settings import Settings
from toolbox.tools.registry import RegisteredTool
from toolbox.tools.repository import write_tools

META_TOOLS = ["find_tool", "describe_tool", "call_tool", "list_tools"]
ERAS = ["handshake", "stateless"]

Connect = Callable[[Settings], Client]


def pin(settings: Settings, *names: str) -> Settings:
    return structs.replace(settings, pinned_tools=names)


async def list_names(client: Client) -> list[str]:
    return [tool["name"] for tool in (await client.stateless("tools/list")).json()["result"]["tools"]]


def rename(tool: RegisteredTool, name: str) -> RegisteredTool:
    return structs.replace(tool, definition=structs.replace(tool.definition, name=name))


@pytest.mark.parametrize("era", ERAS)
async def test_by_default_only_the_meta_tools_are_listed(mcp: Client, era: str) -> None:
    result = (await getattr(mcp, era)("tools/list")).json()["result"]
    assert [tool["name"] for tool in result["tools"]] == META_TOOLS
    assert "nextCursor" not in result


async def test_pinned_tools_follow_in_the_order_of_their_names(connect: Connect, settings: Settings) -> None:
    client = connect(pin(settings, "demo_reverse", "demo_add", "demo_add", "find_tool", "unknown"))
    assert await list_names(client) == [*META_TOOLS, "demo_add", "demo_reverse"]


async def test_a_list_names_a_tool_with_everything_that_a_client_shows(connect: Connect, settings: Settings) -> None:
    client = connect(pin(settings, "demo_add"))
    listed = (await client.stateless("tools/list")).json()["result"]["tools"][-1]
    assert listed == {
        "name": "demo_add",
        "title": "Add numbers",
        "description": "Add two numbers.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "a": {"description": "the first", "type": "integer"},
                "b": {"description": "the second", "type": "integer"},
            },
            "required": ["a", "b"],
            "additionalProperties": False,
        },
        "outputSchema": listed["outputSchema"],
        "annotations": {"readOnlyHint": True},
    }
    assert listed["outputSchema"]["properties"] == {"total": {"type": "integer"}}


async def test_a_changed_registry_is_listed_at_once(connect: Connect, settings: Settings, services: Services) -> None:
    client = connect(pin(settings, "demo_add"))
    await list_names(client)
    (add,) = [tool for tool in services.registry if tool.name == "demo_add"]
    services.registry.replace([structs.replace(add, definition=structs.replace(add.definition, description="New."))])
    listed = (await client.stateless("tools/list")).json()["result"]["tools"][-1]
    assert listed["description"] == "New."


@pytest.mark.parametrize("era", ERAS)
async def test_pages_follow_each_other_by_their_cursor(
    connect: Connect, settings: Settings, services: Services, era: str
) -> None:
    (add,) = [tool for tool in services.registry if tool.name == "demo_add"]
    names = [f"many_{number:03}" for number in range(2 * listing.PAGE_SIZE)]
    services.registry.replace([rename(add, name) for name in names])
    client = connect(pin(settings, *names))
    seen: list[list[str]] = []
    params: dict[str, Any] = {}
    while True:
        result = (await getattr(client, era)("tools/list", params)).json()["result"]
        seen.append([tool["name"] for tool in result["tools"]])
        if "nextCursor" not in result:
            break
        params = {"cursor": result["nextCursor"]}
    assert [name for page in seen for name in page] == META_TOOLS + names
    assert [len(page) for page in seen] == [listing.PAGE_SIZE, listing.PAGE_SIZE, len(META_TOOLS)]


async def test_a_page_stays_in_place_when_tools_before_it_go(
    connect: Connect, settings: Settings, services: Services
) -> None:
    (add,) = [tool for tool in services.registry if tool.name == "demo_add"]
    names = [f"many_{number:03}" for number in range(60)]
    services.registry.replace([rename(add, name) for name in names])
    client = connect(pin(settings, *names))
    first = (await client.stateless("tools/list")).json()["result"]
    services.registry.replace([rename(add, name) for name in names if name != first["tools"][-1]["name"]])
    second = (await client.stateless("tools/list", {"cursor": first["nextCursor"]})).json()["result"]
    assert [tool["name"] for tool in second["tools"]] == names[listing.PAGE_SIZE - len(META_TOOLS) :]


@pytest.mark.parametrize("cursor", ["nonsense", "ä", "YWJj", "====", urlsafe_b64encode(b"after:\xff").decode()])
async def test_a_cursor_that_is_none_of_ours_is_refused(mcp: Client, cursor: str) -> None:
    assert (await mcp.handshake("tools/list", {"cursor": cursor})).json()["error"]["code"] == -32602
    answer = await mcp.stateless("tools/list", {"cursor": cursor})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize("cursor", [5, [], {}])
async def test_a_cursor_must_be_text(mcp: Client, cursor: Any) -> None:
    assert (await mcp.handshake("tools/list", {"cursor": cursor})).json()["error"]["code"] == -32602


@pytest.mark.parametrize("cursor", [None, ""])
async def test_no_cursor_is_the_first_page(mcp: Client, cursor: Any) -> None:
    listed = (await mcp.handshake("tools/list", {"cursor": cursor})).json()["result"]["tools"]
    assert [tool["name"] for tool in listed] == META_TOOLS


async def test_a_pinned_tool_that_only_the_database_has_is_listed(
    connect: Connect, settings: Settings, services: Services
) -> None:
    imported = ToolDefinition(name="weather", description="Tell the weather.", output_schema={"type": "string"})
    async with services.database.transaction() as connection:
        await write_tools(connection, [imported], source="import:weather.jsonl", source_version="1")
    client = connect(pin(settings, "weather", "demo_add"))
    assert await list_names(client) == [*META_TOOLS, "demo_add", "weather"]


async def test_a_database_that_is_gone_changes_no_list(
    connect: Connect, settings: Settings, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.registry.replace([tool for tool in services.registry if tool.name != "demo_add"])
    client = connect(pin(settings, "demo_add"))
    monkeypatch.setattr(listing, "STORED_SECONDS", 0.0)
    before = await list_names(client)

    async def refuse(*_: Any) -> Any:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(Database, "fetch", refuse)
    assert before == [*META_TOOLS, "demo_add"]
    assert await list_names(client) == before
