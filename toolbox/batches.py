"""Rows that are written in the background, in batches, so that nobody waits for each other's disk.

The buffer is bounded; what had to be dropped is counted and said in the log.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Generic, TypeVar

import structlog

from toolbox.errors import DatabaseUnavailable
from toolbox.metrics import ROWS_DROPPED

logger = structlog.get_logger(__name__)

MAX_BUFFERED = 10_000
MAX_BATCH = 500
LINGER_SECONDS = 0.05
RETRY_SECONDS = 1.0
WRITE_TIMEOUT_SECONDS = 5.0
PATIENCE = 2
"""After so many attempts in a row that failed nobody waits any more, until one succeeds."""

T = TypeVar("T")


class BatchWriter(Generic[T]):
    """Collects rows and inserts them together."""

    def __init__(
        self, insert: Callable[[list[T]], Awaitable[None]], what: str, *, linger_seconds: float = LINGER_SECONDS
    ) -> None:
        """`insert` writes some rows or none; `what` names them in the log.

        A row that nobody waits for is written after `linger_seconds`, with all that have come meanwhile.
        """
        self._linger_seconds = linger_seconds
        self._insert = insert
        self._what = what
        self._buffer: deque[tuple[T, asyncio.Future[bool] | None]] = deque()
        self._failures = 0
        self._wake = asyncio.Event()
        self._is_urgent = asyncio.Event()
        self._is_closing = False
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """How many rows are to be written."""
        return len(self._buffer)

    def add(self, row: T) -> None:
        """Leave a row to the next batch."""
        self._append(row, None)

    async def write(self, row: T) -> bool:
        """Add a row and wait until it is on disk; false if that takes too long, and it is written later.

        While the database is known to be away, nobody waits.
        """
        if self._failures >= PATIENCE:
            self._append(row, None)
            return False
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._append(row, written)
        try:
            return await asyncio.wait_for(written, WRITE_TIMEOUT_SECONDS)
        except TimeoutError:
            self._failures = PATIENCE  # it neither answers nor refuses
            return False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write in the background until the block ends, and then what is left."""
        writer = asyncio.create_task(self._write_batches())
        try:
            yield
        finally:
            self._is_closing = True
            self._is_urgent.set()
            self._wake.set()
            await writer

    def _append(self, row: T, written: asyncio.Future[bool] | None) -> None:
        if len(self._buffer) >= MAX_BUFFERED:
            self._count_dropped(1)
            self._buffer.popleft()
            if self.dropped % 1000 == 1:
                logger.error("rows are dropped: the database does not keep up", of=self._what, dropped=self.dropped)
        self._buffer.append((row, written))
        if written:
            self._is_urgent.set()
        self._wake.set()

    def _count_dropped(self, number: int) -> None:
        self.dropped += number
        ROWS_DROPPED[(self._what,)].inc(number)

    async def _write_batches(self) -> None:
        while True:
            await self._wake.wait()
            if not self._is_closing:
                await self._gather()
            self._wake.clear()
            if not await self._write_rows(len(self._buffer)):
                lost = len(self._buffer)
                self._count_dropped(lost)
                logger.error("rows are lost: the database is gone at shutdown", of=self._what, lost=lost)
                return
            if self._buffer:  # they came meanwhile, and others may follow: each batch has its price
                self._wake.set()
            elif self._is_closing:
                return

    async def _write_rows(self, due: int) -> bool:
        """Write so many; false if that cannot be, and the process ends."""
        while due > 0 and self._buffer:
            written = await self._write_batch()
            if not written and self._is_closing:
                return False
            due -= written
        return True

    async def _gather(self) -> None:
        """Let rows that nobody waits for come together; one that somebody waits for is written at once."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_urgent.wait(), self._linger_seconds)
        self._is_urgent.clear()

    async def _write_batch(self) -> int:
        """Write some; how many they were, 0 while the database does not answer."""
        batch = [self._buffer.popleft() for _ in range(min(MAX_BATCH, len(self._buffer)))]
        try:
            await self._insert_or_drop([row for row, _ in batch])
        except DatabaseUnavailable as error:
            logger.warning("rows wait for the database", of=self._what, waiting=len(batch), reason=error.message)
            self._buffer.extendleft(reversed(batch))
            self._failures += 1
            if self._failures >= PATIENCE:
                _tell(self._buffer, is_written=False)
            await asyncio.sleep(0 if self._is_closing else RETRY_SECONDS)
            return 0
        self._failures = 0
        _tell(batch, is_written=True)
        return len(batch)

    async def _insert_or_drop(self, rows: list[T]) -> None:
        """Insert all; if something in one of them cannot be stored, halve until only that one is left out."""
        try:
            await self._insert(rows)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the writer must survive whatever a tool gave back
            if len(rows) == 1:
                self._count_dropped(1)
                logger.error("a row cannot be stored", of=self._what, id=_id_of(rows[0]), reason=str(error))
                return
            middle = len(rows) // 2
            await self._insert_or_drop(rows[:middle])
            await self._insert_or_drop(rows[middle:])


def _tell(rows: Iterable[tuple[T, asyncio.Future[bool] | None]], *, is_written: bool) -> None:
    """Let those go on who wait for a row."""
    for _, written in rows:
        if written and not written.done():
            written.set_result(is_written)


def _id_of(row: object) -> str | None:
    found = getattr(row, "id", None)
    return None if found is None else str(found)
