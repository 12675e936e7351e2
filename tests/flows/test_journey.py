"""From nothing to an agent that works: an author ships a plugin, an operator opens it, an agent finds and calls."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.flows.conftest import Server, run_toolbox

PLUGIN = '''
import toolbox

def shout(text: str) -> str:
    """Say a text loudly, in capital letters."""
    return text.upper() + "!"

@toolbox.hookimpl
def toolbox_tools():
    return [shout]
'''

TOOLSET = """
[toolsets.office]
title = "Office"
description = "What the office needs."
version = "1.0.0"
is_direct = false
rules.include = [{name = "herald_*"}, {name = "weather_*"}]
"""


def describe_api(url: str) -> dict[str, Any]:
    city = {"name": "city", "in": "query", "required": True, "schema": {"type": "string"}}
    operation = {
        "operationId": "forecast",
        "summary": "Forecast the weather of a city.",
        "parameters": [city],
        "responses": {"200": {"description": "It.", "content": {"application/json": {"schema": {"type": "object"}}}}},
    }
    info = {"title": "Weather", "version": "1.0"}
    return {"openapi": "3.1.0", "info": info, "servers": [{"url": url}], "paths": {"/forecast": {"get": operation}}}


@contextmanager
def weather_service() -> Iterator[str]:
    """Somebody's API, which the operator has not written."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps({"asked": self.path, "sky": "clear"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_from_a_plugin_to_an_agent_that_calls_it(
    serve: Callable[..., Server], install: Callable[..., str], database_url: str, tmp_path: Path
) -> None:
    settings = {
        "DATABASE_URL": database_url,
        "SECRET_KEY": "sixteen characters or more",
        "PYTHONPATH": install("herald", PLUGIN),  # the author ships a plugin, the operator installs it
        "ALLOWED_PRIVATE_NETWORKS": "127.0.0.0/8",
    }

    def operate(*arguments: str) -> str:
        done = run_toolbox(*arguments, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # The operator: keys, an API of somebody, a toolset.
    admin = json.loads(operate("keys", "create", "ops", "--admin", "--json"))["secret"]
    with weather_service() as api:
        (tmp_path / "weather.json").write_text(json.dumps(describe_api(api)))
        operate("import", "--openapi", str(tmp_path / "weather.json"))
        (tmp_path / "toolsets.toml").write_text(TOOLSET)
        operate("toolsets", "apply", str(tmp_path / "toolsets.toml"))
        agent = json.loads(operate("keys", "create", "agent", "--toolset", "office", "--json"))["secret"]
        server = serve(**settings)
        async with httpx.AsyncClient(base_url=server.url) as stranger:
            assert (await stranger.post("/mcp/find_tool", json={"query": "x"})).status_code == 401

        # The agent, with the official client: it finds what the office has, and nothing else.
        async with (
            httpx.AsyncClient(headers={"Authorization": f"Bearer {agent}"}, timeout=60) as http,
            Client(streamable_http_client(f"{server.url}/toolsets/office/mcp", http_client=http)) as client,
        ):
            assert {tool.name for tool in (await client.list_tools()).tools} >= {"find_tool", "call_tool"}
            for wish, name, arguments, expected in (
                ("say something loudly", "herald_shout", {"text": "hello"}, '"HELLO!"'),
                ("will it rain tomorrow", "weather_forecast", {"city": "Oslo"}, '"sky"'),
            ):
                found = await client.call_tool("find_tool", {"query": wish})
                assert found.structured_content is not None
                assert found.structured_content["matches"][0]["name"] == name
                called = await client.call_tool("call_tool", {"tool_name": name, "arguments": arguments})
                assert expected in json.dumps(called.structured_content), called
            refused = await client.call_tool("call_tool", {"tool_name": "text_reverse", "arguments": {"text": "a"}})
            assert refused.is_error

    # The operator looks at what happened.
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {admin}"}) as http:
        while (calls := http.get("/stats").json()["calls"])["calls"] < 2:
            pass  # they are counted in the background
        changes = http.get("/admin/audit").json()
    assert (calls["calls"], calls["succeeded"]) == (2, 2)
    assert {"toolset", "key", "source"} <= {entry["subject_kind"] for entry in changes}, changes
