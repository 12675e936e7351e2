"""REST, as callers meet it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from tests.conftest import BASE_URL, wait_until_ready
from toolbox import ToolError, ToolExample, tool
from toolbox.app import create_app
from toolbox.definitions import ToolDefinition
from toolbox.services import open_services
from toolbox.settings import Settings
from toolbox.tools.sync import import_tools


@tool(tags=["demo"], examples=[ToolExample("write a word backwards", {"text": "abc"}, "cba")])
def reverse(text: str) -> str:
    """Reverse a text, character by character.

    Args:
        text: what to reverse
    """
    return text[::-1]


@tool(category="numbers")
async def divide(dividend: float, divisor: float) -> float:
    """Divide one number by another."""
    if divisor == 0:
        raise ToolError("a number cannot be divided by zero")
    return dividend / divisor


@tool
async def crash() -> None:
    """Fail with a secret inside."""
    raise RuntimeError("the secret is swordfish")


@tool(timeout_seconds=0.05)
async def hang() -> None:
    """Never end."""
    import asyncio

    await asyncio.Event().wait()


@pytest.fixture
async def client(settings: Settings, make_plugins: Callable[..., Any]) -> AsyncIterator[AsyncTestClient[Any]]:
    plugins = make_plugins(demo=[reverse, divide, crash, hang])
    async with AsyncTestClient(create_app(settings, plugins), base_url=BASE_URL) as opened:
        while (await opened.get("/health/ready")).status_code != 200:
            pass
        yield opened


async def test_a_listed_tool_has_everything_that_a_caller_needs(client: AsyncTestClient[Any]) -> None:
    answer = await client.post("/mcp/list_tools", json={"tags": ["demo"]})
    assert answer.status_code == 200
    assert answer.headers["X-Total-Count"] == "1"
    (listed,) = answer.json()
    assert listed["name"] == "demo_reverse"
    assert listed["category"] == "demo"
    assert listed["source"] == "plugin:demo"
    assert listed["input_schema"] == {
        "type": "object",
        "properties": {"text": {"description": "what to reverse", "type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    }


async def test_pages_follow_each_other_by_their_link(client: AsyncTestClient[Any]) -> None:
    first = await client.post("/mcp/list_tools", json={"limit": 3})
    link = first.headers["Link"]
    assert link.endswith('; rel="next"')
    second = await client.post(link[1 : link.index(">")], json={"limit": 3})
    assert [tool["name"] for tool in first.json() + second.json()] == [
        "demo_crash",
        "demo_divide",
        "demo_hang",
        "demo_reverse",
    ]
    assert "Link" not in second.headers
    beyond = await client.post("/mcp/list_tools", json={"offset": 100})
    assert (beyond.json(), beyond.headers["X-Total-Count"]) == ([], "4")


async def test_a_tool_is_found_by_what_it_does_and_first_by_its_name(client: AsyncTestClient[Any]) -> None:
    found = (await client.post("/mcp/find_tool", json={"query": "write words backwards"})).json()
    assert found[0]["name"] == "demo_reverse"
    by_name = (await client.post("/mcp/find_tool", json={"query": "Demo Divide"})).json()
    assert (by_name[0]["name"], by_name[0]["similarity"]) == ("demo_divide", 1.0)
    similarities = [match["similarity"] for match in by_name]
    assert similarities == sorted(similarities, reverse=True)


async def test_filters_and_threshold_narrow_what_is_found(client: AsyncTestClient[Any]) -> None:
    async def names(**wanted: Any) -> list[str]:
        answer = await client.post("/mcp/find_tool", json={"query": "divide numbers", **wanted})
        assert answer.status_code == 200, answer.text
        return [match["name"] for match in answer.json()]

    assert await names(category="numbers") == ["demo_divide"]
    assert await names(category="nowhere") == []
    assert "demo_divide" not in await names(tags=["demo"])
    for source, found in (
        ("plugin:demo", ["demo_divide"]),
        ("demo", ["demo_divide"]),
        ("import:demo", []),
        ("dem", []),
    ):
        assert await names(source=source, limit=1) == found
    assert await names(metadata={"id": "7"}) == []
    assert await names(threshold=1.0) == []
    assert await names(offset=1_000) == []


async def test_a_summary_leaves_the_schema_out(client: AsyncTestClient[Any]) -> None:
    found = (await client.post("/mcp/find_tool", json={"query": "reverse", "detail": "summary"})).json()
    assert "input_schema" not in found[0]


async def test_what_import_kept_of_a_schema_is_shown_only_in_the_detail(
    settings: Settings, make_plugins: Callable[..., Any]
) -> None:
    kept = {"id": "7", "original_schema": {"type": "dict"}, "original_output_schema": {"type": "list"}}
    async with open_services(settings, make_plugins()) as services:
        definition = ToolDefinition(name="weather", description="Tell the weather.", metadata=kept)
        await import_tools(services.database, [definition], source="import:somewhere")
    async with AsyncTestClient(create_app(settings, make_plugins(demo=[reverse])), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        (match, *_) = (await client.post("/mcp/find_tool", json={"query": "weather"})).json()
        (listed,) = (await client.post("/mcp/list_tools", json={"source": "import:somewhere"})).json()
        assert (await client.post("/mcp/list_tools", json={"source": "somewhere"})).json() == [listed]
        own = (await client.post("/mcp/find_tool", json={"query": "demo_reverse"})).json()[0]
        assert (match["metadata"], match["runnable"], listed["metadata"]) == ({"id": "7"}, False, {"id": "7"})
        assert (own["metadata"], own["runnable"]) == ({}, True)
        assert (await client.get("/tools/weather")).json()["metadata"] == kept


async def test_a_call_is_answered_and_can_be_read_back(client: AsyncTestClient[Any]) -> None:
    request = {"tool_name": "demo_reverse", "arguments": {"text": "abc"}}
    answer = (await client.post("/mcp/call_tool", json=request)).json()
    assert (answer["success"], answer["result"], answer["error"]) == (True, "cba", None)
    recorded = (await client.get(f"/calls/{answer['execution_id']}")).json()
    assert recorded["result"] == "cba"
    assert recorded["arguments"] == {"text": "abc"}
    assert (recorded["channel"], recorded["caller"], recorded["success"]) == ("rest", "anonymous", True)


async def test_a_failing_tool_is_an_answer_in_its_own_words(client: AsyncTestClient[Any]) -> None:
    request = {"tool_name": "demo_divide", "arguments": {"dividend": 1, "divisor": 0}}
    answer = await client.post("/mcp/call_tool", json=request)
    assert answer.status_code == 200
    assert answer.json()["success"] is False
    assert answer.json()["error"] == {"code": "tool_failed", "message": "a number cannot be divided by zero"}


async def test_a_crash_says_nothing_of_its_inside(client: AsyncTestClient[Any]) -> None:
    answer = (await client.post("/mcp/call_tool", json={"tool_name": "demo_crash"})).json()
    assert answer["error"]["code"] == "tool_crashed"
    assert "swordfish" not in answer["error"]["message"]
    assert "error_id" in answer["error"]["message"]


async def test_a_call_ends_when_its_time_is_over(client: AsyncTestClient[Any]) -> None:
    answer = (await client.post("/mcp/call_tool", json={"tool_name": "demo_hang"})).json()
    assert answer["error"] == {"code": "tool_timeout", "message": "demo_hang took longer than 0.05 s"}


async def test_every_wrong_argument_is_named_with_its_path(client: AsyncTestClient[Any]) -> None:
    request = {"tool_name": "demo_divide", "arguments": {"dividend": "one", "divisor": None}}
    answer = await client.post("/mcp/call_tool", json=request)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "invalid_arguments"
    assert {violation["path"] for violation in problem["violations"]} == {"/dividend", "/divisor"}


async def test_an_unknown_tool_is_answered_with_near_names(client: AsyncTestClient[Any]) -> None:
    answer = await client.post("/mcp/call_tool", json={"tool_name": "demo_revers"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["suggestions"][0] == "demo_reverse"


async def test_similar_tools_need_a_model_and_a_known_tool(client: AsyncTestClient[Any]) -> None:
    assert (await client.get("/tools/demo_reverse/similar")).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/mcp/find_tool", {"query": ""}, "query: expected a text of length >= 1"),
        ("/mcp/find_tool", {"query": " "}, "query: it is blank"),
        ("/mcp/find_tool", {"query": "\t\u3000\n"}, "query: it is blank"),
        ("/mcp/find_tool", {"query": "a\0b"}, "query: it holds the character NUL"),
        ("/mcp/find_tool", {"query": 5}, "query: expected a text, got a whole number"),
        ("/mcp/find_tool", {"query": "x", "threshold": "high"}, "threshold: expected a number or null, got a text"),
        ("/mcp/find_tool", {"query": "x", "detail": "all"}, "detail: it may not be 'all'; allowed are schema, summary"),
        ("/mcp/find_tool", {}, "body: it lacks the field `query`"),
        ("/mcp/find_tool", {"query": "x" * 4097}, "query"),
        ("/mcp/find_tool", {"query": "x", "limit": 51}, "limit"),
        ("/mcp/find_tool", {"query": "x", "vector_weight": 2}, "vector_weight"),
        ("/mcp/find_tool", {"query": "x", "toolset": "nope"}, "there is no toolset 'nope'"),
        ("/mcp/find_tool", {"query": "x", "toolset": "a" * 65}, "toolset: expected a text of length <= 64"),
        ("/mcp/find_tool", {"query": "x", "categry": "y"}, "body: there is no field `categry`"),
        ("/mcp/find_tool", {"query": "x", "category": "a\0b"}, "NUL"),
        ("/mcp/find_tool", {"query": "x", "metadata": {"a": "\0"}}, "NUL"),
        ("/mcp/find_tool", {"query": "x", "tags": ["\0"]}, "NUL"),
        ("/mcp/find_tool", [], "body: expected an object, got a list"),
        ("/mcp/list_tools", {"category": "\0"}, "NUL"),
        ("/mcp/call_tool", {"tool_name": "\0"}, "NUL"),
        ("/mcp/list_tools", {"limit": 0}, "limit"),
        ("/mcp/list_tools", {"offset": -1}, "offset"),
        ("/mcp/list_tools", {"offset": 10**30}, "offset"),
        ("/mcp/call_tool", {"tool_name": ""}, "tool_name"),
        ("/mcp/call_tool", {"tool_name": "x", "arguments": []}, "arguments"),
        ("/mcp/call_tool", {"tool_name": "x", "timeout_seconds": 0}, "timeout_seconds"),
    ],
)
async def test_wrong_input_is_refused_with_a_sentence(
    client: AsyncTestClient[Any], path: str, body: Any, said: str
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code in {400, 404, 422}
    assert said in answer.json()["detail"]
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "it is empty; send a JSON object"),
        (b"{", "it ends in the middle of the JSON"),
        (b"nope", "it is not JSON: invalid character (byte 4)"),
        (b"\xff\xfe", "it is not JSON: invalid character (byte 0)"),
        (b'{"query": "\xff"}', "it is not UTF-8"),
        (b'"\\ud800"', "it ends in the middle of the JSON"),
        (b"[" * 50_000, "it is nested too deeply"),
        (b'{"query": 1e999}', "it holds a number that is too large"),
    ],
)
async def test_a_body_that_is_no_json_is_refused(client: AsyncTestClient[Any], body: bytes, said: str) -> None:
    answer = await client.post("/mcp/find_tool", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (400, f"body: {said}")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/nowhere", "there is nothing at /nowhere; /docs lists what there is"),
        ("/mcp/find_tools", "there is nothing at /mcp/find_tools; did you mean /mcp/find_tool?"),
        ("/tool/demo_reverse", "there is nothing at /tool/demo_reverse; "),
        ("/calls/no-uuid", "there is no call 'no-uuid' of yours; "),
        ("/calls/00000000-0000-0000-0000-000000000000", "there is no call '00000000-"),
    ],
)
async def test_what_does_not_exist_is_named_with_a_way_on(client: AsyncTestClient[Any], path: str, said: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.json()["detail"].startswith(said)


async def test_a_wrong_method_is_answered_with_those_that_are_right(client: AsyncTestClient[Any]) -> None:
    answer = await client.put("/mcp/find_tool")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.json()["detail"] == "/mcp/find_tool does not answer PUT; it answers OPTIONS, POST"
    assert answer.headers["Allow"] == "OPTIONS, POST"
    assert (await client.post("/stats")).headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/health", "/health/live", "/ready", "/schema/openapi.json", "/docs", "/stats"])
async def test_head_is_answered_as_get_without_the_body(client: AsyncTestClient[Any], path: str) -> None:
    head, get = await client.head(path), await client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert (await client.head("/mcp/find_tool")).status_code == 405


async def test_a_path_parameter_keeps_its_limits(client: AsyncTestClient[Any]) -> None:
    answer = await client.get(f"/tools/{'x' * 257}")
    assert (answer.status_code, answer.json()["detail"]) == (400, "name: expected a text of length <= 256")
    assert (await client.get("/tools/a%00b")).status_code == 400


async def test_a_body_over_the_limit_is_refused(settings: Settings, client: AsyncTestClient[Any]) -> None:
    body = b'{"query": "' + b"x" * settings.max_request_size + b'"}'
    answer = await client.post("/mcp/find_tool", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert f"larger than {settings.max_request_size} bytes" in answer.json()["detail"]
    assert "MAX_REQUEST_SIZE" in answer.json()["detail"]


async def test_a_harmless_request_id_is_taken_over_and_another_replaced(client: AsyncTestClient[Any]) -> None:
    assert (await client.get("/live", headers={"X-Request-Id": "abc-1"})).headers["X-Request-Id"] == "abc-1"
    assert (await client.get("/live", headers={"X-Request-Id": "a b;c"})).headers["X-Request-Id"] != "a b;c"


async def test_the_catalogue_is_described_in_numbers(client: AsyncTestClient[Any]) -> None:
    await client.post("/mcp/call_tool", json={"tool_name": "demo_reverse", "arguments": {"text": "abc"}})
    stats = (await client.get("/stats")).json()
    assert stats["tools"] == {"active": 4, "inactive": 0, "embedded": 0, "by_source": {"plugin:demo": 4}}
    assert (stats["calls"]["calls"], stats["calls"]["succeeded"], stats["categories"]) == (1, 1, 2)
    categories = (await client.get("/categories")).json()
    assert categories == [{"category": "demo", "tools": 3}, {"category": "numbers", "tools": 1}]


async def test_the_documentation_needs_nothing_from_elsewhere(client: AsyncTestClient[Any]) -> None:
    page = (await client.get("/docs")).text
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "swagger-ui-standalone-preset.js", "favicon-32x32.png"):
        assert f"/docs/assets/{asset}" in page
        assert (await client.get(f"/docs/assets/{asset}")).status_code == 200


async def test_a_missing_and_an_unknown_argument_are_named_by_their_path(client: AsyncTestClient[Any]) -> None:
    answer = await client.post("/mcp/call_tool", json={"tool_name": "demo_reverse", "arguments": {"te/xt": "abc"}})
    assert answer.json()["violations"] == [
        {"path": "/te~1xt", "message": "there is no such property"},
        {"path": "/text", "message": "it is required"},
    ]


@pytest.mark.parametrize("depth", [100, 250, 500])
async def test_arguments_that_are_nested_too_deeply_are_refused(client: AsyncTestClient[Any], depth: int) -> None:
    arguments = '{"dividend": ' + "[" * depth + "]" * depth + "}"
    body = f'{{"tool_name": "demo_divide", "arguments": {arguments}}}'
    answer = await client.post("/mcp/call_tool", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}


async def test_a_huge_wrong_argument_is_not_quoted_in_full(client: AsyncTestClient[Any]) -> None:
    arguments = {"dividend": "x" * 100_000, "divisor": 1}
    answer = await client.post("/mcp/call_tool", json={"tool_name": "demo_divide", "arguments": arguments})
    assert answer.status_code == 422
    assert len(answer.text) < 2000
    assert 'is not of type "number"' in answer.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({"Host": "evil.example"}, 421, "wrong_host"), ({"Origin": "http://evil.example"}, 403, "foreign_origin")],
)
async def test_pages_of_others_can_neither_call_nor_read(
    client: AsyncTestClient[Any], headers: dict[str, str], status: int, code: str
) -> None:
    call = {"tool_name": "demo_reverse", "arguments": {"text": "abc"}}
    for answer in (
        await client.post("/mcp/call_tool", json=call, headers=headers),
        await client.get("/stats", headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    own = {"Host": "localhost:8000", "Origin": "http://localhost:8000"}
    assert (await client.get("/stats", headers=own)).status_code == 200
