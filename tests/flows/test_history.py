"""The history when a server ends: SIGTERM loses nothing; kill -9 the last second at most, and no id given out."""

import asyncio
from collections.abc import Callable

import asyncpg
import httpx

from tests.auth.conftest import mcp_request
from tests.flows.conftest import Server, serve

__all__ = ["serve"]

CALLS = 50
LAST_SECONDS = 1.5
"""A batch a second, and the time that it takes to be written."""


async def call_over_mcp(client: httpx.AsyncClient) -> None:
    body, headers = mcp_request("tools/call", {"name": "text_reverse", "arguments": {"text": "abc"}})
    answer = await client.post("/mcp", content=body, headers=headers)
    assert "cba" in answer.text


async def count(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval("select count(*) from calls"))
    finally:
        await connection.close()


async def test_a_server_that_ends_loses_no_call(serve: Callable[..., Server], database_url: str) -> None:
    server = await asyncio.to_thread(serve, DATABASE_URL=database_url, PLUGINS_DISABLED="minilm")
    async with httpx.AsyncClient(base_url=server.url) as client:
        await asyncio.gather(*(call_over_mcp(client) for _ in range(CALLS)))
    assert await asyncio.to_thread(server.stop) == 0
    assert await count(database_url) == CALLS


async def test_a_server_that_is_killed_loses_the_last_second_alone(
    serve: Callable[..., Server], database_url: str
) -> None:
    server = await asyncio.to_thread(serve, DATABASE_URL=database_url, PLUGINS_DISABLED="minilm")
    async with httpx.AsyncClient(base_url=server.url) as client:
        await asyncio.gather(*(call_over_mcp(client) for _ in range(CALLS)))
        await asyncio.sleep(LAST_SECONDS)  # what this test is about
        call = {"tool_name": "text_reverse", "arguments": {"text": "abc"}}
        given = (await client.post("/mcp/call_tool", json=call)).json()["execution_id"]
        server.process.kill()
    await asyncio.to_thread(server.process.wait)
    assert await count(database_url) == CALLS + 1
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("select true from calls where id = $1::uuid", given)
    finally:
        await connection.close()
