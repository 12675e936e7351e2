"""`toolbox export`: ToolBox in the files of MCP hosts."""

from pathlib import Path
from typing import Any

import click

from toolbox.cli.backend import find_server_url
from toolbox.errors import InvalidRequest

TARGETS = ("claude-desktop", "claude-code", "cursor", "vscode")


@click.command()
@click.option(
    "--mcp", "has_servers", is_flag=True, required=True, help="Into the file in which a host has its servers."
)
@click.option("--target", type=click.Choice(TARGETS), required=True, help="Which host.")
@click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), help="Its file, if it is not at its usual place."
)
@click.option("--url", help="ToolBox's address; the server of this machine if not given.")
@click.option("--toolset", help="Only the tools of this toolset.")
@click.option("--name", default="toolbox", show_default=True, help="What the host calls it.")
@click.option("--key-variable", metavar="NAME", help="The host's variable that holds a key.")
@click.option("--remove", is_flag=True, help="Take it out again.")
def export(
    has_servers: bool,  # noqa: ARG001 - there is nothing else to export yet
    target: Any,
    file: Path | None,
    url: str | None,
    toolset: str | None,
    name: str,
    key_variable: str | None,
    remove: bool,
) -> None:
    """Write ToolBox into a host's file, and leave everything else in it as it is, comments too."""
    from toolbox.upstreams.export import remove_entry, write_entry

    if remove:
        path, was_there = remove_entry(target, name=name, file=file)
        click.echo(f"{path}: {name} {'taken out' if was_there else 'was not in there'}")
        return
    base = (url or find_server_url() or "http://127.0.0.1:8000").rstrip("/").removesuffix("/mcp")
    if not base.startswith(("http://", "https://")):
        raise InvalidRequest(f"--url {base!r}: http:// or https:// is expected")
    address = f"{base}/toolsets/{toolset}/mcp" if toolset else f"{base}/mcp"
    path = write_entry(target, url=address, name=name, file=file, key_variable=key_variable)
    click.echo(f"{path}: {name} -> {address}; start the host again, or let it read its servers anew")
