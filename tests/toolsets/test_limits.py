"""What a toolset has of its own: limits and secrets, on every way in; and what is not in it, no tool of it can call."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.auth.conftest import mcp_request, showing
from tests.conftest import running
from tests.tools.stubs import stub_server
from toolbox import ToolAnnotations, ToolContext, tool
from toolbox.app import create_app
from toolbox.settings import Secret, Settings

ADMIN = showing("the operator's own key")
ERASE = {"tool_name": "demo_erase", "arguments": {"text": "Hi"}}
WITH_TASKS = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}
ENTERED, GO_ON = asyncio.Event(), asyncio.Event()


@tool(tags=["shared"])
async def shout(text: str) -> str:
    """Say a text loudly."""
    return text.upper()


@tool
async def whisper(text: str) -> str:
    """Say a text quietly."""
    return text.lower()


@tool(tags=["shared"], annotations=ToolAnnotations(destructive_hint=True))
async def erase(text: str) -> str:
    """Erase a text."""
    return f"erased {text}"


@tool(tags=["shared"])
async def wait() -> str:
    """Wait until the test lets it go on."""
    ENTERED.set()
    await GO_ON.wait()
    return "done"


@tool(tags=["shared"], task="optional")
async def relay(name: str, context: ToolContext) -> str:
    """Have another tool say a text."""
    result = await context.call(name, {"text": "Hi"})
    return str(result.value)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(
        database_url=Secret(database_url),
        api_key=Secret("the operator's own key"),
        secret_key=Secret("x" * 32),
        rate_limit_enabled=False,
        allowed_private_networks=("127.0.0.0/8",),
    )


@pytest.fixture
async def client(settings: Settings, make_plugins: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    for event in (ENTERED, GO_ON):
        event.clear()
    async with running(create_app(settings, make_plugins(demo=[shout, whisper, erase, wait, relay]))) as opened:
        opened.headers.update(ADMIN)
        yield opened


async def define(client: httpx.AsyncClient, **more: Any) -> None:
    shared = {"rules": {"include": [{"tags": ["shared"]}]}} | more
    assert (await client.put("/admin/toolsets/shared", json=shared)).status_code in (200, 201)


async def issue(client: httpx.AsyncClient) -> dict[str, str]:
    new = {"name": "helpdesk", "scopes": ["tools:read", "tools:call"], "toolsets": ["shared"]}
    return showing((await client.post("/admin/keys", json=new)).json()["secret"])


async def call(client: httpx.AsyncClient, name: str, key: dict[str, str] = ADMIN, **request: Any) -> httpx.Response:
    """Over REST."""
    arguments = request.pop("arguments", {"text": "Hi"})
    return await client.post(
        "/mcp/call_tool", json={"tool_name": name, "arguments": arguments} | request, headers=key, timeout=None
    )


async def use(client: httpx.AsyncClient, tool_name: str, /, **arguments: Any) -> dict[str, Any]:
    """Over MCP, at the endpoint of the toolset."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},  # no tasks: the answer is what the tool says
    }
    body, headers = mcp_request("tools/call", {"name": tool_name, "arguments": arguments, "_meta": meta})
    answer = await client.post("/toolsets/shared/mcp", content=body, headers=headers | ADMIN)
    return dict(answer.json()["result"])


async def test_calls_are_counted_on_every_way_in(client: httpx.AsyncClient) -> None:
    await define(client, limits={"calls_per_minute": 3})
    key = await issue(client)
    assert (await use(client, "demo_shout", text="Hi"))["content"][0]["text"] == "HI"
    assert (await call(client, "demo_shout", toolset="shared")).json()["result"] == "HI"
    assert (await call(client, "demo_relay", key, arguments={"name": "demo_shout"})).json()["result"] == "HI"
    for refused in (await call(client, "demo_shout", key), await call(client, "demo_shout", toolset="shared")):
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["Retry-After"]) >= 1
    result = await use(client, "demo_shout", text="Hi")
    assert result["isError"] is True
    assert "'shared' takes 3 calls in a minute" in result["content"][0]["text"]
    assert (await call(client, "demo_shout")).json()["result"] == "HI"  # through no toolset
    await define(client, limits={"calls_per_minute": 100, "calls_per_hour": 200})
    assert (await call(client, "demo_shout", key)).json()["result"] == "HI"


async def test_so_many_calls_run_at_a_time_and_others_wait(client: httpx.AsyncClient) -> None:
    await define(client, limits={"concurrency": 1})
    first = asyncio.create_task(call(client, "demo_wait", toolset="shared", arguments={}))
    await ENTERED.wait()
    late = await call(client, "demo_shout", toolset="shared", timeout_seconds=0.05)
    assert (late.status_code, late.json()["code"]) == (503, "overloaded")
    second = asyncio.create_task(call(client, "demo_shout", toolset="shared"))
    assert (await call(client, "demo_shout")).json()["result"] == "HI"
    assert not second.done()
    GO_ON.set()
    assert [(await one).json()["result"] for one in (first, second)] == ["done", "HI"]


