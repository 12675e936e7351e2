"""Loads a server that has a large catalogue, and prints what came of it beside what was aimed at, as a table.

    tests/load/run.sh [--tools 100000] [--seconds 60] [--workers 1] [--folder FOLDER] [--database URL]

Without --database a PostgreSQL in FOLDER/data is used, and filled with made-up tools if it holds fewer: most of these
are not embedded by the model but get the vector of another one with noise, which costs less time and gives the index as
much to do. The folder is kept for the next run. With --database it is the tools that are there which are found and
looked up: a database of your own, or a copy of it. The server that is started on it brings its schema up to date, calls
of `text_reverse` are recorded, and settings are taken from the environment, EMBEDDING_ENDPOINT_URL and the like.

The server and those who call share this machine, PostgreSQL too if it is not elsewhere.
"""

import argparse
import asyncio
import contextlib
import csv
import json
import os
import resource
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
from tests.benchmarks.search_scale import fill, postgres_cpu_seconds
from tests.load.words import ACTIONS, THINGS, WAYS
from toolbox.definitions import ToolDefinition
from toolbox.embedded.owner import run_postgres
from toolbox.logs import configure_logging
from toolbox.settings import Secret, Settings

EMBEDDED = 2_000
SAMPLE = 5_000
QUIET_SECONDS = 180.0
LOCUSTFILE = Path(__file__).with_name("locustfile.py")


class Measured(Struct, frozen=True):
    """What locust says of one kind of request, or of all."""

    rate: float
    failures: int
    p50: float
    p95: float
    p99: float


class Phase(Struct, frozen=True):
    """One load: what came of it by kind of request, and how many cores each side kept busy."""

    kinds: dict[str, Measured]
    server: float
    database: float
    callers: float


def main() -> None:
    """Fill, start, load, print."""
    parser = argparse.ArgumentParser(description="Load a server.")
    parser.add_argument("--tools", type=int, default=100_000, help="so many at least, if the database is in the folder")
    parser.add_argument("--seconds", type=int, default=60, help="how long each of three loads is")
    parser.add_argument("--workers", type=int, default=1, help="server processes")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "toolbox-load"))
    parser.add_argument("--database", help="the URL of a database that has tools")
    parser.add_argument("--locust", required=True)
    wanted = parser.parse_args()
    with database(wanted) as url, tempfile.TemporaryDirectory() as scratch:
        sample = Path(scratch, "tools.json")
        settings = {"WORKERS": str(wanted.workers), "DB_POOL_SIZE": "8", "ALLOW_ANONYMOUS": "true"}
        settings |= {"RATE_LIMIT_ENABLED": "false", "LOG_LEVEL": "WARNING"}
        with toolbox(url, None, **settings):  # brings all up to date; what is measured is an ordinary start
            count, some = asyncio.run(settle(url))
        sample.write_text(json.dumps(some))
        start = time.monotonic()
        with toolbox(url, None, **settings) as server:
            started = time.monotonic() - start
            print(f"{count:,} tools, {wanted.workers} server process(es), {os.cpu_count()} cores, {wanted.seconds} s "
                  f"each, load average before {os.getloadavg()[0]:.1f}\n")  # fmt: skip
            with watched(server) as memory:
                report(wanted, server, sample)
    print(f"\nstart to ready: {started:.1f} s (aim: 10 s, {'met' if started < 10 else 'missed'})")
    print(f"memory of the largest server process: {max(memory):.0f} MB (aim: 500 MB, "
          f"{'met' if max(memory) < 500 else 'missed'})")  # fmt: skip


@contextmanager
def database(wanted: argparse.Namespace) -> Iterator[str]:
    """The URL of the one that is named, or of the one in the folder."""
    if wanted.database:
        yield wanted.database
        return
    wanted.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # PostgreSQL runs as another user where we are root
        wanted.folder.chmod(0o755)
    with run_postgres(wanted.folder / "data", command="load", server_url="load") as url:
        asyncio.run(prepare(url, wanted.tools))
        yield url


