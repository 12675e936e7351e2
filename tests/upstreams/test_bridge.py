"""toolbox bridge: a stdio server over HTTP, in both eras, with what it asks and tells."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from tests.upstreams.conftest import SDK_SERVER
from tests.upstreams.test_supervisor import Asked, as_it_is, make_context
from toolbox.definitions import Upstream
from toolbox.upstreams.bridge import open_bridge
from toolbox.upstreams.client import ServerError
from toolbox.upstreams.supervisor import Supervisor


@pytest.fixture
async def bridge_url() -> AsyncIterator[str]:
    upstream = Upstream(name="bridge", command=sys.executable, args=(SDK_SERVER, "stdio"), session="serial")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        async with open_bridge(upstream, host="127.0.0.1") as app:
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
            server.should_exit = True
            await serving


async def test_a_stdio_server_is_bridged(bridge_url: str) -> None:
    supervisor = Supervisor(resolve=as_it_is)
    async with supervisor.running():
        for era in ("modern", "legacy"):
            supervisor.configure({"b": Upstream(name="b", transport="http", url=bridge_url, era=era)})  # type: ignore[arg-type]
            supervised = supervisor.get("b")

            async def call(name: str, client: Any = None, **arguments: Any) -> Any:
                context = make_context(client or Asked())
                params = {"name": name, "arguments": arguments}
                return await supervised.request("tools/call", params, context)  # noqa: B023

            assert (await call("add", a=2, b=3))["structuredContent"] == {"result": 5}
            session = await supervised.session()
            assert "greet" in [tool["name"] for tool in await session.list_all("tools/list", "tools")]
            assert (await session.list_all("prompts/list", "prompts"))[0]["name"] == "review"
            asked = Asked({"action": "accept", "content": {"name": "Ada"}})
            assert (await call("greet", asked))["content"][0]["text"] == "Hello, Ada!"
            await call("count", listener := Asked(), to=2)
            assert listener.heard([1.0, 2.0])
            with pytest.raises(ServerError):
                await supervised.request("prompts/get", {"name": "nothing"}, make_context())
