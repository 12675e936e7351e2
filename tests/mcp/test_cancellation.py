"""A client that goes takes its request with it, in the stateless era."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.types import ASGIApp

from tests.mcp.conftest import META, sent_by
from toolbox.auth.callers import LOCAL
from toolbox.mcp import cancellation
from toolbox.mcp.cancellation import CancelledByClient, attended
from toolbox.mcp.methods import McpServer
from toolbox.mcp.routes import create_mcp_router
from toolbox.mcp.streams import Channel
from toolbox.plugins import Plugins
from toolbox.settings import Settings

GONE = {"type": "http.disconnect"}


async def send(_event: Any) -> None:
    raise AssertionError("nothing is sent before the answer")


CHANNEL = Channel(send, accepts_stream=False)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "PATIENCE_SECONDS", 0.0)


async def never() -> Any:
    await asyncio.Event().wait()


async def leave() -> dict[str, str]:
    return GONE


async def test_work_that_ends_in_time_gives_what_it_gives() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 5

    assert await attended(never, CHANNEL, work(), until_disconnect=True) == 5


async def test_a_client_that_goes_cancels_the_work() -> None:
    cancelled = asyncio.Event()

    async def work() -> int:
        try:
            await asyncio.Event().wait()
            return 5
        finally:
            cancelled.set()

    with pytest.raises(CancelledByClient):
        await attended(leave, CHANNEL, work(), until_disconnect=True)
    assert cancelled.is_set()
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_a_cancellation_from_elsewhere_goes_on() -> None:
    task = asyncio.create_task(attended(never, CHANNEL, never(), until_disconnect=True))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_fails_fails() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await attended(never, CHANNEL, work(), until_disconnect=True)


class Gate:
    """What a tool that waits says of itself."""

    def __init__(self) -> None:
        self.started, self.released = asyncio.Event(), asyncio.Event()
        self.is_cancelled = False


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins], gate: Gate) -> Plugins:
    async def wait() -> str:
        """Wait until it is let go."""
        gate.started.set()
        try:
            await gate.released.wait()
        except asyncio.CancelledError:
            gate.is_cancelled = True
            raise
        return "done"

    return make_plugins(demo=[wait])


@pytest.fixture
def app(make_server: Callable[[Settings], McpServer], settings: Settings) -> ASGIApp:
    server = make_server(settings)
    return sent_by(LOCAL, Litestar([create_mcp_router(settings, lambda _: server)], logging_config=None))


async def call_and_leave(app: ASGIApp, gate: Gate, version: str) -> int:
    """Call the tool, hang up when it runs, and give back the status that nobody receives."""
    params = {"name": "demo_wait", "_meta": META if version == "2026-07-28" else {}}
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    events = iter([{"type": "http.request", "body": body, "more_body": False}])
    sent: list[Any] = []

    async def receive() -> Any:
        event = next(events, None)
        if event is None:
            await gate.started.wait()
        return event or GONE

    async def send(event: Any) -> None:
        sent.append(event)

    headers = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "mcp-protocol-version": version,
        "mcp-method": "tools/call",
        "mcp-name": "demo_wait",
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": raw}
    await app(scope, receive, send)  # type: ignore[arg-type]
    status: int = sent[0]["status"]
    return status


async def test_hanging_up_cancels_a_call_of_the_stateless_era(app: ASGIApp, gate: Gate) -> None:
    assert await call_and_leave(app, gate, "2026-07-28") == 499
    assert gate.is_cancelled


async def test_hanging_up_cancels_nothing_in_the_handshake_era(app: ASGIApp, gate: Gate) -> None:
    call = asyncio.create_task(call_and_leave(app, gate, "2025-11-25"))
    await gate.started.wait()
    gate.released.set()
    assert await call == 200
    assert not gate.is_cancelled
