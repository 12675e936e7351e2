"""Loads a server that has a large catalogue, and prints what came of it beside what was aimed at.

    tests/load/run.sh [--tools 100000] [--seconds 60] [--workers 1] [--folder FOLDER]

PostgreSQL, the server, and those who call share this machine. Most tools are not embedded by the model but get the
vector of another one with noise, which costs less time and gives the index as much to do. The database is kept.
"""

import argparse
import asyncio
import csv
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
from msgspec import Struct

from tests.benchmarks.running import Running, toolbox
from tests.benchmarks.search_scale import fill
from tests.load.words import ACTIONS, THINGS, WAYS
from toolbox.definitions import ToolDefinition
from toolbox.embedded.owner import run_postgres
from toolbox.logs import configure_logging
from toolbox.settings import Secret, Settings

EMBEDDED = 2_000
LOCUSTFILE = Path(__file__).with_name("locustfile.py")


class Measured(Struct, frozen=True):
    """What locust says of one kind of request, or of all."""

    rate: float
    failures: int
    p50: float
    p95: float
    p99: float


def main() -> None:
    """Fill, start, load, print."""
    parser = argparse.ArgumentParser(description="Load a server.")
    parser.add_argument("--tools", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--locust", required=True)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "toolbox-load"))
    wanted = parser.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    wanted.folder.chmod(0o755)
    with run_postgres(wanted.folder / "data", command="load", server_url="load") as url:
        asyncio.run(prepare(url, wanted.tools))
        start = time.monotonic()
        with toolbox(url, None, WORKERS=str(wanted.workers), LOG_LEVEL="WARNING", DB_POOL_SIZE="8") as server:
            started = time.monotonic() - start
            with watched(server) as memory:
                report(wanted, server, started, memory)


def report(wanted: argparse.Namespace, server: Running, started: float, memory: list[float]) -> None:
    """A table: what, how much of it, and the aim."""
    load = {
        "find, 20 a second": (run_locust(wanted, server, "Finder", 20), "find", 100.0),
        "look up, 50 a second": (run_locust(wanted, server, "Looker", 10), "look up", 20.0),
        "mixed, as fast as it goes": (run_locust(wanted, server, "Mixed", 32), "Aggregated", None),
    }
    print(f"{wanted.tools:,} tools, {wanted.workers} worker(s), {os.cpu_count()} cores, load average "
          f"{os.getloadavg()[0]:.1f}; {wanted.seconds} s each\n")  # fmt: skip
    print("| load | requests/s | failed | P50 ms | P95 ms | P99 ms | aim |\n|---|---|---|---|---|---|---|")
    for name, (kinds, kind, aim) in load.items():
        got = kinds[kind]
        wish = f"P95 < {aim:.0f} ms" if aim else "1,000/s where the machine allows"
        met = got.p95 < aim if aim else got.rate >= 1000
        row = f"{got.rate:.0f} | {got.failures} | {got.p50:.0f} | {got.p95:.0f} | {got.p99:.0f}"
        print(f"| {name} | {row} | {wish}: {'met' if met else 'missed'} |")
    mixed = load["mixed, as fast as it goes"][0]
    for kind in sorted(mixed.keys() - {"Aggregated"}):
        got = mixed[kind]
        print(f"| ... {kind} | {got.rate:.0f} | {got.failures} | {got.p50:.0f} | {got.p95:.0f} | {got.p99:.0f} | |")
    print(f"\nstart to ready {started:.1f} s (aim: 10 s)")
    print(f"most memory of a server process {max(memory):.0f} MB (aim: 500 MB)")


async def prepare(url: str, count: int) -> None:
    """Fill the database, if it is not filled already."""
    connection = await asyncpg.connect(url)
    try:
        is_known = await connection.fetchval("select to_regclass('tools')")
        if is_known and await connection.fetchval("select count(*) from tools") >= count:
            return
        settings = Settings(database_url=Secret(url), log_level="ERROR")
        configure_logging(settings)
        imported, embedded = await fill(settings, [make_tool(number) for number in range(count)], 0, EMBEDDED)
        print(f"imported {count:,} tools in {imported:.0f} s, embedded in {embedded:.0f} s", flush=True)
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


def make_tool(number: int) -> ToolDefinition:
    """One that looks like others do."""
    action, thing = ACTIONS[number % len(ACTIONS)], THINGS[number // 10 % len(THINGS)]
    way = WAYS[number // 100 % len(WAYS)]
    text = {"type": "string", "description": f"Which {thing}, in a few words."}
    return ToolDefinition(
        name=f"tool_{number:05}",
        description=f"{action.capitalize()} {thing} {way}, for department {number}.",
        category=f"category {number % 300}",
        tags=(thing, f"tag {number % 50}"),
        input_schema={"type": "object", "properties": {"which": text, "limit": {"type": "integer"}}},
    )


def run_locust(wanted: argparse.Namespace, server: Running, kind: str, users: int) -> dict[str, Measured]:
    """What each kind of request took, when so many users of one kind were at work."""
    with tempfile.TemporaryDirectory() as folder:
        load = ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{wanted.seconds}s"]
        done = subprocess.run(
            [wanted.locust, "--headless", "--only-summary", "--locustfile", LOCUSTFILE, "--host", server.url, kind,
             *load, "--csv", f"{folder}/it"],
            capture_output=True, text=True, check=False,
            env=os.environ | {"NO_PROXY": "*", "LOAD_TOOLS": str(wanted.tools)},
        )  # fmt: skip
        kept = Path(folder, "it_stats.csv")
        rows = list(csv.DictReader(kept.read_text().splitlines())) if kept.exists() else []
    if not rows:
        raise SystemExit(done.stderr)
    return {
        row["Name"]: Measured(
            float(row["Requests/s"]), int(row["Failure Count"]), float(row["50%"]), float(row["95%"]), float(row["99%"])
        )
        for row in rows
    }


@contextmanager
def watched(server: Running) -> Iterator[list[float]]:
    """The memory of the largest server process, in MB, each second."""
    seen = [0.0]
    ended = threading.Event()
    process = psutil.Process(server.pid)

    def watch() -> None:
        while not ended.wait(1):
            family = [process, *process.children(recursive=True)]
            own = [member.memory_info().rss for member in family if "postgres" not in member.name()]
            seen.append(max(own) / 2**20)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield seen
    ended.set()
    thread.join()


if __name__ == "__main__":
    main()
