"""Calls: run under limits, and remembered."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import execute
from toolbox import ImageContent, TextContent, ToolContext, ToolResult, tool
from toolbox.auth.callers import Caller
from toolbox.auth.scopes import ALL
from toolbox.batches import MAX_BUFFERED
from toolbox.calls import executor as executor_module
from toolbox.calls.executor import Executor
from toolbox.calls.history import CallRecord, History
from toolbox.calls.service import CallRequest
from toolbox.database import Database, open_database
from toolbox.definitions import ToolDefinition
from toolbox.errors import Overloaded, ToolNotFound, ToolNotHere, ToolNotRunnable
from toolbox.plugins import Plugins
from toolbox.services import Services, open_services
from toolbox.settings import Settings
from toolbox.tools.sync import import_tools

threads: list[int] = []
released = threading.Event()


@tool
def blocking(context: ToolContext, text: str = "x") -> dict[str, Any]:
    """Block a thread."""
    threads.append(threading.get_ident())
    return {"text": text, "execution_id": context.execution_id, "caller": context.caller}


@tool
def wait_for_release() -> str:
    """Wait until the test says so."""
    released.wait(10)
    return "released"


@tool
async def show_picture() -> list[ImageContent | TextContent]:
    """Give back content."""
    return [ImageContent("aGk=", "image/png"), TextContent("hi")]


@tool
async def give_up() -> ToolResult:
    """Say that it failed."""
    return ToolResult((TextContent("not today"),), is_error=True)


@tool
async def unencodable() -> Any:
    """Give back something that is no JSON."""
    return object()


@tool
async def cancel_itself() -> None:
    """Raise CancelledError, as a broken library does."""
    raise asyncio.CancelledError


@tool
async def wait_in_vain() -> None:
    """Fail with a time-out of its own."""
    raise TimeoutError("the other side does not answer")


@tool
def leave() -> None:
    """Call exit(), as a script does."""
    raise SystemExit(3)


TOOLS = [
    blocking,
    wait_for_release,
    show_picture,
    give_up,
    unencodable,
    cancel_itself,
    leave,
    wait_in_vain,
]


@pytest.fixture
async def services(settings: Settings, make_plugins: Callable[..., Plugins]) -> AsyncIterator[Services]:
    plugins = make_plugins(demo=TOOLS)
    async with open_services(settings, plugins) as opened:
        await opened.sync()
        yield opened


async def call(services: Services, name: str, /, **arguments: Any) -> Any:
    request = CallRequest(tool_name=name, arguments=arguments, caller=Caller("somebody", ALL), channel="rest")
    return await services.calls.call_tool(request)


async def test_a_sync_function_runs_in_a_thread_and_knows_its_call(services: Services) -> None:
    done = await call(services, "demo_blocking")
    assert done.success
    assert done.result.structured == {"text": "x", "execution_id": str(done.execution_id), "caller": "somebody"}
    assert threads[-1] != threading.get_ident()


async def test_a_blocked_sync_tool_holds_nobody_up(services: Services) -> None:
    released.clear()
    slow = asyncio.create_task(call(services, "demo_wait_for_release"))
    assert (await call(services, "demo_blocking")).success
    assert not slow.done()
    released.set()
    assert (await slow).result.structured == "released"


async def test_content_is_kept_as_it_is(services: Services) -> None:
    done = await call(services, "demo_show_picture")
    assert done.result.content == (ImageContent("aGk=", "image/png"), TextContent("hi"))
    stored = await services.history.read(done.execution_id, "somebody")
    assert b"image/png" in bytes(stored.result)  # type: ignore[union-attr, arg-type]


async def test_a_result_that_says_it_failed_is_a_failure(services: Services) -> None:
    done = await call(services, "demo_give_up")
    assert not done.success
    assert (done.outcome.error_code, done.outcome.error_message) == ("tool_failed", "not today")


@pytest.mark.parametrize("name", ["demo_unencodable", "demo_cancel_itself", "demo_leave", "demo_wait_in_vain"])
async def test_a_broken_tool_is_a_crash_and_not_the_servers_end(services: Services, name: str) -> None:
    assert (await call(services, name)).outcome.error_code == "tool_crashed"


async def test_a_tool_that_cannot_run_says_why(services: Services) -> None:
    await import_tools(services.database, [ToolDefinition(name="only_described")], source="import:somewhere")
    with pytest.raises(ToolNotRunnable, match="no implementation"):
        await call(services, "only_described")
    await services.database.execute("update tools set source = 'plugin:other' where name = 'only_described'")
    with pytest.raises(ToolNotHere, match="'other'"):
        await call(services, "only_described")
    with pytest.raises(ToolNotFound):
        await call(services, "nothing")


async def test_calls_of_another_caller_cannot_be_read(services: Services) -> None:
    done = await call(services, "demo_blocking")
    assert await services.history.read(done.execution_id, "somebody") is not None
    assert await services.history.read(done.execution_id, "somebody else") is None


async def test_a_call_that_its_caller_gave_up_is_remembered(services: Services) -> None:
    released.clear()
    running = asyncio.create_task(call(services, "demo_wait_for_release"))
    await call(services, "demo_blocking")
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    released.set()
    await call(services, "demo_blocking")
    rows = await services.database.fetch("select error_code from calls where tool_name = 'demo_wait_for_release'")
    assert [row["error_code"] for row in rows] == ["cancelled"]


async def test_a_tool_runs_half_as_many_calls_as_are_allowed(
    make_plugins: Callable[..., Plugins],
) -> None:
    running, most = 0, 0
    three_run, go_on = asyncio.Event(), asyncio.Event()

    async def busy() -> None:
        """Count who runs."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            three_run.set()
        await go_on.wait()
        running -= 1

    tool_ = make_plugins(demo=[busy]).tools["demo_busy"]
    executor = Executor(concurrency=6, timeout_seconds=5)
    calls = [asyncio.create_task(executor.run(tool_, {}, execution_id=str(number), caller="c")) for number in range(10)]
    await three_run.wait()
    go_on.set()
    outcomes = await asyncio.gather(*calls)
    executor.close()
    assert most == 3
    assert all(outcome.error_code is None for outcome in outcomes)
    assert executor.load == (0, 0)


