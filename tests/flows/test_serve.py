"""The first command of the README, and everything beside it, as processes."""

import asyncio
import json
import signal
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.certificates import make_certificate
from tests.flows.conftest import STOP_SECONDS, Server, run_toolbox
from toolbox.embedded.owner import find_owner

Serve = Callable[..., Server]


def test_it_starts_with_nothing_configured_and_says_what_there_is(serve: Serve, data_dir: Path) -> None:
    server = serve(DATA_DIR=str(data_dir))
    for said in ("is ready", "/mcp", "/docs", "Plugin   text", "MiniLM-L6-tools-4-int8", str(data_dir), "no keys"):
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


def test_a_server_of_this_machine_makes_the_calls_of_its_commands(serve: Serve, data_dir: Path) -> None:
    server = serve(DATA_DIR=str(data_dir))
    dead_proxy = {"HTTP_PROXY": "http://127.0.0.1:1"}
    called = run_toolbox("call", "text_reverse", "text=abc", "--json", DATA_DIR=str(data_dir), **dead_proxy)
    recorded = httpx.get(f"{server.url}/calls/{json.loads(called.stdout)['execution_id']}").json()
    assert (recorded["result"], recorded["channel"]) == ("cba", "rest"), "the call went past the server"


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


def test_https_is_served_with_a_certificate_of_ones_own(serve: Serve, data_dir: Path, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "server")
    tls = {"SSL_CERT_PATH": str(certificate), "SSL_KEY_PATH": str(key)}
    server = serve("--workers", "2", DATA_DIR=str(data_dir), **tls)
    assert server.url.startswith("https://")
    with httpx.Client(base_url=server.url, verify=ssl.create_default_context(cafile=str(certificate))) as client:
        assert client.post("/mcp/find_tool", json={"query": "reverse a text"}).json()[0]["name"] == "text_reverse"
    found = run_toolbox("tools", "get", "text_reverse", "--json", DATA_DIR=str(data_dir))
    assert json.loads(found.stdout)["name"] == "text_reverse"
    unknown = run_toolbox("find", "reverse", "--url", server.url)
    assert unknown.stderr.endswith("; SSL_CERT_FILE names who has signed it\n")
    trusted = run_toolbox("find", "reverse", "--url", server.url, SSL_CERT_FILE=str(certificate))
    assert trusted.returncode == 0, trusted.stderr
    asked = run_toolbox("health", PORT=server.url.rpartition(":")[2], **tls)
    assert (asked.returncode, asked.stdout) == (0, "ready\n"), asked.stderr
    nobody = run_toolbox("health", PORT="1")
    assert (nobody.returncode, nobody.stderr.partition(" does")[0]) == (1, "Error: http://127.0.0.1:1")
    half = run_toolbox("serve", DATA_DIR=str(data_dir), SSL_KEY_PATH=str(key))
    assert (half.returncode, half.stderr) == (
        1,
        "Error: SSL_KEY_PATH is set and SSL_CERT_PATH is not: HTTPS needs both\n",
    )


