"""Commands for toolsets: named selections of tools, each with an MCP endpoint of its own."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from toolbox.cli.backend import Server, find_server_url, operate
from toolbox.cli.output import count, json_option, print_fields, print_json, print_table, url_option
from toolbox.errors import NotFound
from toolbox.settings import read_settings

MEMBERS_SHOWN = 20


@click.group()
def toolsets() -> None:
    """Look after toolsets: named selections of tools, each with an MCP endpoint at /toolsets/NAME/mcp."""


@toolsets.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@url_option
@json_option
def apply(file: Path, url: str | None, as_json: bool) -> None:
    """Define the toolsets of a JSON or TOML file, or replace those that are there already. Others stay as they are."""
    from toolbox.toolsets.files import read_toolset_file

    definitions = read_toolset_file(file)

    async def work(server: Server) -> tuple[dict[str, str], dict[str, int]]:
        changes = await server.ask("PUT", "/admin/toolsets", definitions)
        found = await server.ask("GET", "/admin/toolsets")
        return changes, {toolset["name"]: toolset["tools"] for toolset in found}

    changes, tools = operate(url, "toolsets", work)
    if as_json:
        print_json(changes)
    for name, change in () if as_json else changes.items():
        click.echo(f"{name}: {change}, {count(tools[name], 'tool')}")
    if empty := [name for name in changes if not tools[name]]:
        click.echo(f"Warning: no tool is in {', '.join(empty)}: no rule matches any, or others exclude them", err=True)


@toolsets.command("list")
@url_option
@json_option
def list_(url: str | None, as_json: bool) -> None:
    """List the toolsets."""
    found = [_flatten(state) for state in operate(url, "toolsets", lambda server: server.ask("GET", "/admin/toolsets"))]
    if as_json:
        print_json([{name: value for name, value in one.items() if name != "first_tools"} for one in found])
        return
    rows = [
        (
            one["name"],
            one["tools"],
            "its tools" if one["is_direct"] else "find_tool",
            one["title"] or one["description"],
        )
        for one in found
    ]
    print_table(("name", "tools", "clients see", "title"), rows, caption=None if rows else "no toolsets yet")


@toolsets.command()
@click.argument("name")
@url_option
@json_option
def show(name: str, url: str | None, as_json: bool) -> None:
    """Look at one toolset and its first tools."""
    shown = _flatten(_ask_for(url, "GET", name))
    if as_json:
        print_json(shown)
        return
    base_url = url or read_settings(os.environ).public_url or find_server_url()
    shown["endpoint"] = f"{(base_url or '').rstrip('/')}{shown['endpoint']}"
    rules, names = shown.pop("rules"), shown.pop("first_tools")
    print_fields(shown)
    for kind in ("include", "exclude"):
        for rule in rules.get(kind, ()):
            click.echo(f"{kind}: {msgspec.json.encode(rule).decode()}")
    click.echo("\n".join(["", *names]) if names else "\nno tool is in it")
    if shown["tools"] > len(names):
        click.echo(f"... and {shown['tools'] - len(names)} more")


@toolsets.command()
@click.argument("name")
@url_option
def delete(name: str, url: str | None) -> None:
    """Delete a toolset, and the secrets of its own; its tools stay."""
    _ask_for(url, "DELETE", name)
    click.echo(f"{name}: deleted")


def _ask_for(url: str | None, method: str, name: str) -> Any:
    """What the server answers about a toolset; one that is not there, in the words of the command line."""
    try:
        return operate(url, "toolsets", lambda server: server.ask(method, f"/admin/toolsets/{quote(name, safe='')}"))
    except NotFound as error:
        raise no_such_toolset(name) from error


def no_such_toolset(name: str) -> NotFound:
    """The error that says so, in the words of the command line."""
    return NotFound(f"there is no toolset {name[:100]!r}; `toolbox toolsets list` lists those that there are")


def _flatten(state: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {name: state[name] for name in ("name", "endpoint", "tools")} | state["definition"]
    times = {name: state[name] for name in ("created_at", "updated_at")}
    return known | times | {"first_tools": state["first_tools"][:MEMBERS_SHOWN]}
