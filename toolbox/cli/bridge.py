"""`toolbox bridge`: one stdio server over streamable HTTP."""

import asyncio
import os
import re
from typing import Any

import click
import uvicorn

from toolbox.errors import ToolboxError


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port to listen on.")
@click.option("--env", "variables", multiple=True, metavar="NAME", help="A variable that the server gets; repeatable.")
@click.option(
    "--session",
    type=click.Choice(["shared", "serial"]),
    default="shared",
    show_default=True,
    help="Whether calls run at the same time; only one at a time can ask its caller.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def bridge(host: str, port: int, variables: tuple[str, ...], session: Any, command: tuple[str, ...]) -> None:
    """Serve one stdio server over streamable HTTP.

    For example: toolbox bridge -- npx -y some-server

    It is at /mcp. Whoever reaches the address may use it: put it where only ToolBox does. /health says whether it runs.
    """
    asyncio.run(_serve(host, port, variables, session, command))


async def _serve(host: str, port: int, variables: tuple[str, ...], session: Any, command: tuple[str, ...]) -> None:
    from toolbox.definitions import Upstream
    from toolbox.upstreams.bridge import open_bridge

    for name in variables:
        if name not in os.environ or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ToolboxError(f"--env {name}: the environment has no such variable")
    upstream = Upstream(
        name="bridge",
        command=command[0],
        args=command[1:],
        env={name: os.environ[name] for name in variables},
        session=session,
        idle_seconds=float("inf"),
    )
    async with open_bridge(upstream, host=host) as app:
        server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning"))
        click.echo(f"{' '.join(command)} at http://{host}:{port}/mcp", err=True)
        await server.serve()
