"""ToolBox's own jobs, and what health says of the queue."""

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from litestar.testing import AsyncTestClient

from tests.conftest import BASE_URL, execute, wait_until_ready
from tests.queue.conftest import until
from toolbox import jobs
from toolbox.app import create_app
from toolbox.database import Database
from toolbox.definitions import ToolDefinition
from toolbox.errors import EmbeddingError
from toolbox.index.embeddings import BATCH as EMBEDDED_AT_ONCE
from toolbox.index.embeddings import count_pending
from toolbox.jobs import delete_old_rows
from toolbox.plugins import Plugins
from toolbox.services import MOST_EMBEDDED_AT_ONCE, open_services, working
from toolbox.settings import Settings
from toolbox.tools.sync import import_tools

OLD_AND_NEW_CALLS = """
    insert into calls (id, tool_name, tool_version, caller, channel, arguments, success, started_at, duration_ms)
    select gen_random_uuid(), 'a', '1', 'c', 'rest', '{}', true, now() - make_interval(days => days), 1
    from generate_series(0, 59) as days
"""


class MoodyEmbedder:
    """An embedder that works only when it is well."""

    name = "moody"
    dimensions = 3
    is_well = False

    async def embed(self, texts: Sequence[str], _purpose: str) -> Any:
        if not self.is_well:
            raise EmbeddingError("the model is out of order")
        return np.tile(np.array([1.0, 0.0, 0.0], dtype=np.float32), (len(texts), 1))


class MeetingEmbedder(MoodyEmbedder):
    """An embedder that begins when another one does, and counts the tools that it was given."""

    name = "meeting"
    is_well = True

    def __init__(self, both: asyncio.Barrier) -> None:
        self.embedded = 0
        self._both = both

    async def embed(self, texts: Sequence[str], purpose: str) -> Any:
        if purpose == "tool":
            if not self.embedded:
                await self._both.wait()
            self.embedded += len(texts)
        return await super().embed(texts, purpose)


@pytest.mark.parametrize(("days", "kept"), [(30, 30), (1, 1), (0, 60)])
async def test_calls_are_kept_for_so_many_days_in_batches(
    database: Database, monkeypatch: pytest.MonkeyPatch, days: int, kept: int
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 7)
    await database.execute(OLD_AND_NEW_CALLS)
    await delete_old_rows(database, call_retention_days=days)
    row = await database.fetch_row(
        "select count(*) as calls, max(now() - started_at) < make_interval(days => $1) as young from calls", days or 60
    )
    assert row == (kept, True)


async def test_retention_is_a_job_with_a_schedule(settings: Settings, make_plugins: Callable[..., Plugins]) -> None:
    async with open_services(settings, make_plugins()) as services:
        await services.database.execute(OLD_AND_NEW_CALLS)
        async with working(services):
            await services.queue.enqueue("retention")
            await until(lambda: _count(services.database, "select from calls", 30))
            await until(
                lambda: _count(services.database, "select from queue_schedules where entrypoint='retention'", 1)
            )


async def test_what_sync_could_not_embed_is_embedded_by_a_job(
    settings: Settings, make_plugins: Callable[..., Plugins]
) -> None:
    embedder = MoodyEmbedder()
    plugins = make_plugins(demo=[_say_hello])
    plugins.embedders[embedder.name] = embedder  # type: ignore[assignment]
    async with open_services(settings, plugins) as services:
        assert services.embed
        await services.sync()
        await services.sync()
        assert services.sync_problem == "the model is out of order"
        assert await count_pending(services.database, services.embed[0]) == 1
        assert (await services.queue.status()).waiting == 1
        embedder.is_well = True
        async with working(services):
            await until(lambda: _count(services.database, "select from embeddings", 1))


async def test_processes_share_the_embedding_of_a_catalogue(
    settings: Settings, make_plugins: Callable[..., Plugins]
) -> None:
    """One job is added; the process that works it calls the other one, and both embed until nothing is left."""
    both, tools = asyncio.Barrier(2), 12 * EMBEDDED_AT_ONCE
    embedders = [MeetingEmbedder(both), MeetingEmbedder(both)]
    async with contextlib.AsyncExitStack() as stack:
        processes = []
        for embedder in embedders:
            plugins = make_plugins()
            plugins.embedders[embedder.name] = embedder  # type: ignore[assignment]
            processes.append(await stack.enter_async_context(open_services(settings, plugins)))
        database = processes[0].database
        definitions = [ToolDefinition(name=f"tool_{number}") for number in range(tools)]
        await import_tools(database, definitions, source="import:x")
        for process in processes:
            await stack.enter_async_context(working(process))
        await processes[0].queue.enqueue(f"embed:{embedders[0].name}")
        await until(lambda: _count(database, "select from embeddings", tools))
        await until(lambda: _count(database, "select from queue_jobs", 0))
    embedded = [embedder.embedded for embedder in embedders]
    assert sum(embedded) == tools
    assert min(embedded) > 0


