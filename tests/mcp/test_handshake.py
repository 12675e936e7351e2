"""The handshake era, to 2025-11-25."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from tests.mcp.conftest import META, Client
from toolbox.mcp.messages import MAX_BATCH
from toolbox.mcp.versions import HANDSHAKE_VERSIONS
from toolbox.settings import Settings

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


def message(method: str, number: Any = None, **params: Any) -> dict[str, Any]:
    plain = {"jsonrpc": "2.0", "method": method, "params": params}
    return plain if number is None else plain | {"id": number}


@pytest.mark.parametrize("version", HANDSHAKE_VERSIONS)
async def test_a_known_version_is_agreed_on(mcp: Client, version: str) -> None:
    answer = await mcp.handshake("initialize", INITIALIZE | {"protocolVersion": version}, version=None)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["mcp-session-id"].isascii()
    result = answer.json()["result"]
    assert result["protocolVersion"] == version
    assert result["capabilities"] == {"logging": {}, "tools": {"listChanged": True}}
    assert result["serverInfo"]["name"] == "toolbox"
    assert "find_tool" in result["instructions"]


@pytest.mark.parametrize("version", ["2026-07-28", "2099-01-01", "1.0", ""])
async def test_another_version_is_answered_with_the_newest_of_this_era(mcp: Client, version: str) -> None:
    answer = await mcp.handshake("initialize", INITIALIZE | {"protocolVersion": version}, version=None)
    assert answer.json()["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize("header", ["2025-06-18", "2099-01-01"])
async def test_initialize_is_about_the_version_in_its_body(mcp: Client, header: str) -> None:
    answer = await mcp.handshake("initialize", INITIALIZE, version=header)
    assert answer.json()["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize("params", [None, {}, {"protocolVersion": 5}, {"protocolVersion": None}])
async def test_initialize_without_a_version_is_refused(mcp: Client, params: Any) -> None:
    answer = await mcp.handshake("initialize", params, version=None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, -32602)


async def test_what_needs_no_answer_gets_none(mcp: Client) -> None:
    for body in (
        message("notifications/initialized"),
        message("notifications/cancelled", requestId=1),
        message("notifications/unknown"),
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "no"}},
    ):
        answer = await mcp.send(body, {"mcp-protocol-version": "2025-11-25"})
        assert (answer.status_code, answer.content) == (202, b"")
        assert "content-type" not in answer.headers


async def test_requests_need_no_handshake_before_them(mcp: Client) -> None:
    """Any replica answers, also after a restart; a session id from elsewhere does not matter."""
    answer = await mcp.send(message("tools/list", 1), {"mcp-session-id": "gone"})
    assert answer.status_code == 200
    assert answer.json()["result"]["tools"]


@pytest.mark.parametrize(("method", "params"), [("ping", {}), ("logging/setLevel", {"level": "debug"})])
async def test_small_methods_answer_with_nothing(mcp: Client, method: str, params: dict[str, Any]) -> None:
    answer = await mcp.handshake(method, params)
    assert answer.json() == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_an_unknown_level_is_refused(mcp: Client) -> None:
    answer = await mcp.handshake("logging/setLevel", {"level": "loud"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, -32602)


@pytest.mark.parametrize("method", ["server/discover", "resources/list", "prompts/list", "unknown", ""])
async def test_an_unknown_method_is_an_http_success(mcp: Client, method: str) -> None:
    answer = await mcp.handshake(method)
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (200, -32601, 1)


@pytest.mark.parametrize("version", ["2099-01-01", "2025-06-17", "nonsense", "", "2025-06-18, 2025-06-18"])
async def test_an_unknown_version_in_the_header_is_refused(mcp: Client, version: str) -> None:
    answer = await mcp.send(message("tools/list", 1), {"mcp-protocol-version": version})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)
    assert "2025-11-25" in answer.json()["error"]["message"]


async def test_a_version_header_that_comes_twice_is_refused(mcp: Client) -> None:
    headers = [("content-type", "application/json"), *[("mcp-protocol-version", "2025-06-18")] * 2]
    answer = await mcp.http.post("/mcp", json=message("tools/list", 1), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**40, "", "a", "ä\0"])
async def test_the_id_comes_back_as_it_was(mcp: Client, number: Any) -> None:
    assert (await mcp.send(message("ping", number))).json()["id"] == number
    assert (await mcp.send(message("unknown", number))).json()["id"] == number


async def test_each_version_is_answered_in_its_own_form(mcp: Client) -> None:
    async def call(version: str | None) -> dict[str, Any]:
        params = {"name": "demo_reverse", "arguments": {"text": "abc"}}
        result: dict[str, Any] = (await mcp.handshake("tools/call", params, version=version)).json()["result"]
        return result

    plain = {"content": [{"type": "text", "text": "cba"}], "isError": False}
    structured = plain | {"structuredContent": {"result": "cba"}}
    assert await call("2025-11-25") == structured
    assert await call("2025-06-18") == structured
    assert await call("2025-03-26") == plain
    assert await call("2024-11-05") == plain
    assert await call(None) == plain, "a request without a version counts as one of 2025-03-26"


async def test_schema_and_result_are_wrapped_alike(connect: Callable[[Settings], Client], settings: Settings) -> None:
    client = connect(structs.replace(settings, pinned_tools=("demo_reverse",)))
    listed = (await client.handshake("tools/list")).json()["result"]["tools"][-1]
    assert listed["outputSchema"] == {
        "type": "object",
        "properties": {"result": {"type": "string"}},
        "required": ["result"],
    }


async def test_a_batch_is_answered_as_a_batch(mcp: Client) -> None:
    batch = [
        message("ping", 1),
        message("notifications/initialized"),
        message("unknown", "two"),
        {"jsonrpc": "2.0", "id": 9, "result": {}},
        message("initialize", 3, **INITIALIZE),
        {"jsonrpc": "1.0", "id": 4, "method": "ping"},
        5,
        message("tools/call", 6, name="demo_add", arguments={"a": 1, "b": 2}),
        message("tools/list", 7, _meta=META),
    ]
    answer = await mcp.send(batch, {"mcp-protocol-version": "2025-03-26"})
    assert answer.status_code == 200
    said = [(part.get("id"), part.get("error", {}).get("code")) for part in answer.json()]
    assert said == [(1, None), ("two", -32601), (3, -32600), (4, -32600), (None, -32600), (6, None), (7, -32020)]
    assert "id" not in answer.json()[4]


async def test_a_batch_without_requests_gets_no_answer(mcp: Client) -> None:
    answer = await mcp.send([message("notifications/initialized")])
    assert (answer.status_code, answer.content) == (202, b"")


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28"])
async def test_other_versions_have_no_batches(mcp: Client, version: str) -> None:
    answer = await mcp.send([message("ping", 1)], {"mcp-protocol-version": version})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)
    assert "id" not in answer.json()


@pytest.mark.parametrize("batch", [[], [message("ping", number) for number in range(MAX_BATCH + 1)]])
async def test_a_batch_of_nothing_or_too_much_is_refused(mcp: Client, batch: list[Any]) -> None:
    answer = await mcp.send(batch)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)
