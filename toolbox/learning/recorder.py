"""Recording searches, and which of the tools that they showed were then called with success.

A call belongs to its caller's latest search within ten minutes that showed the tool. Both are written in the
background, on whichever replica they happen.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import structlog
from msgspec import Struct

from toolbox.batches import BatchWriter
from toolbox.database import Database
from toolbox.embeddings.base import Embedder
from toolbox.errors import EmbeddingError
from toolbox.index.embeddings import Model
from toolbox.learning.vectors import embed_uses

logger = structlog.get_logger(__name__)

MAX_QUERY = 1_000
"""Characters of a query that are kept."""
MAX_LOOKED_BACK = 1_000
"""Searches of a caller among which that of a call is looked for."""
MAX_USES_OF_A_CALLER = 5
MAX_USES = 200
"""Uses kept of one tool: by one caller, and in all; the newest stay. With more, one could crowd out others."""


LINGER_SECONDS = 0.25
"""How long what happened waits for more to be written with it."""


class Search(Struct, frozen=True):
    """A search, and the tools that it showed."""

    caller: str
    query: str
    shown: list[int]
    at: datetime


class Call(Struct, frozen=True):
    """A call that worked."""

    caller: str
    tool_name: str
    at: datetime


Happened: TypeAlias = Search | Call


class UseRecorder:
    """Remembers what was searched and then used."""

    def __init__(self, database: Database, embed: tuple[Model, Embedder] | None) -> None:
        self._database = database
        self._embed = embed
        self._writer = BatchWriter[Happened](self.write, "searches and uses", linger_seconds=LINGER_SECONDS)
        self._noted = set[tuple[str, str]]()
        """Callers and tools of calls that wait: another one right after it would say nothing new."""

    def searched(self, caller: str, query: str, shown: Sequence[int]) -> None:
        """Note a search."""
        if shown:
            self._noted.clear()  # the next call may belong to this one
            self._writer.add(Search(caller, query[:MAX_QUERY], list(shown), datetime.now(UTC)))

    def called(self, caller: str, tool_name: str) -> None:
        """Note a call that worked."""
        if (caller, tool_name) in self._noted:
            return
        self._noted.add((caller, tool_name))
        self._writer.add(Call(caller, tool_name, datetime.now(UTC)))

    @property
    def waiting(self) -> int:
        """How many searches and calls are to be written."""
        return self._writer.waiting

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write in the background until the block ends, and then what is left."""
        async with self._writer.running():
            yield

    async def write(self, happened: list[Happened]) -> None:
        """Write what happened now. Searches first: a call may belong to one of the same batch.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer; nothing is written.
        """
        self._noted.clear()
        searches = [one for one in happened if isinstance(one, Search)]
        calls = [one for one in happened if isinstance(one, Call)]
        async with self._database.transaction() as connection:
            if searches:
                await connection.copy_records_to_table(
                    "searches",
                    columns=("caller", "query", "shown", "created_at"),
                    records=[(search.caller, search.query, search.shown, search.at) for search in searches],
                )
            used = await connection.fetch(_USE, *_columns(calls)) if calls else []
            if used:
                tools = list({row["tool_id"] for row in used})
                await connection.execute(_FORGET, tools, MAX_USES_OF_A_CALLER, MAX_USES)
        if used and self._embed:
            try:
                await embed_uses(self._database, *self._embed)
            except EmbeddingError as error:
                logger.warning("what was used is learned later", reason=error.message)


def _columns(calls: list[Call]) -> tuple[list[str], list[str], list[datetime]]:
    return [call.tool_name for call in calls], [call.caller for call in calls], [call.at for call in calls]


_USE = f"""
    insert into uses as u (tool_id, caller, query, created_at)
    select distinct on (t.id, c.caller, s.query) t.id, c.caller, s.query, c.at
    from unnest($1::text[], $2::text[], $3::timestamptz[]) as c (tool_name, caller, at)
    join tools t on t.name = c.tool_name
    cross join lateral (
        select recent.query from (
            select query, shown, created_at from searches
            where caller = c.caller and created_at between c.at - interval '10 minutes' and c.at
            order by created_at desc limit {MAX_LOOKED_BACK}
        ) recent
        where t.id = any(recent.shown) order by recent.created_at desc limit 1
    ) s
    order by t.id, c.caller, s.query, c.at desc
    on conflict (tool_id, caller, md5(query)) do update set created_at = greatest(u.created_at, excluded.created_at)
    returning tool_id
"""
_FORGET = """
    delete from uses using (
        select id, row_number() over (partition by tool_id, caller order by created_at desc, id desc) as of_caller,
            row_number() over (partition by tool_id order by created_at desc, id desc) as of_all
        from uses where tool_id = any($1)
    ) numbered
    where numbered.id = uses.id and (numbered.of_caller > $2 or numbered.of_all > $3)
"""
