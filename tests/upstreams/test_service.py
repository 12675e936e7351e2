"""Upstreams as operators and callers meet them."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.conftest import BASE_URL, wait_until_ready
from tests.upstreams.conftest import HOSTILE, wait_for_tools
from tests.upstreams.packages import server, write_wheel
from toolbox import Upstream
from toolbox.app import create_app
from toolbox.plugins import Plugins
from toolbox.services import open_services
from toolbox.settings import Secret, Settings
from toolbox.upstreams.service import READ_DUE


def stdio(name: str, *arguments: str, **options: Any) -> dict[str, Any]:
    command = {"command": "python3", "args": [HOSTILE, *arguments], "backoff_seconds": 0.01}
    return {"name": name, **command, **options}


async def add(client: AsyncTestClient[Any], config: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post("/admin/upstreams", json=config)
    assert answer.status_code == 201, answer.text
    return await wait_for_tools(client, config["name"])


async def call(client: AsyncTestClient[Any], name: str, text: str = "") -> Any:
    answer = await client.post("/mcp/call_tool", json={"tool_name": name, "arguments": {"text": text}})
    return answer.json()


async def list_names(client: AsyncTestClient[Any], source: str, *, active_only: bool = True) -> list[str]:
    answer = await client.post("/mcp/list_tools", json={"source": source, "active_only": active_only})
    return [tool["name"] for tool in answer.json()]


async def read_members(client: AsyncTestClient[Any]) -> list[str]:
    """Of which upstreams a tool is that stands for several."""
    tool = (await client.get("/tools/pets__echo")).json()
    return list(tool["input_schema"]["properties"]["upstream"]["enum"])


async def read_health(client: AsyncTestClient[Any]) -> dict[str, Any]:
    return dict((await client.get("/health/detailed")).json()["checks"]["upstreams"])


async def test_an_added_server_s_tools_are_listed_found_and_called(
    toolbox_client: AsyncTestClient[Any], settings: Settings
) -> None:
    client = toolbox_client
    found = await add(client, stdio("pets", exclude=["fl*", "garbage"], title="Pets & more"))
    assert (found["problem"], found["tools"], found["server"]["name"]) == (None, 10, "hostile")
    names = await list_names(client, "upstream:pets")
    assert "pets__echo" in names
    assert "pets__flood" not in names
    assert (await client.post("/mcp/find_tool", json={"query": "echo something"})).json()[0]["name"] == "pets__echo"
    done = await call(client, "pets__echo", "hello")
    assert (done["success"], done["result"][0]["text"]) == (True, "hello")
    tool = (await client.get("/tools/pets__echo")).json()
    assert tool["metadata"] == {"upstream": "pets", "tool": "echo"}
    bad = await client.post("/mcp/call_tool", json={"tool_name": "pets__echo", "arguments": {"text": 1}})
    assert bad.status_code == 422
    (listed,) = (await client.get("/admin/upstreams")).json()
    assert (listed["origin"], listed["here"]["state"], listed["here"]["calls"]) == ("api", "running", 1)
    assert await read_health(client) == {"status": "ok", "detail": "1 configured, 1 running here"}

    # Another replica knows the tools without starting anything, until one is called.
    async with AsyncTestClient(create_app(settings, Plugins()), base_url=BASE_URL) as other:
        await wait_until_ready(other)
        assert "pets__echo" in await list_names(other, "upstream:pets")
        assert (await other.get("/admin/upstreams/pets")).json()["here"]["state"] == "stopped"
        assert (await call(other, "pets__echo", "from here"))["success"]
        assert (await other.get("/admin/upstreams/pets")).json()["here"]["state"] == "running"
        assert (await other.delete("/admin/upstreams/pets")).status_code == 204
        assert (await call(other, "pets__echo"))["code"] == "tool_not_found"
    while psutil.pid_exists(listed["here"]["processes"][0]):  # this one hears of it too
        await asyncio.sleep(0.02)
    assert await list_names(client, "upstream:pets", active_only=False) == []


async def test_lists_follow_the_server_and_what_is_not_trusted_waits(toolbox_client: AsyncTestClient[Any]) -> None:
    client = toolbox_client
    await add(client, stdio("free"))
    await add(client, stdio("pinned", trust="pinned", prefix="p"))
    assert (await call(client, "free__change"))["success"]
    while "free__added" not in await list_names(client, "upstream:free"):
        await asyncio.sleep(0.05)
    assert "free__pid" not in await list_names(client, "upstream:free")
    assert "free__pid" in await list_names(client, "upstream:free", active_only=False)
    assert (await client.get("/tools/free__echo")).json()["description"] == "echo something else"
    assert (await client.post("/admin/tools/free__echo/deactivate")).status_code == 200
    assert (await client.post("/admin/upstreams/free/refresh")).json()["shown"] == []
    assert "free__echo" not in await list_names(client, "upstream:free")

    assert (await call(client, "p__change"))["success"]
    while not (found := (await client.get("/admin/upstreams/pinned")).json())["changes"]:
        await asyncio.sleep(0.05)
    waiting = next(change for change in found["changes"] if change["tool"] == "p__echo")
    (change,) = waiting["changes"]
    assert (change["before"], change["after"]) == ("echo something", "echo something else")
    assert "p__added" in await list_names(client, "upstream:pinned")  # a new tool, which is trusted
    assert (await client.get("/tools/p__echo")).json()["description"] == "echo something"  # as it was approved
    assert [one["tool"] for one in (await client.get("/admin/approvals")).json()] == [
        one["tool"] for one in found["changes"]
    ]
    approved = await client.post("/admin/upstreams/pinned/approve", json={"tools": ["p__echo"]})
    assert approved.json() == {"tools": ["p__echo"]}
    assert (await client.get("/tools/p__echo")).json()["description"] == "echo something else"
    assert (await client.post("/admin/upstreams/pinned/approve", json={"tools": ["p__echo"]})).status_code == 404
    assert (await client.post("/admin/upstreams/pinned/refresh")).json()["hidden"] == []
    assert "p__echo" in await list_names(client, "upstream:pinned")

    assert (await call(client, "p__change", text="back"))["success"]
    while [one["tool"] for one in (await client.get("/admin/approvals")).json()] != ["p__echo"]:
        await asyncio.sleep(0.05)
    found = (await client.get("/admin/upstreams/pinned")).json()
    assert [(one["tool"], one["changes"][0]["after"]) for one in found["changes"]] == [("p__echo", "echo something")]


async def test_lists_of_a_server_that_says_nothing_are_read_anew_by_the_period(settings: Settings) -> None:
    app = create_app(settings, Plugins())
    async with AsyncTestClient(app, base_url=BASE_URL) as client, open_services(settings, Plugins()) as services:
        await wait_until_ready(client)
        await add(client, stdio("quiet", "quiet", refresh_seconds=60))
        await add(client, stdio("slow", "quiet", refresh_seconds=3600))
        for name in ("quiet", "slow"):
            assert (await call(client, f"{name}__change"))["success"]
        assert await services.upstreams.repository.read_due() == []
        rows = "select expression from queue_schedules where entrypoint = $1"
        assert [row["expression"] for row in await services.database.fetch(rows, READ_DUE)] == ["*/5 * * * *"]

        await services.database.execute("update upstreams set read_at = read_at - interval '61 seconds'")
        assert await services.upstreams.repository.read_due() == ["quiet"]
        await services.queue.enqueue(READ_DUE)
        while "quiet__added" not in await list_names(client, "upstream:quiet"):
            await asyncio.sleep(0.02)
        assert "quiet__pid" not in await list_names(client, "upstream:quiet")
        assert (await client.get("/tools/quiet__echo")).json()["description"] == "echo something else"
        assert "slow__pid" in await list_names(client, "upstream:slow")
        assert await services.upstreams.repository.read_due() == []


async def test_broken_servers_harm_nobody(toolbox_client: AsyncTestClient[Any]) -> None:
    client = toolbox_client
    await asyncio.gather(
        client.post("/admin/upstreams", json=stdio("mute", "never-answers", connect_seconds=0.5, restarts=0)),
        client.post("/admin/upstreams", json=stdio("dead", "fails", restarts=0)),
        client.post("/admin/upstreams", json=stdio("slow", "list-hangs", list_seconds=0.5, restarts=0)),
    )
    good = await add(client, stdio("good"))
    assert good["problem"] is None
    assert (await call(client, "good__echo", "fine"))["success"]
    for name, problem in {"mute": "not answered within 0.5 s", "dead": "no such licence", "slow": "tools/list"}.items():
        assert problem in (await wait_for_tools(client, name))["problem"]
    while not (health := await read_health(client))["detail"].endswith("failing: dead, mute, slow"):
        await asyncio.sleep(0.02)
    assert health["status"] == "degraded"
    assert (await client.get("/health/ready")).status_code == 200
    lines = (await client.get("/admin/upstreams/dead/logs")).json()["lines"]
    assert any(line["source"] == "stderr" and line["text"] == "no such licence" for line in lines)
    refused = await client.post("/admin/upstreams/dead/refresh")
    assert (refused.status_code, refused.json()["code"]) == (502, "upstream_failed")


async def test_operators_start_stop_disable_and_change(
    toolbox_client: AsyncTestClient[Any], settings: Settings
) -> None:
    client = toolbox_client
    await add(client, stdio("pets", env={"TOKEN": "very secret", "KEPT": "${secret:pets}"}))
    shown = (await client.get("/admin/upstreams/pets")).json()
    assert shown["config"]["env"] == {"TOKEN": "***", "KEPT": "${secret:pets}"}
    connection = await asyncpg.connect(settings.database_url.reveal())
    entries = await connection.fetch("select action, after::text from audit where subject = 'pets'")
    await connection.close()
    assert [entry["action"] for entry in entries] == ["upstream.created"]
    assert "very secret" not in entries[0]["after"]

    async def wait_for(state: str) -> dict[str, Any]:
        while (here := (await client.get("/admin/upstreams/pets")).json()["here"])["state"] != state:
            await asyncio.sleep(0.02)
        return dict(here)

    # Its configuration names a secret that is not there.
    assert (await wait_for("failed"))["problem"].startswith("its configuration names a secret: ")
    changed = shown["config"] | {"env": {"TOKEN": "***"}}
    assert (await client.put("/admin/upstreams/pets", json=changed)).status_code == 200
    while (await client.get("/admin/upstreams/pets")).json()["problem"]:
        await asyncio.sleep(0.02)
    environment = json.loads((await call(client, "pets__environment"))["result"][0]["text"])
    assert environment["TOKEN"] == "very secret"
    assert "DATABASE_URL" not in environment

    assert (await client.post("/admin/upstreams/pets/stop")).status_code == 202
    await wait_for("stopped")
    assert (await client.post("/admin/upstreams/pets/start")).status_code == 202
    first = (await wait_for("running"))["processes"]
    assert (await client.post("/admin/upstreams/pets/restart")).status_code == 202
    while (await wait_for("running"))["processes"] in ([], first):
        await asyncio.sleep(0.02)
    assert (await client.post("/admin/upstreams/pets/disable")).status_code == 202
    await wait_for("disabled")
    assert await list_names(client, "upstream:pets") == []
    assert (await client.post("/admin/upstreams/pets/enable")).status_code == 202
    while not await list_names(client, "upstream:pets"):
        await asyncio.sleep(0.02)


async def test_what_the_settings_and_plugins_name_is_offered_as_long_as_they_do(
    settings: Settings, make_plugins: Callable[..., Plugins], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREETING", "good day")
    file = tmp_path / "mcp.json"
    server = {"command": sys.executable, "args": [HOSTILE], "env": {"SAID": "${GREETING}"}}
    file.write_text(f'{{"mcpServers": {{/* ours */ "one": {json.dumps(server)}, "bad": {{}} }} }}')
    plugins = make_plugins()
    plugins.upstreams["two"] = Upstream(name="two", command=sys.executable, args=(HOSTILE,))
    configured = structs.replace(settings, mcp_servers=Secret(str(file)))
    async with AsyncTestClient(create_app(configured, plugins), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        await wait_for_tools(client, "one")
        environment = json.loads((await call(client, "one__environment"))["result"][0]["text"])
        assert environment["SAID"] == "good day"
        refused = await client.put("/admin/upstreams/one", json={"name": "one", "command": "npx"})
        assert "comes from settings: change it there" in refused.json()["detail"]
    async with AsyncTestClient(create_app(settings, Plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        while (await client.get("/admin/upstreams")).json():
            await asyncio.sleep(0.02)
        assert await list_names(client, "upstream:one", active_only=False) == []


async def test_a_host_s_file_is_imported_over_rest(toolbox_client: AsyncTestClient[Any]) -> None:
    document = {
        "mcpServers": {"My pets": {"command": "python3", "args": [HOSTILE], "disabled": True}, "x": {"type": "ws"}}
    }
    answer = await toolbox_client.post("/admin/upstreams/import", json=document)
    assert answer.json() == {
        "upstreams": {"My-pets": "created"},
        "rejected": {"x": "the transport 'ws' is none of stdio, http (streamable-http), sse"},
    }
    shown = (await toolbox_client.get("/admin/upstreams/My-pets")).json()
    assert (shown["title"], shown["enabled"], shown["here"]["state"]) == ("My pets", False, "disabled")


async def test_a_server_is_installed_and_upgraded_over_rest(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("UV", "PIP"):
        monkeypatch.setenv(f"{program}_NO_INDEX", "1")
        monkeypatch.setenv(f"{program}_FIND_LINKS", str(tmp_path))
    write_wheel(tmp_path, "1.0", server("1.0"))
    configured = structs.replace(settings, data_dir=tmp_path / "data")
    async with AsyncTestClient(create_app(configured, Plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        refused = await client.post("/admin/upstreams", json={"name": "pets", "source": "git+https://example.org/a"})
        assert "UPSTREAM_COMMANDS names git" in refused.json()["detail"]
        assert (await client.post("/admin/upstreams", json=stdio("plain"))).status_code == 201
        refused = await client.post("/admin/upstreams/plain/upgrade")
        assert (refused.status_code, "has no source" in refused.json()["detail"]) == (400, True)

        found = await add(client, {"name": "pets", "source": "pypi:pets-server"})
        assert (found["problem"], found["tools"], found["here"]["version"]) == (None, 1, "1.0")
        write_wheel(tmp_path, "1.1", server("1.1"))
        assert (await client.post("/admin/upstreams/pets/upgrade")).status_code == 202
        while (await client.get("/tools/pets__version")).json()["description"] != "1.1":
            await asyncio.sleep(0.02)
        assert (await call(client, "pets__version"))["result"][0]["text"] == "1.1"
        assert (await client.get("/admin/upstreams/pets")).json()["here"]["version"] == "1.1"


async def test_equal_tools_of_several_servers_are_one_with_an_argument_for_which(
    toolbox_client: AsyncTestClient[Any], settings: Settings
) -> None:
    client = toolbox_client
    for name in ("east", "west"):
        await add(client, stdio(name, merge="pets", exclude=["fl*"]))
    await add(client, stdio("other"))

    async def run(tool: str, **arguments: str) -> Any:
        answer = await client.post("/mcp/call_tool", json={"tool_name": f"pets__{tool}", "arguments": arguments})
        return answer.json()

    assert len(await list_names(client, "upstreams:pets")) == 11
    assert await list_names(client, "upstream:east") == await list_names(client, "upstream:west") == []
    assert len(await list_names(client, "upstream:other")) == 12
    assert await read_members(client) == ["east", "west"]
    tool = (await client.get("/tools/pets__echo")).json()
    assert tool["input_schema"]["required"] == ["upstream"]
    assert (tool["category"], tool["metadata"]["upstreams"]) == ("pets", ["east", "west"])
    assert (await run("echo", text="hi"))["code"] == "invalid_arguments"
    assert (await run("echo", upstream="north"))["code"] == "invalid_arguments"
    assert (await run("echo", upstream="east", text="hi"))["result"][0]["text"] == "hi"
    assert len({(await run("pid", upstream=name))["result"][0]["text"] for name in ("east", "west")}) == 2
    names = [match["name"] for match in (await client.post("/mcp/find_tool", json={"query": "echo something"})).json()]
    assert ("pets__echo" in names, "east__echo" in names) == (True, False)

    # What operators switch off, or let in, counts at once, and on other replicas.
    async with AsyncTestClient(create_app(settings, Plugins()), base_url=BASE_URL) as other:
        await wait_until_ready(other)
        assert (await other.post("/admin/tools/west__echo/deactivate")).status_code == 200
        assert await list_names(client, "upstream:east") == ["east__echo"]
        assert "pets__echo" not in await list_names(client, "upstreams:pets")
        assert (await call(client, "east__echo", "alone"))["success"]
        assert (await client.post("/admin/tools/west__echo/activate")).status_code == 200
        assert await list_names(other, "upstream:east") == []
        assert len(await list_names(other, "upstreams:pets")) == 11
        answer = await other.post(
            "/mcp/call_tool", json={"tool_name": "pets__echo", "arguments": {"upstream": "west", "text": "together"}}
        )
        assert answer.json()["success"]
        await add(client, stdio("north", merge="pets", include=["echo"], trust="reviewed"))
        assert await read_members(client) == ["east", "west"]
        approved = await other.post("/admin/upstreams/north/approve", json={})
        assert approved.json() == {"tools": ["north__echo"]}
        assert await read_members(client) == await read_members(other) == ["east", "north", "west"]
        assert (await other.delete("/admin/upstreams/north")).status_code == 204
        assert await read_members(client) == ["east", "west"]

    # What is not equal any more stands for itself, until it is again; a refresh changes nothing.
    refreshed = (await client.post("/admin/upstreams/east/refresh")).json()
    assert (refreshed["unchanged"], refreshed["is_merged"]) == (11, False)
    assert (await run("change", upstream="west"))["success"]
    while not await list_names(client, "upstream:west"):
        await asyncio.sleep(0.05)
    assert await list_names(client, "upstreams:pets") == []
    assert "east__pid" in await list_names(client, "upstream:east")
    assert (await call(client, "east__change"))["success"]
    while await list_names(client, "upstream:east"):
        await asyncio.sleep(0.05)
    assert "pets__added" in await list_names(client, "upstreams:pets")
    assert "pets__pid" not in await list_names(client, "upstreams:pets")
    assert (await client.post("/admin/upstreams/west/disable")).status_code == 202
    assert await list_names(client, "upstreams:pets") == []
    assert "east__added" in await list_names(client, "upstream:east")


async def test_resources_and_prompts_are_offered_too(toolbox_client: AsyncTestClient[Any], sdk_url: str) -> None:
    client = toolbox_client
    await add(client, {"name": "notes", "transport": "http", "url": f"{sdk_url}/mcp"})

    async def ask(method: str, **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        answer = (await client.post("/mcp", json=message, headers=headers)).json()
        return answer.get("result") or answer["error"]

    uri = "upstream://notes/memo%3A%2F%2Ftoday"
    while uri not in [each["uri"] for each in (await ask("resources/list"))["resources"]]:
        await asyncio.sleep(0.02)
    (content,) = (await ask("resources/read", uri=uri))["contents"]
    assert (content["uri"], content["text"]) == (uri, "water the plants")
    templates = (await ask("resources/templates/list"))["resourceTemplates"]
    assert "upstream://notes/{uri}" in [each["uriTemplate"] for each in templates]
    day = (await ask("resources/read", uri="upstream://notes/memo%3A%2F%2F1%2Fof%2FMay"))["contents"]
    assert day[0]["text"] == "nothing on 1 of May"
    assert "there is no resource" in (await ask("resources/read", uri="upstream://notes/memo%3A%2F%2Fx"))["message"]
    (prompt,) = (await ask("prompts/list"))["prompts"]
    assert (prompt["name"], prompt["arguments"][0]["name"]) == ("notes__review", "code")
    got = await ask("prompts/get", name="notes__review", arguments={"code": "x = 1"})
    assert got["messages"][0]["content"]["text"] == "Please review: x = 1"
