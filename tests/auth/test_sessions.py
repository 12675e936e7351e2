"""Handles that clients carry count for their caller alone, however they became known to another."""

from typing import Any
from uuid import uuid4

import pytest
from litestar.testing import AsyncTestClient

from tests.auth.conftest import Issue
from toolbox.auth.callers import Caller
from toolbox.auth.scopes import ALL
from toolbox.mcp.handshake import read_own_session
from toolbox.mcp.resumption import key_of
from toolbox.mcp.sessions import NO_SESSION, open_session, read_session
from toolbox.seals import Sealer

Client = AsyncTestClient[Any]


def test_a_session_says_something_of_its_caller_alone() -> None:
    sealer = Sealer(b"a secret of tests")
    text = open_session(sealer, "2025-11-25", {}, "key:ada")
    session = read_session(sealer, text)
    assert read_own_session(session, Caller("key:ada", ALL)).version == "2025-11-25"
    assert read_own_session(session, Caller("key:bob", ALL)) == NO_SESSION


def test_a_stream_is_kept_under_a_name_that_its_caller_alone_can_make() -> None:
    stream = uuid4()
    assert key_of(stream, "key:ada") == key_of(stream, "key:ada")
    assert len({key_of(stream, "key:ada"), key_of(stream, "key:bob"), stream}) == 3


@pytest.mark.parametrize("name", ["bob"])
async def test_a_stream_is_followed_by_its_caller_alone(client: Client, issue: Issue, name: str) -> None:
    ada, bob = await issue("ada"), await issue(name)
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "demo_count", "_meta": {"progressToken": 1}},
    }
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
    said = await client.post("/mcp", json=call, headers=ada | headers)
    first = next(line.removeprefix("id: ") for line in said.text.splitlines() if line.startswith("id: "))
    again = {"accept": "text/event-stream", "mcp-protocol-version": "2025-11-25", "last-event-id": first}
    assert "counted" in (await client.get("/mcp", headers=ada | again)).text
    assert (await client.get("/mcp", headers=bob | again)).status_code == 404
