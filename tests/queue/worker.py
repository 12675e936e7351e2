"""A process that works the queue: `python worker.py DATABASE_URL HEARTBEAT_SECONDS`; says what it begins."""

import asyncio
import os
import signal
import sys

from toolbox.database import open_database
from toolbox.events import Events
from toolbox.queue import Job, Queue


async def hang(job: Job) -> None:
    """Begin and never end."""
    print("began", job.id, job.attempt, flush=True)
    await asyncio.Event().wait()


async def die(job: Job) -> None:
    """End the process as a crash would."""
    print("began", job.id, job.attempt, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, heartbeat_seconds: float) -> None:
    events = Events(url)
    async with open_database(url, pool_size=2, max_overflow=2, timeout_seconds=10) as database:
        queue = Queue(database, events, heartbeat_seconds=heartbeat_seconds)
        queue.register("hang", hang)
        queue.register("die", die)
        async with events.running(), queue.running():
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
