"""The jobs of ToolBox itself: what the queue works in the background, and when."""

from datetime import UTC, datetime, timedelta

import structlog

from toolbox.database import Database
from toolbox.embeddings.base import Embedder
from toolbox.index.embeddings import Model
from toolbox.learning.vectors import embed_uses
from toolbox.queue import Job, Queue, delete_old_jobs
from toolbox.tasks.repository import delete_expired_tasks
from toolbox.tools.reindex import REINDEX, reindex_outdated
from toolbox.tools.sync import embed_missing

logger = structlog.get_logger(__name__)

EMBED_ATTEMPTS = 20
"""Enough, with the pauses between them, to outlast an hour without the model."""
RETENTION = "retention"
DAILY = "17 3 * * *"
QUEUE_RETENTION_DAYS = 7
"""How long the queue remembers what it did, and jobs that failed."""
USE_RETENTION_DAYS = 365
"""By then a use says next to nothing (USE_HALF_LIFE_DAYS)."""
BATCH = 5_000
"""Rows deleted at once: few enough that nobody waits for their locks."""


def register_jobs(
    queue: Queue, database: Database, *, embed: tuple[Model, Embedder] | None, call_retention_days: int
) -> None:
    """Tell the queue how its jobs are worked here; without a model, a process leaves embedding to others."""

    async def delete_old(_job: Job) -> None:
        await delete_old_rows(database, call_retention_days=call_retention_days)

    async def reindex(_job: Job) -> None:
        logger.info("tools were indexed anew", tools=await reindex_outdated(database))
        if embed:
            await embed_missing(database, *embed)

    queue.register(REINDEX, reindex, attempts=EMBED_ATTEMPTS)
    queue.register(RETENTION, delete_old)
    queue.schedule(RETENTION, DAILY)
    if embed:
        model, embedder = embed

        async def embed_tools(_job: Job) -> None:
            logger.info("tools were embedded", tools=await embed_missing(database, model, embedder))
            await embed_uses(database, model, embedder)

        queue.register(embed_job(model), embed_tools, attempts=EMBED_ATTEMPTS)


def embed_job(model: Model) -> str:
    """The kind of the job that embeds what a model has not seen: each has one, as replicas may have different ones."""
    return f"embed:{model.name}"


async def delete_old_rows(database: Database, *, call_retention_days: int) -> None:
    """Delete calls that are older than so many days (0 keeps them for ever), and what the queue no longer needs."""
    calls = 0
    if call_retention_days:
        calls = await _delete_old(database, "calls", "started_at", _days_ago(call_retention_days))
        await _delete_old(database, "results", "created_at", _days_ago(call_retention_days))
        await _delete_old(database, "searches", "created_at", _days_ago(call_retention_days))
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
