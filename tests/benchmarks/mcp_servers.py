"""The servers that mcp_speed.py compares, each a process of its own on uvicorn, uvloop and httptools.

    python tests/benchmarks/mcp_servers.py bare|sdk|fastmcp ANSWERS

All offer the same twenty tools: `number_00(a, b)` adds, and so on. The bare route is what is left when there is nothing
but Litestar and msgspec: it reads the message, adds, and writes the bytes that ToolBox writes. Its lists are ToolBox's
own, recorded, in the file ANSWERS. This file imports nothing of ToolBox: fastmcp lives in an environment without it.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOOLS = [f"number_{number:02}" for number in range(20)]
MODERN = b"2026-07-28"

INPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
OUTPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"total": {"type": "integer"}},
    "required": ["total"],
}
DESCRIPTION = "Add two numbers."


def create_bare(answers: Path) -> Any:
    """Litestar and msgspec, and nothing else."""
    import msgspec
    from litestar import Litestar, Request, Response, post
    from msgspec import UNSET, Raw, Struct, UnsetType

    class Arguments(Struct, forbid_unknown_fields=True):
        a: int
        b: int

    class Params(Struct):
        name: str = ""
        arguments: Arguments | None = None

    class Message(Struct):
        id: int | str
        method: str
        params: Params

    class Text(Struct):
        type: str
        text: str

    class Total(Struct):
        total: int

    class Result(Struct, kw_only=True, rename="camel"):
        result_type: str | UnsetType = UNSET
        content: tuple[Text, ...]
        structured_content: Total
        is_error: bool = False
        meta: Raw | UnsetType = msgspec.field(default=UNSET, name="_meta")

    class Answer(Struct):
        jsonrpc: str
        id: int | str
        result: Result | Raw

    recorded: dict[str, Raw] = msgspec.json.decode(answers.read_bytes(), type=dict[str, Raw])
    meta, lists = recorded["meta"], {True: recorded["modern"], False: recorded["legacy"]}
    read, write = msgspec.json.Decoder(Message).decode, msgspec.json.Encoder().encode

    def add(arguments: Arguments, *, is_modern: bool) -> Result:
        total = Total(arguments.a + arguments.b)
        content = (Text("text", write(total).decode()),)
        if is_modern:
            return Result(result_type="complete", content=content, structured_content=total, meta=meta)
        return Result(content=content, structured_content=total)

    @post("/mcp", status_code=200)
    async def receive(request: Request[Any, Any, Any]) -> Response[bytes]:
        message = read(await request.body())
        is_modern = (b"mcp-protocol-version", MODERN) in request.scope["headers"]
        result: Result | Raw = lists[is_modern]
        if message.params.arguments is not None:
            result = add(message.params.arguments, is_modern=is_modern)
        return Response(write(Answer("2.0", message.id, result)), media_type="application/json")

    return Litestar([receive], openapi_config=None, logging_config=None)


def create_sdk(_answers: Path) -> Any:
    """The low-level server of the official SDK in its fastest form: no sessions, JSON, and told its schemas."""
    import mcp_types as types
    from mcp.server.lowlevel import Server

    tools = [
        types.Tool(name=name, description=DESCRIPTION, input_schema=INPUT_SCHEMA, output_schema=OUTPUT_SCHEMA)
        for name in TOOLS
    ]
    listed = types.ListToolsResult(tools=tools)

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        return listed

    async def call_tool(_context: Any, params: Any) -> types.CallToolResult:
        total = params.arguments["a"] + params.arguments["b"]
        content: list[Any] = [types.TextContent(type="text", text=f'{{"total":{total}}}')]
        return types.CallToolResult(content=content, structured_content={"total": total})

    schemas = dict.fromkeys(TOOLS, INPUT_SCHEMA)
    server = Server(
        "sdk",
        version="1",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=schemas.get,
    )
    return server.streamable_http_app(json_response=True, stateless_http=True)


def create_fastmcp(_answers: Path) -> Any:
    """FastMCP as its documentation says, without sessions and with JSON."""
    from fastmcp import FastMCP  # type: ignore[import-not-found]
    from fastmcp.tools import Tool  # type: ignore[import-not-found]

    def add(a: int, b: int) -> dict[str, int]:
        return {"total": a + b}

    server = FastMCP("fast")
    for name in TOOLS:
        server.add_tool(Tool.from_function(add, name=name, description=DESCRIPTION, output_schema=OUTPUT_SCHEMA))
    return server.http_app(path="/mcp", json_response=True, stateless_http=True)


CREATE: dict[str, Callable[[Path], Any]] = {"bare": create_bare, "sdk": create_sdk, "fastmcp": create_fastmcp}


async def serve(app: Any) -> None:
    """Listen on a free port, and print it."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False, loop="uvloop"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await running


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(CREATE[sys.argv[1]](Path(sys.argv[2]))))
