"""What finding saves: the tokens of all the definitions that a model would have to read if each tool were listed."""

import asyncio
import time
from collections.abc import Iterable

import structlog

from toolbox.database import Database
from toolbox.errors import DatabaseUnavailable
from toolbox.metrics import TOKENS_SAVED
from toolbox.tools.repository import StoredTool

logger = structlog.get_logger(__name__)

BYTES_PER_TOKEN = 3
WEIGHED_SECONDS = 300.0
"""How long the weight of the catalogue is taken for what it was: PostgreSQL reads all definitions for it."""


async def weigh_definitions(database: Database) -> int:
    """About how many tokens the names, descriptions and input schemas of all active tools take."""
    row = await database.fetch_row(
        """
        select coalesce(sum(octet_length(name) + octet_length(description) + octet_length(input_schema::text)), 0)::int8
            as bytes
        from tools where active
        """
    )
    return int(row["bytes"]) // BYTES_PER_TOKEN if row else 0


class Savings:
    """Counts what each find saves, in the background: nobody waits for the catalogue to be weighed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._weight = 0
        self._weighed_until = 0.0
        self._weighing: asyncio.Task[None] | None = None
        self._finds = self._sent = 0

    def count(self, found: Iterable[StoredTool]) -> None:
        """A find has sent these."""
        self._finds += 1
        self._sent += sum(_tokens(tool) for tool in found)
        if time.monotonic() < self._weighed_until:
            self._settle()
        elif self._weighing is None:
            self._weighing = asyncio.get_running_loop().create_task(self._weigh())

    def _settle(self) -> None:
        TOKENS_SAVED.inc(max(0, self._finds * self._weight - self._sent))
        self._finds = self._sent = 0

    async def _weigh(self) -> None:
        try:
            self._weight = await weigh_definitions(self._database)
            self._weighed_until = time.monotonic() + WEIGHED_SECONDS
            self._settle()
        except DatabaseUnavailable as error:
            logger.debug("what finding saves is counted later", reason=error.message)
        finally:
            self._weighing = None


def _tokens(tool: StoredTool) -> int:
    """As the catalogue is weighed."""
    return (len(tool.name) + len(tool.description) + memoryview(tool.input_schema).nbytes) // BYTES_PER_TOKEN
