"""Clients that others wrote, against a real server.

They are the official ones for Python and, twice, for TypeScript, and the MCP Inspector.
"""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mcp import Client, MCPError
from mcp.types import CallToolResult, TextContent

from tests.conftest import execute, in_database
from tests.flows.conftest import STOP_SECONDS, start_server
from tests.flows.node import Node, find_node

INSPECTOR = "2.12.0"
TYPESCRIPT_1 = "@modelcontextprotocol/sdk@1.32.2"
TYPESCRIPT_2 = "@modelcontextprotocol/client@2.4.0"
PROGRAM_SECONDS = 60

IMPORTS_1 = """
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
"""
IMPORTS_2 = """
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
"""
PROGRAM = """
const [url, options] = process.argv.slice(1);
const client = new Client({ name: "flow", version: "1.0" }, JSON.parse(options));
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const { tools } = await client.listTools();
const call = (name, given) => client.callTool({ name, arguments: given });
const found = await call("find_tool", { query: "flow reverse" });
const called = await call("call_tool", { tool_name: "flow_reverse", arguments: { text: "abc" } });
const direct = await call("flow_add", { a: 1, b: 2 });
const wrong = await call("flow_add", { a: "one" });
console.log(JSON.stringify({
  listed: tools.map((tool) => tool.name),
  found: found.structuredContent.matches[0].name,
  called: called.content,
  direct: direct.structuredContent,
  isWrong: wrong.isError,
  server: client.getServerVersion()?.name,
}));
await client.close();
"""
"""Lists, finds and calls; the two clients differ only in where they are imported from."""

TYPESCRIPT_CLIENTS = {
    "1": (IMPORTS_1, {}),
    "2 as it comes": (IMPORTS_2, {}),
    "2 finds the version": (IMPORTS_2, {"versionNegotiation": {"mode": "auto"}}),
    "2 in the stateless era": (IMPORTS_2, {"versionNegotiation": {"mode": {"pin": "2026-07-28"}}}),
}

PLUGIN = '''
import toolbox
from msgspec import Struct

class Sum(Struct):
    total: int

def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(a + b)

def reverse(text: str) -> str:
    """Reverse a text, character by character."""
    return text[::-1]

@toolbox.hookimpl
def toolbox_tools():
    return [add, reverse]
'''

MODES = ["auto", "legacy", "2026-07-28"]
LISTED = ["find_tool", "describe_tool", "call_tool", "list_tools", "flow_add", "flow_reverse"]


@pytest.fixture(scope="module")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed plugin: what pip would leave behind."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "flow_plugin.py").write_text(PLUGIN)
    record = folder / "toolbox_flow-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: toolbox-flow\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[toolbox]\nflow = flow_plugin\n")
    return folder


