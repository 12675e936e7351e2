"""The endpoints of toolsets beside /mcp, in the whole application: what their clients see, and what they do not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from httpx import Response
from litestar.testing import AsyncTestClient

from tests.conftest import BASE_URL, wait_until_ready
from tests.mcp.conftest import META
from toolbox import ToolAnnotations, tool
from toolbox.app import create_app
from toolbox.database import Database, open_database
from toolbox.definitions import ToolDefinition
from toolbox.plugins import Plugins
from toolbox.settings import Settings
from toolbox.tools.sync import import_tools
from toolbox.toolsets.schemas import Rule, Rules, ToolsetDefinition
from toolbox.toolsets.service import ToolsetService


@tool(category="weather")
async def forecast(city: str) -> str:
    """Tell tomorrow's weather in a city."""
    return f"rain in {city}"


@tool(category="weather")
async def warn(city: str) -> str:
    """Tell which weather warnings there are for a city."""
    return "none"


@tool(category="secrets")
async def forecast_profits(year: int) -> str:
    """Tell the profits that are expected."""
    return "plenty"


@tool(category="weather", annotations=ToolAnnotations(destructive_hint=True))
async def stop_rain() -> str:
    """Stop the rain for ever."""
    return "stopped"


@tool(category="weather")
async def read_almanac() -> list[int]:
    """Read all of the almanac."""
    return list(range(5000))


WEATHER = Rules((Rule(category="weather"),))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Another process's connection: what it changes, the application has to hear of."""
    async with open_database(database_url, pool_size=1, max_overflow=1, timeout_seconds=10) as opened:
        yield opened


@pytest.fixture
def toolsets(database: Database) -> ToolsetService:
    return ToolsetService(database)


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    return make_plugins(demo=[forecast, warn, forecast_profits, stop_rain, read_almanac])


@pytest.fixture
async def http(settings: Settings, plugins: Plugins, toolsets: ToolsetService) -> AsyncIterator[AsyncTestClient[Any]]:
    async with AsyncTestClient(create_app(settings, plugins), base_url=BASE_URL) as opened:
        await wait_until_ready(opened)
        await toolsets.apply(
            {
                "direct": ToolsetDefinition(rules=WEATHER, description="All about the weather.", max_tokens=500),
                "searched": ToolsetDefinition(rules=WEATHER, is_direct=False, asks_before_destructive=True),
            }
        )
        yield opened


async def send(
    http: AsyncTestClient[Any], toolset: str | None, method: str, params: Any = None, **capabilities: Any
) -> Response:
    """A request of the stateless era."""
    path = f"/toolsets/{toolset}/mcp" if toolset else "/mcp"
    meta = META | {"io.modelcontextprotocol/clientCapabilities": capabilities}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta} | (params or {})}
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
    if params and "name" in params:
        headers["mcp-name"] = params["name"]
    return await http.post(path, json=message, headers=headers)


async def names(http: AsyncTestClient[Any], toolset: str | None) -> list[str]:
    listed = (await send(http, toolset, "tools/list")).json()["result"]["tools"]
    return [tool["name"] for tool in listed]


async def call(http: AsyncTestClient[Any], toolset: str, name: str, **arguments: Any) -> Any:
    return (await send(http, toolset, "tools/call", {"name": name, "arguments": arguments})).json()


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what another process did to arrive; the test's own time limit bounds it."""
    while not await condition():
        await asyncio.sleep(0.01)


MEMBERS = ["demo_forecast", "demo_read_almanac", "demo_stop_rain", "demo_warn"]


