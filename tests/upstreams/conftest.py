"""Servers for upstreams to be, and a ToolBox with nothing but them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from tests.conftest import BASE_URL, wait_until_ready
from toolbox.app import create_app
from toolbox.plugins import Plugins
from toolbox.settings import Settings

HOSTILE = str(Path(__file__).with_name("hostile.py"))
SDK_SERVER = str(Path(__file__).with_name("sdk_server.py"))


@pytest.fixture(scope="session")
async def sdk_url() -> AsyncIterator[str]:
    """Where a server of the official SDK listens: streamable HTTP at /mcp, HTTP+SSE at /sse."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, SDK_SERVER, "http", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    yield f"http://127.0.0.1:{port}"
    process.kill()
    await process.wait()
    process._transport.close()  # type: ignore[attr-defined]


@pytest.fixture
async def toolbox_client(settings: Settings) -> AsyncIterator[AsyncTestClient[Any]]:
    """A ToolBox without plugins."""
    async with AsyncTestClient(create_app(settings, Plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        yield client


async def wait_for_tools(client: AsyncTestClient[Any], name: str) -> dict[str, Any]:
    """The upstream, as soon as its lists have been read."""
    while True:
        found = (await client.get(f"/admin/upstreams/{name}")).json()
        if found.get("read_at") or found.get("problem"):
            return dict(found)
        await asyncio.sleep(0.02)
