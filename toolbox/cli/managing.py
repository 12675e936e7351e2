"""Commands for operators: create, change, switch off, roll back, pin and approve tools; export them."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from toolbox.cli.backend import local_caller, local_settings, open_local
from toolbox.cli.output import count, json_option, print_json, print_table
from toolbox.errors import InvalidRequest

if TYPE_CHECKING:  # loaded where they are used: --help needs no database driver
    from toolbox.services import Services
    from toolbox.tools.managed import ManagedTool, Match
    from toolbox.tools.management import Draft

T = TypeVar("T")

etag_option = click.option("--if-match", metavar="ETAG", help="Only if it is still as `show` has said.")


@click.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Everything about one tool, active or not, by name or id: how it is run, its state, what lint found."""
    _print_state(_manage(lambda services: services.manager.get(name)), as_json=as_json)


@click.command()
@click.argument("file", type=click.File("rb"))
@json_option
def create(file: Any, as_json: bool) -> None:
    """Add the tool of a JSON file (- reads standard input): name, description, input_schema, implementation ..."""
    draft = _read_draft(file)
    _print_state(_manage(lambda services: services.manager.create(draft, local_caller())), as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@etag_option
@json_option
def update(name: str, file: Any, if_match: str | None, as_json: bool) -> None:
    """Put the tool of a JSON file in the place of one, as a new version."""
    draft = _read_draft(file)
    _change(lambda services, match: services.manager.replace(name, draft, local_caller(), match), if_match, as_json)


@click.command()
@click.argument("name")
@etag_option
def delete(name: str, if_match: str | None) -> None:
    """Delete a tool with its versions; the history of its calls stays."""

    async def work(services: "Services") -> None:
        await services.manager.delete(name, local_caller(), _match(if_match))

    _manage(work)
    click.echo(f"{name}: deleted")


@click.command()
@click.argument("name")
@etag_option
@json_option
def activate(name: str, if_match: str | None, as_json: bool) -> None:
    """Switch a tool on again."""
    _change(lambda services, match: services.manager.switch(name, local_caller(), match, on=True), if_match, as_json)


@click.command()
@click.argument("name")
@etag_option
@json_option
def deactivate(name: str, if_match: str | None, as_json: bool) -> None:
    """Switch a tool off: nobody finds or calls it, whatever syncs bring."""
    _change(lambda services, match: services.manager.switch(name, local_caller(), match, on=False), if_match, as_json)


@click.command()
@click.argument("name")
@click.option("--diff", "number", type=click.IntRange(1), help="What would change with this version.")
@json_option
def versions(name: str, number: int | None, as_json: bool) -> None:
    """List the versions of a tool, newest first."""
    if number is not None:
        changes = _manage(lambda services: services.versions.diff(name, number))
        _print_changes(msgspec.to_builtins(changes), as_json=as_json)
        return
    found = _manage(lambda services: services.versions.list_versions(name))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.number,
            one.version,
            one.created_at.isoformat(" ", "seconds"),
            "in force" if one.is_current else one.review,
        )
        for one in found
    ]
    print_table(("number", "version", "since", "state"), rows)


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@etag_option
@json_option
def rollback(name: str, version: int, if_match: str | None, as_json: bool) -> None:
    """Put an earlier version in force; a tool of a plugin or an upstream is pinned to it."""
    _change(
        lambda services, match: services.versions.roll_back(name, version, local_caller(), match), if_match, as_json
    )


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1), required=False)
@etag_option
@json_option
def pin(name: str, version: int | None, if_match: str | None, as_json: bool) -> None:
    """Keep a tool at a version, or at the one that it has, whatever its source offers."""
    _change(lambda services, match: services.versions.pin(name, version, local_caller(), match), if_match, as_json)


@click.command()
@click.argument("name")
@etag_option
@json_option
def unpin(name: str, if_match: str | None, as_json: bool) -> None:
    """Let a tool follow its source again."""
    _change(lambda services, match: services.versions.unpin(name, local_caller(), match), if_match, as_json)


@click.command()
@click.argument("name")
@json_option
def stats(name: str, as_json: bool) -> None:
    """How often a tool was called, how often that worked, and how long it took."""

    async def work(services: "Services") -> Any:
        tool = (await services.manager.get(name)).tool
        return await services.history.statistics(tool.name)

    found = _manage(work)
    if as_json:
        print_json(found)
        return
    for field in found.__struct_fields__:
        if (value := getattr(found, field)) is not None:
            click.echo(f"{field}: {value}")


@click.command()
@json_option
def lint(as_json: bool) -> None:
    """Look at all definitions that are new or have changed, and list the tools that are suspicious."""

    async def work(services: "Services") -> "list[ManagedTool]":
        from toolbox.tools.findings import lint_outdated

        await lint_outdated(services.database)
        flagged: list[ManagedTool] = await services.manager.list_flagged()
        return flagged

    found = _manage(work)
    if as_json:
        print_json([_to_state(one) for one in found])
        return
    rows = [
        (one.tool.name, one.tool.source, finding["rule"].replace("_", " "), finding["where"], finding["message"])
        for one in found
        for finding in msgspec.json.decode(one.findings or b"[]")
    ]
    print_table(("tool", "source", "rule", "where", "finding"), rows, caption=count(len(found), "suspicious tool"))


