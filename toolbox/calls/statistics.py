"""Statistics of calls: counted in the transaction that writes the calls, so that reading them takes no time.

Durations are counted in buckets, each 2 % wider than the one before: a percentile is right to 1 %. What retention
deletes from the history stays counted here.
"""

import math
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from toolbox.database import Connection, Database
from toolbox.definitions import Moment

LEAST_MS = 0.01
GROWTH = 1.02
SLOTS = 8
"""In which the calls of all tools are counted, each by other connections."""


class CallStatistics(Struct, frozen=True):
    """How calls of one tool, or of all, went."""

    calls: int
    succeeded: int
    success_rate: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    last_called_at: Moment | None


class Counted(Struct, frozen=True):
    """What is counted of one call."""

    tool_name: str
    success: bool
    duration_ms: float
    started_at: datetime


def find_bucket(duration_ms: float) -> int:
    """The bucket that counts calls of this duration."""
    return math.floor(math.log(max(duration_ms, LEAST_MS) / LEAST_MS) / math.log(GROWTH))


async def count_calls(connection: Connection, calls: Iterable[Counted]) -> None:
    """Count calls; rows are written in order, so that two writers wait for each other instead of locking each other."""
    counts = dict[tuple[str, bool, int], tuple[int, datetime]]()
    for call in calls:
        key = (call.tool_name, call.success, find_bucket(call.duration_ms))
        number, latest = counts.get(key, (0, call.started_at))
        counts[key] = (number + 1, max(latest, call.started_at))
    rows = sorted(counts.items())
    columns = (
        *([key[part] for key, _ in rows] for part in range(3)),
        *([value[part] for _, value in rows] for part in range(2)),
    )
    for statement in (_COUNT_BY_TOOL, _COUNT_ALL):
        await connection.execute(statement, *columns)


async def read_statistics(database: Database, tool_name: str | None = None) -> CallStatistics:
    """The statistics of a tool, or of all; percentiles to 1 %."""
    of_tool = () if tool_name is None else (tool_name,)
    row = await database.fetch_row(
        f"""
        with counted as (
            select bucket, sum(calls) as calls, sum(calls) filter (where success) as succeeded,
                max(last_called_at) as last_called_at
            from {"call_statistics where tool_name = $1" if of_tool else "call_totals"} group by bucket
        ), summed as (
            select *, sum(calls) over (order by bucket) as upto, sum(calls) over () as total from counted
        )
        select coalesce(sum(calls), 0)::bigint as calls, coalesce(sum(succeeded), 0)::bigint as succeeded,
            round(sum(succeeded) / nullif(sum(calls), 0), 4)::float8 as success_rate,
            {_percentile(0.5)} as p50_ms, {_percentile(0.95)} as p95_ms, {_percentile(0.99)} as p99_ms,
            max(last_called_at) as last_called_at
        from summed
        """,
        *of_tool,
    )
    return CallStatistics(**row) if row else CallStatistics(0, 0, None, None, None, None, None)


_COUNTED = "unnest($1::text[], $2::bool[], $3::smallint[], $4::bigint[], $5::timestamptz[])"
_ADDED = "calls = s.calls + excluded.calls, last_called_at = greatest(s.last_called_at, excluded.last_called_at)"
_COUNT_BY_TOOL = f"""
    insert into call_statistics as s (tool_name, success, bucket, calls, last_called_at) select * from {_COUNTED}
    on conflict (tool_name, success, bucket) do update set {_ADDED}
"""
_COUNT_ALL = f"""
    insert into call_totals as s (slot, success, bucket, calls, last_called_at)
    select pg_backend_pid() % {SLOTS}, success, bucket, sum(calls), max(last_called_at)
    from {_COUNTED} as c (tool_name, success, bucket, calls, last_called_at) group by 1, 2, 3 order by 1, 2, 3
    on conflict (slot, success, bucket) do update set {_ADDED}
"""


def _percentile(share: float) -> str:
    """The middle of the bucket in which so many calls have ended."""
    bucket = f"min(bucket) filter (where upto >= {share} * total)"
    return f"round(({LEAST_MS} * power({GROWTH}, {bucket} + 0.5))::numeric, 2)::float8"
