"""Which servers are alive and what they can run, so that a roll-out takes no tool away that somebody still serves."""

from collections.abc import Collection
from uuid import UUID

import msgspec
from msgspec import Struct
from packaging.version import InvalidVersion, Version

from toolbox.database import Database
from toolbox.tools.registry import RegisteredTool

BEAT_SECONDS = 10
ALIVE_SECONDS = 30


class Elsewhere(Struct, frozen=True):
    """What other living servers can run."""

    names: frozenset[str] = frozenset()
    versions: dict[str, Version] = {}
    """The newest version that one of them has, by source."""

    def has_newer(self, tool: RegisteredTool) -> bool:
        """Whether one of them has this tool, and one a newer version of its source."""
        newest = self.versions.get(tool.source)
        return tool.name in self.names and newest is not None and newest > _to_version(tool.source_version)


class Replica:
    """This server's row in the table of replicas."""

    def __init__(self, database: Database, replica_id: UUID) -> None:
        self._database = database
        self.id = replica_id

    async def announce(self, tools: Collection[RegisteredTool]) -> None:
        """Say that this server is alive and can run these tools."""
        await self._database.execute(
            """
            insert into replicas (id, tool_names, source_versions) values ($1, $2, $3)
            on conflict (id) do update
            set tool_names = excluded.tool_names, source_versions = excluded.source_versions, seen_at = now()
            """,
            self.id,
            [tool.name for tool in tools],
            {tool.source: tool.source_version for tool in tools},
        )

    async def leave(self) -> None:
        """Say that this server is gone, and forget those that were killed long ago."""
        await self._database.execute(
            "delete from replicas where id = $1 or seen_at < now() - interval '1 day'", self.id
        )


async def read_elsewhere(database: Database, besides: UUID | None) -> Elsewhere:
    """What the other living servers have announced."""
    rows = await database.fetch(
        f"""
        select tool_names, source_versions from replicas
        where id is distinct from $1 and seen_at > now() - interval '{ALIVE_SECONDS} seconds'
        """,
        besides,
    )
    versions = dict[str, Version]()
    for row in rows:
        announced = msgspec.json.decode(row["source_versions"] or b"{}", type=dict[str, str])
        for source, text in announced.items():
            version = _to_version(text)
            versions[source] = max(version, versions.get(source, version))
    return Elsewhere(frozenset(name for row in rows for name in row["tool_names"]), versions)


def _to_version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")
