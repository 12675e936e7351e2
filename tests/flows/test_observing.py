"""What a running server tells of itself: metrics, log lines."""

from collections.abc import Callable
from typing import Any

import httpx
import psutil

from tests.flows.conftest import Server
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
