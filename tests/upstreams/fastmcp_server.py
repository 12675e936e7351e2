"""A server written with FastMCP, run in an environment of its own: `fastmcp_server.py stdio`, or `... http`."""

import asyncio
import dataclasses
import socket
import sys

import uvicorn
from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError

server = FastMCP("fastmcp", instructions="For tests.")


@dataclasses.dataclass
class Weather:
    city: str
    celsius: float


@server.tool(annotations={"readOnlyHint": True})
def weather(city: str) -> Weather:
    """What the weather is."""
    if city == "Atlantis":
        raise ToolError("there is no Atlantis")
    return Weather(city, 21.5)


@server.tool
async def count(to: int, context: Context) -> str:
    """Count up, and tell how far it has come."""
    for number in range(1, to + 1):
        await context.report_progress(number, to)
    return f"counted to {to}"


async def serve() -> None:
    """Serve streamable HTTP on a port of its own, which standard output says."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(100)
    config = uvicorn.Config(server.http_app(path="/mcp"), log_level="error", lifespan="on")
    print(listening.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    if sys.argv[1] == "http":
        asyncio.run(serve())
    else:
        server.run("stdio", show_banner=False)
