"""A database of its own for an evaluation: dropped when it ends, or by the next one if it was killed."""

import contextlib
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import structlog
from msgspec import structs

from toolbox.database import open_connection
from toolbox.errors import InvalidRequest
from toolbox.settings import Secret, Settings

if TYPE_CHECKING:
    from toolbox.database import Connection

logger = structlog.get_logger(__name__)

IN_USE = 7_205_003
"""Of the advisory locks on databases that an evaluation uses, which are seen from all databases of the server."""

_PREFIX = "toolbox_evaluation_"
_NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{12}}")


@contextlib.asynccontextmanager
async def scratch_database(settings: Settings) -> AsyncIterator[Settings]:
    """Settings for a database of their own on the same server, dropped afterwards.

    Raises:
        InvalidRequest: The role may not create databases.
        DatabaseUnavailable: PostgreSQL does not answer, or refuses us.
    """
    assert settings.database_url is not None  # noqa: S101 - local_settings has set it
    url, name = settings.database_url.reveal(), f"{_PREFIX}{uuid4().hex[:12]}"
    async with contextlib.AsyncExitStack() as stack:
        connection = await stack.enter_async_context(open_connection(url))
        # Held from before there is a database until it is gone; with this process it goes by itself.
        await connection.execute("select pg_advisory_lock($1, $2)", IN_USE, _number(name))
        await _drop_left(connection)
        try:
            await connection.execute(f"create database {name}")
        except asyncpg.PostgresError as error:
            raise InvalidRequest(
                f"a database for the evaluation cannot be made: {error}; give the role CREATEDB, or unset "
                "DATABASE_URL to use ToolBox's own PostgreSQL"
            ) from error
        stack.push_async_callback(_drop, url, name)
        closing = stack.pop_all()  # whatever goes wrong from here on does not come from this connection
    try:
        scratch = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        yield structs.replace(settings, database_url=Secret(scratch), redis_url=None)
    finally:
        await closing.aclose()


async def _drop_left(connection: "Connection") -> None:
    """Drop the databases of evaluations that were killed. PostgreSQL drops none that somebody is connected to."""
    rows = await connection.fetch("select datname from pg_database where starts_with(datname, $1)", _PREFIX)
    locks = await connection.fetch(
        "select objid::bigint from pg_locks where locktype = 'advisory' and classid = $1 and objsubid = 2", IN_USE
    )
    used = {lock["objid"] for lock in locks}
    names = [row["datname"] for row in rows if _NAME.fullmatch(row["datname"])]
    for name in names:
        if _number(name) in used:
            continue
        try:
            await connection.execute(f"drop database if exists {name}")
        except asyncpg.PostgresError as error:
            logger.debug("the database of another evaluation stays", database=name, reason=str(error))
        else:
            logger.info("dropped the database of an evaluation that was killed", database=name)


async def _drop(url: str, name: str) -> None:
    # On a connection of its own: the other one may have been cut meanwhile.
    async with open_connection(url) as connection:
        await connection.execute(f"drop database {name} with (force)")


def _number(name: str) -> int:
    """What stands for a database in its lock: 28 bits of its name."""
    return int(name[-7:], 16)