class SlowEmbedder(MoodyEmbedder):
    """An embedder that waits with the tools until it may begin."""

    name = "slow"
    is_well = True

    def __init__(self) -> None:
        self.may_begin = asyncio.Event()

    async def embed(self, texts: Sequence[str], purpose: str) -> Any:
        if purpose == "tool":
            await self.may_begin.wait()
        return await super().embed(texts, purpose)


async def test_a_server_is_ready_while_many_tools_wait_for_their_embedding(
    settings: Settings, make_plugins: Callable[..., Plugins]
) -> None:
    embedder, tools = SlowEmbedder(), MOST_EMBEDDED_AT_ONCE + 1
    plugins = make_plugins()
    plugins.embedders[embedder.name] = embedder  # type: ignore[assignment]
    async with open_services(settings, plugins) as services:
        definitions = [ToolDefinition(name=f"tool_{number}") for number in range(tools)]
        await import_tools(services.database, definitions, source="import:x")
        async with AsyncTestClient(create_app(settings, plugins), base_url=BASE_URL) as client:
            await wait_until_ready(client)
            checks = (await client.get("/health/detailed")).json()["checks"]
            assert checks["tools"]["figures"] == {"total": tools, "indexed": 0, "waiting": tools}
            found = (await client.post("/mcp/find_tool", json={"query": "tool_7", "limit": 1})).json()
            assert [match["name"] for match in found] == ["tool_7"]
            embedder.may_begin.set()
            await until(lambda: _count(services.database, "select from embeddings", tools))


async def test_health_says_how_the_queue_is(settings: Settings, make_plugins: Callable[..., Plugins]) -> None:
    async with AsyncTestClient(create_app(settings, make_plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        said = (await client.get("/health/detailed")).json()["checks"]["queue"]
        assert said["status"] == "ok"
        assert re.fullmatch(r"\d waiting, \d running, 0 failed", said["detail"])  # a start leaves some to do
        assert settings.database_url
        await execute(
            settings.database_url.reveal(),
            "insert into queue_jobs (priority, entrypoint, status, execute_after)"
            " values (0, 'unknown', 'queued', now() - interval '10 minutes'), (0, 'unknown', 'failed', now())",
        )
        said = (await client.get("/health/detailed")).json()["checks"]["queue"]
        assert said["status"] == "degraded"
        assert re.match(r"\d waiting, \d running, 1 failed; the oldest has been waiting for 60", said["detail"])


async def test_the_server_works_the_queue(settings: Settings, make_plugins: Callable[..., Plugins]) -> None:
    async with AsyncTestClient(create_app(settings, make_plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        assert settings.database_url
        await execute(
            settings.database_url.reveal(),
            OLD_AND_NEW_CALLS,
            "insert into queue_jobs (priority, entrypoint, status) values (0, 'retention', 'queued')",
        )
        async with open_services(settings, make_plugins()) as services:
            await until(lambda: _count(services.database, "select from calls", 30))


async def _count(database: Database, query: str, wanted: int) -> bool:
    return len(await database.fetch(query)) == wanted


def _say_hello(name: str) -> str:
    """Greet somebody."""
    return f"Hello {name}"


async def test_jobs_wait_until_they_may_begin(settings: Settings, make_plugins: Callable[..., Plugins]) -> None:
    async with open_services(settings, make_plugins()) as services:
        await services.queue.enqueue("retention")
        begin = asyncio.Event()
        async with working(services, after=begin):
            assert (await services.queue.status()).waiting == 1
            begin.set()
            await until(lambda: _count(services.database, "select from queue_jobs", 0))
        await services.queue.enqueue("retention")
        async with working(services, after=asyncio.Event()):
            pass  # ends although it has never begun
        assert (await services.queue.status()).waiting == 1
