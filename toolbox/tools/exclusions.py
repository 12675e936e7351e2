"""Exclusions: tools that an operator has switched off, or has yet to approve, are run by no replica from then on."""

import asyncio

import structlog

from toolbox.errors import DatabaseUnavailable
from toolbox.events import Event, Events
from toolbox.tools.registry import Registry
from toolbox.tools.repository import ToolRepository

logger = structlog.get_logger(__name__)

RETRY_SECONDS = 5.0


class Exclusions:
    """Tells the registry what not to run, whenever the catalogue changes."""

    def __init__(self, registry: Registry, repository: ToolRepository, events: Events) -> None:
        self._registry = registry
        self._repository = repository
        self._reading: asyncio.Task[None] | None = None
        self._read_again = False
        events.subscribe("tools", self._hear)

    async def read(self) -> None:
        """Read them now.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        self._registry.keep_out(await self._repository.read_kept_out())

    def close(self) -> None:
        """Read no more."""
        if self._reading:
            self._reading.cancel()

    def _hear(self, _event: Event) -> None:
        self._read_again = True
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._keep_reading())

    async def _keep_reading(self) -> None:
        try:
            while self._read_again:
                self._read_again = False
                try:
                    await self.read()
                except DatabaseUnavailable as error:
                    logger.warning("which tools are switched off is not known; trying again", reason=error.message)
                    self._read_again = True
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._reading = None
