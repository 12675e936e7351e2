"""Ten thousand calls at once, of tools of every kind, many of which their callers give up: nothing is lost or leaked.

    .dev/run python -m tests.benchmarks.cancellations

Every call ends as one thing: answered, or given up and recorded as such. Who is turned away, because too many wait
already, tries again. When all have ended there are no more tasks, threads at work, child processes, folders, borrowed
connections or taken places than before, and the history has a row for each call that was begun. It fails if any of that
is not so.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

import toolbox
from tests.benchmarks.running import postgres
from tests.tools.stubs import stub_server
from toolbox.auth.callers import LOCAL
from toolbox.calls.service import CallRequest
from toolbox.definitions import ToolDefinition
from toolbox.errors import Overloaded
from toolbox.plugins import Plugins
from toolbox.services import Services, open_services, working
from toolbox.settings import Secret, Settings
from toolbox.tools.repository import write_tools

CALLS = 10_000
turned_away = Counter[str]()
SHARES = {"soak_wait": 40, "soak_block": 20, "fetch": 15, "routine": 15, "sleep": 7, "apart": 3}
"""Of a hundred calls."""
GIVEN_UP = 0.5
OPEN = {"type": "object", "additionalProperties": True}


async def wait(seconds: float) -> float:
    """Wait."""
    await asyncio.sleep(seconds)
    return seconds


def block(seconds: float) -> float:
    """Block a thread."""
    time.sleep(seconds)
    return seconds


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    wanted = parser.parse_args()
    print(f"seed {wanted.seed}")
    with postgres() as url:
        asyncio.run(run(url, wanted.calls, random.Random(wanted.seed)))


async def run(url: str, calls: int, chance: random.Random) -> None:
    """Open, call, look."""
    settings = Settings(
        database_url=Secret(url),
        allow_custom_commands=("sleep",),
        python_executor_allowed_modules=("calendar",),
        allowed_private_networks=("127.0.0.0/8",),
        tool_timeout=60,
    )
    async with stub_server() as stub, open_services(settings, _plugins()) as services, working(services):
        await services.sync()
        await _store_tools(services, stub.url)
        for tool in SHARES:  # so that what is opened once is open
            await _call(services, tool, chance, seconds=0.01)
        before = _look(services)
        started = time.perf_counter()
        outcomes = await _call_all(services, calls, chance)
        took = time.perf_counter() - started
        after = await _settle(services, before)
        recorded = await _count_rows(services, sum(outcomes[kind] for kind in ("answered", "failed", "given up")))
    print(f"{calls} calls in {took:.1f} s: {dict(outcomes)}; turned away {turned_away['times']} times")
    print(f"before: {before}\nafter:  {after}")
    begun = outcomes["answered"] + outcomes["failed"] + outcomes["given up"]
    print(f"rows in the history: {recorded} of {begun}, dropped {services.history.dropped}")
    assert after == before
    assert sum(outcomes.values()) == calls
    assert recorded == begun
    assert outcomes["failed"] == 0
    print("nothing is lost, nothing is left over")


async def _call_all(services: Services, calls: int, chance: random.Random) -> Counter[str]:
    tools = chance.choices(list(SHARES), list(SHARES.values()), k=calls)
    tasks = [asyncio.create_task(_call(services, tool, chance)) for tool in tools]
    given_up = set(chance.sample(tasks, int(calls * GIVEN_UP)))
    await asyncio.gather(*(_give_up(task, chance.uniform(0, 20)) for task in given_up))
    outcomes = Counter[str]()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        outcomes[ended if isinstance(ended, str) else "never begun"] += 1
        if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
            raise ended
    return outcomes


async def _give_up(task: "asyncio.Task[str]", seconds: float) -> None:
    await asyncio.sleep(seconds)
    task.cancel()


async def _call(services: Services, tool: str, chance: random.Random, seconds: float | None = None) -> str:
    """What it came to; a caller who gives up says so, as a server does whose client hangs up."""
    duration = chance.uniform(0, 0.5) if seconds is None else seconds
    arguments: dict[str, Any] = {"year": 2024} if tool == "apart" else {"seconds": duration}
    request = CallRequest(tool_name=tool, arguments=arguments, caller=LOCAL, channel="soak")
    while True:
        try:
            done = await services.calls.call_tool(request, durable=False)
        except Overloaded:
            turned_away["times"] += 1
        except asyncio.CancelledError:
            return "given up"
        else:
            if not done.success:
                print(tool, done.outcome.error_message)
            return "answered" if done.success else "failed"
        try:
            await asyncio.sleep(chance.uniform(1, 5))
        except asyncio.CancelledError:
            return "given up while away"


def _look(services: Services) -> dict[str, Any]:
    """All that may leak."""
    pool, executor = services.database._pool, services.calls._executor
    tasks = [task for task in asyncio.all_tasks() if "StubServer" not in repr(task.get_coro())]
    children = sorted(map(_name, psutil.Process().children(recursive=True)))
    return {
        "tasks": len(tasks),
        "children": [name for name in children if "postgres" not in name],
        "places": executor.load,
        "waiting for threads": executor._threads._work_queue.qsize(),
        "borrowed connections": pool.get_size() - pool.get_idle_size(),
        "folders": len(list(Path(tempfile.gettempdir()).glob("toolbox-tools-*/*"))),
    }


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return "gone"


async def _settle(services: Services, before: dict[str, Any]) -> dict[str, Any]:
    """Look again when whatever ends late has ended: threads that their callers have left."""
    for _ in range(100):
        after = _look(services)
        if after == before:
            break
        await asyncio.sleep(0.1)
    return after


async def _count_rows(services: Services, expected: int) -> int:
    for _ in range(100):  # the last batch
        row = await services.database.fetch_row(
            "select count(*) - $1 as calls from calls where channel = 'soak'", len(SHARES)
        )
        if row and row["calls"] == expected:
            break
        await asyncio.sleep(0.1)
    return int(row["calls"]) if row else 0


async def _store_tools(services: Services, url: str) -> None:
    implementations: dict[str, dict[str, Any]] = {
        "fetch": {"kind": "http", "url": f"{url}/{{seconds}}"},
        "sleep": {"kind": "command", "argv": ["sleep", "{seconds}"], "concurrency": 16},
        "apart": {"kind": "python", "function": "calendar.isleap", "isolated": True, "concurrency": 8},
        "routine": {
            "kind": "composed",
            "steps": [
                {"name": name, "tool": "soak_wait", "arguments": {"seconds": {"$from": "input.seconds"}}}
                for name in ("a", "b")
            ],
        },
    }
    definitions = [ToolDefinition(name=name, input_schema=OPEN) for name in implementations]
    async with services.database.transaction() as connection:
        await write_tools(connection, definitions, source="soak", source_version="", implementations=implementations)


def _plugins() -> Plugins:
    module = ModuleType("soak_plugin")
    module.toolbox_tools = toolbox.hookimpl(specname="toolbox_tools")(lambda: [wait, block])  # type: ignore[attr-defined]
    sys.modules["soak_plugin"] = module
    plugins = Plugins()
    plugins.load([EntryPoint(name="soak", value="soak_plugin", group="toolbox")])
    return plugins


if __name__ == "__main__":
    main()
