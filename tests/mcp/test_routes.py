"""MCP as HTTP: verbs, types, hosts, origins, sizes."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from tests.mcp.conftest import Client
from toolbox.settings import Settings

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.mark.parametrize("verb", ["DELETE", "PUT", "PATCH"])
async def test_a_message_is_sent_by_post(mcp: Client, verb: str) -> None:
    answer = await mcp.http.request(verb, "/mcp", headers={"accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_get_opens_a_stream_of_the_handshake_era_only(mcp: Client) -> None:
    headers = {"accept": "text/event-stream", "mcp-protocol-version": "2026-07-28"}
    answer = await mcp.http.get("/mcp", headers=headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_get_needs_a_client_that_takes_a_stream(mcp: Client) -> None:
    answer = await mcp.http.get("/mcp", headers={"accept": "application/json"})
    assert answer.status_code == 406
    assert "text/event-stream" in answer.json()["error"]["message"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_a_body_must_be_announced_as_json(mcp: Client, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await mcp.http.post("/mcp", content=b"{}", headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("accept", "status"), [("application/json", 200), ("*/*", 200), ("text/event-stream", 406), ("text/html", 406)]
)
async def test_a_client_must_take_json(mcp: Client, accept: str, status: int) -> None:
    answer = await mcp.send(PING, {"accept": accept})
    assert answer.status_code == status
    assert answer.json()["jsonrpc"] == "2.0"


@pytest.mark.parametrize("verb", ["POST", "GET"])
async def test_a_foreign_host_is_refused(mcp: Client, verb: str) -> None:
    answer = await mcp.http.request(verb, "/mcp", headers={"host": "evil.example.com"}, json=PING)
    assert answer.status_code == 421
    assert "PUBLIC_URL" in answer.json()["error"]["message"]


@pytest.mark.parametrize("verb", ["POST", "GET"])
async def test_a_foreign_page_is_refused(mcp: Client, verb: str) -> None:
    answer = await mcp.http.request(verb, "/mcp", headers={"origin": "https://evil.example.com"}, json=PING)
    assert answer.status_code == 403
    assert "CORS_ORIGINS" in answer.json()["error"]["message"]


async def test_known_pages_and_hosts_are_served(connect: Callable[[Settings], Client], settings: Settings) -> None:
    named = structs.replace(
        settings, public_url="https://tools.example.com", cors_origins=("https://page.example.com",)
    )
    headers = {"host": "tools.example.com", "origin": "https://page.example.com"}
    assert (await connect(named).send(PING, headers)).status_code == 200
    assert (await connect(settings).send(PING, {"origin": "http://localhost:6274"})).status_code == 200


async def test_a_body_over_the_limit_is_refused(connect: Callable[[Settings], Client], settings: Settings) -> None:
    client = connect(structs.replace(settings, max_request_size=1024))
    answer = await client.send(PING | {"params": {"x": "y" * 1024}})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == -32600


async def test_a_slash_at_the_end_changes_nothing(mcp: Client) -> None:
    answer = await mcp.http.post("/mcp/", json=PING)
    assert answer.json() == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_an_answer_is_plain_json_of_known_length(mcp: Client) -> None:
    answer: Any = await mcp.send(PING, {"accept": "application/json, text/event-stream"})
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
