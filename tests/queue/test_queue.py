"""The queue, on a real PostgreSQL, with processes that are really killed."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.conftest import execute
from tests.queue.conftest import until
from toolbox.database import Database
from toolbox.events import Events
from toolbox.queue import ATTEMPTS, Job, Queue, QueueStatus, delete_old_jobs

MakeQueue = Callable[..., Queue]
StartWorker = Callable[[], "subprocess.Popen[str]"]


class Recorder:
    """A handler that remembers its jobs, and fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.jobs: list[Job] = []
        self.failures = failures

    async def __call__(self, job: Job) -> None:
        self.jobs.append(job)
        if len(self.jobs) <= self.failures:
            raise ValueError(f"failure {len(self.jobs)}")


async def is_idle(queue: Queue) -> bool:
    return msgspec.structs.replace(await queue.status(), oldest_seconds=0.0) == QueueStatus(0, 0, 0, 0.0)


async def test_a_job_is_worked_once_with_its_payload(queue: Queue) -> None:
    record = Recorder()
    queue.register("note", record)
    async with queue.running():
        job_id = await queue.enqueue("note", {"text": "é"})
        await until(lambda: is_idle(queue))
    (job,) = record.jobs
    assert (job.id, job.kind, job.attempt, msgspec.json.decode(job.payload)) == (job_id, "note", 1, {"text": "é"})
    assert abs(job.created_at - datetime.now(UTC)) < timedelta(minutes=5)


async def test_kinds_come_and_go_while_the_queue_runs(queue: Queue) -> None:
    record = Recorder()
    async with queue.running():
        await queue.enqueue("note", 1)
        queue.register("note", record)
        await until(lambda: is_idle(queue))
        queue.unregister("note")
        await queue.enqueue("note", 2)
        assert queue.kinds == []
    assert [bytes(job.payload) for job in record.jobs] == [b"1"]
    assert (await queue.status()).waiting == 1


async def test_jobs_that_waited_are_worked_when_somebody_comes(queue: Queue) -> None:
    record = Recorder()
    queue.register("note", record)
    ids = [await queue.enqueue("note", number) for number in range(100)]
    assert (await queue.status()).waiting == 100
    async with queue.running():
        await until(lambda: is_idle(queue))
    assert sorted(job.id for job in record.jobs) == ids


async def test_a_job_exists_if_and_only_if_its_transaction_commits(queue: Queue, database: Database) -> None:
    record = Recorder()
    queue.register("note", record)
    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction() as connection:
            await queue.enqueue("note", "lost", connection=connection)
            raise ZeroDivisionError
    async with database.transaction() as connection:
        await queue.enqueue("note", "kept", connection=connection)
    async with queue.running():
        await until(lambda: is_idle(queue))
    assert [bytes(job.payload) for job in record.jobs] == [b'"kept"']


async def test_a_key_is_taken_while_its_job_waits_or_runs(queue: Queue) -> None:
    going, ending = asyncio.Event(), asyncio.Event()

    async def linger(_: Job) -> None:
        going.set()
        await ending.wait()

    queue.register("note", linger)
    assert await queue.enqueue("note", key="one")
    assert await queue.enqueue("note", key="one") is None
    assert await queue.enqueue("note", key="two")
    async with queue.running():
        await going.wait()
        assert await queue.enqueue("note", key="one") is None
        ending.set()
        await until(lambda: is_idle(queue))
        assert await queue.enqueue("note", key="one")
        await until(lambda: is_idle(queue))


async def test_a_delayed_job_waits(queue: Queue) -> None:
    record = Recorder()
    queue.register("note", record)
    async with queue.running():
        await queue.enqueue("note", "later", delay_seconds=0.3)
        await queue.enqueue("note", "now")
        await until(lambda: is_idle(queue))
    assert [bytes(job.payload) for job in record.jobs] == [b'"now"', b'"later"']


async def test_a_failing_job_is_tried_again(queue: Queue) -> None:
    record = Recorder(failures=2)
    queue.register("note", record)
    async with queue.running():
        await queue.enqueue("note")
        await until(lambda: is_idle(queue))
    assert [job.attempt for job in record.jobs] == [1, 2, 3]