async def test_too_many_waiting_calls_are_refused(
    make_plugins: Callable[..., Plugins], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "MAX_WAITING", 1)
    go_on = asyncio.Event()

    async def busy() -> None:
        """Wait."""
        await go_on.wait()

    tool_ = make_plugins(demo=[busy]).tools["demo_busy"]
    executor = Executor(concurrency=1, timeout_seconds=5)
    calls = [asyncio.create_task(executor.run(tool_, {}, execution_id="1", caller="c")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await executor.run(tool_, {}, execution_id="2", caller="c")
    go_on.set()
    await asyncio.gather(*calls)
    executor.close()


async def test_the_shortest_time_limit_counts(make_plugins: Callable[..., Plugins]) -> None:
    limits = []

    async def look(context: ToolContext) -> None:
        """Note the limit."""
        limits.append(context.timeout_seconds)

    patient = tool(name="patient", timeout_seconds=100)(look)
    tool_ = make_plugins(demo=[patient]).tools["demo_patient"]
    executor = Executor(concurrency=1, timeout_seconds=30)
    for wanted in (None, 5, 500):
        await executor.run(tool_, {}, execution_id="1", caller="c", timeout_seconds=wanted)
    executor.close()
    assert limits == [100, 5, 100]


async def test_a_cancelled_caller_cancels_the_tool(make_plugins: Callable[..., Plugins]) -> None:
    cancelled = asyncio.Event()

    async def wait() -> None:
        """Wait for the end."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    tool_ = make_plugins(demo=[wait]).tools["demo_wait"]
    executor = Executor(concurrency=1, timeout_seconds=30)
    running = asyncio.create_task(executor.run(tool_, {}, execution_id="1", caller="c"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    executor.close()
    assert cancelled.is_set()


def record(**changed: Any) -> CallRecord:
    values: dict[str, Any] = {
        "id": uuid4(),
        "tool_name": "a",
        "tool_version": "1",
        "caller": "c",
        "channel": "rest",
        "arguments": {},
        "success": True,
        "started_at": datetime.now(UTC),
        "duration_ms": 1.0,
    }
    return CallRecord(**(values | changed))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=2, max_overflow=2, timeout_seconds=2) as opened:
        yield opened


async def test_what_is_left_is_written_when_the_server_ends(database: Database) -> None:
    history = History(database)
    async with history.running():
        for _ in range(1200):
            history.record(record())
    assert (await history.statistics()).calls == 1200


async def test_durations_are_told_to_a_hundredth(database: Database) -> None:
    history = History(database)
    async with history.running():
        for duration_ms in (1.23456, 2.3333333, 9.87654321):
            history.record(record(duration_ms=duration_ms))
    statistics = await history.statistics()
    assert (statistics.p50_ms, statistics.p95_ms) == (pytest.approx(2.33, rel=0.011), pytest.approx(9.88, rel=0.011))


async def test_an_id_that_is_handed_out_is_on_disk(database: Database) -> None:
    history = History(database)
    async with history.running():
        calls = [record() for _ in range(50)]
        assert all(await asyncio.gather(*(history.write(call) for call in calls)))
        for one in calls:
            assert await history.read(one.id, "c") is not None


async def test_the_history_waits_for_a_lost_database(database: Database, database_url: str, postgres: str) -> None:
    history = History(database)
    async with history.running():
        await execute(
            postgres, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'toolbox'"
        )
        assert await history.write(record())
    assert (await history.statistics("a")).calls == 1


async def test_a_call_that_cannot_be_stored_costs_no_other(database: Database) -> None:
    history = History(database)
    async with history.running():
        assert await asyncio.gather(
            *(history.write(call) for call in (record(), record(tool_name="a\0b"), record(arguments=object())))
        )
        assert await history.write(record())
    assert (await history.statistics()).calls == 2
    assert history.dropped == 2


async def test_a_full_buffer_drops_the_oldest_and_counts_them(database: Database) -> None:
    history = History(database)
    for _ in range(MAX_BUFFERED + 5):
        history.record(record())
    assert history.dropped == 5
    async with history.running():
        pass
    assert (await history.statistics()).calls == MAX_BUFFERED
