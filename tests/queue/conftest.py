"""A queue in this process and workers in others, on one database."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from toolbox.database import Database, open_database
from toolbox.events import Events
from toolbox.queue import Queue

HEARTBEAT_SECONDS = 1.0
RETRY_SECONDS = 0.01
WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=4, max_overflow=6, timeout_seconds=10) as opened:
        yield opened


@pytest.fixture
async def events(database_url: str) -> AsyncIterator[Events]:
    opened = Events(database_url)
    async with opened.running():
        yield opened


@pytest.fixture
def make_queue(database: Database, events: Events) -> Callable[..., Queue]:
    """Makes queues with short pauses; several on one database are as good as several processes."""

    def make(**options: float) -> Queue:
        return Queue(
            database, events, **{"heartbeat_seconds": HEARTBEAT_SECONDS, "retry_seconds": RETRY_SECONDS} | options
        )

    return make


@pytest.fixture
def queue(make_queue: Callable[..., Queue]) -> Queue:
    return make_queue()


@pytest.fixture
def start_worker(database_url: str) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts processes that work the queue; what they do is in worker.py."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen([sys.executable, WORKER, database_url, str(HEARTBEAT_SECONDS)], stdout=-1, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Look until something is so; the test's own time limit bounds it."""
    while True:
        seen = condition()
        if seen if isinstance(seen, bool) else await seen:
            return
        await asyncio.sleep(0.02)