async def test_a_job_that_fails_too_often_is_given_up_and_stays_visible(queue: Queue, database: Database) -> None:
    record, reported = Recorder(failures=9), list[tuple[int, str]]()

    async def report(job: Job, reason: str) -> None:
        reported.append((job.attempt, reason))

    queue.register("note", record, attempts=2, on_failure=report)
    async with queue.running():
        job_id = await queue.enqueue("note", key="one")
        await until(lambda: _is_failed(queue))
        assert await queue.enqueue("note", key="one")  # it gives back its key
    assert reported == [(2, "ValueError: failure 2")]
    rows = await database.fetch(
        "select traceback->>'exception_message' as said from queue_log where job_id = $1", job_id
    )
    assert "failure 2" in [row["said"] for row in rows]


async def test_a_failure_that_cannot_be_reported_is_reported_later(queue: Queue) -> None:
    report_attempts = []

    async def report(_job: Job, reason: str) -> None:
        report_attempts.append(reason)
        if len(report_attempts) < 2:
            raise ValueError("not now")

    queue.register("note", Recorder(failures=9), attempts=1, on_failure=report)
    async with queue.running():
        await queue.enqueue("note")
        await until(lambda: _is_failed(queue))
    assert len(report_attempts) == 2


async def _is_failed(queue: Queue) -> bool:
    return (await queue.status()).failed == 1


async def test_a_cancelled_job_stops_wherever_it_runs(make_queue: MakeQueue) -> None:
    going, stopped = asyncio.Event(), asyncio.Event()

    async def linger(_: Job) -> None:
        going.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    here, there = make_queue(), make_queue()
    there.register("note", linger)
    async with there.running():
        job_id = await here.enqueue("note")
        assert job_id
        await going.wait()
        await here.cancel(job_id)
        await stopped.wait()
    assert await is_idle(here)


async def test_what_cannot_be_finished_at_the_end_goes_back_uncounted(make_queue: MakeQueue) -> None:
    going = asyncio.Event()

    async def linger(_: Job) -> None:
        going.set()
        await asyncio.Event().wait()

    first, second, record = make_queue(grace_seconds=0.05), make_queue(), Recorder()
    first.register("note", linger)
    second.register("note", record)
    async with first.running():
        await first.enqueue("note")
        await going.wait()
    assert (await first.status()).waiting == 1
    async with second.running():
        await until(lambda: is_idle(second))
    assert [job.attempt for job in record.jobs] == [1]


async def test_what_can_be_finished_at_the_end_is_finished(queue: Queue) -> None:
    going, ending, done = asyncio.Event(), asyncio.Event(), []

    async def linger(job: Job) -> None:
        going.set()
        await ending.wait()
        done.append(job.id)

    queue.register("note", linger)
    async with queue.running():
        job_id = await queue.enqueue("note")
        await going.wait()
        asyncio.get_running_loop().call_later(0.05, ending.set)
    assert done == [job_id]
    assert await is_idle(queue)


async def test_two_that_run_do_not_both_keep_a_schedule(make_queue: MakeQueue, database: Database) -> None:
    record = Recorder()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            queue = make_queue()
            queue.register("tick", record)
            queue.schedule("tick", "* * * * * *")
            await stack.enter_async_context(queue.running())
        await until(lambda: len(record.jobs) >= 4)
    seconds = [job.created_at.replace(microsecond=0) for job in record.jobs]
    assert len(set(seconds)) == len(seconds)
    assert await database.fetch("select entrypoint from queue_schedules") == [("tick",)]