def report(wanted: argparse.Namespace, server: Running, sample: Path) -> None:
    """A table: what, how much of it, and the aim."""
    print("| load | requests/s | failed | P50 ms | P95 ms | P99 ms | cores: server, PostgreSQL, callers | aim |\n"
          "|---|---|---|---|---|---|---|---|")  # fmt: skip
    for name, users_kind, users, kind, most_ms in (
        ("find, 20 a second", "Finder", 20, "find", 100),
        ("look up, 50 a second", "Looker", 10, "look up", 20),
        ("mixed, as fast as it goes", "Mixed", 32, "Aggregated", None),
    ):
        phase = run_locust(wanted, server, sample, users_kind, users)
        got = phase.kinds[kind]
        aim = f"P95 < {most_ms} ms" if most_ms else "1,000/s where the machine allows"
        met = got.p95 < most_ms if most_ms else got.rate >= 1000
        cores = f"{phase.server:.2f}, {phase.database:.2f}, {phase.callers:.2f}"
        print(f"| {name} | {show(got)} | {cores} | {aim}: {'met' if met else 'missed'} |", flush=True)
        for part in sorted(phase.kinds.keys() - {"Aggregated", kind}):
            print(f"| ... {part} | {show(phase.kinds[part])} | | |")


def show(got: Measured) -> str:
    return f"{got.rate:.0f} | {got.failures} | {got.p50:.0f} | {got.p95:.0f} | {got.p99:.0f}"


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


async def settle(url: str) -> tuple[int, list[dict[str, object]]]:
    """Wait until no job is left to do; how many tools there are, and some of them."""
    connection = await asyncpg.connect(url)
    try:
        end = time.monotonic() + QUIET_SECONDS
        while left := await connection.fetchval("select count(*) from queue_jobs where status in ('queued', 'picked')"):
            if time.monotonic() > end:
                print(f"{left} job(s) in the background are not done and take a part of the machine")
                break
            await asyncio.sleep(1)
        await connection.execute("vacuum analyze tools")
        some = await connection.fetch(
            "select name, category, description from tools where active order by md5(name) limit $1", SAMPLE
        )
        count: int = await connection.fetchval("select count(*) from tools where active")
        return count, [dict(row) | {"words": row["description"].split()} for row in some]
    finally:
        await connection.close()


def run_locust(wanted: argparse.Namespace, server: Running, sample: Path, kind: str, users: int) -> Phase:
    """What each kind of request took, when so many users of one kind were at work."""
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    before = time.monotonic(), cpu_seconds(family), postgres_cpu_seconds(), callers_cpu_seconds()
    with tempfile.TemporaryDirectory() as folder:
        load = ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{wanted.seconds}s"]
        done = subprocess.run(
            [wanted.locust, "--headless", "--only-summary", "--locustfile", LOCUSTFILE, "--host", server.url, kind,
             *load, "--csv", f"{folder}/it"],
            capture_output=True, text=True, check=False,
            env=os.environ | {"NO_PROXY": "*", "LOAD_TOOLS": str(sample)},
        )  # fmt: skip
        kept = Path(folder, "it_stats.csv")
        rows = list(csv.DictReader(kept.read_text().splitlines())) if kept.exists() else []
    if not rows:
        raise SystemExit(done.stderr)
    after = time.monotonic(), cpu_seconds(family), postgres_cpu_seconds(), callers_cpu_seconds()
    elapsed, *used = (late - early for early, late in zip(before, after, strict=True))
    kinds = {
        row["Name"]: Measured(
            float(row["Requests/s"]), int(row["Failure Count"]), float(row["50%"]), float(row["95%"]), float(row["99%"])
        )
        for row in rows
    }
    return Phase(kinds, *(seconds / elapsed for seconds in used))


def cpu_seconds(family: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in family if process.is_running()]
    return sum(time.user + time.system for time in times)


def callers_cpu_seconds() -> float:
    """What processes have used that were started here and have ended: locust, while the server and PostgreSQL run."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def watched(server: Running) -> Iterator[list[float]]:
    """The memory of the largest server process, in MB, each second."""
    seen = [0.0]
    ended = threading.Event()
    process = psutil.Process(server.pid)

    def watch() -> None:
        while not ended.wait(1):
            family = [process, *process.children(recursive=True)]
            seen.append(max(member.memory_info().rss for member in family) / 2**20)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield seen
    ended.set()
    thread.join()


if __name__ == "__main__":
    main()
