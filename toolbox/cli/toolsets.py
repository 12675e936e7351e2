"""Commands for toolsets: named selections of tools, each with an MCP endpoint of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from toolbox.cli.backend import find_server_url, local_caller, local_settings, open_local
from toolbox.cli.output import count, json_option, print_json, print_table
from toolbox.errors import NotFound
from toolbox.settings import Settings

if TYPE_CHECKING:  # loaded where they are used: --help needs no database driver
    from toolbox.toolsets.repository import MemberPage
    from toolbox.toolsets.schemas import Toolset
    from toolbox.toolsets.service import Change, ToolsetService

T = TypeVar("T")

MEMBERS_SHOWN = 20


@click.group()
def toolsets() -> None:
    """Look after toolsets: named selections of tools, each with an MCP endpoint at /toolsets/NAME/mcp."""


@toolsets.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def apply(file: Path, as_json: bool) -> None:
    """Define the toolsets of a JSON or TOML file, or replace those that are there already. Others stay as they are."""
    from toolbox.toolsets.files import read_toolset_file

    definitions = read_toolset_file(file)

    async def write(service: "ToolsetService") -> tuple["dict[str, Change]", dict[str, int]]:
        changes = await service.apply(definitions, caller=local_caller())
        return changes, {name: (await service.get(name)).tools for name in changes}

    with local_settings("toolsets") as settings:
        changes, tools = asyncio.run(_work(settings, write))
    if as_json:
        print_json(changes)
    for name, change in () if as_json else changes.items():
        click.echo(f"{name}: {change}, {count(tools[name], 'tool')}")
    if empty := [name for name in changes if not tools[name]]:
        click.echo(f"Warning: no tool is in {', '.join(empty)}: no rule matches any, or others exclude them", err=True)


@toolsets.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the toolsets."""
    with local_settings("toolsets") as settings:
        found = asyncio.run(_work(settings, lambda service: service.repository.list_toolsets()))
    if as_json:
        print_json([_to_json(toolset) for toolset in found])
        return
    rows = [
        (
            toolset.name,
            toolset.tools,
            "its tools" if toolset.definition.is_direct else "find_tool",
            toolset.definition.title or toolset.definition.description,
        )
        for toolset in found
    ]
    print_table(("name", "tools", "clients see", "title"), rows, caption=None if rows else "no toolsets yet")


@toolsets.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Look at one toolset and its first tools."""

    async def look(service: "ToolsetService") -> tuple["Toolset", "MemberPage"]:
        toolset = await _named(name, service.get(name))
        return toolset, await service.repository.read_members(toolset.id, after="", limit=MEMBERS_SHOWN)

    with local_settings("toolsets") as settings:
        toolset, members = asyncio.run(_work(settings, look))
        base_url = settings.public_url or find_server_url()
    names = [tool.name for tool in members.tools]
    if as_json:
        print_json(_to_json(toolset) | {"first_tools": names})
        return
    shown = _to_json(toolset)
    shown["endpoint"] = f"{(base_url or '').rstrip('/')}{shown['endpoint']}"
    rules = shown.pop("rules")
    for field, value in shown.items():
        if value is not None and value != "":
            click.echo(f"{field}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")
    for kind in ("include", "exclude"):
        for rule in rules.get(kind, ()):
            click.echo(f"{kind}: {msgspec.json.encode(rule).decode()}")
    click.echo("\n".join(["", *names]) if names else "\nno tool is in it")
    if members.has_more:
        click.echo(f"... and {toolset.tools - len(names)} more")


@toolsets.command()
@click.argument("name")
def delete(name: str) -> None:
    """Delete a toolset; its tools stay."""
    with local_settings("toolsets") as settings:
        asyncio.run(_work(settings, lambda service: _named(name, service.delete(name, caller=local_caller()))))
    click.echo(f"{name}: deleted")


async def _named(name: str, work: Awaitable[T]) -> T:
    """A toolset that is not there, in the words of the command line."""
    try:
        return await work
    except NotFound as error:
        raise NotFound(
            f"there is no toolset {name[:100]!r}; `toolbox toolsets list` lists those that there are"
        ) from error


async def _work(settings: Settings, work: "Callable[[ToolsetService], Awaitable[T]]") -> T:
    from toolbox.toolsets.service import ToolsetService

    async with open_local(settings) as local:
        return await work(ToolsetService(local.services.database))


def _to_json(toolset: "Toolset") -> dict[str, Any]:
    definition: dict[str, Any] = msgspec.to_builtins(toolset.definition)
    return {
        "name": toolset.name,
        "endpoint": f"/toolsets/{toolset.name}/mcp",
        "tools": toolset.tools,
        **definition,
        "created_at": toolset.created_at.isoformat(),
        "updated_at": toolset.updated_at.isoformat(),
    }