async def test_a_lost_database_connection_is_waited_for(queue: Queue, database_url: str, postgres: str) -> None:
    going, ending, done = asyncio.Event(), asyncio.Event(), []

    async def linger(job: Job) -> None:
        going.set()
        await ending.wait()
        done.append(job.attempt)

    queue.register("note", linger)
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with queue.running():
        await queue.enqueue("note")
        await going.wait()
        await execute(postgres, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        ending.set()
        await until(lambda: _is_reachable_and_idle(queue))
        await queue.enqueue("note")
        await until(lambda: is_idle(queue))
    assert done == [1, 1]


async def _is_reachable_and_idle(queue: Queue) -> bool:
    with contextlib.suppress(Exception):
        return await is_idle(queue)
    return False


async def test_a_job_of_a_killed_worker_is_taken_over(start_worker: StartWorker, queue: Queue) -> None:
    record = Recorder()
    queue.register("hang", record)
    worker = start_worker()
    job_id = await queue.enqueue("hang")
    assert await _first_words(worker) == ["began", str(job_id), "1"]
    worker.kill()
    async with queue.running():
        await until(lambda: is_idle(queue))
    assert [(job.id, job.attempt) for job in record.jobs] == [(job_id, 2)]


async def test_a_living_worker_keeps_its_job_however_long_it_takes(start_worker: StartWorker, queue: Queue) -> None:
    record = Recorder()
    queue.register("hang", record)
    queue.register("other", Recorder())
    worker = start_worker()
    await queue.enqueue("hang")
    await _first_words(worker)
    async with queue.running():
        await queue.enqueue("other", delay_seconds=2.5)  # longer than the heartbeat's patience
        await until(lambda: _is_alone(queue))
    assert record.jobs == []


async def _is_alone(queue: Queue) -> bool:
    status = await queue.status()
    return (status.waiting, status.running) == (0, 1)


async def test_a_job_that_kills_whatever_works_it_is_given_up(start_worker: StartWorker, queue: Queue) -> None:
    reported = []

    async def report(job: Job, reason: str) -> None:
        reported.append((job.id, reason))

    record = Recorder()
    queue.register("die", record, on_failure=report)
    job_id = await queue.enqueue("die")
    for attempt in range(1, ATTEMPTS + 1):
        worker = start_worker()
        assert await _first_words(worker) == ["began", str(job_id), str(attempt)]
        await asyncio.to_thread(worker.wait)
    async with queue.running():
        await until(lambda: _is_failed(queue))
    assert record.jobs == []
    ((reported_id, reason),) = reported
    assert reported_id == job_id
    assert "given up after 3 attempts" in reason


async def _first_words(worker: "subprocess.Popen[str]") -> list[str]:
    assert worker.stdout is not None
    return (await asyncio.to_thread(worker.stdout.readline)).split()


async def test_nothing_in_the_environment_renames_its_tables(
    start_worker: StartWorker, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGQUEUER_PREFIX", "PGQUEUER_SCHEMA", "QUEUE_TABLE", "PGQUEUER_QUEUE_TABLE", "CHANNEL", "FUNCTION"):
        monkeypatch.setenv(name, "elsewhere")
    job_id = await queue.enqueue("hang")
    assert (await _first_words(start_worker()))[1] == str(job_id)


def test_nothing_loads_pgqueuer_before_there_is_work() -> None:
    code = "import sys, toolbox.services, toolbox.cli.worker; print('pgqueuer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


async def test_a_kind_is_registered_once(queue: Queue) -> None:
    queue.register("note", Recorder())
    with pytest.raises(ValueError, match="'note'"):
        queue.register("note", Recorder())


async def test_old_failures_and_log_lines_are_deleted_in_parts(queue: Queue, database: Database) -> None:
    queue.register("note", Recorder(failures=9), attempts=1)
    async with queue.running():
        await queue.enqueue("note")
        await until(lambda: _is_failed(queue))
    waiting = await queue.enqueue("note")
    async with database.connection() as connection:
        assert await delete_old_jobs(connection, datetime.now(UTC) - timedelta(days=1), 100) == 0
        deleted = []
        while deleted[-1:] != [0]:
            deleted.append(await delete_old_jobs(connection, datetime.now(UTC) + timedelta(days=1), 2))
    assert max(deleted) <= 4
    assert (await database.fetch("select id from queue_jobs")) == [(waiting,)]
    assert await database.fetch("select 1 from queue_log") == []


async def test_it_works_without_events_only_later(database: Database, database_url: str) -> None:
    deaf, record = Queue(database, Events(database_url), heartbeat_seconds=0.4), Recorder()
    deaf.register("note", record)
    async with deaf.running():
        await deaf.enqueue("note", delay_seconds=0.1)
        await until(lambda: is_idle(deaf))
    assert len(record.jobs) == 1