@click.group()
def approvals() -> None:
    """Approve what plugins and upstreams have changed, where a policy holds that back."""


@approvals.command("list")
@json_option
def list_approvals(as_json: bool) -> None:
    """What waits: the difference to what is in force, and what lint finds in it."""

    async def work(services: "Services") -> Any:
        return await services.approvals.list_waiting()

    found = msgspec.to_builtins(_manage(work))
    if as_json:
        print_json(found)
        return
    for waiting in found:
        print_waiting(waiting)
    click.echo(f"{count(len(found), 'version')} to approve or reject")


@approvals.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
def approve(name: str, version: int) -> None:
    """Put a version in force that was held back."""
    _manage(lambda services: services.approvals.approve(name, version, local_caller()))
    click.echo(f"{name}: version {version} is in force")


@approvals.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
def reject(name: str, version: int) -> None:
    """Keep a version out that was held back."""
    _manage(lambda services: services.approvals.reject(name, version, local_caller()))
    click.echo(f"{name}: version {version} is rejected")


@approvals.command()
@click.argument("source", required=False)
@click.argument("on_change", type=click.Choice(["accept", "hold"]), required=False)
@json_option
def policy(source: str | None, on_change: Any, as_json: bool) -> None:
    """Show the policies, or set that of a SOURCE, which may be a pattern such as "upstream:*"."""
    if (source is None) is not (on_change is None):
        raise click.UsageError("give both SOURCE and accept or hold, or neither.")

    async def work(services: "Services") -> dict[str, Any]:
        from toolbox.tools.policies import read_policies, write_policies

        by_source = (await read_policies(services.database)).by_source
        if source is not None:
            by_source |= {source: on_change}
            await write_policies(services.database, by_source, local_caller())
        return by_source

    found = _manage(work)
    if as_json:
        print_json(found)
    else:
        print_table(("source", "on change"), list(found.items()), caption=None if found else "all changes are accepted")


@click.command()
@click.option("--source", help="Only tools from there.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file instead of standard output.")
def export(source: str | None, output: Path | None) -> None:
    """Write all tools with how they are run, one JSON object a line; `POST /admin/tools/import` takes them back."""

    async def work(services: "Services") -> int:
        from toolbox.tools.admin_schemas import to_line
        from toolbox.tools.bulk import export_lines

        number = 0
        with output.open("wb") if output else click.open_file("-", "wb") as file:
            async for managed in export_lines(services.manager, source):
                file.write(msgspec.json.encode(to_line(managed)) + b"\n")
                number += 1
        return number

    click.echo(f"{count(_manage(work), 'tool')} exported", err=True)


OF_TOOLS = (show, create, update, delete, activate, deactivate, versions, rollback, pin, unpin, stats, lint, export)
"""Commands of `toolbox tools`."""


def _manage(work: "Callable[[Services], Awaitable[T]]") -> T:
    async def locally(settings: Any) -> T:
        async with open_local(settings) as local:
            return await work(local.services)

    with local_settings("tools") as settings:
        return asyncio.run(locally(settings))


def _change(change: "Callable[[Services, Match], Awaitable[ManagedTool]]", if_match: str | None, as_json: bool) -> None:
    _print_state(_manage(lambda services: change(services, _match(if_match))), as_json=as_json)


def _match(if_match: str | None) -> "Match":
    from toolbox.tools.managed import require_match

    return require_match(if_match)


def _read_draft(file: Any) -> "Draft":
    from toolbox.tools.admin_schemas import ToolDraft

    try:
        return msgspec.json.decode(file.read(), type=ToolDraft).to_draft()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file.name} cannot be used: {error}") from error


def _to_state(managed: "ManagedTool") -> dict[str, Any]:
    from toolbox.tools.admin_schemas import to_state

    state: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(to_state(managed)))
    return state | {"etag": managed.etag}


def _print_state(managed: "ManagedTool", *, as_json: bool) -> None:
    state = _to_state(managed)
    if as_json:
        print_json(state)
        return
    for name, value in state.items():
        if value not in (None, "", [], {}):
            click.echo(f"{name}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")


def print_waiting(waiting: dict[str, Any]) -> None:
    """A version that waits for approval: what would change, and what lint finds in it."""
    click.echo(f"{waiting['tool']} version {waiting['version']} waits{' (new)' if waiting['is_new'] else ''}")
    _print_changes(waiting["changes"], as_json=False)
    for finding in waiting["findings"]:
        click.echo(f"  ! {finding['rule'].replace('_', ' ')} at {finding['where']}: {finding['message']}")


def _print_changes(changes: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(changes)
        return
    for change in changes:
        for sign, side in (("-", "before"), ("+", "after")):
            if side in change:
                click.echo(f"  {sign} {change['path']}: {msgspec.json.encode(change[side]).decode()[:500]}")
    sys.stdout.flush()
