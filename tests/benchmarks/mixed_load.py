"""What fast tools notice of slow ones, as a ratio in one run; the figures of docs/benchmarks.md.

    .dev/run python -m tests.benchmarks.mixed_load

Callers call a fast tool again and again, one that is a plain function and one that is a coroutine. In every other phase
two hundred calls of slow tools are open, a hundred that block threads and a hundred that wait. The 99th percentile of
the fast calls with them is to stay within 1.5 times that without them.

With `--busy`, eight of the slow calls compute instead, in pure Python: these share the interpreter with everybody.
"""

import argparse
import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.benchmarks.running import Running, keep_off_the_servers_core, postgres, toolbox
from tests.benchmarks.slow_clients import address, encode, percentile

CALLERS = 4
PAUSE_SECONDS = 0.01
SLOW = 100
"""Of each of the two kinds."""
SETTLE_SECONDS = 2.0
PHASE_SECONDS = 8.0
ROUNDS = 3
FAST = ("mixed_fast_sync", "mixed_fast_async")

PLUGIN = '''
import asyncio
import time
import toolbox

def fast_sync(a: int, b: int) -> int:
    """Add two numbers in a thread."""
    return a + b

async def fast_async(a: int, b: int) -> int:
    """Add two numbers on the event loop."""
    return a + b

def slow_sync(seconds: float) -> float:
    """Block a thread."""
    time.sleep(seconds)
    return seconds

async def slow_async(seconds: float) -> float:
    """Wait."""
    await asyncio.sleep(seconds)
    return seconds

def busy(seconds: float) -> int:
    """Compute."""
    end, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        rounds += sum(range(1000))
    return rounds

@toolbox.hookimpl
def toolbox_tools():
    return [fast_sync, fast_async, slow_sync, slow_async, busy]
'''


def main() -> None:
    """Measure, and print the percentiles and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=PHASE_SECONDS, help="of each phase")
    parser.add_argument("--concurrency", type=int, help="TOOL_CONCURRENCY, if it is to be another than the default")
    parser.add_argument("--busy", action="store_true", help="let eight of the slow calls compute")
    wanted = parser.parse_args()
    core = keep_off_the_servers_core()
    settings = {"TOOL_CONCURRENCY": str(wanted.concurrency)} if wanted.concurrency else {}
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        _write_plugin(Path(folder))
        with toolbox(url, core, PYTHONPATH=folder, LOG_LEVEL="WARNING", **settings) as server:
            asyncio.run(measure(server, wanted.rounds, wanted.seconds, is_busy=wanted.busy))


async def measure(server: Running, rounds: int, seconds: float, *, is_busy: bool) -> None:
    """The phases in turn."""
    await asyncio.gather(*(_call_for(server, tool, 1.0) for tool in FAST))  # what is loaded late is not counted
    idle, mixed = {tool: list[float]() for tool in FAST}, {tool: list[float]() for tool in FAST}
    for _ in range(rounds):
        await _measure_phase(server, idle, seconds)
        async with _slow_calls(server, is_busy=is_busy):
            await asyncio.sleep(SETTLE_SECONDS)
            await _measure_phase(server, mixed, seconds)
    print(f"{rounds} rounds of {seconds:g} s; memory {server.memory_mb():.0f} MB")
    print("| | calls | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|---|")
    for tool in FAST:
        for name, waited in (("idle", idle[tool]), (f"{2 * SLOW} slow calls open", mixed[tool])):
            figures = " | ".join(f"{1000 * percentile(waited, at):.2f}" for at in (50, 95, 99))
            print(f"| {tool.removeprefix('mixed_')}, {name} | {len(waited)} | {figures} |")
    for tool in FAST:
        print(f"p99 of {tool}: {percentile(mixed[tool], 99) / percentile(idle[tool], 99):.2f} times")


async def _measure_phase(server: Running, into: dict[str, list[float]], seconds: float) -> None:
    for tool in FAST:
        for waited in await asyncio.gather(*(_call_for(server, tool, seconds / 2) for _ in range(CALLERS))):
            into[tool] += waited


async def _call_for(server: Running, tool: str, seconds: float) -> list[float]:
    end, waited = time.perf_counter() + seconds, list[float]()
    request = encode(server, tool, {"a": 1, "b": 2})
    reader, writer = await asyncio.open_connection(*address(server))
    while time.perf_counter() < end:
        start = time.perf_counter()
        writer.write(request)
        body = await _read_answer(reader)
        waited.append(time.perf_counter() - start)
        assert b'"isError":true' not in body, body
        await asyncio.sleep(PAUSE_SECONDS)
    writer.close()
    return waited


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length.partition(b":")[2]))


@contextlib.asynccontextmanager
async def _slow_calls(server: Running, *, is_busy: bool) -> AsyncIterator[None]:
    """Two hundred open calls until the block ends: whoever has an answer calls again."""
    tools = ["mixed_slow_sync"] * SLOW + ["mixed_slow_async"] * SLOW
    if is_busy:
        tools[:8] = ["mixed_busy"] * 8
    calling = [asyncio.create_task(_call_slowly(server, tool)) for tool in tools]
    try:
        yield
    finally:
        for task in calling:
            task.cancel()
        await asyncio.gather(*calling, return_exceptions=True)
        await asyncio.sleep(SETTLE_SECONDS + 2)  # threads that go on without a caller


async def _call_slowly(server: Running, tool: str) -> None:
    reader, writer = await asyncio.open_connection(*address(server))
    try:
        while True:
            # Of different lengths: else all would end, and begin again, in the same moment.
            writer.write(encode(server, tool, {"seconds": random.uniform(2, 4)}))
            await _read_answer(reader)
            await asyncio.sleep(0.1)
    finally:
        writer.close()


def _write_plugin(folder: Path) -> None:
    (folder / "mixed_plugin.py").write_text(PLUGIN)
    record = folder / "mixed-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: mixed\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[toolbox]\nmixed = mixed_plugin\n")


if __name__ == "__main__":
    main()
