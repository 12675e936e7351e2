"""Commands for operators: create, change, switch off, roll back, pin and approve tools; import and export them."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click
import msgspec

from toolbox.cli.backend import Server, operate
from toolbox.cli.output import count, json_option, print_fields, print_json, print_table, url_option
from toolbox.errors import InvalidRequest

etag_option = click.option("--if-match", metavar="ETAG", help="Only if it is still as `show` has said.")


@click.command()
@click.argument("name")
@url_option
@json_option
def show(name: str, url: str | None, as_json: bool) -> None:
    """Everything about one tool, active or not, by name or id: how it is run, its state, what lint found."""
    _print_tool(url, "GET", _path(name), as_json=as_json)


@click.command()
@click.argument("file", type=click.File("rb"))
@url_option
@json_option
def create(file: Any, url: str | None, as_json: bool) -> None:
    """Add the tool of a JSON file (- reads standard input): name, description, input_schema, implementation ..."""
    _print_tool(url, "POST", "/admin/tools", _read_json(file), as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@etag_option
@url_option
@json_option
def update(name: str, file: Any, if_match: str | None, url: str | None, as_json: bool) -> None:
    """Put the tool of a JSON file in the place of one, as a new version."""
    _print_tool(url, "PUT", _path(name), _read_json(file), if_match=if_match or "*", as_json=as_json)


@click.command()
@click.argument("name")
@etag_option
@url_option
def delete(name: str, if_match: str | None, url: str | None) -> None:
    """Delete a tool with its versions; the history of its calls stays."""
    _ask(url, "DELETE", _path(name), if_match=if_match)
    click.echo(f"{name}: deleted")


def _define(action: str, text: str) -> click.Command:
    """A command that does something to a tool which needs no more than its name."""

    @click.command(action, help=text)
    @click.argument("name")
    @etag_option
    @url_option
    @json_option
    def command(name: str, if_match: str | None, url: str | None, as_json: bool) -> None:
        _print_tool(url, "POST", _path(name, action), if_match=if_match, as_json=as_json)

    return command


activate = _define("activate", "Switch a tool on again.")
deactivate = _define("deactivate", "Switch a tool off: nobody finds or calls it, whatever syncs bring.")
unpin = _define("unpin", "Let a tool follow its source again.")


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@etag_option
@url_option
@json_option
def rollback(name: str, version: int, if_match: str | None, url: str | None, as_json: bool) -> None:
    """Put an earlier version in force; a tool of a plugin or an upstream is pinned to it."""
    _print_tool(url, "POST", _path(name, "rollback"), {"version": version}, if_match=if_match, as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1), required=False)
@etag_option
@url_option
@json_option
def pin(name: str, version: int | None, if_match: str | None, url: str | None, as_json: bool) -> None:
    """Keep a tool at a version, or at the one that it has, whatever its source offers."""
    _print_tool(url, "POST", _path(name, "pin"), {"version": version}, if_match=if_match, as_json=as_json)


@click.command()
@click.argument("name", required=False)
@url_option
def reindex(name: str | None, url: str | None) -> None:
    """Have what is searched of a tool, or of all, made anew in the background."""
    done = _ask(url, "POST", _path(name, "reindex") if name else "/admin/reindex")
    click.echo(f"{count(done['tools'], 'tool')} to be indexed anew")


@click.command()
@click.argument("name")
@click.option("--diff", "number", type=click.IntRange(1), help="What would change with this version.")
@url_option
@json_option
def versions(name: str, number: int | None, url: str | None, as_json: bool) -> None:
    """List the versions of a tool, newest first."""
    if number is not None:
        changes = _ask(url, "GET", _path(name, f"versions/{number}/diff"))
        print_json(changes) if as_json else _print_changes(changes)
        return
    found = _ask(url, "GET", _path(name, "versions"))
    if as_json:
        print_json(found)
        return
    rows = [
        (one["number"], one["version"], one["created_at"], "in force" if one["is_current"] else one["review"])
        for one in found
    ]
    print_table(("number", "version", "since", "state"), rows)


@click.command()
@click.argument("name")
@url_option
@json_option
def stats(name: str, url: str | None, as_json: bool) -> None:
    """How often a tool was called, how often that worked, and how long it took."""
    found = _ask(url, "GET", _path(name, "stats"))
    print_json(found) if as_json else print_fields(found)


@click.command()
@url_option
@json_option
def lint(url: str | None, as_json: bool) -> None:
    """Look at all definitions that are new or have changed, and list the tools that are suspicious."""
    found = _ask(url, "POST", "/admin/lint")
    if as_json:
        print_json(found)
        return
    rows = [
        (one["name"], one["source"], finding["rule"].replace("_", " "), finding["where"], finding["message"])
        for one in found
        for finding in one["findings"] or ()
    ]
    print_table(("tool", "source", "rule", "where", "finding"), rows, caption=count(len(found), "suspicious tool"))


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--source", default="admin", show_default=True, help="Where the tools come from.")
@url_option
@json_option
def import_(file: Any, source: str, url: str | None, as_json: bool) -> None:
    """Create or replace the tools of JSON lines, as `export` writes them (- reads standard input); all or none."""
    path, lines = f"/admin/tools/import?{urlencode({'source': source})}", file.read()

    async def work(server: Server) -> Any:
        return server.check(await server.send("POST", path, content=lines)).json()

    done = operate(url, "tools", work)
    if as_json:
        print_json(done)
    else:
        click.echo(f"{len(done['added'])} added, {len(done['updated'])} updated, {done['unchanged']} unchanged")


@click.command()
@click.option("--source", help="Only tools from there.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file instead of standard output.")
@url_option
def export(source: str | None, output: Path | None, url: str | None) -> None:
    """Write all tools with how they are run, one JSON object a line; `import` takes them back."""
    path = f"/admin/tools/export?{urlencode({'source': source} if source else {})}"

    async def work(server: Server) -> bytes:
        return (await server.request("GET", path)).content

    lines = operate(url, "tools", work)
    with output.open("wb") if output else click.open_file("-", "wb") as file:
        file.write(lines)
    click.echo(f"{count(len(lines.splitlines()), 'tool')} exported", err=True)


OF_TOOLS = (
    show, create, update, delete, activate, deactivate, versions, rollback, pin, unpin, reindex, stats, lint, import_,
    export,
)  # fmt: skip
"""Commands of `toolbox tools`."""


@click.group()
def approvals() -> None:
    """Approve what plugins and upstreams have changed, where a policy or an upstream's trust holds that back."""


