"""`toolbox reload`: have a server that runs take up plugins that were installed, upgraded or removed."""

import asyncio
from typing import Any

import click

from toolbox.cli.backend import ask_server, find_server_url
from toolbox.cli.output import json_option, print_json, print_table, url_option
from toolbox.errors import NotFound


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@url_option
@json_option
def reload(url: str | None, dry_run: bool, as_json: bool) -> None:
    """Take up plugins that were installed, upgraded or removed, without a restart, in all processes of all replicas.

    All or nothing for each plugin: one that cannot be loaded stays as it was. Exits with 1 if there is such a one.
    """
    server_url = url or find_server_url()
    if server_url is None:
        raise NotFound("no server runs on this machine's data: --url says where one is")
    path = f"/admin/reload?dry_run={str(dry_run).lower()}"
    report: dict[str, Any] = asyncio.run(ask_server(server_url, lambda server: server.ask("POST", path)))
    if as_json:
        print_json(report)
    else:
        kinds = ("added", "changed", "removed")
        rows = [
            (
                one["plugin"],
                one["outcome"],
                one["version"],
                *(len(one[f"tools_{kind}"]) + len(one[f"others_{kind}"]) for kind in kinds),
            )
            for one in report["changes"]
        ]
        columns = ("plugin", "outcome", "version", *kinds)
        print_table(columns, rows, caption=None if rows else "nothing has changed")
        for one in report["changes"]:
            for problem in one["problems"]:
                click.echo(f"{one['plugin']}: {problem['where']}: {problem['message']}", err=True)
    if any(one["outcome"] == "failed" for one in report["changes"]):
        raise SystemExit(1)
