"""History: every call becomes a row.

Whoever hands out an execution id waits for its row first (`write`); everybody else leaves it to the next batch
(`record`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct

from toolbox.batches import BatchWriter
from toolbox.database import Database
from toolbox.definitions import Moment


class CallRecord(Struct, frozen=True, kw_only=True):
    """One call as it is remembered. `channel` says how it came: rest, mcp, cli, or composed (a tool made it)."""

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
        self._writer = BatchWriter[CallRecord](self._insert, "calls")
        self.record = self._writer.add
        """Leave a call to the next batch."""
        self.write = self._writer.write
        """Record a call and wait until it is on disk; false if that takes too long, and it is written later."""
        self.running = self._writer.running
        """Write in the background until the block ends, and then what is left."""

    @property
    def dropped(self) -> int:
        """How many calls could not be kept."""
        return self._writer.dropped

    @property
    def waiting(self) -> int:
        """How many calls are to be written."""
        return self._writer.waiting

    async def read(self, call_id: UUID, owner: str | None) -> StoredCall | None:
        """A call of this caller; None: of anybody."""
        row = await self._database.fetch_row(
            f"select {', '.join(_SELECTED)} from calls where id = $1 and ($2::text is null or caller = $2)",
            call_id,
            owner,
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

    async def _insert(self, calls: list[CallRecord]) -> None:
        records = [tuple(getattr(call, name) for name in _COLUMNS) for call in calls]
        async with self._database.connection() as connection:
            await connection.copy_records_to_table("calls", columns=_COLUMNS, records=records)