async def test_reload_starts_again_when_a_file_is_saved(serve: Serve, database_url: str, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text("one = 1")
    server = serve("--reload", folder=tmp_path, DATABASE_URL=database_url)
    async with httpx.AsyncClient(base_url=server.url) as client:
        before = (await client.get("/stats")).json()["started_at"]
        (tmp_path / "plugin.py").write_text("two = 22")
        while await started_at(client) in {before, None}:  # bounded by the time limit of the test
            await asyncio.sleep(0.05)
    server.stop()


PLUGIN = """
import threading
from pathlib import Path
import toolbox

def wait(marker: str) -> str:
    \"\"\"Wait for ever.\"\"\"
    Path(marker).touch()
    threading.Event().wait()

@toolbox.hookimpl
def toolbox_tools():
    return [wait]
"""


def wait_until_said(server: Server, text: str) -> str:
    """The line with the text; bounded by the time limit of the test."""
    while not (lines := [line for line in server._later if text in line]):
        time.sleep(0.05)
    return lines[0]


def test_reload_watches_plugins_and_tells_their_author_what_came_of_it(
    serve: Serve, database_url: str, tmp_path: Path, install: Callable[..., str]
) -> None:
    folder, elsewhere = install("waiting", PLUGIN), tmp_path / "elsewhere"
    elsewhere.mkdir()
    server = serve("--reload", folder=elsewhere, DATABASE_URL=database_url, PYTHONPATH=folder)
    code = tmp_path / "waiting_plugin.py"
    code.write_text(PLUGIN + "1 / 0\n")
    assert ", 1 problem" in wait_until_said(server, "reloaded: ")
    problem = "  Problem  waiting, import: ZeroDivisionError: division by zero (at waiting_plugin.py:14)\n"
    assert wait_until_said(server, "Problem") == problem
    server._later.clear()
    code.write_text(PLUGIN)
    assert "problem" not in wait_until_said(server, "reloaded: ")
    server.stop()


def test_ctrl_c_says_what_is_waited_for_and_another_one_ends_at_once(
    serve: Serve, database_url: str, tmp_path: Path, install: Callable[..., str]
) -> None:
    server = serve(DATABASE_URL=database_url, PYTHONPATH=install("waiting", PLUGIN))
    marker = tmp_path / "running"
    request = {"tool_name": "waiting_wait", "arguments": {"marker": str(marker)}}
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(httpx.post, f"{server.url}/mcp/call_tool", json=request, timeout=60)
        while not marker.exists():
            time.sleep(0.05)
        server.process.send_signal(signal.SIGINT)
        wait_until_said(server, "stopping: waiting for 1 request to be answered; Ctrl-C again stops at once")
        server.process.send_signal(signal.SIGINT)
        assert (answer.result().status_code, answer.result().json()["code"]) == (503, "stopping")
    assert server.process.wait(STOP_SECONDS) == 130
    assert "Traceback" not in server.read_log()


def test_a_pinned_tool_that_is_not_there_is_a_problem(serve: Serve, database_url: str) -> None:
    server = serve(DATABASE_URL=database_url, PINNED_TOOLS="text_reverse,text_revers")
    (problem,) = [line for line in server.report.splitlines() if "Problem" in line]
    assert problem.startswith("  Problem  PINNED_TOOLS: there is no tool 'text_revers'; near names: text_reverse")


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


@pytest.mark.parametrize("arguments", [("serve", "--port", "0"), ("find", "x"), ("db", "status"), ("worker",)])
def test_a_database_that_does_not_answer_is_named_without_its_password(arguments: tuple[str, ...]) -> None:
    refused = run_toolbox(*arguments, DATABASE_URL="postgresql://nobody:secret@127.0.0.1:1/none")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: DATABASE_URL (127.0.0.1:1): PostgreSQL cannot be used: ")
    assert (refused.stderr.count("\n"), "secret" in refused.stderr) == (1, False)


def test_a_start_that_is_refused_is_said_in_one_sentence(database_url: str) -> None:
    for arguments, setting, said in (
        ((), {"EMBEDDING_MODEL": "foo"}, "Error: EMBEDDING_MODEL='foo' is offered by no plugin"),
        (
            (),
            {"PLUGINS_STRICT": "1", "PLUGINS_DISABLED": "calcluator"},
            "Error: PLUGINS_STRICT is set and plugins have problems:\ncalcluator: PLUGINS_DISABLED: there is no plugin",
        ),
        (("--workers", "2"), {"EMBEDDING_MODEL": "foo"}, "Error: EMBEDDING_MODEL='foo' is offered by no plugin"),
    ):
        refused = run_toolbox("serve", "--port", "0", *arguments, DATABASE_URL=database_url, **setting)
        assert refused.returncode == 1
        assert refused.stderr.startswith(said), refused.stderr
        assert "Traceback" not in refused.stderr
        assert '"event"' not in refused.stderr


def test_an_address_for_others_is_refused_without_keys() -> None:
    refused = run_toolbox("serve", "--host", "0.0.0.0")
    assert refused.returncode == 1
    assert "ALLOW_ANONYMOUS" in refused.stderr
