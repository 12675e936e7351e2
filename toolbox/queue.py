"""Durable background work: jobs in PostgreSQL, worked by any process that runs the queue. A thin layer over PgQueuer.

A job is worked at least once. One that fails is tried again after a pause that doubles; one whose process died is taken
over by another when its heartbeat has stopped for HEARTBEAT_SECONDS, and that counts as an attempt too (a trigger of
ours counts it, PgQueuer would not): a job that kills whatever works it ends as failed like any other. Failed jobs stay
in the table until retention removes them. A process that ends gives back what it cannot finish, uncounted.

PgQueuer's statements run on our pool and its LISTEN on the connection of `toolbox.events`. It takes half a second to
load, so it is loaded, off the event loop, when work starts; adding a job needs one statement of it.
"""

import asyncio
import contextlib
import functools
import importlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import msgspec
import structlog
from msgspec import Raw, Struct

from toolbox.database import Connection, Database
from toolbox.errors import DatabaseUnavailable
from toolbox.events import PREFIX, Event, Events

if TYPE_CHECKING:
    from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
    from pgqueuer.adapters.persistence.queries import Queries
    from pgqueuer.core.qm import QueueManager
    from pgqueuer.core.tm import TaskManager
    from pgqueuer.domain import models
    from pgqueuer.domain.settings import DBSettings
    from pgqueuer.ports.driver import NotifyCallback

logger = structlog.get_logger(__name__)

T = TypeVar("T")

HEARTBEAT_SECONDS = 30.0
"""After this long without a sign of life a job's process counts as dead."""
ATTEMPTS = 3
RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 300.0
"""Pauses between attempts: the first one, doubled each time, at most the second."""
CONCURRENCY = 20
"""Jobs that one process works at the same time."""
BATCH = 5
GRACE_SECONDS = 5.0
"""How long jobs may go on when their process ends."""
POLL_SECONDS = 10.0
"""How often work is looked for that no event has told of: delayed jobs, and those of the dead."""
RECOVERY_SECONDS = 1.0
COUNTED = 10_000
"""Jobs that health counts: counting goes through all of them."""


class Job(Struct, frozen=True):
    """What a handler gets: the payload as JSON, and `attempt`, which is 1 the first time, whoever made the others."""

    id: int
    kind: str
    payload: Raw
    attempt: int
    created_at: datetime


class QueueStatus(Struct, frozen=True):
    """How much there is to do; no number goes above COUNTED."""

    waiting: int
    running: int
    failed: int
    oldest_seconds: float
    """For how long the oldest job that could be worked has been waiting."""


Handler: TypeAlias = Callable[[Job], Awaitable[None]]
FailureHandler: TypeAlias = Callable[[Job, str], Awaitable[None]]


class _Worker(Struct, frozen=True):
    handle: Handler
    attempts: int
    on_failure: FailureHandler | None


