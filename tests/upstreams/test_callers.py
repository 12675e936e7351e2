"""What a server asks reaches our own caller, in whichever eras the two speak; a real client, ToolBox and server."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import mcp_types as types
import pytest
from mcp import Client

from tests.flows.conftest import Server, serve
from tests.upstreams.conftest import sdk_url

__all__ = ["sdk_url", "serve"]


async def elicit(_context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    assert params.message == "Your name?"
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def sample(_context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    (message,) = params.messages
    assert isinstance(message.content, types.TextContent)
    said = types.TextContent(type="text", text={"2 + 2?": "4"}[message.content.text])
    return types.CreateMessageResult(role="assistant", content=said, model="tiny")


@pytest.mark.timeout(120)
async def test_questions_of_a_server_reach_the_caller_in_either_era(
    serve: Callable[..., Server], database_url: str, sdk_url: str
) -> None:
    servers = {f"to_{era}": {"type": "http", "url": f"{sdk_url}/mcp", "era": era} for era in ("modern", "legacy")}
    server = serve(DATABASE_URL=database_url, MCP_SERVERS=json.dumps({"mcpServers": servers}))
    async with httpx.AsyncClient(base_url=server.url) as http:
        while len([each for each in (await http.get("/admin/upstreams")).json() if each["read_at"]]) < len(servers):
            pass
    for mode in ("2026-07-28", "legacy"):
        async with Client(
            f"{server.url}/mcp", mode=mode, elicitation_callback=elicit, sampling_callback=sample
        ) as client:
            for name in servers:
                for tool, said in (("greet", "Hello, Ada!"), ("think", "tiny says 4")):
                    wanted = {"tool_name": f"{name}__{tool}", "arguments": {}}
                    result = await client.call_tool("call_tool", wanted)
                    assert isinstance(result, types.CallToolResult)
                    assert (mode, name, said) == (mode, name, getattr(result.content[0], "text", None))
