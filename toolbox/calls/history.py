"""History: every call becomes a row, written in batches so that calls do not wait for each other's disk.

Whoever hands out an execution id waits for its row first (`write`); everybody else leaves it to the next batch
(`record`). The buffer is bounded; what had to be dropped is counted and said in the log.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from msgspec import Raw, Struct

from toolbox.database import Database
from toolbox.definitions import Moment
from toolbox.errors import DatabaseUnavailable

logger = structlog.get_logger(__name__)

MAX_BUFFERED = 10_000
MAX_BATCH = 500
LINGER_SECONDS = 0.05
RETRY_SECONDS = 1.0
WRITE_TIMEOUT_SECONDS = 5.0


class CallRecord(Struct, frozen=True, kw_only=True):
    """One call as it is remembered. `channel` says how it came: rest, mcp or cli."""

    id: UUID
    tool_name: str
    tool_version: str
    caller: str
    channel: str
    arguments: Any
    success: bool
    result: Any = None
    error_code: str | None = None
    error_message: str | None = None
    started_at: datetime
    duration_ms: float


class StoredCall(Struct, frozen=True):
    """A call read back."""

    id: UUID
    tool_name: str
    tool_version: str
    caller: str
    channel: str
    arguments: Raw
    success: bool
    result: Raw | None
    error_code: str | None
    error_message: str | None
    started_at: datetime
    duration_ms: float


class CallStatistics(Struct, frozen=True):
    """What the history says of one tool, or of all."""

    calls: int
    succeeded: int
    p50_ms: float | None
    p95_ms: float | None
    last_called_at: Moment | None


_COLUMNS = StoredCall.__struct_fields__
_KEPT_APART = "coalesce(result, (select r.value from results r where r.id = calls.id)) as result"
"""A result of which only an excerpt was given is kept among the results."""
_SELECTED = [_KEPT_APART if name == "result" else name for name in _COLUMNS]


class History:
    """Writes calls in the background and reads them back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._buffer: deque[tuple[CallRecord, asyncio.Future[None] | None]] = deque()
        self._wake = asyncio.Event()
        self._is_urgent = asyncio.Event()
        self._is_closing = False
        self.dropped = 0

    def record(self, call: CallRecord) -> None:
        """Leave a call to the next batch."""
        self._append(call, None)

    async def write(self, call: CallRecord) -> bool:
        """Record a call and wait until it is on disk; false if that takes too long, and it is written later."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._append(call, written)
        try:
            await asyncio.wait_for(written, WRITE_TIMEOUT_SECONDS)
        except TimeoutError:
            return False
        return True

    async def read(self, call_id: UUID, caller: str) -> StoredCall | None:
        """A call of this caller."""
        row = await self._database.fetch_row(
            f"select {', '.join(_SELECTED)} from calls where id = $1 and caller = $2", call_id, caller
        )
        return StoredCall(*(row[name] for name in _COLUMNS)) if row else None

    async def statistics(self, tool_name: str | None = None) -> CallStatistics:
        """Counts and durations (to 0.1 ms), computed by PostgreSQL."""
        row = await self._database.fetch_row(
            """
            select count(*) as calls, count(*) filter (where success) as succeeded,
                round(percentile_cont(0.5) within group (order by duration_ms)::numeric, 1)::float8 as p50_ms,
                round(percentile_cont(0.95) within group (order by duration_ms)::numeric, 1)::float8 as p95_ms,
                max(started_at) as last_called_at
            from calls where $1::text is null or tool_name = $1
            """,
            tool_name,
        )
        return CallStatistics(**row) if row else CallStatistics(0, 0, None, None, None)

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

    def _append(self, call: CallRecord, written: asyncio.Future[None] | None) -> None:
        if len(self._buffer) >= MAX_BUFFERED:
            self.dropped += 1
            self._buffer.popleft()
            if self.dropped % 1000 == 1:
                logger.error("calls are dropped from the history: the database does not keep up", dropped=self.dropped)
        self._buffer.append((call, written))
        if written:
            self._is_urgent.set()
        self._wake.set()

    async def _write_batches(self) -> None:
        while True:
            await self._wake.wait()
            await self._gather()
            self._wake.clear()
            while self._buffer:
                if not await self._write_batch() and self._is_closing:
                    logger.error("calls are lost: the database is gone at shutdown", lost=len(self._buffer))
                    return
            if self._is_closing:
                return

    async def _gather(self) -> None:
        """Let calls that nobody waits for come together; one that somebody waits for is written at once."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_urgent.wait(), LINGER_SECONDS)
        self._is_urgent.clear()

    async def _write_batch(self) -> bool:
        batch = [self._buffer.popleft() for _ in range(min(MAX_BATCH, len(self._buffer)))]
        try:
            await self._insert_or_drop([call for call, _ in batch])
        except DatabaseUnavailable as error:
            logger.warning("the history waits for the database", waiting=len(batch), reason=error.message)
            self._buffer.extendleft(reversed(batch))
            await asyncio.sleep(0 if self._is_closing else RETRY_SECONDS)
            return False
        for _, written in batch:
            if written and not written.done():
                written.set_result(None)
        return True

    async def _insert_or_drop(self, calls: list[CallRecord]) -> None:
        """Insert all; if something in one of them cannot be stored, halve until only that one is left out."""
        try:
            await self._insert(calls)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the writer must survive whatever a tool gave back
            if len(calls) == 1:
                self.dropped += 1
                logger.error("a call cannot be stored", execution_id=str(calls[0].id), reason=str(error))
                return
            middle = len(calls) // 2
            await self._insert_or_drop(calls[:middle])
            await self._insert_or_drop(calls[middle:])

    async def _insert(self, calls: list[CallRecord]) -> None:
        records = [tuple(getattr(call, name) for name in _COLUMNS) for call in calls]
        async with self._database.connection() as connection:
            await connection.copy_records_to_table("calls", columns=_COLUMNS, records=records)
