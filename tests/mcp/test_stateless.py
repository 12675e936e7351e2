"""The stateless era, from 2026-07-28."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from tests.mcp.conftest import META, Client
from toolbox.settings import Settings

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
HEADERS = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"}


def listing(**changed: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}} | changed


async def test_discover_says_what_there_is(mcp: Client) -> None:
    answer = await mcp.stateless("server/discover")
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert result["resultType"] == "complete"
    assert result["supportedVersions"] == ["2026-07-28"]
    assert result["capabilities"] == {"logging": {}, "tools": {"listChanged": True}}
    assert (result["ttlMs"], result["cacheScope"]) == (300_000, "public")
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "toolbox"
    assert "find_tool" in result["instructions"]


async def test_results_say_that_they_are_complete_and_who_gave_them(mcp: Client) -> None:
    listed = (await mcp.stateless("tools/list")).json()["result"]
    assert (listed["resultType"], listed["ttlMs"], listed["cacheScope"]) == ("complete", 300_000, "public")
    called = await mcp.call("demo_reverse", text="abc")
    assert called == {
        "resultType": "complete",
        "content": [{"type": "text", "text": "cba"}],
        "structuredContent": "cba",
        "isError": False,
        "_meta": listed["_meta"],
    }


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/list", "prompts/list", "unknown"],
)
async def test_methods_that_are_not_there_are_not_found(mcp: Client, method: str) -> None:
    answer = await mcp.stateless(method)
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (404, -32601, 1)


async def test_the_initialize_of_an_old_client_is_not_found_as_it_is(mcp: Client) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
    answer = await mcp.send(body, {"mcp-protocol-version": "2026-07-28"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, -32601)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"_meta": {}},
        {"_meta": 5},
        {"_meta": {VERSION: "2026-07-28"}},
        {"_meta": {CAPABILITIES: {}}},
        {"_meta": META | {VERSION: 5}},
        {"_meta": META | {CAPABILITIES: []}},
        {"_meta": META | {CAPABILITIES: None}},
    ],
)
async def test_a_request_must_say_everything_about_itself(mcp: Client, params: dict[str, Any]) -> None:
    answer = await mcp.send(listing(params=params), HEADERS)
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (400, -32602, 1)


async def test_who_the_client_is_need_not_be_said_and_may_be(mcp: Client) -> None:
    extra = {"io.modelcontextprotocol/clientInfo": {"name": "x"}, "traceparent": "00-1-2-01", "progressToken": 1}
    assert (await mcp.send(listing(params={"_meta": META | extra}), HEADERS)).status_code == 200
    assert (await mcp.send(listing(), HEADERS)).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"mcp_protocol_version": "2025-11-25"},
        {"mcp_method": "tools/call"},
        {"mcp_method": "TOOLS/LIST"},
        {"mcp_method": ""},
    ],
)
async def test_headers_must_say_what_the_body_says(mcp: Client, changed: dict[str, str]) -> None:
    answer = await mcp.stateless("tools/list", **changed)
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (400, -32020, 1)


@pytest.mark.parametrize("missing", ["mcp-protocol-version", "mcp-method"])
async def test_headers_must_be_there(mcp: Client, missing: str) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != missing}
    answer = await mcp.send(listing(), headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)
    assert "missing" in answer.json()["error"]["message"]


@pytest.mark.parametrize("meta", [META, META | {CAPABILITIES: []}, META | {VERSION: 5}, {VERSION: "2026-07-28"}])
async def test_a_request_that_names_a_version_only_in_itself_is_not_taken_for_an_old_one(
    mcp: Client, meta: Any
) -> None:
    answer = await mcp.send(listing(params={"_meta": meta}))
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in {-32602, -32020}


@pytest.mark.parametrize("version", ["2027-01-01", "2025-11-25", "", "x"])
async def test_an_unknown_version_is_answered_with_the_known_ones(mcp: Client, version: str) -> None:
    body = listing(params={"_meta": META | {VERSION: version}})
    answer = await mcp.send(body, HEADERS | {"mcp-protocol-version": version})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["data"]) == (-32022, {"supported": ["2026-07-28"], "requested": version})


@pytest.mark.parametrize("headers", [{"mcp_name": "demo_add"}, {"mcp_name": "=?base64?ZGVtb19hZGQ?="}])
async def test_the_name_of_a_called_tool_must_be_repeated(mcp: Client, headers: dict[str, str]) -> None:
    answer = await mcp.stateless("tools/call", {"name": "demo_reverse", "arguments": {"text": "a"}}, **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


async def test_a_name_may_be_padded_or_in_base64(mcp: Client) -> None:
    params = {"name": "demo_reverse", "arguments": {"text": "a"}}
    for name in ("  demo_reverse\t", "=?base64?ZGVtb19yZXZlcnNl?="):
        assert (await mcp.stateless("tools/call", params, mcp_name=name)).status_code == 200


@pytest.mark.parametrize("name", ["mcp-protocol-version", "mcp-method", "mcp-param-x"])
async def test_headers_that_come_twice_are_refused(mcp: Client, name: str) -> None:
    twice = [("content-type", "application/json"), *HEADERS.items(), *[(name, HEADERS.get(name, ""))] * 2]
    answer = await mcp.http.post("/mcp", json=listing(), headers=twice)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


async def test_arguments_that_a_listed_tool_wants_in_headers_are_compared(
    connect: Callable[[Settings], Client], settings: Settings
) -> None:
    client = connect(structs.replace(settings, pinned_tools=("demo_route",)))
    params = {"name": "demo_route", "arguments": {"region": "eu"}}
    assert (await client.stateless("tools/call", params, mcp_param_region="eu")).status_code == 200
    for headers in ({"mcp_param_region": "us"}, {}):
        answer = await client.stateless("tools/call", params, **headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


async def test_a_tool_that_was_not_listed_wants_no_headers(mcp: Client) -> None:
    """Who learnt its name from find_tool cannot know of them: only tools/list tells a client to send them."""
    answer = await mcp.stateless("tools/call", {"name": "demo_route", "arguments": {"region": "eu"}})
    assert answer.json()["result"]["structuredContent"] == "eu"


async def test_checks_come_in_the_order_of_the_specification(mcp: Client) -> None:
    """A request with everything wrong is refused for the first of its faults, and then for the next."""
    meta = META | {VERSION: "2027-01-01"}
    call: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "nothing"}
    right = {"mcp-protocol-version": "2027-01-01", "mcp-method": "nothing"}
    stateless = {"mcp-protocol-version": "2026-07-28", "mcp-method": "else"}
    steps = [
        (b"{", stateless, 400, -32700),
        (call | {"params": []}, stateless, 400, -32600),
        (call, stateless, 400, -32602),
        (call | {"params": {"_meta": meta}}, stateless, 400, -32020),
        (call | {"params": {"_meta": meta}}, right, 400, -32022),
        (call | {"params": {"_meta": META}}, stateless | {"mcp-method": "nothing"}, 404, -32601),
    ]
    for body, headers, status, code in steps:
        answer = await mcp.send(body, headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_notifications_are_dropped_and_responses_refused(mcp: Client) -> None:
    notified = await mcp.send({"jsonrpc": "2.0", "method": "notifications/cancelled"}, HEADERS)
    assert (notified.status_code, notified.content) == (202, b"")
    responded = await mcp.send({"jsonrpc": "2.0", "id": 1, "result": {}}, HEADERS)
    assert (responded.status_code, responded.json()["error"]["code"]) == (400, -32600)
    assert "id" not in responded.json()


async def test_sessions_of_the_other_era_do_not_matter(mcp: Client) -> None:
    answer = await mcp.send(listing(), HEADERS | {"mcp-session-id": "x", "last-event-id": "5"})
    assert answer.status_code == 200
    assert "mcp-session-id" not in answer.headers
