"""Lanes: places for calls, shared out among tools."""

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from toolbox import ToolContext, ToolError, ToolResult, tool
from toolbox.auth.callers import LOCAL, Caller
from toolbox.calls import results
from toolbox.calls.executor import Executor
from toolbox.calls.lanes import Lane, Lanes
from toolbox.calls.service import CallRequest
from toolbox.errors import InvalidArguments, Overloaded
from toolbox.plugins import Plugins
from toolbox.services import Services, open_services
from toolbox.settings import Settings

SLOW, SLOWER, FAST = Lane("slow"), Lane("slower"), Lane("fast")


async def fill(lanes: Lanes, lane: Lane, calls: int) -> list[asyncio.Task[None]]:
    entering = [asyncio.create_task(lanes.enter(lane, patience_seconds=60)) for _ in range(calls)]
    await asyncio.sleep(0)
    return entering


async def give_up(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_slow_calls_leave_places_to_others() -> None:
    lanes = Lanes(64, queue=1000)
    waiting = await fill(lanes, SLOW, 100) + await fill(lanes, SLOWER, 100)
    assert (lanes.running, lanes.waiting) == (48, 152)
    for _ in range(8):
        await lanes.enter(FAST, patience_seconds=60)
    await give_up(waiting)
    assert lanes.waiting == 0


async def test_a_place_that_is_given_back_goes_to_whoever_waits() -> None:
    lanes = Lanes(4, queue=10)
    entering = await fill(lanes, SLOW, 4)
    assert [task.done() for task in entering] == [True, True, False, False]
    lanes.leave(SLOW)
    await asyncio.sleep(0)
    assert [task.done() for task in entering] == [True, True, True, False]
    await give_up(entering)
    assert (lanes.running, lanes.waiting) == (2, 0)


async def test_a_tool_has_a_limit_of_its_own() -> None:
    lanes = Lanes(100, queue=10)
    await lanes.enter(SLOW, limit=1, patience_seconds=1)
    second = asyncio.create_task(lanes.enter(SLOW, limit=1, patience_seconds=60))
    inner = asyncio.create_task(lanes.enter(Lane("slow", is_inner=True), limit=1, patience_seconds=60))
    await asyncio.sleep(0)
    assert not second.done()
    assert not inner.done()
    lanes.leave(SLOW)
    await second
    lanes.leave(SLOW)
    await inner
    assert (lanes.running, lanes.waiting) == (0, 0)


async def test_inner_calls_need_no_place() -> None:
    """Else calls that have all the places would wait for each other's."""
    lanes = Lanes(1, queue=10)
    await lanes.enter(SLOW, patience_seconds=1)
    for _ in range(20):
        await lanes.enter(Lane("fast", is_inner=True), patience_seconds=1)
    assert lanes.running == 1


async def test_one_tools_queue_leaves_room_in_the_queue() -> None:
    lanes = Lanes(1, queue=10)
    await lanes.enter(SLOW, patience_seconds=1)
    waiting = await fill(lanes, SLOW, 20)
    assert lanes.waiting == 5
    assert sum(task.done() for task in waiting) == 15
    assert all(isinstance(task.exception(), Overloaded) for task in waiting if task.done())
    waiting += await fill(lanes, FAST, 1)
    assert lanes.waiting == 6
    await give_up(waiting)


async def test_nobody_waits_longer_than_patience_lasts() -> None:
    lanes = Lanes(1, queue=10)
    await lanes.enter(SLOW, patience_seconds=1)
    with pytest.raises(Overloaded, match="no place"):
        await lanes.enter(FAST, patience_seconds=0.01)
    assert (lanes.running, lanes.waiting) == (1, 0)


async def test_no_place_is_lost_whoever_gives_up_when() -> None:
    lanes, chance = Lanes(5, queue=1000), random.Random(7)

    async def one(lane: Lane) -> None:
        await lanes.enter(lane, limit=chance.choice([None, 1, 2]), patience_seconds=60)
        try:
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
        finally:
            lanes.leave(lane)

    calls = [asyncio.create_task(one(chance.choice([SLOW, SLOWER, FAST]))) for _ in range(500)]
    for call in chance.sample(calls, 200):
        await asyncio.sleep(0)
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert (lanes.running, lanes.waiting, lanes._running, lanes._lines) == (0, 0, {}, {})


async def test_a_thread_that_outlives_its_call_keeps_its_place(make_plugins: Callable[..., Plugins]) -> None:
    """Else a tool that hangs would take one thread after another, until there were none for anybody."""
    release = threading.Event()

    @tool(timeout_seconds=0.01)
    def hang() -> None:
        """Hang."""
        release.wait(30)

    registered = make_plugins(demo=[hang]).tools["demo_hang"]
    executor = Executor(concurrency=2, timeout_seconds=5)
    try:
        outcome = await executor.run(registered, {}, execution_id="1", caller="c")
        assert outcome.error_code == "tool_timeout"
        assert executor.load == (1, 0)
        with pytest.raises(Overloaded):
            await executor.run(registered, {}, execution_id="2", caller="c")
        release.set()
        while executor.load != (0, 0):
            await asyncio.sleep(0.001)
    finally:
        release.set()
        executor.close()


async def test_a_tool_says_how_many_of_its_calls_may_run(make_plugins: Callable[..., Plugins]) -> None:
    running, most = 0, 0

    @tool(concurrency=1)
    async def fragile() -> None:
        """Count who runs."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    registered = make_plugins(demo=[fragile]).tools["demo_fragile"]
    executor = Executor(concurrency=100, timeout_seconds=5)
    await asyncio.gather(*(executor.run(registered, {}, execution_id="1", caller="c") for _ in range(10)))
    executor.close()
    assert most == 1


async def test_a_result_without_end_is_not_given(
    make_plugins: Callable[..., Plugins], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MAX_RESULT_BYTES", 1000)

    async def speak(times: int) -> str:
        """Speak."""
        return "x" * times

    registered = make_plugins(demo=[speak]).tools["demo_speak"]
    executor = Executor(concurrency=2, timeout_seconds=5)
    short = await executor.run(registered, {"times": 998}, execution_id="1", caller="c")
    long = await executor.run(registered, {"times": 1001}, execution_id="1", caller="c")
    executor.close()
    assert (short.error_code, long.error_code) == (None, "result_too_large")


# Tools that call tools.


async def inner(text: str) -> str:
    """Say it louder."""
    if text == "fail":
        raise ToolError("no")
    return text.upper()


async def outer(context: ToolContext, tool_name: str, text: str = "a") -> Any:
    """Let another tool say it."""
    return (await context.call(tool_name, {"text": text})).value


async def circle(context: ToolContext, text: str) -> Any:
    """Go round."""
    return (await context.call("demo_outer", {"tool_name": "demo_circle"})).value


@pytest.fixture
async def services(settings: Settings, make_plugins: Callable[..., Plugins]) -> AsyncIterator[Services]:
    async with open_services(settings, make_plugins(demo=[inner, outer, circle])) as opened:
        await opened.sync()
        yield opened


async def call(services: Services, name: str, caller: Caller = LOCAL, **arguments: Any) -> Any:
    request = CallRequest(tool_name=name, arguments=arguments, caller=caller, channel="rest")
    return await services.calls.call_tool(request)


async def test_an_inner_call_is_made_and_recorded_for_the_caller(services: Services) -> None:
    done = await call(services, "demo_outer", tool_name="demo_inner", text="hi")
    assert done.value == "HI"
    await call(services, "demo_inner", text="x")  # written after the others
    rows = await services.database.fetch("select tool_name, channel, caller from calls order by started_at, tool_name")
    assert [(row["tool_name"], row["channel"]) for row in rows] == [
        ("demo_outer", "rest"),
        ("demo_inner", "composed"),
        ("demo_inner", "rest"),
    ]
    assert {row["caller"] for row in rows} == {LOCAL.name}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"tool_name": "demo_inner", "text": "fail"}, "demo_inner: no"),
        ({"tool_name": "nothing"}, "nothing: there is no tool 'nothing'"),
        ({"tool_name": "demo_circle"}, "tools go in circles: demo_outer > demo_circle > demo_outer"),
        ({"tool_name": "demo_outer"}, "tools go in circles: demo_outer > demo_outer"),
        ({"tool_name": "demo_inner", "text": "\ud800"}, "demo_inner"),
    ],
)
async def test_an_inner_call_that_fails_says_which(
    services: Services, arguments: dict[str, Any], complaint: str
) -> None:
    with contextlib.suppress(UnicodeEncodeError):
        done = await call(services, "demo_outer", **arguments)
        assert not done.success
        assert complaint in done.outcome.error_message


async def test_a_value_and_arguments_that_are_too_large_are_refused(
    settings: Settings, make_plugins: Callable[..., Plugins], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def give(text: str = "", length: int = 0) -> ToolResult:
        """A value alone, as upstreams may give it."""
        return ToolResult((), {"text": text, "value": "x" * length})

    monkeypatch.setattr(results, "MAX_RESULT_BYTES", 1000)
    monkeypatch.setattr("toolbox.calls.executor.MAX_ARGUMENT_BYTES", 500)
    async with open_services(settings, make_plugins(demo=[give])) as services:
        await services.sync()

        async def call(**arguments: Any) -> str | None:
            request = CallRequest(tool_name="demo_give", arguments=arguments, caller=LOCAL, channel="rest")
            return (await services.calls.call_tool(request)).outcome.error_code

        assert (await call(length=100), await call(length=2000)) == (None, "result_too_large")
        with pytest.raises(InvalidArguments, match="at most 500 are taken"):
            await call(text="x" * 600)
