"""History: every call becomes a row.

Whoever hands out an execution id waits for its row first (`write`); everybody else leaves it to the next batch
(`record`).
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Raw, Struct

from toolbox.batches import BatchWriter
from toolbox.calls.statistics import CallStatistics, Counted, count_calls, read_statistics
from toolbox.database import Database
from toolbox.definitions import Moment
from toolbox.redaction import Redactor, hide_by_schema, mentions_secrets


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
    trace_id: str | None = None
    schemas: tuple[dict[str, Any], dict[str, Any] | None] | None = None
    """Of its arguments and of its result: they say what in them is secret."""


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
    trace_id: str | None


class CallSummary(Struct, frozen=True):
    """A call in a list, without its arguments and its result."""

    id: UUID
    tool_name: str
    tool_version: str
    caller: str
    channel: str
    success: bool
    error_code: str | None
    error_message: str | None
    started_at: Moment
    duration_ms: float
    trace_id: str | None


class CallFilter(Struct, frozen=True, kw_only=True):
    """Which calls are asked for; what is None does not restrict."""

    caller: str | None = None
    tool: str | None = None
    success: bool | None = None
    channel: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_COLUMNS = StoredCall.__struct_fields__
_KEPT_APART = "coalesce(result, (select r.value from results r where r.id = calls.id)) as result"
"""A result of which only an excerpt was given is kept among the results."""
_SELECTED = [_KEPT_APART if name == "result" else name for name in _COLUMNS]


class _Secretive:
    """Whether schemas say that something is secret; many calls have the same one, which is looked through once.

    It knows them by identity, and so is good only as long as somebody holds them.
    """

    def __init__(self) -> None:
        self._known = dict[int, bool]()

    def __call__(self, schema: dict[str, Any] | None) -> bool:
        known = self._known.get(id(schema))
        if known is None:
            known = self._known[id(schema)] = mentions_secrets(schema)
        return known


class History:
    """Writes calls in the background and reads them back."""

    def __init__(self, database: Database, redacted_fields: Iterable[str] = ()) -> None:
        """Values of members with these names are not kept, beside those that are named as secrets usually are."""
        self._database = database
        self._redactor = Redactor(redacted_fields)
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

    async def list_calls(
        self, wanted: CallFilter, *, limit: int, before: tuple[datetime, UUID] | None = None
    ) -> list[CallSummary]:
        """Calls, newest first; those that come before a call (when it started, and its id) in that order."""
        conditions, values = list[str](), list[Any]()
        for column, compared, value in (
            ("caller", "=", wanted.caller),
            ("tool_name", "=", wanted.tool),
            ("success", "=", wanted.success),
            ("channel", "=", wanted.channel),
            ("started_at", ">=", wanted.since),
            ("started_at", "<", wanted.until),
        ):
            if value is not None:
                values.append(value)
                conditions.append(f"{column} {compared} ${len(values)}")
        if before:
            values += before
            conditions.append(f"(started_at, id) < (${len(values) - 1}, ${len(values)})")
        rows = await self._database.fetch(
            f"""
            select {", ".join(CallSummary.__struct_fields__)} from calls
            where {" and ".join(conditions) or "true"} order by started_at desc, id desc limit {int(limit)}
            """,
            *values,
        )
        return [CallSummary(**row) for row in rows]

    async def statistics(self, tool_name: str | None = None) -> CallStatistics:
        """Counts and durations, of a tool or of all."""
        return await read_statistics(self._database, tool_name)

    def hide_result(self, result: Any, schema: dict[str, Any] | None) -> Any:
        """What is kept of a result: no secrets, as its schema, names and looks tell them."""
        return self._redactor.redact(hide_by_schema(result, schema))

    async def _insert(self, calls: list[CallRecord]) -> None:
        try:
            await self._copy(calls)
        except asyncpg.UniqueViolationError:  # they were written before, and only the answer was lost
            ids = [call.id for call in calls]
            kept = {row["id"] for row in await self._database.fetch("select id from calls where id = any($1)", ids)}
            await self._copy([call for call in calls if call.id not in kept])

    async def _copy(self, calls: list[CallRecord]) -> None:
        records = await asyncio.to_thread(self._to_rows, calls)
        counted = [Counted(call.tool_name, call.success, call.duration_ms, call.started_at) for call in calls]
        async with self._database.transaction() as connection:
            await connection.copy_records_to_table("calls", columns=_COLUMNS, records=records)
            await count_calls(connection, counted)

    def _to_rows(self, calls: list[CallRecord]) -> list[tuple[Any, ...]]:
        """What is kept of calls: no secrets. Long results take a while, so this runs in a thread."""
        is_secretive = _Secretive()
        return [self._to_row(call, is_secretive) for call in calls]

    def _to_row(self, call: CallRecord, is_secretive: "_Secretive") -> tuple[Any, ...]:
        arguments, result = call.arguments, call.result
        if call.schemas:
            arguments_schema, result_schema = call.schemas
            if is_secretive(arguments_schema):
                arguments = hide_by_schema(arguments, arguments_schema)
            if is_secretive(result_schema):
                result = hide_by_schema(result, result_schema)
        hidden = {
            "arguments": self._redactor.redact(arguments),
            "result": self._redactor.redact(result),
            "error_message": self._redactor.redact(call.error_message),
        }
        return tuple(hidden[name] if name in hidden else getattr(call, name) for name in _COLUMNS)
