"""What was used, read as queries with known answers, and such queries replayed as use."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from toolbox.database import Database
from toolbox.learning.recorder import Call, Happened, Search, UseRecorder

_BATCH = 500


class UsedQuery(NamedTuple):
    """A query, and the names of the tools that somebody called with success after it."""

    text: str
    tools: frozenset[str]


async def read_used_queries(database: Database) -> list[UsedQuery]:
    """Every query after which an active tool was used, oldest first."""
    rows = await database.fetch(
        """
        select u.query, array_agg(distinct t.name) as names
        from uses u join tools t on t.id = u.tool_id and t.active group by u.query order by min(u.id)
        """
    )
    return [UsedQuery(row["query"], frozenset(row["names"])) for row in rows]


async def replay_uses(database: Database, used: Sequence[UsedQuery], caller: str) -> None:
    """Record that a caller searched for each query, saw its tools, and then called them, one query after the other.

    Their vectors are left to `embed_uses`.
    """
    recorder = UseRecorder(database, None)
    numbers = {row["name"]: row["id"] for row in await database.fetch("select id, name from tools where active")}
    now = datetime.now(UTC)
    for begin in range(0, len(used), _BATCH):
        happened = list[Happened]()
        for number, (text, tools) in enumerate(used[begin : begin + _BATCH], begin - len(used)):
            at = now + timedelta(microseconds=number)
            happened.append(Search(caller, text, [numbers[tool] for tool in tools], at))
            happened += [Call(caller, tool, at) for tool in sorted(tools)]
        await recorder.write(happened)
