"""Which servers are alive and what they can run, so that a roll-out takes no tool away that somebody still serves."""

from collections.abc import Sequence
from uuid import UUID

from toolbox.database import Database

BEAT_SECONDS = 10
ALIVE_SECONDS = 30


class Replica:
    """This server's row in the table of replicas."""

    def __init__(self, database: Database, replica_id: UUID) -> None:
        self._database = database
        self.id = replica_id

    async def announce(self, tool_names: Sequence[str]) -> None:
        """Say that this server is alive and can run these tools."""
        await self._database.execute(
            """
            insert into replicas (id, tool_names) values ($1, $2)
            on conflict (id) do update set tool_names = excluded.tool_names, seen_at = now()
            """,
            self.id,
            list(tool_names),
        )

    async def leave(self) -> None:
        """Say that this server is gone, and forget those that were killed long ago."""
        await self._database.execute(
            "delete from replicas where id = $1 or seen_at < now() - interval '1 day'", self.id
        )


async def names_served_elsewhere(database: Database, besides: UUID | None) -> set[str]:
    """The tools that other living servers can run."""
    rows = await database.fetch(
        f"""
        select distinct unnest(tool_names) as name from replicas
        where id is distinct from $1 and seen_at > now() - interval '{ALIVE_SECONDS} seconds'
        """,
        besides,
    )
    return {row["name"] for row in rows}
