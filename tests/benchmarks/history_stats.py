"""How long statistics and pages of the history take with a million calls, in a PostgreSQL of the script's own.

.dev/run python tests/benchmarks/history_stats.py [--calls 1000000] [--tools 200]
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from toolbox.calls.history import CallFilter, History
from toolbox.database import migrate, open_database
from toolbox.embedded.owner import run_postgres

ROUNDS = 20

CALLS = """
    insert into calls (id, tool_name, tool_version, caller, channel, arguments, success, started_at, duration_ms)
    select gen_random_uuid(), 'tool_' || n % $2, '1.0.0', 'caller_' || n % 50, 'mcp', '{}', n % 20 > 0,
        now() - n * interval '1 second', exp(ln(3) + 1.2 * (random() + random() + random() - 1.5) * 2)
    from generate_series(1, $1::int) n
"""
COUNTED = """
    insert into call_statistics (tool_name, success, bucket, calls, last_called_at)
    select tool_name, success, floor(ln(greatest(duration_ms, 0.01) / 0.01) / ln(1.02)), count(*), max(started_at)
    from calls group by 1, 2, 3
"""

TOTALLED = """
    insert into call_totals (slot, success, bucket, calls, last_called_at)
    select slot, success, bucket, sum(calls), max(last_called_at)
    from call_statistics, generate_series(0, 7) slot group by 1, 2, 3
"""


async def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--tools", type=int, default=200)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tbx-"))
    folder.chmod(0o755)  # noqa: ASYNC240 - nothing else runs yet
    with run_postgres(folder / "data", command="benchmark", server_url="benchmark", durable=False) as url:
        await migrate(url)
        await fill(url, options.calls, options.tools)
        async with open_database(url, pool_size=2, max_overflow=2, timeout_seconds=60) as database:
            history = History(database)
            print(f"{options.calls:,} calls of {options.tools} tools")
            await measure("statistics of all", history.statistics)
            await measure("statistics of one tool", lambda: history.statistics("tool_7"))
            for what, wanted in (
                ("a page of all calls", CallFilter()),
                ("a page of a caller's calls", CallFilter(caller="caller_7")),
                ("a page of a tool's failures", CallFilter(tool="tool_20", success=False)),
            ):
                await measure(what, lambda wanted=wanted: history.list_calls(wanted, limit=100))  # type: ignore[misc]


async def fill(url: str, calls: int, tools: int) -> None:
    """Write calls, and what is counted of them, however long that takes."""
    connection = await asyncpg.connect(url)
    await connection.execute(CALLS, calls, tools)
    for statement in (COUNTED, TOTALLED, "analyze calls, call_statistics, call_totals"):
        await connection.execute(statement)
    await connection.close()


async def measure(what: str, read: Callable[[], Awaitable[Any]]) -> None:
    """The median and the longest of some rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        await read()
        times.append(1000 * (time.perf_counter() - start))
    print(f"{what:28} {statistics.median(times):7.1f} ms, at most {max(times):.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
