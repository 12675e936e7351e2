"""Clients that others wrote, against a real server: the official Python client and the MCP Inspector."""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import platformdirs
import pytest
from mcp import Client, MCPError
from mcp.types import CallToolResult, TextContent

from tests.conftest import execute, in_database
from tests.flows.conftest import STOP_SECONDS, start_server

INSPECTOR = "2.12.0"

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
def inspector() -> list[str]:
    """The command of the MCP Inspector, installed once for this user."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    folder = platformdirs.user_cache_path("toolbox-tests") / f"mcp-inspector-{INSPECTOR}"
    package = f"@modelcontextprotocol/inspector@{INSPECTOR}"
    launcher = folder / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
    if not launcher.exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", package]
        subprocess.run(install, check=True, capture_output=True)
    return ["node", str(launcher), "--cli"]


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_lists_finds_and_calls(url: str, mode: Any) -> None:
    async with Client(url, mode=mode) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == [
            "find_tool",
            "describe_tool",
            "call_tool",
            "list_tools",
            "flow_add",
            "flow_reverse",
        ]
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


def read_text(result: CallToolResult) -> str:
    (part,) = result.content
    assert isinstance(part, TextContent)
    return part.text


def inspect(command: list[str], home: Path, url: str, *arguments: str) -> Any:
    """What the Inspector prints; it writes into HOME."""
    done = subprocess.run(
        [*command, url, "--transport", "http", "--format", "json", "-q", *arguments],
        env=os.environ | {"HOME": str(home), "MCP_INSPECTOR_SECRET_STORE": "memory"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
