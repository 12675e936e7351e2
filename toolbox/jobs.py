"""The jobs of ToolBox itself: what the queue works in the background, and when."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog

from toolbox.database import Database
from toolbox.embeddings.base import Embedder
from toolbox.index.embeddings import BATCH as EMBEDDED_AT_ONCE
from toolbox.index.embeddings import Model, count_pending, register_model
from toolbox.learning.vectors import embed_uses
from toolbox.queue import Job, Queue, delete_old_jobs
from toolbox.tasks.repository import delete_expired_tasks
from toolbox.tools.findings import LINT, lint_outdated
from toolbox.tools.reindex import REINDEX, reindex_outdated
from toolbox.tools.sync import embed_missing

logger = structlog.get_logger(__name__)

EMBED_ATTEMPTS = 20
"""Enough, with the pauses between them, to outlast an hour without the model."""
WORTH_A_HELPER = 2 * EMBEDDED_AT_ONCE
"""Tools that are left to embed, from which on another process is called to help."""
CALL_SECONDS = 1.0
"""Before which nobody comes."""
RETENTION = "retention"
DAILY = "17 3 * * *"
QUEUE_RETENTION_DAYS = 7
"""How long the queue remembers what it did, and jobs that failed."""
USE_RETENTION_DAYS = 365
"""By then a use says next to nothing (USE_HALF_LIFE_DAYS)."""
BATCH = 5_000
"""Rows deleted at once: few enough that nobody waits for their locks."""


def register_jobs(
    queue: Queue,
    database: Database,
    *,
    embed: tuple[Model, Embedder] | None,
    others: Iterable[Embedder] = (),
    call_retention_days: int,
    call_retention_rows: int = 0,
) -> None:
    """Tell the queue how its jobs are worked here; without a model, a process leaves embedding to those that have it.

    `others` are models that are at hand, and not searched with here: others may want to, or will.
    """

    async def delete_old(_job: Job) -> None:
        await delete_old_rows(
            database, call_retention_days=call_retention_days, call_retention_rows=call_retention_rows
        )

    async def reindex(_job: Job) -> None:
        logger.info("tools were indexed anew", tools=await reindex_outdated(database))
        if embed:
            await queue.enqueue(embed_job(embed[1]), key=embed_job(embed[1]))

    async def lint(_job: Job) -> None:
        looked_at, flagged = await lint_outdated(database)
        if flagged:
            logger.warning(
                "definitions are suspicious: `toolbox tools lint` says why", tools=looked_at, flagged=flagged
            )

    queue.register(REINDEX, reindex, attempts=EMBED_ATTEMPTS)
    queue.register(LINT, lint)
    queue.register(RETENTION, delete_old)
    queue.schedule(RETENTION, DAILY)
    models = {embedder.name: embedder for embedder in (*others, *([embed[1]] if embed else []))}
    for embedder in models.values():
        queue.register(embed_job(embedder), EmbedJobs(queue, database, embedder), attempts=EMBED_ATTEMPTS)


class EmbedJobs:
    """Embeds what a model has not seen. Whoever is at it calls others to help as long as there is much to do."""

    def __init__(self, queue: Queue, database: Database, embedder: Embedder) -> None:
        self._queue = queue
        self._database = database
        self._embedder = embedder
        self._is_at_work = False

    async def __call__(self, job: Job) -> None:
        """Embed; one job is enough for a process, and what calls it meanwhile is left to the others."""
        if self._is_at_work:
            await self._call(job, CALL_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - or the same one is first again
            return
        self._is_at_work = True
        try:
            await self._embed(job)
        finally:
            self._is_at_work = False

    async def _embed(self, job: Job) -> None:
        async def call_others(done: int, total: int) -> None:
            if total - done > WORTH_A_HELPER:
                await self._call(job, CALL_SECONDS)

        model = await register_model(self._database, self._embedder)
        await call_others(0, await count_pending(self._database, model))
        embedded = await embed_missing(self._database, model, self._embedder, report=call_others)
        logger.info("tools were embedded", model=model.name, tools=embedded)
        await embed_uses(self._database, model, self._embedder)

    async def _call(self, job: Job, delay_seconds: float) -> None:
        key = f"{job.kind}:{job.id}"  # one call at a time
        await self._queue.enqueue(job.kind, key=key, delay_seconds=delay_seconds)


def embed_job(model: Model | Embedder) -> str:
    """The kind of the job that embeds what a model has not seen: each has one, as replicas may have different ones."""
    return f"embed:{model.name}"


async def delete_old_rows(database: Database, *, call_retention_days: int, call_retention_rows: int = 0) -> None:
    """Delete calls that are older than so many days, or than so many newer ones, and what the queue no longer needs.

    0 keeps calls for ever, or any number of them.
    """
    calls = 0
    if call_retention_days:
        calls = await _delete_old(database, "calls", "started_at", _days_ago(call_retention_days))
        await _delete_old(database, "results", "created_at", _days_ago(call_retention_days))
        await _delete_old(database, "searches", "created_at", _days_ago(call_retention_days))
    if call_retention_rows:
        oldest = await database.fetch_row(
            "select started_at from calls order by started_at desc offset $1 limit 1", call_retention_rows - 1
        )
        calls += await _delete_old(database, "calls", "started_at", oldest["started_at"]) if oldest else 0
    await _delete_old(database, "uses", "created_at", _days_ago(USE_RETENTION_DAYS))
    jobs = await _delete_old_jobs(database, _days_ago(QUEUE_RETENTION_DAYS))
    tasks = await _delete_expired_tasks(database)
    logger.info("old rows were deleted", calls=calls, jobs=jobs, tasks=tasks)


async def _delete_old(database: Database, table: str, moment: str, before: datetime) -> int:
    total, deleted = 0, BATCH
    while deleted == BATCH:
        tag = await database.execute(
            f"delete from {table} where id in (select id from {table} where {moment} < $1 order by {moment} limit $2)",
            before,
            BATCH,
        )
        deleted = int(tag.rpartition(" ")[2])
        total += deleted
    return total


async def _delete_expired_tasks(database: Database) -> int:
    total, deleted = 0, BATCH
    while deleted == BATCH:
        deleted = await delete_expired_tasks(database, BATCH)
        total += deleted
    return total


async def _delete_old_jobs(database: Database, before: datetime) -> int:
    total, deleted = 0, 1
    while deleted:
        async with database.connection() as connection:
            deleted = await delete_old_jobs(connection, before, BATCH)
        total += deleted
    return total


def _days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)
