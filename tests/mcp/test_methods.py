"""What tools/call answers, for the meta-tools and for all others."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.mcp.conftest import Client
from toolbox.app import create_app
from toolbox.database import Database
from toolbox.definitions import ToolDefinition
from toolbox.errors import DatabaseUnavailable
from toolbox.plugins import Plugins
from toolbox.search.service import SearchService
from toolbox.services import Services
from toolbox.settings import Settings
from toolbox.tools.repository import write_tools

IMPORTED = ToolDefinition(name="weather", description="Tell the weather of a place.", category="world")


@pytest.fixture
async def imported(services: Services) -> ToolDefinition:
    """A tool that came as a description only."""
    async with services.database.transaction() as connection:
        await write_tools(connection, [IMPORTED], source="import:weather.jsonl", source_version="1")
    return IMPORTED


async def test_find_tool_answers_with_all_that_a_call_needs(mcp: Client) -> None:
    found = await mcp.call("find_tool", query="Reverse a text")
    assert found["isError"] is False
    best = found["structuredContent"]["matches"][0]
    assert best == {
        "name": "demo_reverse",
        "description": "Reverse a text, character by character.",
        "category": "demo",
        "tags": ["text"],
        "similarity": best["similarity"],
        "input_schema": {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": False,
        },
        "metadata": {},
    }


async def test_structured_content_stands_in_the_text_as_well_and_fits_the_output_schema(
    mcp: Client, imported: ToolDefinition
) -> None:
    listed = (await mcp.stateless("tools/list")).json()["result"]["tools"]
    schemas = {tool["name"]: tool.get("outputSchema") for tool in listed}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("find_tool", {"query": "tell the weather"}),
        ("find_tool", {"query": "weather", "detail": "summary"}),
        ("describe_tool", {"tool_name": "weather"}),
        ("describe_tool", {"tool_name": "demo_add"}),
        ("list_tools", {}),
        ("list_tools", {"limit": 1}),
    ]
    for name, arguments in calls:
        result = await mcp.call(name, **arguments)
        (text,) = [part["text"] for part in result["content"]]
        assert jsonschema_rs.validator_for(schemas[name]).is_valid(result["structuredContent"])
        assert json.loads(text) == result["structuredContent"]


async def test_find_tool_narrows(mcp: Client) -> None:
    async def names(**arguments: Any) -> list[str]:
        found = await mcp.call("find_tool", query="fail", **arguments)
        return [match["name"] for match in found["structuredContent"]["matches"]]

    assert set(await names(category="failures")) == {"demo_refuse", "demo_crash"}
    assert len(await names(limit=1)) == 1
    assert await names(threshold=1.0) == []
    assert await names(tags=["text"]) == []


async def test_a_summary_leaves_out_schema_and_metadata(mcp: Client) -> None:
    found = await mcp.call("find_tool", query="reverse", detail="summary")
    assert found["structuredContent"]["matches"][0].keys() == {"name", "description", "category", "tags", "similarity"}


async def test_a_match_that_nothing_can_run_says_so(mcp: Client, imported: ToolDefinition) -> None:
    found = await mcp.call("find_tool", query="weather")
    assert found["structuredContent"]["matches"][0]["runnable"] is False
    assert (await mcp.call("describe_tool", tool_name="weather"))["structuredContent"]["runnable"] is False
    assert (await mcp.call("describe_tool", tool_name="demo_add"))["structuredContent"]["runnable"] is True


async def test_describe_tool_tells_everything(mcp: Client) -> None:
    described = (await mcp.call("describe_tool", tool_name="demo_add"))["structuredContent"]
    assert described["title"] == "Add numbers"
    assert described["annotations"] == {"readOnlyHint": True}
    assert described["input_schema"]["required"] == ["a", "b"]
    assert described["output_schema"]["required"] == ["total"]
    assert (described["source"], described["examples"], described["long_description"]) == ("plugin:demo", [], None)


async def test_list_tools_leads_from_page_to_page(mcp: Client) -> None:
    names: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = (await mcp.call("list_tools", limit=4, offset=offset))["structuredContent"]
        names += [tool["name"] for tool in page["tools"]]
        offset = page.get("next_offset")
    assert names == sorted(names)
    assert len(names) == page["total"] == 10
    assert (await mcp.call("list_tools", offset=100))["structuredContent"] == {"tools": [], "total": 10}
    assert (await mcp.call("list_tools", category="media"))["structuredContent"]["total"] == 2


async def test_a_tool_is_called_through_call_tool_and_directly_alike(mcp: Client) -> None:
    direct = await mcp.call("demo_add", a=1, b=2)
    assert direct["structuredContent"] == {"total": 3}
    assert await mcp.call("call_tool", tool_name="demo_add", arguments={"a": 1, "b": 2}) == direct


async def test_media_come_through_unchanged(mcp: Client) -> None:
    expected = [
        {"type": "text", "text": "see"},
        {"type": "image", "data": "aW1hZ2U=", "mimeType": "image/png"},
        {"type": "audio", "data": "c291bmQ=", "mimeType": "audio/wav"},
        {"type": "resource_link", "uri": "file:///a.txt", "name": "a.txt"},
    ]
    assert (await mcp.call("demo_show"))["content"] == expected
    assert (await mcp.call("call_tool", tool_name="demo_show"))["content"] == expected
    assert "structuredContent" not in await mcp.call("demo_paint")


@pytest.mark.parametrize("arguments", [None, {}])
async def test_arguments_may_be_left_out(mcp: Client, arguments: Any) -> None:
    answer = await mcp.stateless("tools/call", {"name": "demo_route", "arguments": arguments})
    assert answer.json()["result"]["content"][0]["text"] == ""


async def test_an_unknown_tool_is_an_error_with_near_names(mcp: Client) -> None:
    answer = await mcp.stateless("tools/call", {"name": "demo_revers"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32602
    assert "demo_reverse" in answer.json()["error"]["message"]


async def test_an_unknown_tool_behind_call_tool_is_a_result_with_near_names(mcp: Client) -> None:
    for name, arguments in (
        ("call_tool", {"tool_name": "demo_revers"}),
        ("describe_tool", {"tool_name": "demo_revers"}),
    ):
        result = await mcp.call(name, **arguments)
        assert result["isError"] is True
        assert "demo_reverse" in result["content"][0]["text"]


async def test_meta_tools_are_not_called_through_each_other(mcp: Client) -> None:
    result = await mcp.call("call_tool", tool_name="find_tool", arguments={"query": "x"})
    assert result["isError"] is True
    assert "directly" in result["content"][0]["text"]


@pytest.mark.parametrize("through", [True, False])
async def test_wrong_arguments_are_named_and_the_schema_repeated(mcp: Client, through: bool) -> None:
    wrong = {"a": "one", "c": 3}
    if through:
        result = await mcp.call("call_tool", tool_name="demo_add", arguments=wrong)
    else:
        result = await mcp.call("demo_add", **wrong)
    assert result["isError"] is True
    (text,) = [part["text"] for part in result["content"]]
    for said in ("/a: ", "/b: ", "/c: ", '"required":["a","b"]'):
        assert said in text


async def test_wrong_arguments_of_a_meta_tool_are_named_with_its_schema(mcp: Client) -> None:
    result = await mcp.call("find_tool", query="", limit=0)
    assert result["isError"] is True
    for said in ("/query", "/limit", '"maxLength":4096'):
        assert said in result["content"][0]["text"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("demo_refuse", "it is closed on Sundays"),
        ("demo_crash", "error_id"),
        ("demo_opaque", "cannot be written as JSON"),
        ("demo_lie", "promises"),
    ],
)
async def test_whatever_fails_inside_a_tool_is_a_result(mcp: Client, name: str, said: str) -> None:
    result = await mcp.call(name)
    assert result["isError"] is True
    assert said in result["content"][-1]["text"]
    assert "secret" not in result["content"][0]["text"]


@pytest.mark.parametrize("through", [True, False])
async def test_a_promise_counts_however_the_tool_is_called(mcp: Client, through: bool) -> None:
    async def lie(**arguments: Any) -> Any:
        if through:
            return await mcp.call("call_tool", tool_name="demo_lie", arguments=arguments)
        return await mcp.call("demo_lie", **arguments)

    broken = await lie(number="five")
    assert broken["isError"] is True
    assert broken["content"][0]["text"] == "here"
    assert "promises: /number: " in broken["content"][-1]["text"]
    assert (await lie(number=5))["structuredContent"] == {"number": 5}


@pytest.mark.parametrize("through", [True, False])
async def test_a_tool_that_nothing_can_run_says_why(mcp: Client, imported: ToolDefinition, through: bool) -> None:
    result = await (mcp.call("call_tool", tool_name="weather") if through else mcp.call("weather"))
    assert result["isError"] is True
    assert "no implementation" in result["content"][0]["text"]


async def test_a_tool_of_another_replica_says_so(mcp: Client, services: Services) -> None:
    services.registry.replace([tool for tool in services.registry if tool.name != "demo_add"])
    result = await mcp.call("demo_add", a=1, b=2)
    assert result["isError"] is True
    assert "not loaded" in result["content"][0]["text"]


async def test_a_time_limit_ends_a_call(mcp: Client) -> None:
    result = await mcp.call("call_tool", tool_name="demo_wait", timeout_seconds=0.01)
    assert result["isError"] is True
    assert "longer than 0.01 s" in result["content"][0]["text"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("find_tool", {"query": "a\0b"}),
        ("find_tool", {"query": "x", "category": "\0"}),
        ("describe_tool", {"tool_name": "\0"}),
        ("call_tool", {"tool_name": "\0"}),
        ("list_tools", {"offset": 10**18}),
        ("list_tools", {"tags": ["\0"]}),
    ],
)
async def test_hostile_arguments_of_meta_tools_are_answered(mcp: Client, name: str, arguments: dict[str, Any]) -> None:
    result = await mcp.call(name, **arguments)
    assert result["isError"] is True


@pytest.mark.parametrize("query", [" ", "\t\n", "\u3000"])
async def test_a_blank_query_is_refused(mcp: Client, query: str) -> None:
    result = await mcp.call("find_tool", query=query)
    assert (result["isError"], result["content"][0]["text"].partition(";")[0]) == (True, "query: it is blank")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"name": 5},
        {"name": "find_tool", "arguments": []},
        {"name": "demo_add", "arguments": "a"},
        {"name": "a\0b"},
    ],
)
async def test_params_that_name_no_call_are_errors(mcp: Client, params: dict[str, Any]) -> None:
    answer = await mcp.handshake("tools/call", params)
    assert answer.json()["error"]["code"] == -32602


async def test_numbers_that_nobody_can_keep_are_refused(mcp: Client) -> None:
    for arguments in (b'{"a": 1e999, "b": 1}', b'{"a": ' + b"9" * 5000 + b', "b": 1}'):
        body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"demo_add","arguments":%b}}' % arguments
        answer = await mcp.send(body, {"mcp-protocol-version": "2025-11-25"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (200, -32602)


async def test_without_a_database_tools_run_but_are_not_found(
    mcp: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> Any:
        raise DatabaseUnavailable("PostgreSQL cannot be used: host=10.0.0.5 is gone")

    monkeypatch.setattr(Database, "fetch", refuse)
    assert (await mcp.call("demo_add", a=1, b=2))["structuredContent"] == {"total": 3}
    answer = await mcp.stateless("tools/call", {"name": "find_tool", "arguments": {"query": "x"}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, -32603)
    assert "10.0.0.5" not in answer.text
    assert answer.json()["error"]["data"].keys() == {"error_id"}


async def test_calls_are_in_the_history(mcp: Client, services: Services) -> None:
    await mcp.call("call_tool", tool_name="demo_add", arguments={"a": 1, "b": 2})
    await mcp.call("demo_refuse")
    statistics = await services.history.statistics()
    while statistics.calls < 2:  # the history writes in the background; the test's own time limit bounds this
        await asyncio.sleep(0)
        statistics = await services.history.statistics()
    assert (statistics.calls, statistics.succeeded) == (2, 1)


async def test_the_whole_application_serves_it(
    settings: Settings, make_plugins: Callable[..., Plugins], plugins: Plugins
) -> None:
    app = create_app(structs.replace(settings, pinned_tools=("demo_add",)), plugins)
    async with AsyncTestClient(app, base_url="http://127.0.0.1:8000") as http:
        answer = await http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert [tool["name"] for tool in answer.json()["result"]["tools"]][-1] == "demo_add"


async def test_a_fault_of_ours_is_an_error_that_says_nothing_of_our_inside(
    mcp: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> Any:
        raise RuntimeError("the secret is swordfish")

    monkeypatch.setattr(SearchService, "find_tools", fail)
    answer = await mcp.handshake("tools/call", {"name": "find_tool", "arguments": {"query": "x"}})
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (200, -32603, 1)
    assert "secret" not in answer.text
    assert answer.json()["error"]["data"].keys() == {"error_id"}