@approvals.command("list")
@url_option
@json_option
def list_approvals(url: str | None, as_json: bool) -> None:
    """What waits: the difference to what is in force, and what lint finds in it."""
    found = _ask(url, "GET", "/admin/approvals")
    if as_json:
        print_json(found)
        return
    for waiting in found:
        print_waiting(waiting)
    click.echo(f"{count(len(found), 'version')} to approve or reject")


@approvals.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@url_option
def approve(name: str, version: int, url: str | None) -> None:
    """Put a version in force that was held back."""
    _ask(url, "POST", _path(name, f"versions/{version}/approve"))
    click.echo(f"{name}: version {version} is in force")


@approvals.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@url_option
def reject(name: str, version: int, url: str | None) -> None:
    """Keep a version out that was held back."""
    _ask(url, "POST", _path(name, f"versions/{version}/reject"))
    click.echo(f"{name}: version {version} is rejected")


@approvals.command()
@click.argument("source", required=False)
@click.argument("on_change", type=click.Choice(["accept", "hold"]), required=False)
@url_option
@json_option
def policy(source: str | None, on_change: str | None, url: str | None, as_json: bool) -> None:
    """Show the policies, or set that of a SOURCE, which may be a pattern such as "upstream:*"."""
    if (source is None) is not (on_change is None):
        raise click.UsageError("give both SOURCE and accept or hold, or neither.")

    async def work(server: Server) -> Any:
        by_source = await server.ask("GET", "/admin/policies")
        if source is None:
            return by_source
        return await server.ask("PUT", "/admin/policies", by_source | {source: on_change})

    found = operate(url, "tools", work)
    if as_json:
        print_json(found)
    else:
        print_table(("source", "on change"), list(found.items()), caption=None if found else "all changes are accepted")


def print_waiting(waiting: dict[str, Any]) -> None:
    """A version that waits for approval: what would change, and what lint finds in it."""
    click.echo(f"{waiting['tool']} version {waiting['version']} waits{' (new)' if waiting['is_new'] else ''}")
    _print_changes(waiting["changes"])
    for finding in waiting["findings"]:
        click.echo(f"  ! {finding['rule'].replace('_', ' ')} at {finding['where']}: {finding['message']}")


def _path(name: str, rest: str = "") -> str:
    return f"/admin/tools/{quote(name, safe='')}" + (f"/{rest}" if rest else "")


def _ask(url: str | None, method: str, path: str, body: Any = None, *, if_match: str | None = None) -> Any:
    headers = {"If-Match": if_match} if if_match else None
    return operate(url, "tools", lambda server: server.ask(method, path, body, headers=headers))


def _print_tool(
    url: str | None, method: str, path: str, body: Any = None, *, if_match: str | None = None, as_json: bool
) -> None:
    """The tool that the server answers with, and its ETag."""
    headers = {"If-Match": if_match} if if_match else None

    async def work(server: Server) -> dict[str, Any]:
        return await server.ask_state(method, path, body, headers=headers)

    state = operate(url, "tools", work)
    print_json(state) if as_json else print_fields(state)


def _read_json(file: Any) -> Any:
    try:
        return msgspec.json.decode(file.read(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file.name} cannot be used: {error}") from error


def _print_changes(changes: list[dict[str, Any]]) -> None:
    for change in changes:
        for sign, side in (("-", "before"), ("+", "after")):
            if side in change:
                click.echo(f"  {sign} {change['path']}: {msgspec.json.encode(change[side]).decode()[:500]}")
    sys.stdout.flush()
