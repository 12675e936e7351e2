"""`toolbox audit`: who changed what, and when."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from toolbox.cli.backend import local_settings, open_local_database
from toolbox.cli.output import json_option, print_json, print_table
from toolbox.settings import Settings

if TYPE_CHECKING:  # loaded where it is used: --help needs no database driver
    from toolbox.audit import AuditedChange


@click.command()
@click.option("--caller", help="Only what this caller did.")
@click.option("--action", help="Only such changes, as tool.updated.")
@click.option("--kind", "subject_kind", help="Only changes of such things: tool, toolset, source, key ...")
@click.option("--subject", help="Only changes of this thing, by its name.")
@click.option("--since", type=click.DateTime(), help="Only changes from this moment on (UTC).")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def audit(as_json: bool, limit: int, since: datetime | None, **wanted: Any) -> None:
    """Who changed what, and when: newest first. --json shows what it was before, and what it became."""
    with local_settings("audit") as settings:
        found = asyncio.run(_read(settings, limit, since, wanted))
    if as_json:
        print_json(found)
        return
    rows = [
        (change.at.isoformat(" ", "seconds"), change.caller, change.action, change.subject, _summarize(change))
        for change in found
    ]
    print_table(("at", "caller", "action", "subject", "change"), rows, caption=None if rows else "no changes yet")


async def _read(
    settings: Settings, limit: int, since: datetime | None, wanted: dict[str, Any]
) -> "list[AuditedChange]":
    from toolbox.audit import AuditFilter, read_audit

    since = since.replace(tzinfo=UTC) if since else None
    async with open_local_database(settings) as database:
        return await read_audit(database, AuditFilter(since=since, **wanted), limit=limit)


def _summarize(change: "AuditedChange") -> str:
    """Which members have changed; of what is new or gone, all is said by the action."""
    before, after = (_members(value) for value in (change.before, change.after))
    if not before or not after:
        return ""
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(changed)


def _members(value: Any) -> dict[str, Any]:
    """The members of a JSON object, each as it is written."""
    plain = msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value
    return {name: msgspec.json.encode(part) for name, part in plain.items()} if isinstance(plain, dict) else {}
