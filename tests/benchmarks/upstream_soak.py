"""Soak: thousands of calls of upstreams whose servers are killed meanwhile; what is open afterwards is what was before.

.dev/run python -m tests.benchmarks.upstream_soak --calls 10000 --upstreams 5
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

from toolbox.definitions import Upstream
from toolbox.errors import ToolboxError
from toolbox.tools.base import ToolContext
from toolbox.upstreams.supervisor import Supervisor

HOSTILE = str(Path(__file__).parents[1] / "upstreams" / "hostile.py")
SILENT_SECONDS = 20.0


async def as_it_is(text: str) -> str:
    return text


def look(me: psutil.Process) -> dict[str, float]:
    """What this process has open."""
    return {
        "children": len(me.children(recursive=True)),
        "files": me.num_fds(),
        "threads": me.num_threads(),
        "tasks": len(asyncio.all_tasks()),
        "memory_mb": round(me.memory_info().rss / 2**20, 1),
    }


async def call(supervisor: Supervisor, name: str, number: int) -> str:
    """Call a tool until it answers; one that ends its server has answered when it has."""
    tool = random.choice(["echo"] * 97 + ["garbage", "die", "slow"])
    arguments = {"text": str(number) if tool == "echo" else ""}
    while True:
        context = ToolContext(
            tool_name=tool,
            execution_id=str(number),
            caller="soak",
            timeout_seconds=SILENT_SECONDS,
            run_blocking=asyncio.to_thread,
        )
        try:
            result = await supervisor.get(name).request("tools/call", {"name": tool, "arguments": arguments}, context)
        except ToolboxError:
            if tool == "die":
                return "died"
            await asyncio.sleep(0.05)
            continue
        return "right" if tool != "echo" or result["content"][0]["text"] == str(number) else "wrong"


async def kill_now_and_then(supervisor: Supervisor, ended: asyncio.Event) -> int:
    killed = 0
    while not ended.is_set():
        await asyncio.sleep(0.5)
        processes = [pid for name in supervisor.names for pid in supervisor.get(name).status().processes]
        if processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(processes), signal.SIGKILL)
                killed += 1
    return killed


async def run(calls: int, upstreams: int, at_once: int) -> None:
    me = psutil.Process()
    supervisor = Supervisor(resolve=as_it_is)
    configured = {
        f"u{number}": Upstream(
            name=f"u{number}", command=sys.executable, args=(HOSTILE,), backoff_seconds=0.05, restarts=1000
        )
        for number in range(upstreams)
    }
    async with supervisor.running():  # once before: the SDK is loaded, and stays
        supervisor.configure(configured)
        await call(supervisor, "u0", 0)
    await asyncio.sleep(0.5)
    before, start = look(me), time.perf_counter()
    async with supervisor.running():
        supervisor.configure(configured)
        ended, numbers, came = asyncio.Event(), iter(range(calls)), Counter[str]()
        killer = asyncio.create_task(kill_now_and_then(supervisor, ended))

        async def work() -> None:
            for number in numbers:
                came[await call(supervisor, f"u{number % upstreams}", number)] += 1

        await asyncio.gather(*(work() for _ in range(at_once)))
        ended.set()
        killed = await killer
        during = look(me)
    await asyncio.sleep(0.5)
    after = look(me)
    seconds = time.perf_counter() - start
    print(f"{calls} calls in {seconds:.0f} s: {dict(came)}; {killed} servers killed beside")
    for name in before:
        print(f"{name:10} before {before[name]:8} during {during[name]:8} after {after[name]:8}")
    left = [name for name in ("children", "files", "tasks") if after[name] > before[name]]
    if came["wrong"]:
        sys.exit("a call got the answer of another")
    if left or after["memory_mb"] > before["memory_mb"] + 30:
        sys.exit(f"not everything has come back: {left or 'memory'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--upstreams", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=20)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.calls, arguments.upstreams, arguments.at_once))
