"""What an answer says of a fault of ours."""

from collections.abc import Callable
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.auth.conftest import ADMIN, ask, shout
from tests.conftest import BASE_URL, wait_until_ready
from toolbox.app import create_app
from toolbox.mcp.methods import McpServer
from toolbox.settings import Settings


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("era", ["stateless", "handshake"])
async def test_over_mcp_only_debug_says_what_went_wrong_here(
    debug: bool, era: str, settings: Settings, make_plugins: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("swordfish")

    monkeypatch.setattr(McpServer, "list_tools", fail)
    app = create_app(structs.replace(settings, debug=debug), make_plugins(demo=[shout]))
    async with AsyncTestClient(app, base_url=BASE_URL) as client:
        await wait_until_ready(client)
        if era == "stateless":
            answer = await ask(client, ADMIN, "tools/list")
        else:
            listing = {"jsonrpc": "2.0", "id": 7, "method": "tools/list"}
            answer = await client.post("/mcp", json=listing, headers=ADMIN | {"mcp-protocol-version": "2025-11-25"})
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == (-32603, "something went wrong here, and was logged")
    assert len(error["data"].pop("error_id")) == 32
    assert list(error["data"]) == (["detail"] if debug else [])
    assert ("RuntimeError: swordfish" in answer.text) is debug
