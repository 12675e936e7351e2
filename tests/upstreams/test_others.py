"""Servers that others wrote, over stdio: the official SDK's in both eras, and two of npm's."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.node import find_node
from tests.upstreams.conftest import SDK_SERVER
from tests.upstreams.test_supervisor import Asked, as_it_is, make_context
from toolbox.definitions import Upstream
from toolbox.upstreams.discovery import read_offer
from toolbox.upstreams.supervised import Supervised
from toolbox.upstreams.supervisor import Supervisor
from toolbox.upstreams.tool import to_result


@pytest.fixture
async def supervisor() -> Any:
    supervisor = Supervisor(resolve=as_it_is)
    async with supervisor.running():
        yield supervisor


async def call(supervised: Supervised, name: str, context: Any = None, **arguments: Any) -> dict[str, Any]:
    return await supervised.request("tools/call", {"name": name, "arguments": arguments}, context or make_context())


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_server_of_the_official_sdk(supervisor: Supervisor, era: Any) -> None:
    upstream = Upstream(name="sdk", command=sys.executable, args=(SDK_SERVER, "stdio"), era=era, session="serial")
    supervisor.configure({"sdk": upstream})
    supervised = supervisor.get("sdk")
    session = await supervised.session()
    assert session.info is not None
    assert session.info.is_modern is (era == "modern")
    assert (await call(supervised, "add", a=2, b=3))["structuredContent"] == {"result": 5}
    asked = Asked({"action": "accept", "content": {"name": "Ada"}})
    assert (await call(supervised, "greet", make_context(asked)))["content"][0]["text"] == "Hello, Ada!"
    listener = Asked()
    await call(supervised, "count", make_context(listener), to=2)
    assert listener.heard([1.0, 2.0])


async def test_servers_from_npm(supervisor: Supervisor, tmp_path: Path) -> None:
    node = find_node(oldest_major=18)
    folder = node.install(
        "upstreams", "@modelcontextprotocol/server-everything", "@modelcontextprotocol/server-filesystem"
    )
    modules = folder / "node_modules" / "@modelcontextprotocol"
    everything = Upstream(
        name="everything",
        command=node.command,
        args=(str(modules / "server-everything" / "dist" / "index.js"), "stdio"),
        session="serial",
    )
    files = Upstream(
        name="files",
        command=node.command,
        args=(str(modules / "server-filesystem" / "dist" / "index.js"), str(tmp_path)),
    )
    supervisor.configure({"everything": everything, "files": files})

    supervised = supervisor.get("everything")
    session = await supervised.session()
    offer = read_offer(everything, await session.list_all("tools/list", "tools"), taken=(), known={})
    assert offer.left_out == ()
    assert "everything__echo" in offer.implementations
    assert "hello" in (await call(supervised, "echo", message="hello"))["content"][0]["text"]
    assert await session.list_all("resources/list", "resources")
    assert await session.list_all("prompts/list", "prompts")

    (tmp_path / "note.txt").write_text("water the plants")
    supervised = supervisor.get("files")
    offer = read_offer(files, await (await supervised.session()).list_all("tools/list", "tools"), taken=(), known={})
    assert len(offer.definitions) > 5
    read = await call(supervised, "read_text_file", path=str(tmp_path / "note.txt"))
    assert "water the plants" in to_result(read, "files").content[0].text  # type: ignore[union-attr]
    outside = to_result(await call(supervised, "read_text_file", path="/etc/passwd"), "files")
    assert outside.is_error