class TestOneThatShowsItsTools:
    async def test_its_tools_are_listed_themselves(self, http: AsyncTestClient[Any]) -> None:
        assert await names(http, "direct") == [*MEMBERS, "read_result"]

    async def test_it_says_what_it_is(self, http: AsyncTestClient[Any]) -> None:
        result = (await send(http, "direct", "tools/list")).json()["result"]
        told = result["_meta"]["io.modelcontextprotocol/serverInfo"]
        assert told == {"name": "toolbox/direct", "title": "direct", "version": "1.0.0"}

    async def test_a_member_is_called_by_its_name(self, http: AsyncTestClient[Any]) -> None:
        answer = await call(http, "direct", "demo_forecast", city="Oslo")
        assert answer["result"]["content"][0]["text"] == "rain in Oslo"

    @pytest.mark.parametrize("name", ["demo_forecast_profits", "find_tool", "call_tool", "unknown"])
    async def test_nothing_else_is_there_not_even_as_a_near_name(self, http: AsyncTestClient[Any], name: str) -> None:
        error = (await call(http, "direct", name, year=1))["error"]
        assert error["code"] == -32602
        assert "profits" not in error["message"].removeprefix(f"there is no tool {name!r}")
        assert "find_tool searches" not in error["message"]

    async def test_its_description_is_what_a_model_is_told(self, http: AsyncTestClient[Any]) -> None:
        told = (await send(http, "direct", "server/discover")).json()["result"]["instructions"]
        assert told.startswith("All about the weather.")
        assert "find_tool" not in told

    async def test_a_long_result_is_read_on_by_resource_and_by_tool(self, http: AsyncTestClient[Any]) -> None:
        result = (await call(http, "direct", "demo_read_almanac"))["result"]
        assert result["_meta"]["toolbox/more"]["uri"] == result["content"][-1]["uri"]
        uri = result["content"][-1]["uri"]
        message = {"uri": uri, "_meta": META}
        headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "resources/read", "mcp-name": uri}
        body = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": message}
        read = (await http.post("/toolsets/direct/mcp", json=body, headers=headers)).json()["result"]
        ran = (await call(http, "direct", "read_result", uri=uri))["result"]
        assert read["contents"][0]["text"] == ran["content"][0]["text"]
        assert "result" in str((await call(http, "direct", "read_result", uri="nonsense"))["result"]["content"])

    async def test_other_resources_are_not_offered(self, http: AsyncTestClient[Any]) -> None:
        listed = (await send(http, "direct", "resources/templates/list")).json()["result"]["resourceTemplates"]
        assert [template["uriTemplate"] for template in listed] == ["result://{+handle}"]
        assert (await send(http, "direct", "resources/list")).json()["result"]["resources"] == []

    async def test_clients_of_the_handshake_era_are_served_too(self, http: AsyncTestClient[Any]) -> None:
        info = {"name": "test", "version": "0"}
        params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info}
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        shaken = await http.post("/toolsets/direct/mcp", json=message)
        assert shaken.json()["result"]["instructions"].startswith("All about the weather.")
        listed = await http.post("/toolsets/direct/mcp", json={"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
        assert [tool["name"] for tool in listed.json()["result"]["tools"]] == [*MEMBERS, "read_result"]


class TestOneThatIsSearched:
    async def test_it_lists_the_meta_tools_and_what_kinds_it_has(self, http: AsyncTestClient[Any]) -> None:
        listed = (await send(http, "searched", "tools/list")).json()["result"]["tools"]
        assert [tool["name"] for tool in listed] == ["find_tool", "describe_tool", "call_tool", "list_tools"]
        assert "There are 4 tools here: weather (4)." in listed[0]["description"]

    async def test_only_its_tools_are_found_described_and_listed(self, http: AsyncTestClient[Any]) -> None:
        found = await call(http, "searched", "find_tool", query="expected profits", threshold=None, limit=50)
        assert {match["name"] for match in found["result"]["structuredContent"]["matches"]} <= set(MEMBERS)
        described = (await call(http, "searched", "describe_tool", tool_name="demo_forecast_profits"))["result"]
        assert described["isError"]
        listed = (await call(http, "searched", "list_tools"))["result"]["structuredContent"]
        assert ([tool["name"] for tool in listed["tools"]], listed["total"]) == (MEMBERS, 4)

    async def test_only_its_tools_are_called(self, http: AsyncTestClient[Any]) -> None:
        refused = await call(http, "searched", "call_tool", tool_name="demo_forecast_profits", arguments={"year": 1})
        assert refused["result"]["isError"]
        done = await call(http, "searched", "call_tool", tool_name="demo_forecast", arguments={"city": "Bergen"})
        assert done["result"]["content"][0]["text"] == "rain in Bergen"

    async def test_the_user_is_asked_before_anything_is_destroyed(self, http: AsyncTestClient[Any]) -> None:
        params = {"name": "call_tool", "arguments": {"tool_name": "demo_stop_rain"}}
        asked = (await send(http, "searched", "tools/call", params, elicitation={})).json()["result"]
        assert asked["resultType"] == "input_required"
        ((key, question),) = asked["inputRequests"].items()
        assert "demo_stop_rain" in question["params"]["message"]
        unasked = params | {"inputResponses": {key: {"action": "accept"}}}
        again = (await send(http, "searched", "tools/call", unasked, elicitation={})).json()["result"]
        assert again["resultType"] == "input_required"
        answered = params | {"inputResponses": {key: {"action": "accept"}}, "requestState": asked["requestState"]}
        done = (await send(http, "searched", "tools/call", answered, elicitation={})).json()["result"]
        assert done["content"][0]["text"] == "stopped"


class TestChanges:
    async def test_a_definition_that_another_process_changes_counts_at_once(
        self, http: AsyncTestClient[Any], toolsets: ToolsetService
    ) -> None:
        assert await names(http, "direct") == [*MEMBERS, "read_result"]
        await toolsets.apply({"direct": ToolsetDefinition(rules=Rules((Rule(name="demo_warn"),)))})

        async def is_seen() -> bool:
            return await names(http, "direct") == ["demo_warn", "read_result"]

        await until(is_seen)
        assert "error" in await call(http, "direct", "demo_forecast", city="Oslo")
        await toolsets.delete("direct")

        async def is_gone() -> bool:
            return (await send(http, "direct", "tools/list")).status_code == 404

        await until(is_gone)

    async def test_find_tool_names_a_category_that_another_process_added(
        self, http: AsyncTestClient[Any], database: Database
    ) -> None:
        await import_tools(database, [ToolDefinition(name="bake", category="kitchen")], source="import:test")

        async def is_named() -> bool:
            listed = (await send(http, None, "tools/list")).json()["result"]["tools"]
            return "kitchen (1)" in listed[0]["description"] and len(listed[0]["description"]) <= 1000

        await until(is_named)

    @pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
    async def test_a_toolset_that_does_not_exist_is_not_found(self, http: AsyncTestClient[Any], version: str) -> None:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        headers = {"mcp-protocol-version": version, "mcp-method": "tools/list"}
        answer = await http.post("/toolsets/nothing/mcp", json=message, headers=headers)
        assert answer.status_code == 404
        assert "no toolset 'nothing'" in answer.json()["error"]["message"]
        assert answer.json()["id"] == 1