@pytest.fixture(scope="module")
async def flow_database_url(postgres: str) -> AsyncIterator[str]:
    """A database for all tests of this module: they only read."""
    name = f"flow_{uuid4().hex}"
    await execute(postgres, f"create database {name}")
    yield in_database(postgres, name)
    await execute(postgres, f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def url(flow_database_url: str, plugin_folder: Path) -> Iterator[str]:
    """Where a running server speaks MCP."""
    server = start_server(
        DATABASE_URL=flow_database_url,
        PINNED_TOOLS="flow_add,flow_reverse",
        PYTHONPATH=str(plugin_folder),
    )
    yield f"{server.url}/mcp"
    server.process.terminate()
    server.process.communicate(timeout=STOP_SECONDS)


@pytest.fixture(scope="session")
def node() -> Node:
    return find_node()


@pytest.fixture(scope="session")
def inspector(node: Node) -> list[str]:
    """The command of the MCP Inspector."""
    package = f"@modelcontextprotocol/inspector@{INSPECTOR}"
    folder = node.install(f"mcp-inspector-{INSPECTOR}", package)
    launcher = folder / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
    return [node.command, str(launcher), "--cli"]


def install_typescript_clients(node: Node) -> Path:
    """The folder with both of them."""
    return node.install("mcp-typescript-1.32.2-2.4.0", TYPESCRIPT_1, TYPESCRIPT_2)


@pytest.fixture(scope="session")
def typescript(node: Node) -> Callable[..., Any]:
    """Runs a program with both TypeScript clients at hand, and gives back the JSON that it prints."""
    folder = install_typescript_clients(node)

    def run(program: str, *arguments: str) -> Any:
        command = [node.command, "--input-type=module", "--eval", program, *arguments]
        return json.loads(run_program(command, cwd=folder))

    return run


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_lists_finds_and_calls(url: str, mode: Any) -> None:
    async with Client(url, mode=mode) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == LISTED
        found = await client.call_tool("find_tool", {"query": "flow reverse"})
        assert found.structured_content["matches"][0]["name"] == "flow_reverse"
        called = await client.call_tool("call_tool", {"tool_name": "flow_reverse", "arguments": {"text": "abc"}})
        assert (called.is_error, read_text(called)) == (False, "cba")
        direct = await client.call_tool("flow_add", {"a": 1, "b": 2})
        assert direct.structured_content == {"total": 3}


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_reads_results_that_are_no_objects(url: str, mode: Any) -> None:
    """It checks structured content against the listed output schema, which differs between the eras."""
    async with Client(url, mode=mode) as client:
        result = await client.call_tool("flow_reverse", {"text": "abc"})
        assert result.structured_content == ({"result": "cba"} if mode == "legacy" else "cba")


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_is_told_what_was_wrong(url: str, mode: Any) -> None:
    async with Client(url, mode=mode) as client:
        wrong = await client.call_tool("flow_add", {"a": "one"})
        assert wrong.is_error
        assert "/a" in read_text(wrong)
        with pytest.raises(MCPError, match="flow_reverse"):
            await client.call_tool("flow_revers", {})


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_lists_portable_tools(url: str, inspector: list[str], tmp_path: Path, era: str) -> None:
    """--strict fails on schemas that some model providers refuse."""
    answer = inspect(inspector, tmp_path, url, "--protocol-era", era, "--method", "tools/list", "--strict")
    assert len(answer["result"]["tools"]) == 6


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_calls_tools(url: str, inspector: list[str], tmp_path: Path, era: str) -> None:
    call = ["--protocol-era", era, "--method", "tools/call"]
    added = inspect(inspector, tmp_path, url, *call, "--tool-name", "flow_add", "--tool-args-json", '{"a": 1, "b": 2}')
    assert added["result"]["structuredContent"] == {"total": 3}
    found = inspect(inspector, tmp_path, url, *call, "--tool-name", "find_tool", "--tool-arg", "query=flow reverse")
    assert found["result"]["structuredContent"]["matches"][0]["name"] == "flow_reverse"


@pytest.mark.parametrize("client", TYPESCRIPT_CLIENTS)
def test_the_typescript_clients_list_find_and_call(url: str, typescript: Callable[..., Any], client: str) -> None:
    imports, options = TYPESCRIPT_CLIENTS[client]
    assert typescript(imports + PROGRAM, url, json.dumps(options)) == {
        "listed": LISTED,
        "found": "flow_reverse",
        "called": [{"type": "text", "text": "cba"}],
        "direct": {"total": 3},
        "isWrong": True,
        "server": "toolbox",
    }


def read_text(result: CallToolResult) -> str:
    (part,) = result.content
    assert isinstance(part, TextContent)
    return part.text


def inspect(command: list[str], home: Path, url: str, *arguments: str) -> Any:
    """What the Inspector prints; it writes into HOME."""
    options = ["--transport", "http", "--format", "json", "-q"]
    return json.loads(run_program([*command, url, *options, *arguments], HOME=str(home)))


def run_program(command: list[str], *, cwd: Path | None = None, **changed: str) -> str:
    """What a program prints; what it says of a failure is in ours."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"MCP_INSPECTOR_SECRET_STORE": "memory"} | changed,
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
