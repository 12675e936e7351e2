"""What callers see of the catalogue, and of each other."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.auth.conftest import ADMIN, Issue, ask, ponder, shout, showing, whisper
from tests.conftest import BASE_URL, wait_until_ready
from toolbox.app import create_app
from toolbox.database import open_database
from toolbox.settings import Settings
from toolbox.toolsets.schemas import Rule, Rules, ToolsetDefinition
from toolbox.toolsets.service import ToolsetService

Client = AsyncTestClient[Any]
SHARED, SECRET = "demo_shout", "demo_whisper"


@pytest.fixture
async def toolsets(client: Client, database_url: str) -> None:
    """Two toolsets, of one tool each."""
    async with open_database(database_url, pool_size=1, max_overflow=1, timeout_seconds=10) as database:
        for name in ("shared", "hidden"):
            rules = Rules(include=(Rule(tags=(name,)),))
            await ToolsetService(database).apply({name: ToolsetDefinition(rules=rules)}, caller="tests")


@pytest.mark.usefixtures("toolsets")
async def test_a_caller_who_is_limited_sees_and_calls_its_toolsets_alone(client: Client, issue: Issue) -> None:
    limited = await issue("helpdesk", toolsets=["shared"])
    listed = await client.post("/mcp/list_tools", json={}, headers=limited)
    assert ([tool["name"] for tool in listed.json()], listed.headers["X-Total-Count"]) == ([SHARED], "1")
    for query in ("say a text quietly", "demo whisper", SECRET):
        found = await client.post("/mcp/find_tool", json={"query": query}, headers=limited)
        assert [match["name"] for match in found.json()] == [SHARED]
    assert (await client.get("/categories", headers=limited)).json() == [{"category": "demo", "tools": 1}]
    for name, status in ((SHARED, 200), (SECRET, 404)):
        assert (await client.get(f"/tools/{name}", headers=limited)).status_code == status
        call = {"tool_name": name, "arguments": {"text": "Hi"}}
        answer = await client.post("/mcp/call_tool", json=call, headers=limited)
        assert answer.status_code == status
        assert SECRET not in answer.json().get("suggestions", [])
    assert (await client.get("/stats", headers=limited)).status_code == 403
    assert (await client.get("/tools/demo_whisper", headers=ADMIN)).status_code == 200


@pytest.mark.usefixtures("toolsets")
async def test_the_same_over_mcp(client: Client, issue: Issue) -> None:
    limited = await issue("helpdesk", toolsets=["shared"])

    async def use(name: str, **arguments: Any) -> str:
        answer = await ask(client, limited, "tools/call", {"name": name, "arguments": arguments})
        return json.dumps(answer.json())

    assert "whisper" not in await use("find_tool", query="say a text quietly")
    listed = await ask(client, limited, "tools/list", {})
    assert listed.json()["result"]["cacheScope"] == "private"
    assert "whisper" not in await use("list_tools")
    assert "there is no tool" in await use("describe_tool", tool_name=SECRET)
    assert "there is no tool" in await use("call_tool", tool_name=SECRET, arguments={"text": "Hi"})
    assert "there is no tool" in await use(SECRET, text="Hi")
    assert "there is no tool 'qqq'; find_tool searches by meaning" in await use("call_tool", tool_name="qqq")
    assert "HI" in await use("call_tool", tool_name=SHARED, arguments={"text": "Hi"})
    assert "HI" in await use(SHARED, text="Hi")
    resources = await ask(client, limited, "resources/list")
    assert resources.json()["result"]["resources"] == []
    read = await ask(client, limited, "resources/read", {"uri": f"toolbox://tools/{SECRET}"})
    assert "error" in read.json()


@pytest.mark.usefixtures("toolsets")
async def test_toolsets_of_others_do_not_exist(client: Client, issue: Issue) -> None:
    limited = await issue("helpdesk", toolsets=["shared"])
    for key, names in ((limited, ["shared"]), (ADMIN, ["hidden", "shared"])):
        servers = (await client.get("/v0.1/servers", headers=key)).json()["servers"]
        assert [entry["server"]["name"].partition("/")[2] for entry in servers] == names
    catalogue = (await client.get("/.well-known/ai-catalog.json")).json()  # whoever shows nothing sees no toolset
    assert len(catalogue["entries"]) == 1
    assert (await client.get("/toolsets/hidden/mcp/server-card", headers=limited)).status_code == 404
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for name, status in (("hidden", 404), ("shared", 200)):
        answer = await client.post(f"/toolsets/{name}/mcp", json=ping, headers=limited)
        assert answer.status_code == status


@pytest.fixture
async def other(settings: Settings, make_plugins: Callable[..., Any]) -> AsyncIterator[Client]:
    """Another replica on the same database."""
    app = create_app(settings, make_plugins(demo=[shout, whisper, ponder]))
    async with AsyncTestClient(app, base_url=BASE_URL) as opened:
        await wait_until_ready(opened)
        yield opened


async def test_calls_and_results_belong_to_their_caller_on_every_replica(
    client: Client, other: Client, issue: Issue
) -> None:
    ada, bob = await issue("ada"), await issue("bob")
    call = {"tool_name": SHARED, "arguments": {"text": "a secret of ada"}}
    called = (await client.post("/mcp/call_tool", json=call, headers=ada)).json()["execution_id"]
    for replica in (client, other):
        for path in (f"/calls/{called}", f"/calls/{called}/result"):
            assert "A SECRET" in (await replica.get(path, headers=ada)).text
            assert "A SECRET" in (await replica.get(path, headers=ADMIN)).text
            refused = await replica.get(path, headers=bob)
            assert (refused.status_code, "SECRET" in refused.text) == (404, False)
        for key, seen in ((ada, True), (bob, False)):
            read = await ask(replica, key, "resources/read", {"uri": f"result://{called}"})
            assert ("A SECRET" in read.text) is seen


async def test_tasks_belong_to_their_caller_on_every_replica(client: Client, other: Client, issue: Issue) -> None:
    ada, bob = await issue("ada"), await issue("bob")
    created = await ask(client, ada, "tools/call", {"name": "demo_ponder", "arguments": {"text": "a secret of ada"}})
    task = {"taskId": created.json()["result"]["taskId"]}
    while (await ask(client, ada, "tasks/get", task)).json()["result"]["status"] == "working":
        await asyncio.sleep(0.01)
    for replica in (client, other):
        assert "A SECRET" in (await ask(replica, ada, "tasks/get", task)).text
        for method in ("tasks/get", "tasks/cancel"):
            refused = await ask(replica, bob, method, task)
            assert ("error" in refused.json(), "SECRET" in refused.text) == (True, False)


async def test_a_key_that_one_replica_revokes_works_on_no_other(client: Client, other: Client, issue: Issue) -> None:
    key = await issue("ci")
    assert (await other.get("/categories", headers=key)).status_code == 200
    await client.delete("/admin/keys/ci", headers=ADMIN)
    async with asyncio.timeout(10):
        while (await other.get("/categories", headers=key)).status_code == 200:
            pass


async def test_the_first_key_closes_a_server_that_was_open(
    settings: Settings, make_plugins: Callable[..., Any]
) -> None:
    app = create_app(structs.replace(settings, api_key=None), make_plugins(demo=[shout]))
    async with AsyncTestClient(app, base_url=BASE_URL) as opened:
        await wait_until_ready(opened)
        assert (await opened.get("/admin/keys")).json() == []
        secret = (await opened.post("/admin/keys", json={"name": "first"})).json()["secret"]
        while (await opened.get("/categories")).status_code == 200:
            pass
        assert (await opened.get("/categories", headers=showing(secret))).status_code == 200
        assert (await opened.get("/admin/keys")).status_code == 401
