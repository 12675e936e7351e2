"""Events, on a real PostgreSQL whose connections are really cut."""

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from tests.conftest import execute
from toolbox import events as events_module
from toolbox.database import open_database
from toolbox.definitions import ToolDefinition
from toolbox.events import MAX_PAYLOAD_BYTES, Event, Events, notify
from toolbox.tools.repository import ToolRepository
from toolbox.tools.sync import import_tools


class Ear:
    """A subscriber that remembers."""

    def __init__(self) -> None:
        self.heard = asyncio.Queue[Event]()

    def __call__(self, event: Event) -> None:
        self.heard.put_nowait(event)

    async def next(self) -> Event:
        return await self.heard.get()


async def test_every_process_hears_what_is_told(database_url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5)
        )
        ears = [Ear(), Ear()]
        for ear in ears:
            process = Events(database_url)
            await stack.enter_async_context(process.running())
            process.subscribe("tools", ear)
        await notify(database, "tools", "é" * (MAX_PAYLOAD_BYTES // 2))
        assert [await ear.next() for ear in ears] == [Event("tools", "é" * (MAX_PAYLOAD_BYTES // 2))] * 2


async def test_what_is_told_in_a_transaction_is_heard_when_it_commits(database_url: str) -> None:
    events, ear = Events(database_url), Ear()
    events.subscribe("tools", ear)
    async with (
        events.running(),
        open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database,
    ):
        with contextlib.suppress(ZeroDivisionError):
            async with database.transaction() as connection:
                await notify(connection, "tools", "lost")
                raise ZeroDivisionError
        async with database.transaction() as connection:
            await notify(connection, "tools", "kept")
            await notify(connection, "tools", "kept")
        await notify(database, "tools", "last")
        assert [await ear.next(), await ear.next()] == [Event("tools", "kept"), Event("tools", "last")]


async def test_a_payload_that_is_too_long_is_refused(database_url: str) -> None:
    async with open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        with pytest.raises(ValueError, match="7901 bytes"):
            await notify(database, "tools", "x" * (MAX_PAYLOAD_BYTES + 1))


async def test_channels_are_heard_apart_until_the_subscription_ends(database_url: str) -> None:
    events, ear, other = Events(database_url), Ear(), Ear()
    unsubscribe = events.subscribe("tools", ear)
    events.subscribe("queue", other)
    async with (
        events.running(),
        open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database,
    ):
        await notify(database, "tools", "1")
        assert await ear.next() == Event("tools", "1")
        unsubscribe()
        unsubscribe()
        await notify(database, "tools", "2")
        await notify(database, "queue", "3")
        assert await other.next() == Event("queue", "3")
    assert ear.heard.empty()


async def test_after_a_lost_connection_subscribers_are_told_to_look_for_themselves(database_url: str) -> None:
    events, ears = Events(database_url), [Ear(), Ear()]
    events.subscribe("tools", ears[0])
    events.subscribe("queue", ears[1])
    async with (
        events.running(),
        open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database,
    ):
        await _cut(database_url)
        assert [await ear.next() for ear in ears] == [
            Event("tools", is_resync=True),
            Event("queue", is_resync=True),
        ]
        await notify(database, "tools", "again")
        assert await ears[0].next() == Event("tools", "again")


async def test_a_database_that_is_away_for_a_while_is_waited_for(database_url: str, postgres: str) -> None:
    events, ear = Events(database_url), Ear()
    events.subscribe("tools", ear)
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with events.running():
        await execute(postgres, f"alter database {name} allow_connections false")
        await execute(postgres, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        refused = asyncio.create_task(ear.next())
        await asyncio.wait({refused}, timeout=0.3)
        assert not refused.done()
        await execute(postgres, f"alter database {name} allow_connections true")
        assert await refused == Event("tools", is_resync=True)


async def test_a_subscriber_that_fails_keeps_nothing_from_the_others(database_url: str) -> None:
    events, ear = Events(database_url), Ear()

    def fail(_: Event) -> None:
        raise ValueError("broken")

    events.subscribe("tools", fail)
    events.subscribe("tools", ear)
    async with (
        events.running(),
        open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database,
    ):
        for payload in ("1", "2"):
            await notify(database, "tools", payload)
            assert await ear.next() == Event("tools", payload)


async def test_behind_a_pooler_subscribers_look_for_themselves_now_and_then(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "POLL_SECONDS", 0.01)
    events, ear = Events(database_url, can_listen=False), Ear()
    events.subscribe("tools", ear)
    with capture_logs() as said:
        async with events.running():
            assert [await ear.next(), await ear.next()] == [Event("tools", is_resync=True)] * 2
    assert ["transaction pooler" in line["event"] for line in said] == [True]


async def test_a_change_of_the_catalogue_is_told_and_no_change_is_not(database_url: str) -> None:
    events, ear = Events(database_url), Ear()
    events.subscribe("tools", ear)
    tools = [ToolDefinition(name="a_tool", description="does it")]
    async with (
        events.running(),
        open_database(database_url, pool_size=2, max_overflow=0, timeout_seconds=5) as database,
    ):
        await import_tools(database, tools, source="import:test")
        assert await ear.next() == Event("tools")
        await import_tools(database, tools, source="import:test")
        await notify(database, "tools", "last")
        assert await ear.next() == Event("tools", "last")


async def test_taking_tools_away_is_told(database_url: str) -> None:
    events, ear = Events(database_url), Ear()
    events.subscribe("tools", ear)
    async with (
        events.running(),
        open_database(database_url, pool_size=2, max_overflow=0, timeout_seconds=5) as database,
    ):
        await import_tools(database, [ToolDefinition(name="a_tool", description="does it")], source="import:test")
        assert await ear.next() == Event("tools")
        assert await ToolRepository(database).delete_source("import:test") == 1
        assert await ear.next() == Event("tools")


async def _cut(url: str) -> None:
    await execute(
        url, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'toolbox events'"
    )
