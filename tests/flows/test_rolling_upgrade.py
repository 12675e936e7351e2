"""A new version comes into service while callers go on: two replicas, replaced one after the other."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.flows.conftest import STOP_SECONDS, Server, start_server

PLUGIN = """
import toolbox

def greet(name: str) -> str:
    \"\"\"{description}\"\"\"
    return f"{word} {{name}}"

{more}

@toolbox.hookimpl
def toolbox_tools():
    return [greet{offered}]
"""
OLD = PLUGIN.format(description="Greet somebody.", word="Hello", more="", offered="")
NEW = PLUGIN.format(
    description="Greet somebody warmly.",
    word="Welcome",
    more='def part(name: str) -> str:\n    """Say goodbye to somebody."""\n    return f"Bye {name}"',
    offered=", part",
)


@pytest.fixture
def install_version(tmp_path: Path) -> Callable[[str, str], str]:
    """Leaves behind what pip would for a version of a plugin, and gives back the folder for PYTHONPATH."""

    def write(version: str, code: str) -> str:
        folder = tmp_path / version
        record = folder / f"greeting-{version}.dist-info"
        record.mkdir(parents=True)
        (folder / "greeting_plugin.py").write_text(code)
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n")
        (record / "entry_points.txt").write_text("[toolbox]\ngreeting = greeting_plugin\n")
        return str(folder)

    return write


@pytest.fixture
def running() -> Iterator[list[Server]]:
    servers: list[Server] = []
    yield servers
    for server in servers:
        if server.process.poll() is None:
            server.process.terminate()
        server.process.communicate(timeout=STOP_SECONDS)


class Balancer:
    """What stands before replicas: sends requests in turn to those that are in service."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.answers: Counter[str] = Counter()
        self._turn = 0

    async def call(self, client: httpx.AsyncClient) -> None:
        self._turn += 1
        url = self.urls[self._turn % len(self.urls)]
        request = {"tool_name": "greeting_greet", "arguments": {"name": "Ada"}}
        answer = await client.post(f"{url}/mcp/call_tool", json=request)
        self.answers[str(answer.json()["result"]) if answer.is_success else f"{answer.status_code} {answer.text}"] += 1

    @contextlib.asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Callers call all the time, until the block ends."""
        ended = False

        async def keep_calling() -> None:
            async with httpx.AsyncClient(timeout=60) as client:
                while not ended:
                    await self.call(client)

        callers = [asyncio.create_task(keep_calling()) for _ in range(4)]
        yield
        ended = True
        await asyncio.gather(*callers)


async def test_a_rolling_upgrade_fails_no_call(
    database_url: str, install_version: Callable[[str, str], str], running: list[Server]
) -> None:
    old, new = install_version("1.0", OLD), install_version("2.0", NEW)
    balancer = Balancer()

    async def start(folder: str) -> Server:
        server = await asyncio.to_thread(start_server, DATABASE_URL=database_url, PYTHONPATH=folder)
        running.append(server)
        balancer.urls.append(server.url)
        return server

    async def stop(server: Server) -> None:
        """As a cluster does: first no new requests, then the signal."""
        balancer.urls.remove(server.url)
        await asyncio.to_thread(server.stop)

    first, second = await start(old), await start(old)
    async with balancer.busy():
        third = await start(new)  # one more is started before one is ended
        await stop(first)
        async with httpx.AsyncClient(base_url=second.url) as client:
            found = (await client.get("/tools/greeting_greet")).json()
            assert found["description"] == "Greet somebody warmly.", "the newer plugin's definition does not win"
            elsewhere = await client.post(
                "/mcp/call_tool", json={"tool_name": "greeting_part", "arguments": {"name": "Ada"}}
            )
            assert (elsewhere.status_code, elsewhere.json()["code"]) == (503, "tool_not_here")
        await start(new)
        await stop(second)
    assert set(balancer.answers) == {"Hello Ada", "Welcome Ada"}, balancer.answers
    async with httpx.AsyncClient(base_url=third.url) as client:
        query = {"query": "say goodbye", "limit": 1}
        assert (await client.post("/mcp/find_tool", json=query)).json()[0]["name"] == "greeting_part"
