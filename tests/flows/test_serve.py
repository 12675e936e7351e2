"""The first command of the README, and everything beside it, as processes."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import asyncpg
import httpx

from tests.flows.conftest import STOP_SECONDS, Server, run_toolbox
from toolbox.embedded.owner import find_owner

Serve = Callable[..., Server]


def test_it_starts_with_nothing_configured_and_says_what_there_is(serve: Serve, data_dir: Path) -> None:
    server = serve(DATA_DIR=str(data_dir))
    for said in ("is ready", "/mcp", "/docs", "Plugin   text", "all-MiniLM-L6-v2-int8", str(data_dir), "no keys"):
        assert said in server.report
    assert '"path"' not in server.report, "the report's own requests are in the access log"
    health = httpx.get(f"{server.url}/health/ready")
    assert health.status_code == 200
    assert server.stop() in {0, -signal.SIGTERM}
    assert find_owner(data_dir) is None


def test_other_commands_on_the_machine_use_the_running_one(serve: Serve, data_dir: Path) -> None:
    server = serve(DATA_DIR=str(data_dir))
    found = run_toolbox("find", "write a text backwards", "--json", DATA_DIR=str(data_dir))
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)[0]["name"] == "text_reverse"
    remote = run_toolbox("find", "write a text backwards", "--json", "--url", server.url)
    assert json.loads(remote.stdout) == json.loads(found.stdout)
    for arguments, said in (
        (("tools", "get", "text_revers"), "there is no tool 'text_revers'; near names: text_reverse"),
        (("tools", "get", "qqq"), "there is no tool 'qqq'; `toolbox find` searches by meaning"),
        (("tools", "get", "a/b"), "there is no tool 'a/b'; `toolbox find` searches by meaning"),
        (("find", "x", "--url", f"{server.url}/mcp"), "there is no ToolBox at this address"),
        (("plugins", "--url", f"{server.url}/wrong"), "there is no ToolBox at this address"),
    ):
        refused = run_toolbox(*arguments, *(() if "--url" in arguments else ("--url", server.url)))
        assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr


def test_the_report_says_which_plugin_cannot_be_disabled(serve: Serve, database_url: str) -> None:
    server = serve(DATABASE_URL=database_url, PLUGINS_DISABLED="calcluator,data")
    assert "Plugin   calcluator: missing" in server.report
    assert "Plugin   data 0.1.0: disabled" in server.report
    assert "Problem  calcluator, PLUGINS_DISABLED: there is no plugin of this name" in server.report


def test_one_call_gives_the_same_recorded_result_over_rest_and_the_command_line(serve: Serve, data_dir: Path) -> None:
    server = serve(DATA_DIR=str(data_dir))
    local = run_toolbox("call", "text_reverse", "text=abc", "--json", DATA_DIR=str(data_dir))
    remote = run_toolbox("call", "text_reverse", '{"text": "abc"}', "--json", "--url", server.url)
    for answer in (json.loads(local.stdout), json.loads(remote.stdout)):
        assert answer["result"] == "cba"
        recorded = httpx.get(f"{server.url}/calls/{answer['execution_id']}").json()
        assert (recorded["result"], recorded["arguments"]) == ("cba", {"text": "abc"})


def test_a_second_server_on_the_same_data_is_refused_with_what_to_do(serve: Serve, data_dir: Path) -> None:
    server = serve(DATA_DIR=str(data_dir))
    second = run_toolbox("serve", "--port", "0", DATA_DIR=str(data_dir))
    assert second.returncode == 1
    assert server.url in second.stderr
    assert "DATA_DIR" in second.stderr
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_a_taken_port_is_said_at_once(serve: Serve, data_dir: Path) -> None:
    server = serve(DATA_DIR=str(data_dir))
    port = server.url.rpartition(":")[2]
    second = run_toolbox("serve", "--port", port, DATA_DIR=str(data_dir))
    assert second.returncode == 1
    assert f"PORT={port}" in second.stderr


def test_after_kill_9_nothing_is_lost_and_nothing_embedded_again(serve: Serve, data_dir: Path) -> None:
    first = serve(DATA_DIR=str(data_dir))
    answer = httpx.post(
        f"{first.url}/mcp/call_tool", json={"tool_name": "text_reverse", "arguments": {"text": "abc"}}
    ).json()
    tools = httpx.get(f"{first.url}/stats").json()["tools"]
    first.process.kill()
    first.process.wait(STOP_SECONDS)
    second = serve(DATA_DIR=str(data_dir))
    assert httpx.get(f"{second.url}/stats").json()["tools"] == tools
    assert httpx.get(f"{second.url}/calls/{answer['execution_id']}").json()["result"] == "cba"
    second.stop()
    status = run_toolbox("sync", "--json", DATA_DIR=str(data_dir))
    assert json.loads(status.stdout)["embedded"] == 0


def test_workers_share_one_database_and_one_port(serve: Serve, data_dir: Path) -> None:
    server = serve("--workers", "2", DATA_DIR=str(data_dir))
    with httpx.Client(base_url=server.url) as client:
        assert client.post("/mcp/find_tool", json={"query": "reverse a text"}).json()[0]["name"] == "text_reverse"
    assert server.stop() in {0, -signal.SIGTERM}
    assert find_owner(data_dir) is None


async def test_reload_starts_again_when_a_file_is_saved(serve: Serve, database_url: str, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text("one = 1")
    server = serve("--reload", folder=tmp_path, DATABASE_URL=database_url)
    async with httpx.AsyncClient(base_url=server.url) as client:
        before = (await client.get("/stats")).json()["started_at"]
        (tmp_path / "plugin.py").write_text("two = 22")
        while await started_at(client) in {before, None}:  # bounded by the time limit of the test
            await asyncio.sleep(0.05)
    server.stop()


async def started_at(client: httpx.AsyncClient) -> str | None:
    try:
        return str((await client.get("/stats")).json()["started_at"])
    except httpx.TransportError:
        return None  # between the old process and the new one


async def test_a_database_of_ones_own_is_used_as_it_is(serve: Serve, database_url: str) -> None:
    server = serve(DATABASE_URL=database_url)
    assert "DATABASE_URL names" in server.report
    server.stop()
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("select count(*) from tools where active") >= 30
    await connection.close()


def test_a_database_that_does_not_answer_refuses_the_start(data_dir: Path) -> None:
    refused = run_toolbox("serve", "--port", "0", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert refused.returncode != 0
    assert "PostgreSQL cannot be used" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_address_for_others_is_refused_without_keys() -> None:
    refused = run_toolbox("serve", "--host", "0.0.0.0")
    assert refused.returncode == 1
    assert "ALLOW_ANONYMOUS" in refused.stderr