class Queue:
    """Adds jobs, and works them while it is running."""

    def __init__(
        self,
        database: Database,
        events: Events,
        *,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._database = database
        self._events = events
        self._heartbeat_seconds = heartbeat_seconds
        self._retry_seconds = retry_seconds
        self._grace_seconds = grace_seconds
        self._workers = dict[str, _Worker]()
        self._manager: QueueManager | None = None
        """There while jobs are worked."""
        self._schedules = dict[str, str]()
        self._stopping = asyncio.Event()
        self._running = set[asyncio.Task[Any]]()

    @property
    def kinds(self) -> list[str]:
        """The kinds of jobs that this process can work."""
        return sorted(self._workers)

    def register(
        self, kind: str, handle: Handler, *, attempts: int = ATTEMPTS, on_failure: FailureHandler | None = None
    ) -> None:
        """Say how jobs of a kind are worked; also while the queue runs.

        `on_failure` hears of a job that is given up, with the reason, also when it killed its last process. It is
        called again later if it fails itself.
        """
        if kind in self._workers:
            raise ValueError(f"jobs of the kind {kind!r} are worked already")
        self._workers[kind] = _Worker(handle, attempts, on_failure)
        if self._manager:
            self._tell(self._manager, kind)

    def unregister(self, kind: str) -> None:
        """Leave jobs of a kind to others from now on."""
        del self._workers[kind]
        if self._manager:
            self._manager.entrypoint_registry.pop(kind, None)  # type: ignore[call-overload]

    def schedule(self, kind: str, cron: str) -> None:
        """Add a job of a kind whenever a cron expression (in UTC) says so; one process does, however many run.

        While such a job waits or runs, no second one is added. A time at which nothing ran is made up for.
        """
        self._schedules[kind] = cron

    async def enqueue(
        self,
        kind: str,
        payload: Any = None,
        *,
        key: str | None = None,
        delay_seconds: float = 0.0,
        connection: Connection | None = None,
    ) -> int | None:
        """Add a job: its id, or None where one with the same key already waits or runs.

        With `connection` the job is part of the transaction there: it exists if and only if that commits. The payload
        is anything that msgspec writes as JSON.
        """
        if not _statements.cache_info().currsize:
            await asyncio.to_thread(_statements)
        rows = await (connection or self._database).fetch(
            _statements().build_enqueue_query("skip"),
            [0],
            [kind],
            [msgspec.json.encode(payload)],
            [timedelta(seconds=delay_seconds)],
            [key],
            [None],
        )
        return int(rows[0]["id"]) if rows else None

    async def cancel(self, job_id: int) -> None:
        """Take a job out of the queue; whoever works it has its handler cancelled, if events get there.

        A handler that has to clean up shields that: it is cancelled at each of its awaits (see anyio.CancelScope).
        """
        from pgqueuer.domain.types import JobId

        driver = _Driver(self._database, self._events, self._stopping)
        await _queries(driver).mark_job_as_cancelled([JobId(job_id)])

    async def status(self) -> QueueStatus:
        """How much there is to do."""
        row = await self._database.fetch_row(_STATUS)
        assert row is not None  # noqa: S101 - it is one of aggregates
        return QueueStatus(**row)

    @contextlib.asynccontextmanager
    async def running(self, *, after: asyncio.Event | None = None) -> AsyncIterator[None]:
        """Work jobs until the block ends, beginning when `after` is set.

        At the end, jobs may go on for `grace_seconds`; what is then left goes back into the queue.
        """
        self._stopping.clear()
        tasks = {asyncio.create_task(self._work(after))}
        try:
            yield
        finally:
            self._stopping.set()
            _, pending = await asyncio.wait(tasks, timeout=self._grace_seconds)
            for job in self._running:
                job.cancel()
            if pending:
                _, pending = await asyncio.wait(pending, timeout=self._grace_seconds)
            if pending:  # they are taken over when the process is gone
                logger.error("jobs do not let themselves be interrupted", jobs=len(self._running))

    async def _work(self, after: asyncio.Event | None) -> None:
        if after is not None:
            await self._wait_for(after)
        parts = [self._survive(self._work_jobs)]
        if self._schedules:
            parts.append(self._survive(self._keep_schedules))
        # Not a task group: cancelling the one because the other failed would throw its jobs away.
        await asyncio.gather(*parts)

    async def _wait_for(self, event: asyncio.Event) -> None:
        """Wait for it, unless the end comes first."""
        waits = {asyncio.create_task(event.wait()), asyncio.create_task(self._stopping.wait())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _survive(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while not self._stopping.is_set():
            try:
                await run()
            except Exception:  # whatever PgQueuer stumbles over, the queue goes on
                logger.exception("the queue has stopped; starting it again")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RECOVERY_SECONDS)

    async def _work_jobs(self) -> None:
        await asyncio.to_thread(_load)
        from pgqueuer.core.qm import QueueManager
        from pgqueuer.domain.types import Channel

        driver = _Driver(self._database, self._events, self._stopping)
        manager = QueueManager(_queries(driver), channel=Channel(_names().channel))
        manager.shutdown = self._stopping
        manager.entrypoint_registry = _Entrypoints()
        for kind in self._workers:
            self._tell(manager, kind)
        self._manager = manager
        try:
            await manager.run(
                dequeue_timeout=timedelta(seconds=min(POLL_SECONDS, self._heartbeat_seconds / 2)),
                batch_size=BATCH,
                max_concurrent_tasks=CONCURRENCY,
                heartbeat_timeout=timedelta(seconds=self._heartbeat_seconds),
                log_aggregation_interval=timedelta(0),  # nobody reads its statistics
            )
        finally:
            self._manager = None

    def _tell(self, manager: "QueueManager", kind: str) -> None:
        # "hold": a failed job stays in the table, where operators see it.
        work = functools.partial(self._handle, self._workers[kind])
        manager.entrypoint(kind, accepts_context=True, on_failure="hold")(work)

    async def _keep_schedules(self) -> None:
        await asyncio.to_thread(_load)
        from pgqueuer.core.sm import SchedulerManager

        manager = SchedulerManager(_queries(_Driver(self._database, self._events, self._stopping)))
        manager.shutdown = self._stopping
        for kind, cron in self._schedules.items():
            manager.schedule(kind, cron)(self._enqueue_scheduled)
        await manager.run()

    async def _enqueue_scheduled(self, schedule: "models.Schedule") -> None:
        await self.enqueue(schedule.entrypoint, key=f"schedule:{schedule.entrypoint}")

    async def _handle(self, worker: _Worker, row: "models.Job", context: "models.Context") -> None:
        """One attempt, in the words of PgQueuer: what is raised decides what becomes of the job."""
        from pgqueuer.domain.errors import RetryRequested

        job = Job(row.id, row.entrypoint, Raw(row.payload or b"null"), row.attempts + 1, row.created)
        if self._workers.get(job.kind) is not worker:  # the job was on its way here when its kind was given up
            await self._give_back(job)
            raise RetryRequested(reason="its kind is left to others")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - PgQueuer makes one for each job
        self._running.add(task)
        try:
            with context.cancellation:  # ends quietly here when the job is cancelled
                await self._attempt(worker, job)
        except asyncio.CancelledError:
            # The process ends. PgQueuer would delete the job: asking for a retry is what keeps it.
            task.uncancel()
            await self._give_back(job)
            raise RetryRequested(reason="its process ended") from None
        finally:
            self._running.discard(task)

    async def _give_back(self, job: Job) -> None:
        """Let what follows not count as an attempt."""
        with contextlib.suppress(DatabaseUnavailable):
            await self._database.execute("update queue_jobs set attempts = attempts - 1 where id = $1", job.id)
        logger.info("a job goes back into the queue", kind=job.kind, job_id=job.id)

    async def _attempt(self, worker: _Worker, job: Job) -> None:
        from pgqueuer.domain.errors import RetryRequested

        pause = timedelta(seconds=min(self._retry_seconds * 2 ** min(job.attempt - 1, 20), MAX_RETRY_SECONDS))
        try:
            await _try(worker, job)
        except Exception as error:  # a handler may fail in any way
            reason = f"{type(error).__name__}: {error}"
            if job.attempt < worker.attempts:
                logger.warning("a job failed", kind=job.kind, job_id=job.id, attempt=job.attempt, reason=reason)
                raise RetryRequested(pause, reason) from error
            logger.error("a job is given up", kind=job.kind, job_id=job.id, attempts=worker.attempts, reason=reason)
            if worker.on_failure:
                await self._report_failure(worker.on_failure, job, reason, pause)
            raise

    async def _report_failure(self, report: FailureHandler, job: Job, reason: str, pause: timedelta) -> None:
        from pgqueuer.domain.errors import RetryRequested

        try:
            await report(job, reason)
        except Exception as error:  # as above
            logger.exception("the failure of a job cannot be reported; trying again", kind=job.kind, job_id=job.id)
            raise RetryRequested(pause, reason) from error


class _Entrypoints(dict[Any, Any]):
    """The kinds that PgQueuer asks for. One that is gone is still found by a job that was read before that."""

    def __init__(self) -> None:
        super().__init__()
        self._gone = dict[Any, Any]()

    def pop(self, kind: Any, *default: Any) -> Any:
        if kind in self:
            self._gone[kind] = self[kind]
        return super().pop(kind, *default)

    def __missing__(self, kind: Any) -> Any:
        return self._gone[kind]


async def _try(worker: _Worker, job: Job) -> None:
    if job.attempt > worker.attempts:
        raise RuntimeError(f"given up after {worker.attempts} attempts: the last one did not come to an end")
    await worker.handle(job)


async def delete_old_jobs(connection: Connection, before: datetime, limit: int) -> int:
    """Delete failed jobs and log lines from before a moment, at most so many of each; gives back how many."""
    deleted = 0
    for table, condition in (("queue_jobs", "status = 'failed' and updated < $1"), ("queue_log", "created < $1")):
        tag = await connection.execute(
            f"delete from {table} where id in (select id from {table} where {condition} limit $2)", before, limit
        )
        deleted += int(tag.rpartition(" ")[2])
    return deleted


_STATUS = f"""
    select
        (select count(*) from (select from queue_jobs where status = 'queued' limit {COUNTED}) w) as waiting,
        (select count(*) from (select from queue_jobs where status = 'picked' limit {COUNTED}) r) as running,
        (select count(*) from (select from queue_jobs where status = 'failed' limit {COUNTED}) f) as failed,
        coalesce(extract(epoch from now() - min(execute_after)), 0)::float8 as oldest_seconds
    from queue_jobs where status = 'queued' and execute_after <= now()
"""


# Between PgQueuer and us.


_loading = threading.Lock()
"""PgQueuer's modules import each other in circles: threads that load it at the same time find half of it."""


def _load() -> None:
    with _loading:
        for module in ("core.qm", "core.sm", "adapters.persistence.queries"):
            importlib.import_module(f"pgqueuer.{module}")


@functools.cache
def _names() -> "DBSettings":
    """What its things are called in our migration; each is named, or the environment could rename it."""
    from pgqueuer.domain.settings import DBSettings, Durability
    from pgqueuer.domain.types import Channel

    return DBSettings(
        prefix="queue_",
        db_schema=None,
        channel=Channel(f"{PREFIX}queue"),
        function="queue_notify",
        trigger="queue_notify",
        statistics_table="queue_statistics",
        queue_status_type="queue_status",
        queue_table="queue_jobs",
        queue_table_log="queue_log",
        schedules_table="queue_schedules",
        durability=Durability.durable,
    )


@functools.cache
def _statements() -> "QueryQueueBuilder":
    _load()
    from pgqueuer.adapters.persistence.qb import QueryQueueBuilder

    return QueryQueueBuilder(_names())


def _queries(driver: "_Driver") -> "Queries":
    from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QuerySchedulerBuilder
    from pgqueuer.adapters.persistence.queries import Queries

    names = _names()
    return Queries(driver, QueryBuilderEnvironment(names), _statements(), QuerySchedulerBuilder(names))


class _Driver:
    """PgQueuer's way to PostgreSQL: our pool and our events. While the database is away, it waits for it."""

    def __init__(self, database: Database, events: Events, stopping: asyncio.Event) -> None:
        self._database = database
        self._events = events
        self._stopping = stopping
        self._listeners = list[Callable[[], None]]()

    async def fetch(self, query: str, *arguments: object) -> list[dict[str, object]]:
        rows = await self._patiently(lambda: self._database.fetch(query, *_with_json(query, arguments)))
        return [dict(row) for row in rows]

    async def execute(self, query: str, *arguments: object) -> str:
        return await self._patiently(lambda: self._database.execute(query, *_with_json(query, arguments)))

    async def notify(self, channel: str, payload: str) -> None:
        await self.execute("select pg_notify($1, $2)", channel, payload)

    async def add_listener(self, _channel: str, callback: "NotifyCallback") -> None:
        def hear(event: Event) -> None:
            callback(_LOOK if event.is_resync else event.payload)

        self._listeners.append(self._events.subscribe("queue", hear))

    @property
    def shutdown(self) -> asyncio.Event:
        return self._stopping

    @property
    def tm(self) -> "TaskManager":
        from pgqueuer.core.tm import TaskManager

        return TaskManager()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for unsubscribe in self._listeners:
            unsubscribe()

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """PgQueuer would stop at the first error, and forget what became of the jobs that just ended."""
        is_said = False
        while True:
            try:
                return await work()
            except DatabaseUnavailable as error:
                if self._stopping.is_set():
                    raise
                if not is_said:
                    logger.warning("the queue waits for the database", reason=error.message)
                is_said = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RECOVERY_SECONDS)


def _with_json(query: str, arguments: tuple[object, ...]) -> tuple[object, ...]:
    """Our pool encodes JSON by itself; PgQueuer's is encoded already, and always the last argument."""
    if "::jsonb" not in query.lower():
        return arguments
    *others, last = arguments
    return (*others, [_raw(part) for part in last] if isinstance(last, list) else _raw(last))


def _raw(encoded: object) -> Raw | None:
    return Raw(encoded) if isinstance(encoded, str | bytes) else None


_LOOK = msgspec.json.encode(
    {
        "channel": f"{PREFIX}queue",
        "operation": "insert",
        "sent_at": "1970-01-01T00:00:00Z",
        "table": "queue_jobs",
        "type": "table_changed_event",
    }
)
"""What PgQueuer takes for news of jobs."""