async def test_tools_call_none_that_are_not_in_the_toolset(client: httpx.AsyncClient) -> None:
    await define(client)
    key = await issue(client)
    steps = [{"name": name, "tool": f"demo_{name}", "arguments": {"text": "Hi"}} for name in ("shout", "whisper")]
    routine = {"name": "routine", "tags": ["shared"], "implementation": {"kind": "composed", "steps": steps}}
    assert (await client.post("/admin/tools", json=routine)).status_code == 201
    for tool_name, arguments in (("routine", {}), ("demo_relay", {"name": "demo_whisper"})):
        for answer in (
            (await call(client, tool_name, key, arguments=arguments)).text,
            (await call(client, tool_name, arguments=arguments, toolset="shared")).text,
            json.dumps(await use(client, tool_name, **arguments)),
        ):
            assert "there is no tool 'demo_whisper'" in answer
        assert (await call(client, tool_name, arguments=arguments)).json()["result"] == "hi"
    elsewhere = await call(client, "demo_whisper", toolset="shared")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "tool_not_found")
    assert (await call(client, "demo_shout", toolset="none")).json()["code"] == "not_found"
    assert (await call(client, "demo_shout", key, toolset="other")).json()["code"] == "not_found"


@pytest.mark.parametrize("is_limited", [True, False])
async def test_a_task_calls_none_either_that_are_not_in_the_toolset(
    client: httpx.AsyncClient, *, is_limited: bool
) -> None:
    """Whether its caller is limited to the toolset, or it began at the toolset's endpoint."""
    await define(client)
    key, path = (await issue(client), "/mcp") if is_limited else (ADMIN, "/toolsets/shared/mcp")

    async def ask(method: str, named: str, **params: Any) -> Any:
        body, headers = mcp_request(method, {"_meta": WITH_TASKS} | params)
        answer = await client.post(path, content=body, headers=headers | key | {"mcp-name": named})
        return answer.json()["result"]

    for name, said in (("demo_whisper", "there is no tool 'demo_whisper'"), ("demo_shout", "HI")):
        task = await ask("tools/call", "demo_relay", name="demo_relay", arguments={"name": name})
        assert task["resultType"] == "task"
        while (task := await ask("tasks/get", task["taskId"], taskId=task["taskId"]))["status"] == "working":
            await asyncio.sleep(0.02)
        assert said in task["result"]["content"][0]["text"]


async def test_consent_is_needed_on_every_way_in(client: httpx.AsyncClient) -> None:
    """And said by whoever cannot be asked, for the call and all that it makes."""
    await define(client, asks_before_destructive=True)
    key, through = await issue(client), {"toolset": "shared"}
    relayed: dict[str, Any] = {"arguments": {"name": "demo_erase"}}
    steps = [{"name": "erase", "tool": "demo_erase", "arguments": {"text": "Hi"}}]
    routine = {"name": "routine", "tags": ["shared"], "implementation": {"kind": "composed", "steps": steps}}
    assert (await client.post("/admin/tools", json=routine)).status_code == 201

    refused = (await call(client, "demo_erase", **through)).json()
    assert (refused["success"], refused["error"]["code"]) == (False, "consent_needed")
    assert 'Who calls over REST says `"consent": true`' in refused["error"]["message"]
    body, headers = mcp_request("tools/call", {"name": "call_tool", "arguments": ERASE})
    for said in (
        (await call(client, "demo_erase", key)).text,
        (await call(client, "demo_relay", key, **relayed)).text,
        (await call(client, "routine", arguments={}, **through)).text,
        json.dumps(await use(client, "demo_erase", text="Hi")),
        (await client.post("/mcp", content=body, headers=headers | key)).text,
    ):
        assert "the user has to be asked first" in said
        assert "erased" not in said

    for allowed in (
        await call(client, "demo_erase", consent=True, **through),
        await call(client, "demo_erase", key, consent=True),
        await call(client, "demo_relay", key, consent=True, **relayed),
        await call(client, "demo_erase"),  # through no toolset
    ):
        assert allowed.json()["result"] == "erased Hi"
    done = await call(client, "routine", arguments={}, consent=True, **through)
    assert done.json()["success"] is True
    assert (await call(client, "demo_shout", **through)).json()["result"] == "HI"


async def test_a_toolset_s_own_secret_takes_the_place_of_the_common_one(client: httpx.AsyncClient) -> None:
    await define(client)
    key = await issue(client)
    async with stub_server() as stub:
        ping = {"kind": "http", "url": f"{stub.url}/ping", "auth": {"type": "bearer", "token": "${secret:token}"}}
        await client.post("/admin/tools", json={"name": "ping", "tags": ["shared"], "implementation": ping})
        await client.put("/admin/secrets/token", json={"value": "common-value"})

        async def sent(**request: Any) -> str:
            await call(client, "ping", arguments={}, **request)
            return stub.requests[-1].decode().partition("Authorization: Bearer ")[2].partition("\r\n")[0]

        assert await sent(key=key) == "common-value"
        assert (await client.put("/admin/toolsets/none/secrets/token", json={"value": "x"})).status_code == 404
        assert (
            await client.put("/admin/toolsets/shared/secrets/token", json={"value": "own-value"})
        ).status_code == 204
        (own,) = (await client.get("/admin/toolsets/shared/secrets")).json()
        assert (own["name"], own["toolset"]) == ("token", "shared")
        assert [one["toolset"] for one in (await client.get("/admin/secrets")).json()] == ["shared", None]
        assert await sent(key=key) == "own-value"
        assert await sent(toolset="shared") == "own-value"
        assert await sent() == "common-value"
        await use(client, "ping")
        assert b"own-value" in stub.requests[-1]
        assert (await client.delete("/admin/toolsets/shared/secrets/token")).status_code == 204
        assert await sent(key=key) == "common-value"
        await client.put("/admin/toolsets/shared/secrets/token", json={"value": "own-value"})
        await client.delete("/admin/toolsets/shared")
        assert [one["name"] for one in (await client.get("/admin/secrets")).json()] == ["token"]
