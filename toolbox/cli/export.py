"""`toolbox export`: everything as one document, or ToolBox in the files of MCP hosts."""

from pathlib import Path
from typing import Any

import click

from toolbox.cli.backend import Server, find_server_url, operate
from toolbox.errors import InvalidRequest

TARGETS = ("claude-desktop", "claude-code", "cursor", "vscode")


@click.command()
@click.option("--all", "is_all", is_flag=True, help="Tools, toolsets, upstreams, policies and keys, as one document.")
@click.option("--mcp", "has_servers", is_flag=True, help="Into the file in which a host has its servers.")
@click.option("--target", type=click.Choice(TARGETS), help="With --mcp: which host.")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The host's file, if it is not at its usual place; with --all: where to, instead of standard output.",
)
@click.option("--url", help="ToolBox's address; the server of this machine if not given.")
@click.option("--toolset", help="Only the tools of this toolset.")
@click.option("--name", default="toolbox", show_default=True, help="What the host calls it.")
@click.option("--key-variable", metavar="NAME", help="The host's variable that holds a key.")
@click.option("--remove", is_flag=True, help="Take it out again.")
def export(
    is_all: bool,
    has_servers: bool,
    target: Any,
    file: Path | None,
    url: str | None,
    toolset: str | None,
    name: str,
    key_variable: str | None,
    remove: bool,
) -> None:
    """Write everything that operators look after as one document, or ToolBox into a host's file.

    With --all: tools with how they are run, toolsets, upstreams, policies and keys, without any secret;
    `toolbox import --all` takes it. With --mcp: everything else in the host's file stays as it is, comments too.
    """
    if is_all is has_servers or has_servers is not bool(target):
        raise click.UsageError("give --all, or --mcp with --target.")
    if is_all:
        _export_all(url, file)
        return
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


def _export_all(url: str | None, file: Path | None) -> None:
    async def work(server: Server) -> bytes:
        return (await server.request("GET", "/admin/export")).content

    document = operate(url, "export", work)
    with file.open("wb") if file else click.open_file("-", "wb") as output:
        output.write(document + b"\n")
