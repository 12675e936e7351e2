"""A server written with the official SDK: `sdk_server.py stdio`, or `sdk_server.py http`."""

import asyncio
import socket
import sys
from typing import Annotated, Any

import uvicorn
from mcp import MCPError
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve, Sample
from mcp_types import CallToolResult, CreateMessageResult, ResourceLink, SamplingMessage, TextContent
from pydantic import BaseModel, Field

server = MCPServer("sdk", instructions="For tests.")


class Name(BaseModel):
    name: str


@server.tool()
def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


@server.tool()
async def count(context: Context[Any, Any], to: int) -> str:
    """Count up, and tell how far it has come."""
    for number in range(1, to + 1):
        await context.report_progress(number, to, f"at {number}")
    return f"counted to {to}"


def ask_name() -> Elicit[Name]:
    """In the words of either era."""
    return Elicit("Your name?", Name)


@server.tool()
async def greet(answer: Annotated[ElicitationResult[Name], Resolve(ask_name)]) -> str:
    """Ask for a name and greet it."""
    return f"Hello, {answer.data.name}!" if answer.action == "accept" else f"It was a {answer.action}."


def ask_model() -> Sample:
    """As above."""
    return Sample([SamplingMessage(role="user", content=TextContent(type="text", text="2 + 2?"))], max_tokens=10)


@server.tool()
async def think(answer: Annotated[CreateMessageResult, Resolve(ask_model)]) -> str:
    """Ask the caller's model."""
    assert isinstance(answer.content, TextContent)
    return f"{answer.model} says {answer.content.text}"


ENDED = list[str]()


@server.tool()
async def linger(context: Context[Any, Any], label: str) -> str:
    """Tell that it has begun, and go on until nobody wants the answer any more."""
    try:
        await context.report_progress(1, 2)
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        ENDED.append(label)
        raise
    return "nobody ended it"


@server.tool()
def ended() -> list[str]:
    """The calls that were given up."""
    return ENDED


@server.tool()
def link() -> CallToolResult:
    """Give a link, with everything that may be beside it."""
    return CallToolResult(
        content=[
            TextContent(type="text", text="see", annotations={"audience": ["user"], "priority": 0.5}),  # type: ignore[arg-type]
            ResourceLink(type="resource_link", uri="memo://today", name="today", size=5, _meta={"a": 1}),  # type: ignore[call-arg]
        ],
        structured_content={"seen": True},
        _meta={"example/trace": "abc"},
    )


@server.tool()
def headers(context: Context[Any, Any]) -> dict[str, str]:
    """What HTTP headers came with the request."""
    request = context.request_context.request
    return dict(request.headers) if request is not None else {}


@server.tool()
def trace(context: Context[Any, Any], fails: bool = False) -> str:
    """The trace that the request belongs to."""
    if fails:
        raise MCPError(-32000, "upstream-swordfish")
    return str((context.request_context.meta or {}).get("traceparent"))


@server.tool()
def region(where: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """A tool whose argument travels as a header too."""
    return f"in {where}"


@server.resource("memo://today")
def today() -> str:
    """What is to do today."""
    return "water the plants"


@server.resource("memo://{day}/of/{month}")
def some_day(day: str, month: str) -> str:
    """What is to do on some day."""
    return f"nothing on {day} of {month}"


@server.prompt()
def review(code: str) -> str:
    """Review code."""
    return f"Please review: {code}"


def serve() -> None:
    """Streamable HTTP at /mcp and HTTP+SSE at /sse of a free port, which is printed."""
    app = server.streamable_http_app()
    app.router.routes.extend(server.sse_app().routes)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        print(listening.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    server.run() if sys.argv[1] == "stdio" else serve()
