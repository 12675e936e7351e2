"""Results that are too long, and consent, over MCP: the same in both eras."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar
from msgspec import Struct, structs

from tests.mcp.conftest import META, Client, sent_by
from tests.mcp.test_conversations import Wire, text_of
from toolbox import ImageContent, TextContent, ToolAnnotations, ToolResult, tool
from toolbox.auth.callers import LOCAL
from toolbox.mcp.methods import McpServer
from toolbox.mcp.offers import Offers
from toolbox.mcp.results import create_result_resource
from toolbox.mcp.routes import create_mcp_router
from toolbox.mcp.runner import Runner
from toolbox.plugins import Plugins
from toolbox.services import Services
from toolbox.settings import Settings

TEXT = "".join(f"line {number} of a long text\n" for number in range(2000))
FORMS = META | {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}


class Row(Struct):
    """A row."""

    id: int


async def list_rows() -> list[Row]:
    """Many rows."""
    return [Row(number) for number in range(3000)]


async def show() -> ToolResult:
    """An image, and a long text."""
    return ToolResult((ImageContent("aGk=", "image/png"), TextContent(TEXT)))


@tool(annotations=ToolAnnotations(destructive_hint=True))
async def delete() -> str:
    """Delete everything."""
    return "deleted"


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    return make_plugins(demo=[list_rows, show, delete])


@pytest.fixture
async def long(
    services: Services, settings: Settings, make_server: Callable[[Settings], McpServer]
) -> AsyncIterator[Client]:
    """A client of a server that gives results of 1,000 tokens, offers the rest, and asks first."""
    settings = structs.replace(settings, result_max_tokens=1000)
    runner = Runner()
    offers = Offers([create_result_resource(services.calls, 1000)], runner=runner)
    known = make_server(settings)
    server = McpServer(
        services.search,
        services.calls,
        services.tools,
        services.registry,
        settings,
        known.conversations,
        offers,
        asks_before_destructive=True,
    )
    app = sent_by(LOCAL, Litestar([create_mcp_router(settings, lambda _: server)], logging_config=None))
    async with AsyncClient(transport=ASGITransport(cast("Any", app)), base_url="http://127.0.0.1:8000") as http:
        yield Client(http)
    runner.close()


async def ask(mcp: Client, era: str, method: str, params: dict[str, Any]) -> Any:
    """The answer in an era."""
    if era == "handshake":
        return (await mcp.handshake(method, params)).json()
    headers = {"mcp_name": params["uri"]} if "uri" in params else {}
    return (await mcp.stateless(method, params, **headers)).json()


@pytest.mark.parametrize("era", ["handshake", "stateless"])
class TestInBothEras:
    async def test_a_list_goes_on_through_resources(self, long: Client, era: str) -> None:
        result = (await ask(long, era, "tools/call", {"name": "demo_list_rows", "arguments": {}}))["result"]
        text, note, link = result["content"]
        structured = result["structuredContent"]
        rows = structured["result"] if era == "handshake" else structured
        assert msgspec.json.decode(text["text"]) == rows
        assert (link["type"], link["uri"] in note["text"]) == ("resource_link", True)
        uri = link["uri"]
        while uri:
            read = (await ask(long, era, "resources/read", {"uri": uri}))["result"]["contents"]
            assert read[0]["mimeType"] == "application/json"
            rows += msgspec.json.decode(read[0]["text"])
            uri = read[1]["uri"] if len(read) > 1 else ""
        assert [row["id"] for row in rows] == list(range(3000))

    async def test_a_list_goes_on_through_call_tool(self, long: Client, era: str) -> None:
        called = {"tool_name": "demo_list_rows", "max_tokens": 2000}
        result = (await ask(long, era, "tools/call", {"name": "call_tool", "arguments": called}))["result"]
        rows = msgspec.json.decode(result["content"][0]["text"])
        while result["content"][-1]["type"] == "resource_link":
            wanted = {"tool_name": "read_result", "arguments": {"uri": result["content"][-1]["uri"]}}
            result = (await ask(long, era, "tools/call", {"name": "call_tool", "arguments": wanted}))["result"]
            rows += msgspec.json.decode(result["content"][0]["text"])
        assert [row["id"] for row in rows] == list(range(3000))

    async def test_media_and_texts_are_read_as_what_they_are(self, long: Client, era: str) -> None:
        arguments = {"tool_name": "demo_show", "max_tokens": 1000}
        result = (await ask(long, era, "tools/call", {"name": "call_tool", "arguments": arguments}))["result"]
        image, text, *_ = result["content"]
        assert image["type"] == text["type"] == "resource_link"
        read = (await ask(long, era, "resources/read", {"uri": image["uri"]}))["result"]["contents"]
        assert read == [{"uri": image["uri"], "mimeType": "image/png", "blob": "aGk="}]
        read = (await ask(long, era, "resources/read", {"uri": text["uri"]}))["result"]["contents"]
        assert read[0]["mimeType"] == "text/plain"
        assert TEXT.startswith(read[0]["text"])

    @pytest.mark.parametrize("wanted", [{"uri": "result://nothing"}, {}, {"uri": 5}])
    async def test_what_read_result_cannot_read_is_said(self, long: Client, era: str, wanted: Any) -> None:
        arguments = {"tool_name": "read_result", "arguments": wanted}
        result = (await ask(long, era, "tools/call", {"name": "call_tool", "arguments": arguments}))["result"]
        assert result["isError"]

    async def test_a_resource_that_is_not_there_is_an_error(self, long: Client, era: str) -> None:
        uri = "result://00000000-0000-4000-8000-000000000000"
        error = (await ask(long, era, "resources/read", {"uri": uri}))["error"]
        assert (error["code"], error["data"]) == (-32002 if era == "handshake" else -32602, {"uri": uri})

    async def test_a_client_that_cannot_ask_is_told_so(self, long: Client, era: str) -> None:
        result = (await ask(long, era, "tools/call", {"name": "demo_delete", "arguments": {}}))["result"]
        assert result["isError"]
        assert "elicitation" in result["content"][0]["text"]


async def test_the_user_is_asked_in_rounds(long: Client) -> None:
    params: dict[str, Any] = {"name": "call_tool", "arguments": {"tool_name": "demo_delete"}, "_meta": FORMS}
    first = (await long.stateless("tools/call", params)).json()["result"]
    assert first["resultType"] == "input_required"
    ((key, question),) = first["inputRequests"].items()
    assert question["method"] == "elicitation/create"
    for action, said in (("accept", "deleted"), ("decline", "demo_delete was not run: the user declined")):
        again = {"inputResponses": {key: {"action": action}}, "requestState": first["requestState"]}
        done = (await long.stateless("tools/call", params | again)).json()["result"]
        assert (done["content"][0]["text"], done["isError"]) == (said, action == "decline")


async def test_the_user_is_asked_at_once(
    services: Services, settings: Settings, make_server: Callable[[Settings], McpServer]
) -> None:
    server = McpServer(
        services.search,
        services.calls,
        services.tools,
        services.registry,
        settings,
        make_server(settings).conversations,
        asks_before_destructive=True,
    )
    for action, said in (("accept", "deleted"), ("cancel", "demo_delete was not run: the user closed the question")):
        wire = Wire(server)
        await wire.shake_hands(elicitation={})
        call = asyncio.create_task(wire.request("tools/call", {"name": "demo_delete"}))
        question = await wire.received.get()
        await wire.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": action}})
        assert text_of(await call) == said
