"""What an answer says of a fault of ours."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.auth.conftest import ADMIN, ask, crash, shout
from tests.conftest import BASE_URL, read_everything, wait_until_ready
from toolbox import hookimpl, prompt, tool
from toolbox.app import create_app
from toolbox.auth.authentication import Authenticator
from toolbox.database import Database
from toolbox.errors import DatabaseUnavailable
from toolbox.mcp.methods import McpServer
from toolbox.settings import Settings

SECRET = "crash-swordfish"


@tool(task="required")
async def crash_later() -> None:
    """Fail as a task."""
    raise RuntimeError(SECRET)


@prompt
async def crash_asking() -> str:
    """Fail as a prompt."""
    raise RuntimeError(SECRET)


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


@pytest.mark.parametrize("debug", [False, True])
async def test_a_layer_around_the_application_that_fails_says_no_more(
    debug: bool, settings: Settings, make_plugins: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(structs.replace(settings, debug=debug), make_plugins(demo=[shout]))
    async with AsyncTestClient(app, base_url=BASE_URL) as client:
        await wait_until_ready(client)

        async def fail(*_: Any) -> None:
            raise RuntimeError("swordfish")

        monkeypatch.setattr(Authenticator, "identify", fail)
        answer = await client.get("/categories", headers=ADMIN)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal")
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert len(problem["error_id"]) == 32
    assert ("RuntimeError: swordfish" in answer.text) is debug


@pytest.mark.parametrize("debug", [False, True])
async def test_a_database_that_is_away_is_not_described(
    debug: bool, settings: Settings, make_plugins: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise DatabaseUnavailable("PostgreSQL cannot be used: host=10.0.0.5, /run/postgres, role swordfish")

    app = create_app(structs.replace(settings, debug=debug), make_plugins(demo=[shout]))
    async with AsyncTestClient(app, base_url=BASE_URL) as client:
        await wait_until_ready(client)
        monkeypatch.setattr(Database, "fetch", fail)
        answer = await client.get("/categories", headers=ADMIN)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
        503,
        "database_unavailable",
        "1",
    )
    assert len(answer.json()["error_id"]) == 32
    for inside in ("10.0.0.5", "/run/postgres", "swordfish"):
        assert (inside in answer.text) is debug


@pytest.mark.parametrize("debug", [False, True])
async def test_only_debug_says_why_a_plugin_crashed_and_nothing_keeps_it(
    debug: bool, settings: Settings, database_url: str, make_plugins: Callable[..., Any]
) -> None:
    plugin = ModuleType("plugin")
    plugin.toolbox_tools = hookimpl(specname="toolbox_tools")(lambda: [crash, crash_later])  # type: ignore[attr-defined]
    plugin.toolbox_prompts = hookimpl(specname="toolbox_prompts")(lambda: [crash_asking])  # type: ignore[attr-defined]
    app = create_app(structs.replace(settings, debug=debug), make_plugins(demo=plugin))
    called, prompted = {"name": "demo_crash", "arguments": {}}, {"name": "demo_crash_asking"}
    async with AsyncTestClient(app, base_url=BASE_URL) as client:
        await wait_until_ready(client)
        over_rest = await client.post("/mcp/call_tool", json={"tool_name": "demo_crash"}, headers=ADMIN)
        stateless = await ask(client, ADMIN, "tools/call", called)
        request = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": called}
        handshake = await client.post("/mcp", json=request, headers=ADMIN | {"mcp-protocol-version": "2025-11-25"})
        of_prompt = await ask(client, ADMIN, "prompts/get", prompted)
        created = await ask(client, ADMIN, "tools/call", {"name": "demo_crash_later", "arguments": {}})
        wanted = {"taskId": created.json()["result"]["taskId"]}
        while (of_task := await ask(client, ADMIN, "tasks/get", wanted)).json()["result"]["status"] == "working":
            pass
        recorded = await client.get(f"/calls/{over_rest.json()['execution_id']}", headers=ADMIN)
    error = over_rest.json()["error"]
    assert (error["code"], "detail" in error) == ("tool_crashed", debug)
    assert of_prompt.json()["error"]["data"].keys() == {"error_id"} | ({"detail"} if debug else set())
    for answer in (over_rest, stateless, handshake, of_prompt):
        assert "error_id" in answer.text
        assert (f"RuntimeError: {SECRET}" in answer.text) is debug, answer.text
    for kept in (of_task.text, recorded.text, await read_everything(database_url)):
        assert "crashed; the log explains it under error_id" in kept
        assert SECRET not in kept
