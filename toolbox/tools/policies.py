"""Policies: whether tools of a source that are new or have changed are in force at once, or wait for approval."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from toolbox.audit import AuditEntry, record
from toolbox.database import Connection, Database

OnChange: TypeAlias = Annotated[
    Literal["accept", "hold"], Meta(description="accept: in force at once; hold: an operator approves it first.")
]
Pattern: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256, description="A source; * is any text.")]


class SourcePolicies:
    """What is to happen by source. A source's own name comes before patterns, and of those the longest."""

    def __init__(self, by_source: Mapping[str, OnChange]) -> None:
        self.by_source = dict(by_source)
        self._patterns = sorted(self.by_source, key=lambda pattern: (-len(pattern), pattern))

    def holds(self, source: str) -> bool:
        """Whether changes of this source wait for approval."""
        if source in self.by_source:
            return self.by_source[source] == "hold"
        found = next((pattern for pattern in self._patterns if fnmatchcase(source, pattern)), None)
        return found is not None and self.by_source[found] == "hold"


ACCEPT_ALL = SourcePolicies({})


async def read_policies(database: Database) -> SourcePolicies:
    """The policies; where there is none, changes are accepted."""
    rows = await database.fetch("select source, on_change from source_policies order by source")
    return SourcePolicies({row["source"]: row["on_change"] for row in rows})


async def put_policies(connection: Connection, by_source: Mapping[str, OnChange], caller: str) -> None:
    """Set some policies within a transaction; others stay."""
    rows = await connection.fetch("select source, on_change from source_policies")
    before = {row["source"]: row["on_change"] for row in rows}
    after = before | dict(by_source)
    if after != before:
        await connection.executemany(
            """
            insert into source_policies (source, on_change) values ($1, $2)
            on conflict (source) do update set on_change = excluded.on_change
            """,
            list(by_source.items()),
        )
        await record(connection, AuditEntry(caller, "policies.changed", "policies", "sources", before, after))


async def write_policies(database: Database, by_source: Mapping[str, OnChange], caller: str) -> None:
    """Replace all policies; what waits already goes on waiting."""
    async with database.transaction() as connection:
        gone = await connection.fetch("delete from source_policies returning source, on_change")
        await connection.executemany(
            "insert into source_policies (source, on_change) values ($1, $2)", list(by_source.items())
        )
        before = {row["source"]: row["on_change"] for row in gone}
        if before != dict(by_source):
            entry = AuditEntry(caller, "policies.changed", "policies", "sources", before, dict(by_source))
            await record(connection, entry)
