"""Checks of health: the catalogue, the schema, and the machine."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import psutil

from toolbox.admin.service import count_tools
from toolbox.database import Database, newest_revision
from toolbox.errors import DatabaseUnavailable
from toolbox.health import Check
from toolbox.index.embeddings import count_pending
from toolbox.kept import Kept
from toolbox.services import Services

BUSY_PERCENT, FULL_PERCENT = 80.0, 90.0
"""From where on the processor is said to be busy, and memory and disk to be full."""

LOOK_SECONDS = 5.0
"""For how long what was seen of the machine is taken for what it is."""


async def check_schema(database: Database) -> Check:
    """Whether the schema has what this version needs; a newer replica may have brought it further meanwhile."""
    try:
        row = await database.fetch_row("select version_num from alembic_version")
    except DatabaseUnavailable as error:
        return Check("down", error.message)
    current = row["version_num"] if row else ""
    if current < newest_revision():
        return Check("down", f"the schema is at {current or 'nothing'}, and {newest_revision()} is needed")
    return Check("ok", current)


async def check_required_embeddings(services: Services) -> Check:
    """Whether the model works, where REQUIRE_EMBEDDING_FOR_READINESS makes that a condition."""
    if not services.settings.require_embedding_for_readiness:
        return Check("off")
    if services.embed is None:
        return Check("down", "there is no embedding model")
    # One failed search is none of this: the beat tries the model again, and says of it what lasts.
    problem = services.failure or (services.endpoint.outage if services.endpoint else None)
    return Check("down", problem) if problem else Check("ok")


async def check_tools(services: Services) -> Check:
    """How many tools there are, and how many of them are found by meaning."""
    try:
        counts, _ = await count_tools(services.database, services.search.model_name)
        waiting = await count_pending(services.database, services.embed[0]) if services.embed else 0
    except DatabaseUnavailable as error:
        return Check("degraded", error.message)
    figures = {"total": counts.active, "indexed": counts.embedded, "waiting": waiting}
    return Check("ok", f"{counts.active} tools, {waiting} of them wait for their embedding", figures)


async def check_pool(database: Database) -> Check:
    """Whether connections are left."""
    use = database.pool_use
    figures = {"used": use.used, "idle": use.idle, "maximum": use.maximum}
    if use.used >= use.maximum:
        return Check("degraded", "all connections are in use; DB_POOL_SIZE and DB_MAX_OVERFLOW allow more", figures)
    return Check("ok", figures=figures)


async def check_streams(number: int, limit: int) -> Check:
    """Whether clients can still open streams."""
    figures = {"open": number, "maximum": limit}
    if number >= limit:
        return Check("degraded", "no client can open another stream; MAX_STREAMS limits them", figures)
    return Check("ok", figures=figures)


def machine_checks(folder: Path) -> Mapping[str, Callable[[], Awaitable[Check]]]:
    """The machine's processor and memory, and the disk that the folder is on."""
    psutil.cpu_percent()  # it tells of the time since it was last asked

    async def look() -> dict[str, float]:
        place = next(place for place in (folder, *folder.parents) if place.exists())
        return {
            "cpu": psutil.cpu_percent(),
            "memory": psutil.virtual_memory().percent,
            "disk": psutil.disk_usage(str(place)).percent,
        }

    seen = Kept(look, seconds=LOOK_SECONDS)

    async def check(name: str, limit: float, what: str) -> Check:
        percent = (await seen.get())[name]
        return Check("degraded" if percent > limit else "ok", what if percent > limit else "", {"percent": percent})

    return {
        "cpu": partial(check, "cpu", BUSY_PERCENT, "the processor is busy"),
        "memory": partial(check, "memory", FULL_PERCENT, "memory is nearly full"),
        "disk": partial(check, "disk", FULL_PERCENT, "the disk is nearly full"),
    }
