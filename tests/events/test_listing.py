"""What a replica keeps of the catalogue, and how it notices that another one has changed it."""

from collections.abc import Callable
from typing import Any

import msgspec
from litestar.testing import AsyncTestClient

from tests.conftest import BASE_URL, wait_until_ready
from toolbox.app import create_app
from toolbox.definitions import ToolDefinition
from toolbox.plugins import Plugins
from toolbox.services import Services
from toolbox.settings import Settings
from toolbox.tools.sync import import_tools

HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


async def test_a_pinned_tool_is_listed_as_soon_as_another_process_has_changed_it(
    services: Services, settings: Settings, make_plugins: Callable[..., Plugins]
) -> None:
    settings = msgspec.structs.replace(settings, pinned_tools=("weather",))
    async with AsyncTestClient(create_app(settings, make_plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        for text in ("Tell the weather.", "Tell it better."):
            assert await _described(client) != text
            tool = ToolDefinition(name="weather", description=text)
            await import_tools(services.database, [tool], source="import:test")
            while await _described(client) != text:  # it would be a minute without the event
                pass


async def _described(client: AsyncTestClient[Any]) -> str | None:
    listed = (await client.post("/mcp", json=LIST, headers=HEADERS)).json()["result"]["tools"]
    return next((tool["description"] for tool in listed if tool["name"] == "weather"), None)
