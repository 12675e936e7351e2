"""What a running server tells of itself: metrics, log lines."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.flows.conftest import STOP_SECONDS, Server
from tests.test_metrics import read

Serve = Callable[..., Server]

CALLS = ("toolbox_calls_total", "ok", "text_reverse")


def call(url: str) -> None:
    """A call over a connection of its own, so that any of the processes may take it."""
    body = {"tool_name": "text_reverse", "arguments": {"text": "abc"}}
    with httpx.Client() as client:
        client.post(f"{url}/mcp/call_tool", json=body).raise_for_status()


def scrape(url: str) -> dict[tuple[str, ...], float]:
    """What any of the processes says."""
    with httpx.Client() as client:
        return read(client.get(f"{url}/metrics").raise_for_status().text)


def workers(server: Server) -> list[psutil.Process]:
    """The processes that serve."""
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if any("spawn_main" in part for part in child.cmdline())]


def test_two_workers_are_counted_as_one(serve: Serve, database_url: str) -> None:
    server = serve("--workers", "2", DATABASE_URL=database_url)
    for _ in range(20):
        call(server.url)
    seen = [scrape(server.url) for _ in range(6)]
    assert [each[CALLS] for each in seen] == [20] * 6
    assert seen[-1]["toolbox_database_connections_max",] == 20
    with httpx.Client() as client:
        client.put(f"{server.url}/admin/log-level", json={"level": "ERROR"}).raise_for_status()
    agreed = 0
    while agreed < 6:  # whichever of the two is asked
        agreed = agreed + 1 if httpx.get(f"{server.url}/admin/log-level").json() == {"level": "ERROR"} else 0
    killed, _ = workers(server)
    killed.kill()
    for _ in range(20):
        try_to(lambda: call(server.url))
    after = try_to(lambda: scrape(server.url))
    assert after[CALLS] >= 40  # what the dead one counted stays
    assert after["toolbox_database_connections_max",] in {10, 20}
    assert server.stop() == 0


def try_to(work: Callable[[], Any]) -> Any:
    """Connections that the killed process had taken are lost."""
    for _ in range(5):
        try:
            return work()
        except httpx.TransportError:
            continue
    raise AssertionError("the server does not answer")


PLUGIN = """
import asyncio
import pathlib

import toolbox

@toolbox.tool
async def wait(marker: str, seconds: float) -> str:
    \"\"\"Wait.\"\"\"
    pathlib.Path(marker).touch()
    await asyncio.sleep(seconds)
    return "done"

@toolbox.hookimpl
def toolbox_tools():
    return [wait]
"""


def test_sigterm_finishes_what_runs_and_says_so(
    serve: Serve, database_url: str, tmp_path: Path, install: Callable[..., str]
) -> None:
    """Not ready at once, while the call that runs is finished; streams are ended, and what was logged is written."""
    server = serve(DATABASE_URL=database_url, PYTHONPATH=install("waiting", PLUGIN))
    marker = tmp_path / "running"
    arguments = {"marker": str(marker), "seconds": 2}
    stream = {"accept": "text/event-stream", "mcp-protocol-version": "2025-11-25"}
    with ThreadPoolExecutor(2) as threads, httpx.Client() as client:
        body = {"tool_name": "waiting_wait", "arguments": arguments}
        called = threads.submit(httpx.post, f"{server.url}/mcp/call_tool", json=body, timeout=30)
        listened = threads.submit(httpx.get, f"{server.url}/mcp", headers=stream, timeout=30)
        while not marker.exists():
            time.sleep(0.01)
        assert client.get(f"{server.url}/health/ready").status_code == 200
        server.process.terminate()
        while (ready := httpx.get(f"{server.url}/health/ready")).status_code == 200:
            pass
        assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
        assert ready.headers["connection"] == "close"
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert listened.result().status_code == 200
        assert called.result().json()["result"] == "done"
    assert server.process.wait(STOP_SECONDS) == 0
    log = server.read_lines()
    (stopped,) = [line for line in log if line["event"] == "stopped"]
    assert (stopped["drained"] >= 2, stopped["cut"]) == (True, 0)
    (line,) = [line for line in log if line.get("tool") == "waiting_wait"]
    assert (line["status"], line["caller"], line["path"]) == (200, "anonymous", "/mcp/call_tool")


def test_a_second_sigterm_hurries(serve: Serve, database_url: str, tmp_path: Path, install: Callable[..., str]) -> None:
    server = serve(DATABASE_URL=database_url, PYTHONPATH=install("waiting", PLUGIN))
    marker = tmp_path / "running"
    body = {"tool_name": "waiting_wait", "arguments": {"marker": str(marker), "seconds": 60}}
    with ThreadPoolExecutor(1) as thread:
        called = thread.submit(httpx.post, f"{server.url}/mcp/call_tool", json=body, timeout=30)
        while not marker.exists():
            time.sleep(0.01)
        server.process.terminate()
        while httpx.get(f"{server.url}/health/ready").status_code == 200:
            pass
        server.process.terminate()
        assert (called.result().status_code, called.result().json()["code"]) == (503, "stopping")
    assert server.process.wait(STOP_SECONDS) == 0
    (stopped,) = [line for line in server.read_lines() if line["event"] == "stopped"]
    assert stopped["cut"] == 1
