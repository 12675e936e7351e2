"""`toolbox audit`: who changed what, and when."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import click
import msgspec
from msgspec import to_builtins

from toolbox.cli.backend import ask_server, local_settings, open_local_database
from toolbox.cli.output import json_option, print_json, print_table, url_option
from toolbox.settings import Settings


@click.command()
@click.option("--caller", help="Only what this caller did.")
@click.option("--action", help="Only such changes, as tool.updated.")
@click.option("--kind", "subject_kind", help="Only changes of such things: tool, toolset, source, key ...")
@click.option("--subject", help="Only changes of this thing, by its name.")
@click.option("--since", type=click.DateTime(), help="Only changes from this moment on (UTC).")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@url_option
@json_option
def audit(url: str | None, as_json: bool, limit: int, since: datetime | None, **wanted: Any) -> None:
    """Who changed what, and when: newest first. --json shows what it was before, and what it became."""
    given = {name: value for name, value in wanted.items() if value is not None} | {"limit": limit}
    if since:
        given["since"] = since.replace(tzinfo=UTC)
    nothing = "no change is like that; without options, all are listed" if len(given) > 1 else "no changes yet"
    found = _ask(url, given) if url else _read_here(given)
    if as_json:
        print_json(found)
        return
    rows = [
        (change["at"], change["caller"], change["action"], change["subject"], _summarize(change)) for change in found
    ]
    print_table(("at", "caller", "action", "subject", "change"), rows, caption=None if rows else nothing)


def _ask(url: str, given: dict[str, Any]) -> Any:
    query = urlencode({name: to_builtins(value) for name, value in given.items()})
    return asyncio.run(ask_server(url, lambda server: server.ask("GET", f"/admin/audit?{query}")))


def _read_here(given: dict[str, Any]) -> Any:
    async def read(settings: Settings) -> Any:
        from toolbox.audit import AuditFilter, read_audit

        limit = given.pop("limit")
        async with open_local_database(settings) as database:
            return await read_audit(database, AuditFilter(**given), limit=limit)

    with local_settings("audit") as settings:
        return msgspec.json.decode(msgspec.json.encode(asyncio.run(read(settings))))


def _summarize(change: dict[str, Any]) -> str:
    """Which members have changed; of what is new or gone, all is said by the action."""
    before, after = (_members(change[side]) for side in ("before", "after"))
    if not before or not after:
        return ""
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(changed)


def _members(value: Any) -> dict[str, Any]:
    """The members of a JSON object, each as it is written."""
    return {name: msgspec.json.encode(part) for name, part in value.items()} if isinstance(value, dict) else {}
