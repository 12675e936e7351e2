"""Findings: lint of every definition that the catalogue holds, in the background, kept with what it was found in."""

import asyncio
from collections.abc import Sequence

import msgspec

from toolbox.database import Database
from toolbox.definitions import ToolDefinition
from toolbox.tools.lint import Finding, KnownNames, lint_definition
from toolbox.tools.repository import COLUMNS, to_definition, to_tool

LINT = "lint"
"""The kind of the job that does it."""
LINT_VERSION = 1
"""Grows when the rules change, so that all tools are looked at anew."""
BATCH = 500
"""Tools looked at and committed at once."""


async def lint_outdated(database: Database) -> tuple[int, int]:
    """Look at all definitions that are new or have changed; gives back how many, and how many are flagged."""
    known: KnownNames | None = None
    looked_at = flagged = after = 0
    while True:
        rows = await database.fetch(
            f"""
            select {COLUMNS}, t.fingerprint from tools t left join tool_findings f on f.tool_id = t.id
            where t.id > $1 and (f.tool_id is null or f.fingerprint <> t.fingerprint or f.lint_version < $2)
            order by t.id limit {BATCH}
            """,
            after,
            LINT_VERSION,
        )
        if not rows:
            return looked_at, flagged
        known = known or await read_names(database)
        tools = [(row["source"], to_definition(to_tool(row))) for row in rows]
        findings = await asyncio.to_thread(lint_all, tools, known)
        await database.execute(
            """
            insert into tool_findings (tool_id, fingerprint, lint_version, findings, is_flagged)
            select n.tool_id, n.fingerprint, $5, n.findings, n.is_flagged
            from unnest($1::int[], $2::bytea[], $3::json[], $4::bool[]) as n
                (tool_id, fingerprint, findings, is_flagged)
            join tools t on t.id = n.tool_id
            on conflict (tool_id) do update set fingerprint = excluded.fingerprint,
                lint_version = excluded.lint_version, findings = excluded.findings, is_flagged = excluded.is_flagged
            """,
            [row["id"] for row in rows],
            [row["fingerprint"] for row in rows],
            [msgspec.Raw(msgspec.json.encode(found)) for found in findings],
            [bool(found) for found in findings],
            LINT_VERSION,
        )
        looked_at, flagged = looked_at + len(rows), flagged + sum(map(bool, findings))
        after = rows[-1]["id"]


async def lint_now(database: Database, tools: Sequence[tuple[str, ToolDefinition]]) -> list[list[Finding]]:
    """What lint finds in definitions of sources that are not, or not so, in the catalogue."""
    if not tools:
        return []
    return await asyncio.to_thread(lint_all, tools, await read_names(database))


def lint_all(tools: Sequence[tuple[str, ToolDefinition]], known: KnownNames) -> list[list[Finding]]:
    """The findings in each of these definitions; it takes about a millisecond for each."""
    return [lint_definition(definition, source=source, known=known) for source, definition in tools]


async def read_names(database: Database) -> KnownNames:
    """The names of all active tools. With 100,000 it takes seconds to make, so it is made in a thread."""
    rows = await database.fetch("select name, source from tools where active")
    return await asyncio.to_thread(KnownNames, {row["name"]: row["source"] for row in rows})
