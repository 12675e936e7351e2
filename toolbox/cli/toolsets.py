"""Commands for toolsets: named selections of tools, each with an MCP endpoint of its own."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolbox.cli.backend import local_settings, open_local
from toolbox.cli.output import json_option, print_json, print_table
from toolbox.settings import Settings

if TYPE_CHECKING:  # loaded where they are used: --help needs no database driver
    from toolbox.toolsets.schemas import Toolset

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
    with local_settings("toolsets") as settings:
        changes = asyncio.run(_work(settings, lambda service: service.apply(definitions)))
    if as_json:
        print_json(changes)
        return
    for name, change in changes.items():
        click.echo(f"{name}: {change}")


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

    async def look(service: Any) -> tuple[Any, Any]:
        toolset = await service.get(name)
        return toolset, await service.repository.read_members(toolset.id, after="", limit=MEMBERS_SHOWN)

    with local_settings("toolsets") as settings:
        toolset, members = asyncio.run(_work(settings, look))
    names = [tool.name for tool in members.tools]
    if as_json:
        print_json(_to_json(toolset) | {"first_tools": names})
        return
    print_table(("", ""), _to_json(toolset).items())
    click.echo("\n".join(["", *names]))
    if members.has_more:
        click.echo(f"... and {toolset.tools - len(names)} more")


@toolsets.command()
@click.argument("name")
def delete(name: str) -> None:
    """Delete a toolset; its tools stay."""
    with local_settings("toolsets") as settings:
        asyncio.run(_work(settings, lambda service: service.delete(name)))
    click.echo(f"{name}: deleted")


async def _work(settings: Settings, work: Any) -> Any:
    from toolbox.toolsets.service import ToolsetService

    async with open_local(settings) as local:
        return await work(ToolsetService(local.services.database))


def _to_json(toolset: "Toolset") -> dict[str, Any]:
    import msgspec

    definition: dict[str, Any] = msgspec.to_builtins(toolset.definition)
    return {
        "name": toolset.name,
        "endpoint": f"/toolsets/{toolset.name}/mcp",
        "tools": toolset.tools,
        **definition,
        "created_at": toolset.created_at.isoformat(),
        "updated_at": toolset.updated_at.isoformat(),
    }
