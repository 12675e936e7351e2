"""Hot reload in real processes: what was installed, upgraded or removed counts in every worker; no call is cut off."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.conftest import Server, serve
from tests.test_reloads import Package

__all__ = ["serve"]

CODE = '''
import asyncio
from pathlib import Path
import toolbox


def greet() -> str:
    """Greet somebody."""
    return "{words}"


async def wait(folder: str) -> str:
    """Wait until told to go on."""
    Path(folder, "runs").touch()
    while not Path(folder, "go on").exists():
        await asyncio.sleep(0.02)
    return "{words}"


@toolbox.hookimpl
def toolbox_tools():
    return [greet, wait]

# {extra}{more}{prompt}
'''


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


@pytest.fixture
async def server(serve: Callable[..., Server], package: Package, database_url: str) -> Server:
    return await asyncio.to_thread(
        serve,
        "--workers",
        "2",
        DATABASE_URL=database_url,
        PYTHONPATH=str(package.folder),
        PYTHONDONTWRITEBYTECODE="1",
        PLUGINS_DISABLED="minilm",  # a model would be loaded, and embed, in both
    )


@pytest.fixture
async def workers(server: Server) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A client of each of both workers: a connection that is kept open ends in one of them."""
    found = dict[str, httpx.AsyncClient]()
    async with AsyncExitStack() as stack:
        while len(found) < 2:
            limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, limits=limits, timeout=60))
            response = await client.get("/stats")
            if response.status_code == 200:
                found.setdefault(response.json()["started_at"], client)
        yield list(found.values())


async def call(worker: httpx.AsyncClient, name: str = "hot_greet", **arguments: Any) -> Any:
    answer = (await worker.post("/mcp/call_tool", json={"tool_name": name, "arguments": arguments})).json()
    return answer["result"] if answer.get("success") else answer["code"]


async def start_times(workers: list[httpx.AsyncClient]) -> list[str]:
    return [(await worker.get("/stats")).json()["started_at"] for worker in workers]


async def until_both_say(workers: list[httpx.AsyncClient], wanted: str) -> None:
    """Bounded by the time limit of the test."""
    while [await call(worker) for worker in workers] != [wanted, wanted]:
        await asyncio.sleep(0.05)


async def test_both_workers_take_up_what_has_changed_and_calls_finish_on_the_old_code(
    server: Server, workers: list[httpx.AsyncClient], package: Package, tmp_path: Path
) -> None:
    started = await start_times(workers)
    assert [await call(worker) for worker in workers] == ["tool_not_found", "tool_not_found"]
    package.install("1.0", "installed", code=CODE)
    (change,) = (await workers[0].post("/admin/reload")).json()["changes"]
    assert change["outcome"] == "installed"
    await until_both_say(workers, "installed")

    async with httpx.AsyncClient(base_url=server.url, timeout=60) as other:
        waiting = asyncio.create_task(call(other, "hot_wait", folder=str(tmp_path)))
        while not (tmp_path / "runs").exists():
            await asyncio.sleep(0.02)
        package.install("2.0", "upgraded", code=CODE)
        server.process.send_signal(signal.SIGHUP)
        await until_both_say(workers, "upgraded")
        assert not waiting.done()
        (tmp_path / "go on").touch()
        assert await waiting == "installed"

    package.remove()
    server.process.send_signal(signal.SIGHUP)
    await until_both_say(workers, "tool_not_found")
    assert await start_times(workers) == started, "a worker was started anew"
